//! What makes a device stop.

use thiserror::Error;

/// Why a device has stopped and needs a reset: its driver broke a rule, or the host failed.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// The rings make no sense.
    #[error("queue {queue}: {reason}")]
    Queue {
        /// Number of the queue.
        queue: u16,
        /// What is wrong.
        reason: String,
    },
    /// A chain of descriptors is broken.
    #[error("queue {queue}: the chain at descriptor {head} {reason}")]
    Chain {
        /// Number of the queue.
        queue: u16,
        /// The first descriptor.
        head: u16,
        /// What is wrong.
        reason: &'static str,
    },
    /// A buffer is not where a device may use it.
    #[error("a buffer of {size} bytes at {gpa:#x} is not in RAM, or is sealed")]
    Buffer {
        /// Guest-physical address.
        gpa: u64,
        /// Size.
        size: u64,
    },
    /// A request is too short, or has no room for its answer.
    #[error("a request with {found} bytes where {wanted} are needed")]
    Short {
        /// What is needed.
        wanted: usize,
        /// What there is.
        found: usize,
    },
    /// A rule of the device type.
    #[error("{0}")]
    Protocol(String),
    /// The host failed.
    #[error("{what}: {source}")]
    Host {
        /// What was done.
        what: &'static str,
        /// What the host said.
        source: std::io::Error,
    },
}

impl DeviceError {
    /// For `map_err`: the host failed at this.
    pub fn host(what: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Host { what, source }
    }
}
