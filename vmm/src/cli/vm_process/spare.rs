//! A process that the daemon has started ahead, which waits for a VM.
#![allow(unsafe_code)]

use super::arguments::Shown;
use super::{descriptors, rehearsal};
use crate::cli::exit_code::Failure;
use paravane_control::folder::Folder;
use paravane_control::handover;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Waits at standard input until the daemon has a VM for this process; None if it has none any
/// more. From then on the command line shows the VM's folder in place of `placeholder`.
///
/// Called first, when this process has one thread, which has opened nothing that it goes on to use.
pub fn wait(placeholder: &Path) -> Result<Option<(Folder, UnixListener)>, Failure> {
    try_wait(placeholder).map_err(|error| {
        Failure::configuration(format!(
            "without --control-fd, a VM has to come by standard input from a daemon: {error}"
        ))
    })
}

fn try_wait(placeholder: &Path) -> io::Result<Option<(Folder, UnixListener)>> {
    let socket = descriptors::take_input()?;
    // Signals of the daemon's terminal are not for it.
    rustix::process::setsid()?;
    let shown = Shown::find(placeholder.as_os_str())?;
    rehearsal::rehearse();
    let Some((folder, listener)) = handover::take(socket)? else {
        return Ok(None);
    };
    // SAFETY: by the contract of this function's callers there is no other thread, and what the
    // command line was read into are copies.
    unsafe { shown.replace(folder.path().as_os_str()) }?;
    Ok(Some((folder, descriptors::listener(listener)?)))
}
