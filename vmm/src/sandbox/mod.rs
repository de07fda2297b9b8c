//! Confining a VM's process to what it needs.
//!
//! A guest that breaks out of its VM into the VMM finds a process that can open nothing but the VM's
//! own files, make few system calls, and reach no other process. What it could still do, and why it is
//! made like this, is in docs/decisions/0016-sandbox.md.

pub mod descriptors;
mod error;
mod every_thread;
mod identity;
pub mod needs;
mod paths;
mod seccomp;
pub mod thread;

pub use error::SandboxError;
pub use identity::Identity;
pub use seccomp::{ThreadKind, Violation};

use needs::Needs;
use paths::Rules;
use seccomp::Filters;

/// A sandbox, before it is entered.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    /// What the process still needs.
    pub needs: Needs,
    /// Whom it becomes, if it is root; in no other group.
    pub identity: Option<Identity>,
    /// What a system call that is not allowed does.
    pub violation: Violation,
    /// A kernel that lacks something is an error.
    pub strict: bool,
}

/// What was had of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// execve(2) gives no rights.
    pub no_new_privileges: bool,
    /// The ABI of the kernel's Landlock; `None` where it has none.
    pub landlock: Option<u32>,
    /// System calls are filtered.
    pub seccomp: bool,
    /// Who the process is.
    pub uid: u32,
    /// What this kernel lacks, each as a sentence's part.
    pub missing: Vec<String>,
}

/// What Landlock knows since which ABI (Documentation/userspace-api/landlock.rst), and is relied on.
const LANDLOCK_SINCE: &[(u32, &str)] = &[
    (3, "truncating files"),
    (4, "TCP"),
    (5, "ioctl requests of devices"),
    (6, "abstract Unix sockets"),
];

impl Sandbox {
    /// Puts the process with all its threads into the sandbox, for good. Threads that are started
    /// later are in it too; those of a VM narrow it by their kinds.
    ///
    /// # Errors
    ///
    /// See [`SandboxError`]. The process is to end then: it may be partly in.
    pub fn enter(self) -> Result<Entered, SandboxError> {
        if thread::is_entered() {
            return Err(SandboxError::Twice);
        }
        // All that can fail for what was asked for comes before anything that cannot be undone.
        let rules = Rules::new(&self.needs)?;
        let landlock = rules.as_ref().map(|rules| rules.abi);
        let missing = missing(landlock);
        if self.strict && !missing.is_empty() {
            return Err(SandboxError::Incomplete(missing));
        }
        let filters = Filters::new(&self.needs, self.violation)?;

        identity::close_up()?;
        if let Some(identity) = self.identity {
            every_thread::run("taking what could be gained", || {
                identity::drop_bounding_set();
                0
            })?;
            identity::change(identity)?;
        }
        let kept = match self.needs.network_administration {
            true => 1 << identity::CAP_NET_ADMIN,
            false => 0,
        };
        let descriptor = rules.as_ref().map(Rules::as_raw_fd);
        every_thread::run("restricting a thread", move || {
            restrict_thread(kept, descriptor)
        })?;
        drop(rules);
        filters.apply_to_all_threads()?;
        thread::entered(filters, self.needs.rebuilds)?;
        Ok(Entered {
            no_new_privileges: true,
            landlock,
            seccomp: true,
            uid: identity::uid(),
            missing,
        })
    }
}

/// What belongs to a thread. It is called in signal handlers.
fn restrict_thread(kept: u64, rules: Option<i32>) -> i32 {
    identity::drop_bounding_set();
    // Landlock asks for the first, so the order counts.
    let mut errno = identity::set_no_new_privileges();
    if errno == 0 {
        errno = identity::drop_capabilities(kept);
    }
    match (errno, rules) {
        (0, Some(rules)) => paths::restrict(rules),
        _ => errno,
    }
}

fn missing(landlock: Option<u32>) -> Vec<String> {
    let Some(abi) = landlock else {
        let all = "this kernel has no Landlock, by which files are denied (CONFIG_SECURITY_LANDLOCK, \
                   and landlock in the boot parameter lsm=)";
        return vec![all.to_string()];
    };
    let newer = LANDLOCK_SINCE.iter().filter(|&&(since, _)| abi < since);
    let mut missing: Vec<_> = newer
        .map(|(since, what)| {
            format!("the kernel's Landlock has ABI {abi}, and cannot deny {what} (ABI {since})")
        })
        .collect();
    if !paths::threads_may_signal() {
        let signals = "the kernel's Landlock cannot deny signals to other processes without those \
                       between threads (fixed in Linux 6.15)";
        missing.push(signals.to_string());
    }
    missing
}
