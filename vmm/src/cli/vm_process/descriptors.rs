//! The descriptors that the process was given.
#![allow(unsafe_code)]

use crate::cli::exit_code::Failure;
use paravane::sandbox::descriptors::close_all_but;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_acceptconn, socket_domain};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;

/// Closes all descriptors but the standard ones and the listening socket.
///
/// Called first, when nothing of this process has opened any that it goes on to use.
pub fn keep(socket: RawFd) -> Result<UnixListener, Failure> {
    let failed = |what: &dyn std::fmt::Display| {
        Failure::configuration(format!(
            "--control-fd {socket} is no socket for a VM's process: {what}"
        ))
    };
    if socket <= libc::STDERR_FILENO {
        return Err(failed(&"it is one of the standard descriptors"));
    }
    // SAFETY: the contract of this function's callers: nothing has been opened yet.
    unsafe { close_all_but(&[socket]) }.map_err(|error| failed(&error))?;
    // SAFETY: whoever started this process gave it the descriptor, and nothing else uses it; the
    // next lines find out if it is there.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    if let Err(error) = socket_domain(&socket) {
        // There may be nothing to close.
        std::mem::forget(socket);
        return Err(failed(&error));
    }
    listener(socket).map_err(|error| failed(&error))
}

/// The listener that a socket is.
pub fn listener(socket: OwnedFd) -> io::Result<UnixListener> {
    match (socket_domain(&socket)?, socket_acceptconn(&socket)?) {
        (AddressFamily::UNIX, true) => {}
        _ => return Err(io::Error::other("it is no Unix socket that listens")),
    }
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Closes all descriptors but the standard ones, and takes what standard input is away from there:
/// nothing can be read there after it.
///
/// Called first, when nothing of this process has opened any that it goes on to use.
pub fn take_input() -> io::Result<OwnedFd> {
    // SAFETY: the contract of this function's callers: nothing has been opened yet.
    unsafe { close_all_but(&[]) }?;
    let input = fcntl_dupfd_cloexec(io::stdin().as_fd(), libc::STDERR_FILENO + 1)?;
    let nothing = File::open("/dev/null")?;
    // SAFETY: standard input is nobody's own, and is open before and after this.
    match unsafe { libc::dup2(nothing.as_raw_fd(), libc::STDIN_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(input),
    }
}
