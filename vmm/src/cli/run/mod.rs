//! `paravane run`.
//!
//! Each guest runs on a thread of its own ([`super::session`], [`group`]); this one waits for
//! whatever may end them ([`supervisor`]) and says how they ended.

mod devices;
mod gate;
pub mod group;
mod guest;
pub mod sandbox;
mod supervisor;

use super::KvmArgs;
use super::duration;
use super::exit_code::{Failure, notice};
use super::guest_args::GuestArgs;
use super::image_source::ImageSource;
use super::output::to_json;
use super::output_file::OutputFile;
use super::report::Report;
use super::session::conclusion::{self, Conclusion};
use super::session::initrd::Initrd;
use clap::Args;
use devices::DeviceArgs;
use group::{Group, Outcome};
use guest::GuestSpec;
use paravane::console::escape;
use paravane::console::stdin::Source;
use paravane::grant::Seat;
use paravane::vm::VmConfig;
use paravane::vm::stages::Stages;
use sandbox::SandboxChoice;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use supervisor::Limits;
use tokio::sync::mpsc;

/// What is to be run, and how.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The guest's image; without one, the guest kernel built into this program
    image: Option<PathBuf>,
    /// A file for the guest to find in its memory
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// Another guest to run beside the first one, with which it can share memory: an image, or
    /// builtin for the one built into this program, with what differs from the first guest
    #[arg(
        long = "guest",
        value_name = "IMAGE[,mem=SIZE][,vcpus=N][,initrd=FILE][,cmdline=TEXT]",
        value_parser = guest::parse
    )]
    guests: Vec<GuestSpec>,
    /// How long the guest may run, as in 5s or 500ms
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// How long the guest may take to shut down after SIGTERM, if it wants to be asked
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = duration::parse_seconds)]
    grace: Duration,
    /// Confine this program to what the guest's devices need, before the guest runs: strict fails
    /// where the kernel cannot do all of it, on does what it can
    #[arg(
        long,
        value_enum,
        value_name = "WHETHER",
        env = "PARAVANE_SANDBOX",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = SandboxChoice::Off,
        default_missing_value = "on"
    )]
    sandbox: SandboxChoice,
    /// Write a report about the run to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Do not say how to leave the terminal
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    kvm: KvmArgs,
    #[command(flatten)]
    devices: DeviceArgs,
    #[command(flatten)]
    guest: GuestArgs,
}

/// Runs guests.
pub fn run(args: RunArgs, stages: Stages) -> Result<ExitCode, Failure> {
    // First, so that every later failure can be reported.
    let report = match &args.report {
        Some(path) => Some(OutputFile::prepare("the report", path, 1)?),
        None => None,
    };
    let request = Request::new(args)?;
    let outcomes = execute(&request, stages).unwrap_or_else(|failure| {
        failure.print();
        let outcome = |_| Outcome {
            run: None,
            conclusion: Conclusion::failure(failure.clone()),
        };
        request.guests.iter().map(outcome).collect()
    });
    let conclusions = outcomes.iter().map(|outcome| &outcome.conclusion);
    let exit_code = conclusion::exit_code(conclusions);
    if let Some(file) = report {
        file.write(&to_json(&Report::new(&request, &outcomes, exit_code))?)?;
    }
    Ok(ExitCode::from(exit_code))
}

/// What the user asked for.
#[derive(Debug)]
pub struct Request {
    /// The guests; at least one.
    pub guests: Vec<GuestRequest>,
    timeout: Option<Duration>,
    grace: Duration,
    quiet: bool,
    kvm: PathBuf,
    sandbox: SandboxChoice,
    report: Option<PathBuf>,
}

/// A guest that the user asked for.
#[derive(Debug)]
pub struct GuestRequest {
    /// Where the image comes from.
    pub source: ImageSource,
    /// How the VM is to be built, without the initrd and its seat.
    pub config: VmConfig,
    initrd: Option<PathBuf>,
}

impl GuestRequest {
    /// Opens the initrd, where there is to be one.
    fn open_initrd(&self) -> Result<Option<Initrd>, Failure> {
        let initrd = self.initrd.as_ref();
        initrd
            .map(|path| Initrd::open(path, self.config.memory))
            .transpose()
    }
}

impl Request {
    fn new(args: RunArgs) -> Result<Self, Failure> {
        let first = GuestRequest {
            source: args.image.into(),
            config: VmConfig {
                memory: args.guest.mem,
                vcpus: args.guest.vcpus,
                privilege: args.guest.privilege.into(),
                carrier: args.guest.carrier.into(),
                command_line: args.guest.command_line(),
                initrd: None,
                seat: Seat::alone(),
                devices: args.devices.into_specs()?,
            },
            initrd: args.initrd,
        };
        let others = args.guests.into_iter().map(|spec| GuestRequest {
            source: spec.source,
            config: VmConfig {
                memory: spec.memory.unwrap_or(first.config.memory),
                vcpus: spec.vcpus.unwrap_or(first.config.vcpus),
                command_line: spec.command_line,
                devices: Vec::new(),
                ..first.config.clone()
            },
            initrd: spec.initrd,
        });
        let others: Vec<_> = others.collect();
        let mut guests = vec![first];
        guests.extend(others);
        Ok(Self {
            guests,
            timeout: args.timeout,
            grace: args.grace,
            quiet: args.quiet,
            kvm: args.kvm.device,
            sandbox: args.sandbox,
            report: args.report,
        })
    }
}

fn execute(request: &Request, stages: Stages) -> Result<Vec<Outcome>, Failure> {
    let deadline = request
        .timeout
        .and_then(|timeout| stages.started().checked_add(timeout));
    let stdin = Source::of_process();
    let says_keys = stdin == Source::Terminal && !request.quiet;
    let (sender, events) = mpsc::unbounded_channel();
    let confinement = sandbox::of(request);
    let on_built = move || {
        if let Some(sandbox) = confinement {
            sandbox::enter(sandbox)?;
        }
        if says_keys {
            notice(escape::HELP);
        }
        Ok(())
    };
    let mut group = Group::start(&request.guests, &request.kvm, stages, &sender, on_built)?;
    // Those that are left belong to the threads.
    drop(sender);
    let limits = Limits {
        deadline,
        grace: request.grace,
    };
    supervisor::supervise(&mut group, events, stdin, limits)?;
    Ok(group.into_outcomes())
}
