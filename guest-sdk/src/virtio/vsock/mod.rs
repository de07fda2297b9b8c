//! Sockets to the host, as futures, on a socket device (virtio 1.2, 5.10).
//!
//! ```ignore
//! let vsock = Vsock::start(None)?;
//! let stream = VsockStream::connect(&vsock, (HOST, 5000)).await?;
//! stream.write_all(b"hello").await?;
//! ```
//!
//! Each end says how much it has room for, so that nothing is lost and no connection can hold up
//! another one. The socket driver of the crate `virtio-drivers` is not used, because it waits by
//! spinning until the device has sent a packet.

mod connection;
mod packet;
mod socket;
mod stream;

pub use stream::{VsockError, VsockListener, VsockStream};

use self::socket::{EVENT, RECEIVE, Socket, TRANSMIT};
use super::signal::{self, QueueEvents, Signal};
use super::{Error, find, kind};
use crate::exec;
use crate::sync::Mutex;
use alloc::sync::{Arc, Weak};
use core::fmt;

/// The host's CID (virtio 1.2, 5.10.4).
pub const HOST: u64 = 2;

/// A socket device. Clones are the same one.
#[derive(Clone)]
pub struct Vsock(Arc<Shared>);

/// What the task that moves packets, and all streams, share.
struct Shared {
    socket: Mutex<Socket>,
    work: Arc<Signal>,
}

impl Vsock {
    /// Sets up the socket device that the operator calls `id`, or the first one, and starts to move
    /// its packets: whoever is in [`exec::block_on`] or [`exec::run`] does it.
    ///
    /// # Errors
    ///
    /// There is no such device, or it cannot be set up.
    pub fn start(id: Option<&str>) -> Result<Self, Error> {
        let socket = Socket::open(find(kind::SOCKET, id).ok_or(Error::NotFound)?)?;
        let work = Arc::new(Signal::default());
        work.watch(socket.device())?;
        let events = [RECEIVE, TRANSMIT, EVENT];
        let [receive, transmit, event] =
            events.map(|queue| QueueEvents::new(socket.device(), queue, &work));
        let events = [receive?, transmit?, event?];
        let shared = Arc::new(Shared {
            socket: Mutex::new(socket),
            work: Arc::clone(&work),
        });
        exec::spawn(run(Arc::downgrade(&shared), work, events)).detach();
        Ok(Self(shared))
    }

    /// This guest's CID.
    pub fn cid(&self) -> u64 {
        self.0.socket.lock().cid()
    }
}

/// Moves packets until nobody has the device any more.
async fn run(shared: Weak<Shared>, work: Arc<Signal>, _events: [QueueEvents; 3]) {
    signal::serve(shared, work, |shared, stopped| {
        shared.socket.lock().work(stopped)
    })
    .await;
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The task ends.
        self.work.raise();
    }
}

impl fmt::Debug for Vsock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vsock").finish_non_exhaustive()
    }
}
