//! Where the daemon listens.

#![allow(unsafe_code)]

use crate::config::Config;
use crate::tls;
use rustix::io::Errno;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

/// How long what belonged to a daemon that was killed may seem to belong to somebody: a process
/// that it was just starting has copies of its descriptors until its exec.
pub const STARTING: Duration = Duration::from_secs(1);

/// How often it is looked whether that is over.
pub const LOOK: Duration = Duration::from_millis(10);

/// Why the daemon cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Somebody answers at the socket.
    #[error("another program listens at {0}; end it, or give another --socket")]
    Live(PathBuf),
    /// There is something else in the socket's place.
    #[error("{0} is there and is no socket; remove it, or give another --socket")]
    NoSocket(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen at {0}: {1}")]
    Unix(PathBuf, #[source] io::Error),
    /// The address cannot be used.
    #[error("cannot listen at {0}: {1}")]
    Tcp(SocketAddr, #[source] io::Error),
    /// The certificates cannot be used.
    #[error("{0} cannot be used for TLS: {1}")]
    Tls(PathBuf, String),
    /// What systemd passed on cannot be used.
    #[error("the socket that the service manager passed on cannot be used: {0}")]
    Passed(#[source] io::Error),
}

/// The listeners.
pub struct Listeners {
    /// Unix sockets, whose clients need no token.
    pub unix: Vec<UnixListener>,
    /// The TCP listener.
    pub tcp: Option<Tcp>,
    /// The socket file that is removed in the end.
    pub file: Option<PathBuf>,
}

/// A TCP listener.
pub struct Tcp {
    /// The listener.
    pub listener: TcpListener,
    /// The token that clients have to show.
    pub token: Option<String>,
    /// How connections become TLS.
    pub tls: Option<TlsAcceptor>,
}

impl Listeners {
    /// The descriptors of all of them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let tcp = self.tcp.iter().map(|tcp| tcp.listener.as_fd());
        self.unix.iter().map(UnixListener::as_fd).chain(tcp)
    }
}

/// Opens what the configuration asks for, or takes the Unix sockets that the service manager
/// passed on (`sd_listen_fds(3)`).
///
/// # Errors
///
/// One of them cannot be had.
pub async fn open(config: &Config) -> Result<Listeners, ListenError> {
    let mut unix = passed().map_err(ListenError::Passed)?;
    let mut file = None;
    if unix.is_empty() {
        unix.push(bind_patiently(&config.socket).await?);
        file = Some(config.socket.clone());
    }
    let tcp = match &config.listen {
        Some(tcp) => {
            let listener = TcpListener::bind(tcp.address).await;
            let listener = listener.map_err(|error| ListenError::Tcp(tcp.address, error))?;
            Some(Tcp {
                listener,
                token: tcp.token.clone(),
                tls: tcp.tls.as_ref().map(tls::acceptor).transpose()?,
            })
        }
        None => None,
    };
    Ok(Listeners { unix, tcp, file })
}

fn passed() -> io::Result<Vec<UnixListener>> {
    let mut listeners = Vec::new();
    for fd in sd_notify::listen_fds()? {
        listeners.push(of_descriptor(fd)?);
    }
    Ok(listeners)
}

fn of_descriptor(fd: RawFd) -> io::Result<UnixListener> {
    // SAFETY: the service manager passed the descriptor on to this process, which takes it once.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let domain = rustix::net::sockopt::socket_domain(&fd)?;
    if domain != rustix::net::AddressFamily::UNIX {
        return Err(io::Error::other("it is no Unix socket"));
    }
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn bind_patiently(path: &Path) -> Result<UnixListener, ListenError> {
    let tried_until = Instant::now() + STARTING;
    loop {
        match bind(path) {
            Err(ListenError::Live(_)) if Instant::now() < tried_until => {
                tokio::time::sleep(LOOK).await;
            }
            result => return result,
        }
    }
}

/// Binds a Unix socket that only its owner can use. A socket file where nobody listens is what a
/// daemon left that was killed.
fn bind(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |error: io::Error| ListenError::Unix(path.to_path_buf(), error);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenError::NoSocket(path.to_path_buf()));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(ListenError::Live(path.to_path_buf())),
            Err(error) if error.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error()) => {
                fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // It gets its name when its mode is right: nobody else can connect in between.
    let mut hidden = path.as_os_str().to_os_string();
    hidden.push(".new");
    let hidden = PathBuf::from(hidden);
    // What is there was left by a daemon that was killed here.
    let _ = fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden).map_err(failed)?;
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&hidden, path).map_err(failed)?;
    Ok(listener)
}

/// Tells the service manager that requests are taken.
pub fn tell_ready() {
    tell(sd_notify::NotifyState::Ready);
}

/// Tells the service manager that the daemon ends.
pub fn tell_stopping() {
    tell(sd_notify::NotifyState::Stopping);
}

fn tell(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
