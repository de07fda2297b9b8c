//! `paravane vm`.

mod apply;
mod console;
mod create;
mod events;
mod lifecycle;
mod logs;
mod ls;
mod show;
mod stats;
mod top;
mod wait;

use super::block_on;
use super::connection::Common;
use crate::cli::exit_code::Failure;
use clap::{Args, Subcommand};
use paravane_api::Vm;
use std::process::ExitCode;

/// What is done with VMs.
#[derive(Debug, Subcommand)]
pub enum VmCommand {
    /// Create a VM, and start it
    Create(Box<create::CreateArgs>),
    /// List VMs
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show a VM
    Show(OneArgs),
    /// Start VMs, and wait until their guests run
    Start(SeveralArgs),
    /// Ask VMs to shut down, and end those that do not
    Stop(lifecycle::StopArgs),
    /// Let VMs stand still
    Pause(SeveralArgs),
    /// Have paused VMs go on
    Resume(SeveralArgs),
    /// Start VMs anew, without asking their guests
    Reset(SeveralArgs),
    /// Delete VMs
    Rm(lifecycle::RmArgs),
    /// Connect this terminal to a VM's console
    Console(console::ConsoleArgs),
    /// Show the log of a VM: its console's lines, and what the VMM and the daemon say of it
    Logs(logs::LogsArgs),
    /// Show what a VM has done and uses
    Stats(OneArgs),
    /// Watch what VMs do, in the terminal
    Top(top::TopArgs),
    /// Wait until VMs have ended, or are in another state
    Wait(wait::WaitArgs),
    /// Show what happens to VMs as it happens
    Events(events::EventsArgs),
    /// Have VMs be as a file says
    Apply(apply::ApplyArgs),
}

/// One VM.
#[derive(Debug, Args)]
pub struct OneArgs {
    /// The VM, by its name or id
    vm: String,
    #[command(flatten)]
    common: Common,
}

/// Several VMs.
#[derive(Debug, Args)]
pub struct SeveralArgs {
    /// The VMs, by their names or ids
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Carries out a command.
pub fn vm(command: VmCommand) -> Result<ExitCode, Failure> {
    block_on(async {
        match command {
            VmCommand::Create(args) => create::create(*args).await,
            VmCommand::Ls(args) => ls::ls(args).await,
            VmCommand::Show(args) => show::show(&args).await,
            VmCommand::Start(args) => {
                let client = args.common.client()?;
                lifecycle::change(&args, async |vm| client.start_vm(vm).await).await
            }
            VmCommand::Stop(args) => lifecycle::stop(&args).await,
            VmCommand::Pause(args) => {
                let client = args.common.client()?;
                lifecycle::change(&args, async |vm| client.pause_vm(vm).await).await
            }
            VmCommand::Resume(args) => {
                let client = args.common.client()?;
                lifecycle::change(&args, async |vm| client.resume_vm(vm).await).await
            }
            VmCommand::Reset(args) => {
                let client = args.common.client()?;
                lifecycle::change(&args, async |vm| client.reset_vm(vm).await).await
            }
            VmCommand::Rm(args) => lifecycle::rm(&args).await,
            VmCommand::Console(args) => console::console(&args).await,
            VmCommand::Logs(args) => logs::logs(&args).await,
            VmCommand::Stats(args) => stats::stats(&args).await,
            VmCommand::Top(args) => top::top(&args).await,
            VmCommand::Apply(args) => apply::apply(&args).await,
            VmCommand::Wait(args) => wait::wait(&args).await,
            VmCommand::Events(args) => events::events(&args).await,
        }
    })
}

/// A VM's state, with how it ended where that says more.
fn state(vm: &Vm) -> String {
    use paravane_api::VmState::{Failed, Restarting, Stopped};
    let name = vm.state.name();
    match (vm.state, &vm.ended) {
        (Failed | Restarting | Stopped, Some(ended)) if ended.exit_code != 0 => {
            format!("{name} ({})", ended.exit_code)
        }
        _ => name.to_string(),
    }
}
