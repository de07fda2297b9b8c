//! The sandbox of the process.

use crate::cli::exit_code::Failure;
use crate::cli::run::sandbox;
use paravane::device::spec::DeviceSpec;
use paravane::sandbox::needs::{Access, Needs};
use paravane::sandbox::{Identity, Sandbox, ThreadKind, Violation, thread};
use paravane_api::vm::SandboxReport;
use paravane_control::folder::Folder;
use paravane_control::plan::Confinement;
use std::env;

/// With the value `trap`, a system call that is not allowed is named. For tests.
const VARIABLE: &str = "PARAVANE_SANDBOX";

/// What confines the process, once all that it needs is open.
#[derive(Debug)]
pub struct Confiner {
    sandbox: Option<Sandbox>,
    cgroup: Option<String>,
}

impl Confiner {
    /// What confines a process with these devices, which writes to this folder until its end.
    pub fn new(confinement: &Confinement, devices: &[DeviceSpec], folder: &Folder) -> Self {
        let sandbox = confinement.enabled.then(|| {
            let mut needs = Needs::default();
            // The log and its older files, the word about the end, and snapshots.
            needs.path(folder.path(), Access::CreateFolders);
            for device in devices {
                device.options.add_needs(&mut needs);
            }
            Sandbox {
                needs,
                identity: confinement.user.map(|(uid, gid)| Identity { uid, gid }),
                violation: match env::var(VARIABLE).as_deref() {
                    Ok("trap") => Violation::Trap,
                    _ => Violation::Kill,
                },
                strict: confinement.strict,
            }
        });
        Self {
            sandbox,
            cgroup: confinement.cgroup.clone(),
        }
    }

    /// Puts all threads of the process into the sandbox: what it is confined by then.
    pub fn enter(self) -> Result<SandboxReport, Failure> {
        let report = SandboxReport {
            uid: rustix::process::geteuid().as_raw(),
            cgroup: self.cgroup,
            ..SandboxReport::default()
        };
        let Some(sandbox) = self.sandbox else {
            return Ok(report);
        };
        let entered = sandbox::enter(sandbox)?;
        Ok(SandboxReport {
            no_new_privileges: entered.no_new_privileges,
            seccomp: entered.seccomp,
            landlock: entered.landlock,
            uid: entered.uid,
            ..report
        })
    }
}

/// Leaves this thread the system calls of one that serves connections and writes the log.
pub fn narrow() -> Result<(), Failure> {
    thread::narrow(ThreadKind::Control).map_err(|error| Failure::internal(error.to_string()))
}
