//! Errors of the configuration.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Why the configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// The file is not as it should be.
    #[error("{path}, line {line}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A path that is not absolute.
    #[error("{0} is {1}; it has to be an absolute path")]
    Relative(&'static str, PathBuf),
    /// A state folder whose sockets would have too long a path.
    #[error("state-dir is {0}; its path may have at most {1} bytes, because sockets are in it")]
    LongStateDir(PathBuf, usize),
    /// There is no default.
    #[error("there is no place for {0}: give it, or set {1}")]
    NoPlace(&'static str, &'static str),
    /// A TCP listener that everyone could use.
    #[error(
        "listening at {0} needs a token file (token_file) or certificates of clients \
         (tls.client_ca), because whoever may use the API may use files of this host"
    )]
    OpenListener(SocketAddr),
    /// A token that is none.
    #[error("{0} should hold a token: at least 16 printable ASCII characters without spaces")]
    WeakToken(PathBuf),
    /// A number that is out of range.
    #[error("{name} is {value}; it has to be {right}")]
    Range {
        /// Which.
        name: &'static str,
        /// Its value.
        value: u64,
        /// What would be right.
        right: &'static str,
    },
}
