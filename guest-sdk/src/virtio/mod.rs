//! Devices: virtio 1.2 by the calls, doorbells and events of [`pv_abi::device`].
//!
//! [`devices`] lists them. [`block::Disk`] drives a disk, [`entropy::Entropy`] a source of random
//! bytes. What they are made of is for other drivers too:
//!
//! - [`Device`]: status, features and configuration of a device that has a driver.
//! - [`Queue`]: the driver's side of a split virtqueue, without any waiting.
//! - [`Requests`]: requests on a queue as futures, several at once from several tasks.
//!
//! Features of the crate bring further drivers: `net` network devices, for the module `net` of the
//! crate, `vsock` sockets to the host, `console` named ports, `share` folders of the host.
//!
//! `virtio-drivers` has drivers for further kinds of devices; with the feature `virtio-drivers` the
//! module `transport` lets them drive a [`Device`], and `hal` gives them memory.

pub mod block;
mod buffer;
#[cfg(feature = "console")]
pub mod console;
mod device;
pub mod entropy;
#[cfg(feature = "virtio-drivers")]
pub mod hal;
#[cfg(feature = "net")]
pub(crate) mod linger;
#[cfg(feature = "net")]
pub mod net;
#[cfg(any(feature = "console", feature = "net", feature = "vsock"))]
mod packets;
mod polling;
mod queue;
#[cfg(any(feature = "console", feature = "vsock"))]
mod received;
mod requests;
mod ring;
#[cfg(feature = "share")]
pub mod share;
#[cfg(any(feature = "console", feature = "net", feature = "vsock"))]
pub(crate) mod signal;
#[cfg(feature = "virtio-drivers")]
pub mod transport;
#[cfg(feature = "vsock")]
pub mod vsock;

pub use buffer::Buffer;
pub use device::{Changes, Device, Found, devices, find};
pub use queue::{Broken, Queue, QueueOptions, Segment, Used};
pub use requests::{Costs, Done, Operation, Request, Requests, Scratch};

use core::fmt;
use pv_abi::Errno;

/// Device IDs (virtio 1.2, chapter 5).
pub mod kind {
    /// A network card.
    pub const NETWORK: u32 = 1;
    /// A disk.
    pub const BLOCK: u32 = 2;
    /// A console.
    pub const CONSOLE: u32 = 3;
    /// A source of random bytes.
    pub const ENTROPY: u32 = 4;
    /// A 9P transport: a folder of the host.
    pub const NINE_P: u32 = 9;
    /// Sockets to the host.
    pub const SOCKET: u32 = 19;
}

/// Feature bits of every kind of device (virtio 1.2, chapter 6).
pub mod feature {
    /// A descriptor may stand for a table of descriptors.
    pub const RING_INDIRECT_DESC: u64 = 1 << 28;
    /// Each side says at which place of the other's ring it wants to be told.
    pub const RING_EVENT_IDX: u64 = 1 << 29;
    /// Virtio 1.0 or later.
    pub const VERSION_1: u64 = 1 << 32;
}

/// Why a device did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no such device.
    NotFound,
    /// The device has a driver already.
    InUse,
    /// The device does not have what this takes.
    Unsupported,
    /// The device could not do it: an I/O error.
    Io,
    /// It lies past the end of the device, or is no whole number of its units.
    OutOfRange,
    /// The device can be read only.
    ReadOnly,
    /// There is no memory for it.
    NoMemory,
    /// The device has stopped, and was reset: it is to be opened anew.
    Stopped,
    /// A call failed.
    Call(Errno),
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT | Errno::ENOSYS => Self::NotFound,
            errno => Self::Call(errno),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such device",
            Self::InUse => "the device has a driver already",
            Self::Unsupported => "the device does not have what this takes",
            Self::Io => "the device reports an I/O error",
            Self::OutOfRange => "it is past the device's end, or no whole number of its units",
            Self::ReadOnly => "the device can be read only",
            Self::NoMemory => "there is no memory for it",
            Self::Stopped => "the device has stopped and was reset",
            Self::Call(errno) => return write!(f, "a call failed: {errno}"),
        })
    }
}

impl core::error::Error for Error {}
