//! Namespaces of the kernel (network_namespaces(7), user_namespaces(7)).
#![allow(unsafe_code)]

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, write};
use rustix::process::{getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Gives the calling thread, and what it starts, a network of its own. Sockets and tap devices that
/// there are stay in theirs.
///
/// # Errors
///
/// [`Errno::PERM`] without CAP_SYS_ADMIN.
pub fn enter() -> Result<(), Errno> {
    unshare(UnshareFlags::NEWNET)
}

/// Has a command start with a network of its own and all rights over that. Who may not do it as they
/// are does it as root of a user namespace.
///
/// Starting it fails where the host allows neither.
pub fn own_network(command: &mut Command) -> &mut Command {
    let own = |id: u32| format!("0 {id} 1");
    let (users, groups) = (own(geteuid().as_raw()), own(getegid().as_raw()));
    let enter = move || -> io::Result<()> {
        match enter() {
            Err(Errno::PERM) => unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)?,
            entered => return Ok(entered?),
        }
        // Without a root the rights would end with exec. A group is mapped only by those who
        // cannot use that to leave one.
        tell(c"/proc/self/setgroups", "deny")?;
        tell(c"/proc/self/uid_map", &users)?;
        tell(c"/proc/self/gid_map", &groups)?;
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(enter) }
}

/// Has a command start without rights over any network, whoever starts it. It may still open what its
/// user may open.
///
/// Starting it fails where the host has no user namespaces.
pub fn without_rights(command: &mut Command) -> &mut Command {
    // Nobody in the namespace is root, so the rights over it end with exec.
    let enter = || Ok(unshare(UnshareFlags::NEWUSER)?);
    // SAFETY: between fork and exec it makes one system call, and allocates nothing.
    unsafe { command.pre_exec(enter) }
}

fn unshare(namespaces: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: the table of file descriptors stays shared.
    unsafe { unshare_unsafe(namespaces) }
}

fn tell(path: &CStr, text: &str) -> Result<(), Errno> {
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    write(file, text.as_bytes())?;
    Ok(())
}
