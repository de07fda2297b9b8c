//! TCP/IP: sockets as futures, on a network device of the VM.
//!
//! ```ignore
//! let network = Network::start(None, &Config::default())?;
//! network.configured().await;
//! let mut listener = TcpListener::bind(&network, 80, TcpOptions::default())?;
//! loop {
//!     let stream = listener.accept().await?;
//!     exec::spawn(serve(stream)).detach();
//! }
//! ```
//!
//! The stack is smoltcp, for IPv4. One task moves frames between it and the device: it takes all
//! that has come, has the stack answer, and rings the doorbell once. While nothing comes, nothing is
//! to be sent and no timer of TCP is due, nothing runs. A [`TcpStream`] is a
//! [`Read`](embedded_io_async::Read) and a [`Write`](embedded_io_async::Write).
//!
//! Needs the crate's feature `net`, and what [`thread::REQUIRED`](crate::thread::REQUIRED) names.

mod config;
mod dns;
mod error;
mod stack;
mod tcp;
mod udp;
mod work;

pub use config::{Addressing, Config, Lease};
pub use dns::LookupError;
pub use error::{ConnectError, Reset};
pub use smoltcp::wire::{IpAddress, IpEndpoint, Ipv4Address, Ipv4Cidr};
pub use tcp::{TcpListener, TcpOptions, TcpStream};
pub use udp::{Datagram, UdpSocket};

use self::stack::Stack;
use crate::exec;
use crate::sync::Mutex;
use crate::virtio::net::NetDevice;
use crate::virtio::signal::Signal;
use crate::virtio::{self, kind};
use alloc::sync::Arc;
use core::future::poll_fn;
use core::task::Poll;
use smoltcp::wire::EthernetAddress;

/// A network device with its TCP/IP stack. Clones are the same one.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

/// What the task that moves frames, and all sockets, share.
struct Shared {
    stack: Mutex<Stack>,
    /// Raised when the stack has something to do.
    work: Arc<Signal>,
}

impl Network {
    /// Sets up the network device that the operator calls `id`, or the first one, and starts to move
    /// its frames: whoever is in [`exec::block_on`] or [`exec::run`] does it.
    ///
    /// # Errors
    ///
    /// There is no such device, or it cannot be set up.
    pub fn start(id: Option<&str>, config: &Config) -> Result<Self, virtio::Error> {
        let found = virtio::find(kind::NETWORK, id).ok_or(virtio::Error::NotFound)?;
        let device = NetDevice::open(found)?;
        let work = Arc::new(Signal::default());
        let events = work::Events::new(device.device(), &work)?;
        let shared = Arc::new(Shared {
            stack: Mutex::new(Stack::new(device, config)),
            work,
        });
        exec::spawn(work::run(Arc::downgrade(&shared), events)).detach();
        Ok(Self(shared))
    }

    /// The device's address.
    pub fn mac(&self) -> EthernetAddress {
        self.0.stack.lock().device.mac()
    }

    /// Most bytes of an IP packet.
    pub fn mtu(&self) -> u16 {
        self.0.stack.lock().device.mtu()
    }

    /// The address that it has, and what came along with it.
    pub fn lease(&self) -> Option<Lease> {
        self.0.stack.lock().lease.clone()
    }

    /// Waits until there is an address: at once where the configuration has it, otherwise when a
    /// DHCP server has given one.
    pub async fn configured(&self) -> Lease {
        poll_fn(|context| {
            let mut stack = self.0.stack.lock();
            match &stack.lease {
                Some(lease) => Poll::Ready(lease.clone()),
                None => {
                    stack.wait_for_lease(context.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl core::fmt::Debug for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}
