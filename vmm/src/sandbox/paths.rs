//! Landlock: which files a process may open, and what it may reach beyond itself
//! (Linux, Documentation/userspace-api/landlock.rst).
#![allow(unsafe_code)]

use super::error::SandboxError;
use super::identity::errno;
use super::needs::{Access, Needs, PathNeed};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The newest ABI whose rights are known here. A newer kernel has at least these.
const NEWEST: ABI = ABI::V9;

/// What of /proc is needed in any case: how long threads waited (vcpu/steal.rs), and this process's
/// memory, for reports.
const OWN_FACTS: &str = "/proc/self";

/// Rules that the kernel has, and that hold for nobody yet.
#[derive(Debug)]
pub struct Rules {
    descriptor: OwnedFd,
    /// The ABI of the kernel.
    pub abi: u32,
}

/// The ABI that the kernel has; 0 where it has no Landlock, or one that was not switched on.
pub fn kernel_abi() -> u32 {
    /// LANDLOCK_CREATE_RULESET_VERSION.
    const VERSION: libc::c_uint = 1 << 0;
    ask(VERSION)
}

/// Whether a thread may signal another of its process when signals are denied: each has a domain of
/// its own here. Linux 6.15 and later have it so, as does a kernel to which that was added, which says
/// so by erratum 2.
pub fn threads_may_signal() -> bool {
    /// LANDLOCK_CREATE_RULESET_ERRATA.
    const ERRATA: libc::c_uint = 1 << 1;
    ask(ERRATA) & 1 << (2 - 1) != 0
}

fn ask(what: libc::c_uint) -> u32 {
    let no_attributes = std::ptr::null::<libc::c_void>();
    // SAFETY: with these flags the call takes no attributes, and gives a number.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, no_attributes, 0, what) };
    u32::try_from(answer).unwrap_or(0)
}

impl Rules {
    /// Rules by which only what is needed is possible, as far as the kernel knows of it; `None` where
    /// it has no Landlock.
    pub fn new(needs: &Needs) -> Result<Option<Self>, SandboxError> {
        let abi = kernel_abi();
        if abi == 0 {
            return Ok(None);
        }
        // What a kernel does not know, the crate leaves out.
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::AbstractUnixSocket)?;
        if threads_may_signal() {
            rules = rules.scope(Scope::Signal)?;
        }
        if !needs.tcp.bind {
            rules = rules.handle_access(AccessNet::BindTcp)?;
        }
        if !needs.tcp.connect {
            rules = rules.handle_access(AccessNet::ConnectTcp)?;
        }
        let mut rules = rules.create()?;
        let own = PathNeed {
            path: OWN_FACTS.into(),
            access: Access::Read,
        };
        for need in needs.paths.iter().chain([&own]) {
            rules = rules.add_rule(rule(need)?)?;
        }
        let descriptor: Option<OwnedFd> = rules.into();
        Ok(descriptor.map(|descriptor| Self { descriptor, abi }))
    }

    /// The number by which [`restrict`] finds them, as long as they are there.
    pub fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Puts the current thread under rules: 0, or the errno. It is called in signal handlers.
pub fn restrict(rules: RawFd) -> i32 {
    // SAFETY: the call takes numbers.
    match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules, 0) } {
        0 => 0,
        _ => errno(),
    }
}

fn rule(need: &PathNeed) -> Result<PathBeneath<PathFd>, SandboxError> {
    let metadata = std::fs::metadata(&need.path);
    let failed = |source| SandboxError::Path {
        path: need.path.clone(),
        source,
    };
    let mut rights = rights(need.access);
    if !metadata.map_err(failed)?.is_dir() {
        rights &= AccessFs::from_file(NEWEST);
    }
    let path = PathFd::new(&need.path).map_err(|error| failed(io::Error::other(error)))?;
    Ok(PathBeneath::new(path, rights))
}

fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read | AccessFs::WriteFile | AccessFs::Truncate;
    let create = write
        | AccessFs::MakeReg
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::ResolveUnix;
    match access {
        Access::Read => read,
        Access::Write => write | AccessFs::IoctlDev,
        Access::Create => create,
        Access::CreateFolders => create | AccessFs::MakeDir | AccessFs::RemoveDir,
        Access::Connect => AccessFs::ResolveUnix.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let mut needs = Needs::default();
        needs.path(Path::new("/no/such/file"), Access::Read);
        if kernel_abi() == 0 {
            return;
        }
        let error = Rules::new(&needs).unwrap_err().to_string();
        assert!(
            error.starts_with("the sandbox cannot be given /no/such/file: "),
            "{error}"
        );
    }
}
