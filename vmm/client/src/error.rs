//! Why an operation failed.

use crate::Endpoint;
use paravane_api::Problem;
use std::io;
use thiserror::Error;

/// Why an operation failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens at the Unix socket.
    #[error(
        "no daemon answers at the socket {endpoint} ({error}); start one with `paravane daemon`, \
         or say where it is"
    )]
    NoDaemon {
        /// The socket.
        endpoint: Endpoint,
        /// What the system says.
        error: io::Error,
    },
    /// The daemon cannot be reached.
    #[error("cannot connect to {endpoint}: {error}")]
    Connect {
        /// Where it should be.
        endpoint: Endpoint,
        /// What the system says.
        error: io::Error,
    },
    /// The connection ended before all of the answer had come. Whether the request was carried
    /// out is not known.
    #[error("the connection to the daemon at {endpoint} was lost: {why}")]
    Lost {
        /// The daemon.
        endpoint: Endpoint,
        /// What happened to it.
        why: String,
    },
    /// The daemon did not carry out the request, and says why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// What came is no answer of the API's.
    #[error("the answer to {operation} is not one of this API: {why}")]
    Answer {
        /// The method and path.
        operation: String,
        /// What is wrong with it.
        why: String,
    },
    /// What is to be sent cannot be sent.
    #[error("the request cannot be made: {0}")]
    Request(String),
    /// The URL is not one of a daemon.
    #[error("the URL {url:?} is not a daemon's: {why}; one is like http://HOST:PORT")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A certificate or a key cannot be used.
    #[error("{0}")]
    Certificate(String),
    /// The token cannot be sent.
    #[error("the token has characters that no header can have; a token is one line of ASCII text")]
    Token,
}

impl ClientError {
    /// The HTTP status, where the daemon has answered with a problem.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            _ => None,
        }
    }

    /// Whether the daemon says that what is named does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether it may be different in a moment: the daemon is not there, or the connection to it
    /// was lost.
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::NoDaemon { .. } | Self::Connect { .. } | Self::Lost { .. }
        )
    }
}
