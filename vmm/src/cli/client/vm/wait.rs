//! `paravane vm wait`.

use super::ls::state_parser;
use super::state;
use crate::cli::client::connection::Common;
use crate::cli::client::each::Outcomes;
use crate::cli::duration;
use crate::cli::exit_code::{Failure, Status};
use clap::Args;
use paravane_api::{Vm, VmState};
use paravane_client::{Client, ClientError};
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long the daemon is asked to wait at a time.
const TURN: Duration = Duration::from_secs(60);

/// What is waited for.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// The VMs, by their names or ids
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    /// Until they are in one of these states
    #[arg(
        long = "state",
        value_name = "STATE,...",
        value_delimiter = ',',
        value_parser = state_parser(),
        default_value = "stopped,failed,lost"
    )]
    states: Vec<VmState>,
    /// For how long at most, as in 5s or 500ms
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// End with the exit code of the first VM whose is not 0
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    common: Common,
}

/// A VM that was waited for.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Waited {
    vm: Vm,
    /// The time was over first.
    #[serde(skip)]
    late: bool,
}

/// Waits for VMs.
pub async fn wait(args: &WaitArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let until = args
        .timeout
        .and_then(|timeout| Instant::now().checked_add(timeout));
    let wait = async |vm: &str| wait_for(&client, vm, &args.states, until).await;
    let outcomes = Outcomes::of(&args.vms, wait).await;
    let late = outcomes.done.iter().any(|waited| waited.late);
    let codes = outcomes.done.iter().map(|waited| exit_code(&waited.vm));
    let code = codes.into_iter().find(|&code| code != 0).unwrap_or(0);
    outcomes.print(args.common.json, |waited| {
        format!("{}: {}", waited.vm.name, state(&waited.vm))
    })?;
    Ok(match (late, args.exit_code) {
        (true, _) => Status::TimedOut.into(),
        (false, true) => ExitCode::from(code),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// What a VM ended with that has ended.
fn exit_code(vm: &Vm) -> u8 {
    match (&vm.ended, vm.state.has_process()) {
        (Some(ended), false) => ended.exit_code,
        _ => 0,
    }
}

async fn wait_for(
    client: &Client,
    vm: &str,
    states: &[VmState],
    until: Option<Instant>,
) -> Result<Waited, ClientError> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let turn = left.map_or(TURN, |left| left.min(TURN));
        if let Some(vm) = client.wait_vm(vm, states, Some(turn)).await? {
            return Ok(Waited { vm, late: false });
        }
        if left.is_some_and(|left| left <= turn) {
            let vm = client.show_vm(vm).await?;
            return Ok(Waited { vm, late: true });
        }
    }
}
