//! The command line: what it means is in the file of each command, what it gives the shell in
//! [`exit_code`].

mod bench;
mod built_in;
mod client;
mod completions;
mod daemon;
mod doctor;
mod duration;
mod exit_code;
mod guest_args;
mod image_source;
mod inspect;
mod logging;
mod man;
mod output;
mod output_file;
mod report;
mod run;
mod session;
mod size;
mod switch;
mod usage;
mod vm_process;

use clap::{Args, Parser, Subcommand};
use client::{Lazy, SnapshotCommand, VmCommand};
use exit_code::Failure;
use paravane::vm::host;
use paravane::vm::stages::Stages;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// A paravirtualizing hypervisor on Linux KVM.
#[derive(Debug, Parser)]
#[command(name = "paravane", version, after_help = exit_code::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a guest
    Run(run::RunArgs),
    /// Show what works on this host, what it costs, and what runs by default
    Doctor(doctor::DoctorArgs),
    /// Measure what sensitive instructions cost when they trap, and as hypercalls
    Bench(bench::BenchArgs),
    /// Connect the network devices of guests on this host
    Switch(switch::SwitchArgs),
    /// Run a VM for the daemon that starts this
    #[command(hide = true)]
    VmProcess(vm_process::VmProcessArgs),
    /// Serve many VMs through an API
    Daemon(daemon::DaemonArgs),
    /// Create, run and watch VMs of a daemon
    Vm(Lazy<VmCommand>),
    /// Take snapshots of a daemon's VMs, and make VMs of them
    Snapshot(Lazy<SnapshotCommand>),
    /// Look at guest images, and keep images in a daemon's store
    Image(Lazy<ImageCommand>),
    /// Print what completes this program's command lines in a shell
    Completions(completions::CompletionsArgs),
    /// Write manual pages
    Man(man::ManArgs),
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Show what an image contains and needs
    Inspect(inspect::InspectArgs),
    /// Add a file to a daemon's store
    Add(client::AddArgs),
    /// List the images of a daemon's store
    #[command(visible_alias = "list")]
    Ls(client::ListArgs),
    /// Remove images from a daemon's store, or names of them
    Rm(client::RemoveArgs),
}

/// Which KVM to use.
#[derive(Debug, Args)]
struct KvmArgs {
    /// The KVM device
    #[arg(long = "kvm", value_name = "PATH", env = "PARAVANE_KVM", default_value = host::DEVICE)]
    device: PathBuf,
}

/// Runs the program, which was started at `start`.
pub fn main(start: Instant) -> ExitCode {
    // A panic has printed itself. Nothing is used after it but the exit code.
    let result = catch_unwind(AssertUnwindSafe(|| dispatch(start)))
        .unwrap_or_else(|_| Err(Failure::internal("it panicked (a defect of the VMM)")));
    result.unwrap_or_else(|failure| {
        failure.print();
        failure.status.into()
    })
}

fn dispatch(start: Instant) -> Result<ExitCode, Failure> {
    let mut stages = Stages::since(start);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::conclude(&error),
    };
    // The process of a VM has a log of its own.
    if !matches!(cli.command, Command::VmProcess(_)) {
        logging::start()?;
    }
    stages.done("args");
    match cli.command {
        Command::VmProcess(args) => vm_process::run(&args, stages),
        Command::Run(args) => run::run(args, stages),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Switch(args) => switch::run(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Daemon(args) => daemon::daemon(args),
        Command::Vm(Lazy(command)) => client::vm(command),
        Command::Snapshot(Lazy(command)) => client::snapshot(command),
        Command::Image(Lazy(command)) => match command {
            ImageCommand::Inspect(args) => inspect::inspect(&args),
            ImageCommand::Add(args) => client::add(&args),
            ImageCommand::Ls(args) => client::list(&args),
            ImageCommand::Rm(args) => client::remove(&args),
        },
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => man::man(&args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
