//! `paravane run`.
//!
//! The guest runs on a thread of its own ([`session`]); this one waits for whatever may end
//! it ([`supervisor`]) and says how it ended ([`conclusion`]).

pub mod conclusion;
mod crash;
mod initrd;
pub mod session;
mod supervisor;

use super::KvmArgs;
use super::exit_code::{Failure, notice};
use super::image_source::ImageSource;
use super::report::Report;
use super::report::file::ReportFile;
use super::{duration, size};
use clap::{Args, ValueEnum};
use conclusion::Conclusion;
use initrd::Initrd;
use paravane::carrier::{Carrier, Privilege};
use paravane::console::escape;
use paravane::console::output::Output;
use paravane::console::stdin::Source;
use paravane::image::Image;
use paravane::layout::MAX_VCPUS;
use paravane::vm::VmConfig;
use paravane::vm::stages::Stages;
use session::{Finished, Plan, Session};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use supervisor::{Limits, StopCause};

/// What is to be run, and how.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The guest's image; without one, the guest kernel built into this program
    image: Option<PathBuf>,
    /// The guest's memory: bytes, or with one of the units K, M, G and T
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = size::parse)]
    mem: u64,
    /// How many vCPUs the guest has
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_vcpus)]
    vcpus: u32,
    /// The privilege level of the guest kernel; auto takes what is fastest here
    #[arg(long, value_enum, default_value_t = PrivilegeChoice::Auto)]
    privilege: PrivilegeChoice,
    /// What carries hypercalls; auto takes what is fastest here
    #[arg(long, value_enum, default_value_t = CarrierChoice::Auto)]
    carrier: CarrierChoice,
    /// The guest's command line
    #[arg(long, value_name = "TEXT", default_value = "")]
    cmdline: String,
    /// A file for the guest to find in its memory
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// How long the guest may run, as in 5s or 500ms
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// How long the guest may take to shut down after SIGTERM, if it wants to be asked
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = duration::parse_seconds)]
    grace: Duration,
    /// Write a report about the run to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Do not say how to leave the terminal
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    kvm: KvmArgs,
    /// More words for the guest's command line
    #[arg(last = true, value_name = "WORDS")]
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PrivilegeChoice {
    Auto,
    Ring0,
    Ring3,
}

impl From<PrivilegeChoice> for Option<Privilege> {
    fn from(choice: PrivilegeChoice) -> Self {
        match choice {
            PrivilegeChoice::Auto => None,
            PrivilegeChoice::Ring0 => Some(Privilege::Ring0),
            PrivilegeChoice::Ring3 => Some(Privilege::Ring3),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CarrierChoice {
    Auto,
    Vmcall,
    Vmmcall,
    Pio,
}

impl From<CarrierChoice> for Option<Carrier> {
    fn from(choice: CarrierChoice) -> Self {
        match choice {
            CarrierChoice::Auto => None,
            CarrierChoice::Vmcall => Some(Carrier::Vmcall),
            CarrierChoice::Vmmcall => Some(Carrier::Vmmcall),
            CarrierChoice::Pio => Some(Carrier::Pio),
        }
    }
}

fn parse_vcpus(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(number @ 1..=MAX_VCPUS) => Ok(number),
        _ => Err(format!("a VM has 1 to {MAX_VCPUS} vCPUs")),
    }
}

/// Runs a guest.
pub fn run(args: RunArgs, stages: Stages) -> Result<ExitCode, Failure> {
    // First, so that every later failure can be reported.
    let report = match &args.report {
        Some(path) => Some(ReportFile::prepare(path)?),
        None => None,
    };
    let request = Request::new(args);
    let run = execute(&request, stages);
    let (run, conclusion) = match run {
        Ok((run, cause)) => {
            let conclusion = Conclusion::new(&run, cause);
            (Some(run), conclusion)
        }
        Err(failure) => (None, Conclusion::failure(failure)),
    };
    if let Some(file) = report {
        file.write(&Report::new(&request, run.as_ref(), &conclusion))?;
    }
    Ok(ExitCode::from(conclusion.exit_code))
}

/// What the user asked for.
#[derive(Debug)]
pub struct Request {
    /// Where the image comes from.
    pub source: ImageSource,
    /// How the VM is to be built, without the initrd.
    pub config: VmConfig,
    initrd: Option<PathBuf>,
    timeout: Option<Duration>,
    grace: Duration,
    quiet: bool,
    kvm: PathBuf,
}

impl Request {
    fn new(args: RunArgs) -> Self {
        let mut words = vec![args.cmdline];
        words.extend(args.words);
        words.retain(|word| !word.is_empty());
        Self {
            source: args.image.into(),
            config: VmConfig {
                memory: args.mem,
                vcpus: args.vcpus,
                privilege: args.privilege.into(),
                carrier: args.carrier.into(),
                command_line: words.join(" "),
                initrd: None,
            },
            initrd: args.initrd,
            timeout: args.timeout,
            grace: args.grace,
            quiet: args.quiet,
            kvm: args.kvm.device,
        }
    }
}

/// A VM that was run to its end.
#[derive(Debug)]
pub struct Run {
    /// Its image.
    pub image: Arc<Image>,
    /// What its thread left.
    pub finished: Finished,
}

fn execute(request: &Request, mut stages: Stages) -> Result<(Run, Option<StopCause>), Failure> {
    let image = Arc::new(request.source.load()?);
    let initrd = match &request.initrd {
        Some(path) => Some(Initrd::open(path, request.config.memory)?),
        None => None,
    };
    stages.done("image");

    let deadline = request
        .timeout
        .and_then(|timeout| stages.started().checked_add(timeout));
    let stdin = Source::of_process();
    let says_keys = stdin == Source::Terminal && !request.quiet;
    let plan = Plan {
        image: Arc::clone(&image),
        source: request.source.clone(),
        config: request.config.clone(),
        initrd,
        kvm: request.kvm.clone(),
        output: Output::stdout,
        stages,
    };
    let (ready, is_ready) = mpsc::channel();
    let (session, events) = Session::start(plan, move || {
        // A guest that runs can be asked to end. Without a supervisor there is nothing to wait for.
        let _ = is_ready.recv();
        if says_keys {
            notice(escape::HELP);
        }
    })?;
    let limits = Limits {
        deadline,
        grace: request.grace,
    };
    let cause = supervisor::supervise(&session, events, stdin, limits, move || {
        // Whoever does not wait for it has failed.
        let _ = ready.send(());
    })?;
    let finished = session.join()?;
    Ok((Run { image, finished }, cause))
}
