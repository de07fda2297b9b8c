//! `paravane vm-process`: what the daemon starts for each VM.
//!
//! The daemon starts some ahead, which wait until there is a VM for them ([`spare`]).
//!
//! It runs the plan in the VM's folder, answers the connections of the socket that it was given
//! ([`paravane::process`]), and says at the end in the folder how it ended ([`ended`]). Its thread
//! supervises the VM ([`supervisor`]), which has threads of its own.

mod arguments;
mod confinement;
mod descriptors;
mod ended;
mod guest_image;
mod panics;
mod rehearsal;
mod scheduling;
mod spare;
mod starting;
mod stop;
mod supervisor;

use super::exit_code::Failure;
use super::image_source::ImageSource;
use super::logging;
use super::session::initrd::Initrd;
use super::session::{Origin, OutputSource, Plan};
use clap::Args;
use confinement::Confiner;
use guest_image::GuestImage;
use paravane::console::ring::Ring;
use paravane::process::log::Log;
use paravane::process::log::layer::LogLayer;
use paravane::process::{config, exit};
use paravane::snapshot::SnapshotFiles;
use paravane::vm::VmError;
use paravane::vm::stages::Stages;
use paravane_api::log::{LogLevel, LogSource};
use paravane_api::spec::BUILTIN;
use paravane_api::vm::Ended;
use paravane_control::folder::Folder;
use paravane_control::plan::{Exit, ProcessPlan};
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use supervisor::Surroundings;

/// What the daemon gives the process.
#[derive(Debug, Args)]
pub struct VmProcessArgs {
    /// The VM's folder, or a path as long as its in place of which it is shown
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The listening control socket; without it, it and the folder come by standard input
    #[arg(long, value_name = "N")]
    control_fd: Option<RawFd>,
}

/// Runs a VM to its end.
pub fn run(args: &VmProcessArgs, stages: Stages) -> Result<ExitCode, Failure> {
    match args.control_fd {
        Some(socket) => {
            let folder = Folder::new(&args.dir);
            exit::clear(&folder);
            Ok(run_vm(&folder, descriptors::keep(socket), stages))
        }
        None => match spare::wait(&args.dir)? {
            Some((folder, listener)) => {
                // Its start begins now.
                let stages = Stages::start();
                exit::clear(&folder);
                Ok(run_vm(&folder, Ok(listener), stages))
            }
            None => Ok(ExitCode::SUCCESS),
        },
    }
}

fn run_vm(folder: &Folder, listener: Result<UnixListener, Failure>, stages: Stages) -> ExitCode {
    let plan = read_plan(folder);
    let (start, limits) = match &plan {
        Ok(plan) => (plan.start, plan.log),
        Err(unreadable) => (unreadable.start, Default::default()),
    };
    let log = Arc::new(Log::new(folder, limits));
    panics::report_to(Arc::clone(&log));
    let whole = || {
        logging::start_with(LogLayer::new(Arc::clone(&log)))?;
        let plan = plan.map_err(|unreadable| unreadable.failure)?;
        run_plan(&plan, listener?, folder, &log, stages)
    };
    let result = catch_unwind(AssertUnwindSafe(whole));
    let result = result.unwrap_or_else(|_| Err(panics::failure()));
    let outcome = result.unwrap_or_else(|failure| {
        log.write(LogSource::Vmm, LogLevel::Error, &failure.message);
        conclude(folder, &log, start, ended::by_failure(failure))
    });
    ExitCode::from(outcome)
}

/// Says how the VM ended; the exit code.
fn conclude(folder: &Folder, log: &Log, start: u64, ended: Ended) -> u8 {
    let code = ended.exit_code;
    if let Err(error) = exit::write(folder, &Exit { start, ended }) {
        let path = folder.exit();
        let message = format!("{} cannot be written: {error}", path.display());
        log.write(LogSource::Vmm, LogLevel::Error, &message);
    }
    code
}

/// Why there is no plan, for which start of the VM if that is known.
struct Unreadable {
    start: u64,
    failure: Failure,
}

fn read_plan(folder: &Folder) -> Result<ProcessPlan, Unreadable> {
    let path = folder.plan();
    let failed = |start, error: &dyn std::fmt::Display| Unreadable {
        start,
        failure: Failure::configuration(format!(
            "the plan {} cannot be used: {error}",
            path.display()
        )),
    };
    let text = fs::read(&path).map_err(|error| failed(0, &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        // The rest may be one that another version has written.
        let plan: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let start = plan.get("start").and_then(serde_json::Value::as_u64);
        failed(start.unwrap_or(0), &error)
    })
}

fn run_plan(
    plan: &ProcessPlan,
    listener: UnixListener,
    folder: &Folder,
    log: &Arc<Log>,
    mut stages: Stages,
) -> Result<u8, Failure> {
    scheduling::stand_back(plan.nice, log);
    let spec = &plan.spec;
    let source = match spec.image.0.as_str() {
        BUILTIN => ImageSource::BuiltIn,
        path => ImageSource::File(path.into()),
    };
    let config = config::vm_config(spec, folder).map_err(Failure::configuration)?;
    let confiner = Confiner::new(&plan.confinement, &config.devices, folder);
    let initrd = spec.initrd.as_ref();
    let initrd = initrd.map(|path| Initrd::open(path.as_ref(), config.memory));
    let initrd = initrd.transpose()?;
    let (origin, image) = match &plan.restore {
        None => {
            let image = Arc::new(source.load()?);
            (Origin::Image(Arc::clone(&image)), GuestImage::Read(image))
        }
        Some(snapshot) => {
            let files = SnapshotFiles::open(snapshot).map_err(VmError::from)?;
            (Origin::Snapshot(files), GuestImage::Open(source.open()))
        }
    };
    stages.done("image");
    let output = Arc::<Ring>::default();
    let session = Plan {
        origin,
        source,
        config,
        initrd,
        kvm: plan.kvm.clone(),
        output: OutputSource::Ring(Arc::clone(&output)),
        stages,
        // The daemon starts the next process, as a reboot uses up what this one may open.
        reboots: false,
        is_alone: false,
    };
    let surroundings = Surroundings {
        plan,
        listener,
        image,
        folder,
        log: Arc::clone(log),
        output,
        confiner,
    };
    supervisor::supervise(session, surroundings, |ended| {
        conclude(folder, log, plan.start, ended)
    })
}
