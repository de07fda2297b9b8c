//! The Unix socket of a switch.

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect as connect_to,
    listen as listen_on, socket_with,
};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the kernel keeps for a receiver: some of the largest frames. It may give less.
const BUFFER_SIZE: usize = 1 << 20;

const BACKLOG: i32 = 64;

/// Why a switch cannot be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SwitchError {
    /// The path does not fit into a `sockaddr_un`.
    #[error("the path {0} is too long for a socket; one of at most 107 bytes is needed")]
    LongPath(PathBuf),
    /// There is no socket.
    #[error("there is no switch at {0}; start one by paravane switch {0}")]
    Missing(PathBuf),
    /// Nobody listens.
    #[error("nobody serves the switch at {0} any more; start it again by paravane switch {0}")]
    Refused(PathBuf),
    /// It belongs to something else.
    #[error("{0} is no socket of a switch")]
    Kind(PathBuf),
    /// Not allowed.
    #[error("no permission for {0}")]
    NoPermission(PathBuf),
    /// Another switch is there.
    #[error("there is a switch at {0} already")]
    InUse(PathBuf),
    /// The host failed.
    #[error("the switch at {0} cannot be used: {1}")]
    Other(PathBuf, Errno),
}

fn address(path: &Path) -> Result<SocketAddrUnix, SwitchError> {
    SocketAddrUnix::new(path).map_err(|error| match error {
        Errno::NAMETOOLONG => SwitchError::LongPath(path.to_path_buf()),
        error => SwitchError::Other(path.to_path_buf(), error),
    })
}

fn socket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    enlarge(&socket);
    Ok(socket)
}

/// Gives a socket large buffers, as far as the host does.
pub(super) fn enlarge(socket: &OwnedFd) {
    let _smaller = set_socket_send_buffer_size(socket, BUFFER_SIZE);
    let _smaller = set_socket_recv_buffer_size(socket, BUFFER_SIZE);
}

/// Connects to the switch at `path`. The socket does not block.
///
/// # Errors
///
/// There is none.
pub fn connect(path: &Path) -> Result<OwnedFd, SwitchError> {
    let address = address(path)?;
    let owned = || path.to_path_buf();
    let connected = || {
        let socket = socket(SocketFlags::empty())?;
        connect_to(&socket, &address)?;
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(socket)
    };
    connected().map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR => SwitchError::Missing(owned()),
        Errno::CONNREFUSED if !is_socket(path) => SwitchError::Kind(owned()),
        Errno::CONNREFUSED => SwitchError::Refused(owned()),
        Errno::PROTOTYPE => SwitchError::Kind(owned()),
        Errno::ACCESS | Errno::PERM => SwitchError::NoPermission(owned()),
        error => SwitchError::Other(owned(), error),
    })
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Listens for guests at `path`. A socket that a switch has left there when it ended is replaced.
///
/// # Errors
///
/// It cannot be there.
pub fn listen(path: &Path) -> Result<OwnedFd, SwitchError> {
    let address = address(path)?;
    let owned = || path.to_path_buf();
    let other = |error| SwitchError::Other(owned(), error);
    let socket = socket(SocketFlags::NONBLOCK).map_err(other)?;
    let mut bound = bind(&socket, &address);
    if bound == Err(Errno::ADDRINUSE) {
        match connect(path) {
            Err(SwitchError::Refused(_)) => {}
            Err(SwitchError::Kind(path)) => return Err(SwitchError::Kind(path)),
            _ => return Err(SwitchError::InUse(owned())),
        }
        fs::remove_file(path)
            .map_err(|error| other(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        bound = bind(&socket, &address);
    }
    bound.map_err(|error| match error {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => SwitchError::NoPermission(owned()),
        error => other(error),
    })?;
    listen_on(&socket, BACKLOG).map_err(other)?;
    Ok(socket)
}
