//! The descriptors that the process was given.
#![allow(unsafe_code)]

use crate::cli::exit_code::Failure;
use paravane::sandbox::descriptors::close_all_but;
use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_acceptconn, socket_domain};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
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
    match (socket_domain(&socket), socket_acceptconn(&socket)) {
        (Ok(AddressFamily::UNIX), Ok(true)) => {}
        (Ok(_), Ok(_)) => {
            return Err(failed(&"it is no Unix socket that listens"));
        }
        (Err(error), _) | (_, Err(error)) => {
            // There is nothing to close.
            std::mem::forget(socket);
            return Err(failed(&error));
        }
    }
    let listener = UnixListener::from(socket);
    listener
        .set_nonblocking(true)
        .map_err(|error| failed(&error))?;
    Ok(listener)
}
