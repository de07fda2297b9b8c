//! `paravane doctor`: what works on this host, what it costs, and what runs by default.

mod boot;
mod capabilities;
mod cost;
mod diagnosis;
mod findings;
mod host_facts;

use super::KvmArgs;
use super::exit_code::{Failure, Status};
use super::output;
use clap::Args;
use diagnosis::{Diagnosis, KvmFacts};
use paravane::vm::VmError;
use paravane::vm::host;
use paravane::vm::machine::Machine;
use paravane::vm::probe::HostModes;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long the examination may take. On hardware it takes a second; only a KVM that does not
/// come back from the guest takes for ever.
const PATIENCE: Duration = Duration::from_secs(120);

/// RAM of the machines that are built to be examined.
const RAM: u64 = 1 << 20;

/// What is to be examined.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kvm: KvmArgs,
}

/// Examines the host.
pub fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let device = args.kvm.device.clone();
    let (sender, receiver) = channel();
    // On a thread of its own, because nothing interrupts a probe that does not come back.
    let thread = thread::Builder::new()
        .name("doctor".to_string())
        .spawn(move || {
            // It fails when nobody waits for the diagnosis any more.
            let _ = sender.send(examine(&device));
        })
        .map_err(|error| Failure::internal(format!("cannot start a thread: {error}")))?;
    let diagnosis = match receiver.recv_timeout(PATIENCE) {
        Ok(diagnosis) => diagnosis,
        Err(RecvTimeoutError::Timeout) => {
            return Err(Failure::new(
                Status::NoKvm,
                format!(
                    "{} does not come back from a guest within {} s; look into the host's \
                     kernel log",
                    args.kvm.device.display(),
                    PATIENCE.as_secs()
                ),
            ));
        }
        Err(RecvTimeoutError::Disconnected) => {
            return Err(Failure::internal(
                "the examination panicked (a defect of the VMM)",
            ));
        }
    };
    // It has nothing left to do.
    let _ = thread.join();
    output::print(&diagnosis, args.json)?;
    Ok(match &diagnosis.problem {
        None => ExitCode::SUCCESS,
        Some(_) => Status::NoKvm.into(),
    })
}

/// Finds out all that can be found out; what could not is in the diagnosis as the problem.
fn examine(device: &Path) -> Diagnosis {
    let mut diagnosis = Diagnosis::new(host_facts::HostFacts::gather());
    if let Err(problem) = examine_kvm(device, &mut diagnosis) {
        diagnosis.problem = Some(problem.message);
    }
    diagnosis
}

fn examine_kvm(device: &Path, diagnosis: &mut Diagnosis) -> Result<(), Failure> {
    let kvm = host::open(device).map_err(VmError::from)?;
    diagnosis.kvm = Some(KvmFacts::gather(device, &kvm));
    let mut machine = Machine::new(&kvm, RAM, 1).map_err(VmError::from)?;
    let modes = HostModes::probe(&mut machine).map_err(VmError::from)?;
    diagnosis.privileges = findings::privileges(&modes, machine.hardware);
    diagnosis.carriers = findings::carriers(&modes, &machine);
    drop(machine);
    let choice = findings::choose(&modes)?;
    let mode = choice.mode;
    diagnosis.choice = Some(choice);
    diagnosis.costs = cost::measure(&kvm, &modes, mode)?;
    diagnosis.boot = Some(boot::boot(PathBuf::from(device))?);
    Ok(())
}
