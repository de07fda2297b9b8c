//! Unix sockets of the host side of devices.

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The bytes of the longest path that a socket's address holds (`sun_path` without its NUL).
pub const PATH_MAX: usize = 107;

/// Why a device cannot listen on a socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The path does not fit into a socket's address.
    #[error("the socket path {} has {} bytes; at most {most} fit here", path.display(), path.as_os_str().len())]
    TooLong {
        /// The path.
        path: PathBuf,
        /// How many fit.
        most: usize,
    },
    /// Somebody listens there.
    #[error("the socket {} is in use by another program; give another path", .0.display())]
    InUse(PathBuf),
    /// There is something that is not a socket.
    #[error("{} exists and is not a socket; give another path or remove it", .0.display())]
    NotASocket(PathBuf),
    /// There is no such folder.
    #[error("the folder of the socket {} does not exist; make it or give another path", .0.display())]
    NoFolder(PathBuf),
    /// Not allowed.
    #[error("this user may not make the socket {}; give a path in a folder that is writable", .0.display())]
    Denied(PathBuf),
    /// Something else.
    #[error("the socket {} cannot be made: {error}", path.display())]
    Other {
        /// The path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A socket that is listened on. Its file goes with it.
#[derive(Debug)]
pub struct ListeningSocket {
    listener: UnixListener,
    path: PathBuf,
    // Device and inode of the file, so that nobody else's is removed.
    file: (u64, u64),
}

impl ListeningSocket {
    /// Listens on `path`, of at most `most` bytes. A socket that nobody listens on any more is
    /// replaced.
    ///
    /// # Errors
    ///
    /// See [`SocketError`].
    pub fn bind(path: &Path, most: usize) -> Result<Self, SocketError> {
        if path.as_os_str().len() > most {
            let path = path.to_path_buf();
            return Err(SocketError::TooLong { path, most });
        }
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Self::remove_stale(path)?;
                UnixListener::bind(path)
            }
            result => result,
        };
        let listener = listener.map_err(|error| explain(path, error))?;
        listener
            .set_nonblocking(true)
            .and_then(|()| fs::symlink_metadata(path))
            .map(|metadata| Self {
                listener,
                path: path.to_path_buf(),
                file: (metadata.dev(), metadata.ino()),
            })
            .map_err(|error| explain(path, error))
    }

    /// Removes the socket of a program that has ended.
    fn remove_stale(path: &Path) -> Result<(), SocketError> {
        let metadata = fs::symlink_metadata(path).map_err(|error| explain(path, error))?;
        if !metadata.file_type().is_socket() {
            return Err(SocketError::NotASocket(path.to_path_buf()));
        }
        match connect_now(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|error| explain(path, error))
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(explain(path, error))
            }
            // It accepts, or its backlog is full.
            _ => Err(SocketError::InUse(path.to_path_buf())),
        }
    }

    /// The socket for a tokio runtime, within which this is called.
    ///
    /// # Errors
    ///
    /// No file descriptor is left.
    pub fn listen(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ListeningSocket {
    fn drop(&mut self) {
        let file = fs::symlink_metadata(&self.path).map(|file| (file.dev(), file.ino()));
        if file.is_ok_and(|file| file == self.file) {
            // Who removed it meanwhile did what was wanted.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn explain(path: &Path, error: io::Error) -> SocketError {
    let path = path.to_path_buf();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => SocketError::NoFolder(path),
        io::ErrorKind::PermissionDenied => SocketError::Denied(path),
        io::ErrorKind::AddrInUse => SocketError::InUse(path),
        _ => SocketError::Other { path, error },
    }
}

/// Connects without waiting; the stream does not block either.
///
/// # Errors
///
/// What connect(2) says; `WouldBlock` when the listener's backlog is full.
pub fn connect_now(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_socket_that_is_listened_on_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("socket");
        let first = ListeningSocket::bind(&path, PATH_MAX).unwrap();
        let error = ListeningSocket::bind(&path, PATH_MAX).unwrap_err();
        let expected = "is in use by another program; give another path";
        assert_eq!(
            error.to_string(),
            format!("the socket {} {expected}", path.display())
        );
        UnixStream::connect(first.path()).unwrap();
    }

    #[test]
    fn a_socket_that_was_left_behind_is_replaced_and_goes_at_the_end() {
        let folder = folder();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let socket = ListeningSocket::bind(&path, PATH_MAX).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_another_has_put_there_meanwhile_stays() {
        let folder = folder();
        let path = folder.path().join("socket");
        let socket = ListeningSocket::bind(&path, PATH_MAX).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = ListeningSocket::bind(&path, PATH_MAX).unwrap();
        drop(socket);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn what_is_wrong_is_told() {
        let folder = folder();
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        let error = ListeningSocket::bind(&file, PATH_MAX).unwrap_err();
        assert!(matches!(error, SocketError::NotASocket(_)), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"mine");

        let error = ListeningSocket::bind(&folder.path().join("no/socket"), PATH_MAX).unwrap_err();
        assert!(matches!(error, SocketError::NoFolder(_)), "{error}");

        let long = folder.path().join("x".repeat(PATH_MAX));
        let error = ListeningSocket::bind(&long, PATH_MAX).unwrap_err();
        assert!(matches!(error, SocketError::TooLong { .. }), "{error}");
    }
}
