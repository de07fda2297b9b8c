//! `paravane vm start`, `stop`, `pause`, `resume`, `reset` and `rm`.

use super::SeveralArgs;
use crate::cli::client::connection::Common;
use crate::cli::client::each::{Outcomes, remove};
use crate::cli::duration;
use crate::cli::exit_code::Failure;
use clap::Args;
use paravane_api::Vm;
use paravane_api::vm::StopVm;
use paravane_client::ClientError;
use std::process::ExitCode;
use std::time::Duration;

/// Which VMs are to be stopped.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// The VMs, by their names or ids
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    /// Do not ask the guests first
    #[arg(long)]
    force: bool,
    /// How long a guest may take to shut down, in place of what its spec says
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse_seconds)]
    grace: Option<Duration>,
    #[command(flatten)]
    common: Common,
}

/// Which VMs are to be deleted.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// The VMs, by their names or ids
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    /// Also those that run
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// Changes the state of VMs.
pub async fn change(
    args: &SeveralArgs,
    verb: impl AsyncFn(&str) -> Result<Vm, ClientError>,
) -> Result<ExitCode, Failure> {
    let outcomes = Outcomes::of(&args.vms, verb).await;
    outcomes.print(args.common.json, |vm| vm.name.clone())
}

/// Stops VMs.
pub async fn stop(args: &StopArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let grace = args.grace.map(|grace| u32::try_from(grace.as_millis()));
    let request = StopVm {
        force: args.force,
        // The daemon says what is too long.
        grace_ms: grace.map(|milliseconds| milliseconds.unwrap_or(u32::MAX)),
    };
    let outcomes = Outcomes::of(&args.vms, async |vm| client.stop_vm(vm, &request).await).await;
    outcomes.print(args.common.json, |vm| vm.name.clone())
}

/// Deletes VMs.
pub async fn rm(args: &RmArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let delete = async |vm: &str| client.delete_vm(vm, args.force).await;
    remove(&args.vms, args.common.json, delete).await
}
