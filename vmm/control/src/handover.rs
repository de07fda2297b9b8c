//! How a process that was started ahead is given a VM: by one message with the path of the VM's
//! folder and the listening control socket.

use crate::folder::Folder;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// The longest path that the host takes.
const MAX_PATH: usize = 4096;

/// The ends of a connection for a hand-over: the daemon's and the process's.
///
/// # Errors
///
/// The host has no more descriptors.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    // Whole messages, and an end when the other side is gone.
    let ends = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    );
    Ok(ends?)
}

/// Gives the process at the other end the VM of this folder. A process that ends without having
/// taken it takes the message's copy of the listener with it.
///
/// # Errors
///
/// There is no process any more.
pub fn give(socket: impl AsFd, folder: &Folder, listener: impl AsFd) -> io::Result<()> {
    let path = folder.path().as_os_str().as_bytes();
    let listeners = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    rights.push(SendAncillaryMessage::ScmRights(&listeners));
    // Nothing was sent before, so there is room.
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, &[IoSlice::new(path)], &mut rights, flags)?;
    Ok(())
}

/// Waits for a VM: its folder and its listening control socket. None comes when the daemon has
/// none for this process any more, or is gone.
///
/// # Errors
///
/// `socket` is none, or what came is no VM.
pub fn take(socket: impl AsFd) -> io::Result<Option<(Folder, OwnedFd)>> {
    let mut path = [0; MAX_PATH];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        let into = &mut [IoSliceMut::new(&mut path)];
        recvmsg(&socket, into, &mut rights, RecvFlags::CMSG_CLOEXEC)
    });
    let received = match received {
        Ok(received) => received,
        // The daemon has ended before it read all that was sent to it.
        Err(Errno::CONNRESET) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let cut = received.flags & (ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    let bytes = received.bytes;
    let mut listener = None;
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(sockets) = message {
            listener = sockets.last();
        }
    }
    match (path.get(..bytes), listener) {
        (Some([]), None) => Ok(None),
        (Some(path @ [_, ..]), Some(listener)) if cut.is_empty() => {
            Ok(Some((Folder::new(OsStr::from_bytes(path)), listener)))
        }
        _ => Err(io::Error::other(
            "the message is not a folder's path and a socket",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn what_is_given_is_taken_and_the_listener_goes_with_who_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let listener = UnixListener::bind(folder.control()).unwrap();
        let (ours, theirs) = pair().unwrap();
        give(&ours, &folder, &listener).unwrap();
        drop(listener);
        // As long as the message is not read, too.
        UnixStream::connect(folder.control()).unwrap();
        let (path, listener) = take(&theirs).unwrap().unwrap();
        assert_eq!(path, folder);
        UnixStream::connect(folder.control()).unwrap();
        drop(listener);
        UnixStream::connect(folder.control()).unwrap_err();
    }

    #[test]
    fn a_message_that_nobody_reads_takes_the_listener_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let listener = UnixListener::bind(folder.control()).unwrap();
        let (ours, theirs) = pair().unwrap();
        give(&ours, &folder, &listener).unwrap();
        drop(listener);
        drop(theirs);
        UnixStream::connect(folder.control()).unwrap_err();
        // Who is gone can be given nothing.
        let listener = UnixListener::bind(directory.path().join("other")).unwrap();
        give(&ours, &folder, &listener).unwrap_err();
    }

    #[test]
    fn without_a_daemon_there_is_no_vm() {
        let (ours, theirs) = pair().unwrap();
        drop(ours);
        assert!(take(&theirs).unwrap().is_none());
        let (ours, theirs) = pair().unwrap();
        rustix::io::write(&ours, b"/no/socket").unwrap();
        assert!(take(&theirs).is_err());
    }
}
