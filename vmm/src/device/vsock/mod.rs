//! The vsock device (virtio 1.2, 5.10), with Unix sockets on the host's side as Firecracker and
//! Cloud Hypervisor map them.
//!
//! A host program connects to the socket `PATH`, writes `CONNECT <port>\n`, reads `OK <port>\n`
//! with the port that the host's end has, and then talks to whoever listens in the guest. What
//! the guest connects to, port P of the host, is the program that listens on the socket `PATH_P`.

pub mod arrivals;
pub mod closing;
pub mod connection;
pub mod credit;
pub mod handshake;
pub mod muxer;
pub mod options;
pub mod outgoing;
pub mod packet;
#[cfg(test)]
mod tests;

use super::DeviceError;
use super::backend::{Active, Backend, Work};
use super::queue::DeviceQueue;
use super::unix_socket::ListeningSocket;
use credit::BUFFER_SIZE;
use muxer::Muxer;
use packet::{HEADER_SIZE, Header};
use std::sync::Arc;

/// VIRTIO_ID_VSOCK.
pub const DEVICE_TYPE: u32 = 19;

/// VIRTIO_VSOCK_F_STREAM.
pub const FEATURE_STREAM: u64 = 1;

/// The queues: to the guest, from the guest, and of events.
const QUEUE_SIZES: [u16; 3] = [128; 3];

/// The most bytes of a packet to the guest.
const PAYLOAD_MAX: usize = 64 << 10;

/// The most packets in one direction before the other has its turn.
const ROUND: usize = 64;

/// The device.
#[derive(Debug)]
pub struct VsockDevice {
    cid: u32,
    socket: ListeningSocket,
    /// Its driver has connections that are gone, and is to be told.
    was_restored: bool,
}

/// VIRTIO_VSOCK_EVENT_TRANSPORT_RESET (virtio 1.2, 5.10.6.7): all connections are gone, and the CID
/// may be another.
const TRANSPORT_RESET: u32 = 0;

impl VsockDevice {
    /// Of the guest `cid`, with a socket that host programs connect to.
    pub fn new(cid: u32, socket: ListeningSocket) -> Self {
        Self {
            cid,
            socket,
            was_restored: false,
        }
    }
}

impl Backend for VsockDevice {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        FEATURE_STREAM
    }

    fn queue_sizes(&self) -> Vec<u16> {
        QUEUE_SIZES.to_vec()
    }

    fn config(&self) -> Vec<u8> {
        u64::from(self.cid).to_le_bytes().to_vec()
    }

    /// A clone may have a CID of its own: the driver reads it again when it is told that all
    /// connections are gone.
    fn take_over(&mut self, config: &[u8]) -> Result<Vec<u8>, String> {
        let own = self.config();
        if config.len() != own.len() {
            return Err("it has another configuration".into());
        }
        self.was_restored = true;
        Ok(own)
    }

    fn run(&mut self, mut active: Active) -> Work<'_, Result<(), DeviceError>> {
        Box::pin(async move {
            let listener = self.socket.listen();
            let listener = listener.map_err(DeviceError::host("listening to a socket"))?;
            let path = self.socket.path().to_path_buf();
            let stats = Arc::clone(&active.stats);
            let tells = std::mem::take(&mut self.was_restored);
            let mut server = Server {
                // A driver need not listen to events.
                events: active.take_queue(2).ok().filter(|_| tells),
                muxer: Muxer::new(self.cid, path, listener, stats),
                to_guest: active.take_queue(0)?,
                from_guest: active.take_queue(1)?,
                buffer: vec![0; BUFFER_SIZE as usize],
            };
            server.serve().await
        })
    }
}

/// The device while it is served.
#[derive(Debug)]
struct Server {
    muxer: Muxer,
    to_guest: DeviceQueue,
    from_guest: DeviceQueue,
    /// Until the driver has been told that all connections are gone.
    events: Option<DeviceQueue>,
    buffer: Vec<u8>,
}

/// Waits until the driver has given a buffer for the event that it has to be told of.
async fn can_be_told(events: &mut Option<DeviceQueue>) -> Result<(), DeviceError> {
    match events {
        Some(queue) => queue.ready().await,
        None => std::future::pending().await,
    }
}

impl Server {
    async fn serve(&mut self) -> Result<(), DeviceError> {
        loop {
            self.take_packets()?;
            self.tell_reset()?;
            self.give_packets()?;
            let (can_receive, has_output) = (self.muxer.can_receive(), self.muxer.has_output());
            tokio::select! {
                // The sockets first: what they do not take, the guest waits for.
                biased;
                () = self.muxer.output() => {}
                ready = self.from_guest.ready(), if can_receive => ready?,
                ready = self.to_guest.ready(), if has_output => ready?,
                ready = can_be_told(&mut self.events) => ready?,
            }
            // A guest that never stops does not keep the thread for itself.
            tokio::task::yield_now().await;
        }
    }

    /// Tells the driver that all connections are gone, as soon as it has a buffer for that. A driver
    /// that looks at it before each packet takes no packet of a new connection for one of an old.
    fn tell_reset(&mut self) -> Result<(), DeviceError> {
        if let Some(queue) = &mut self.events
            && let Some(mut chain) = queue.pop()?
        {
            chain.write_all(&TRANSPORT_RESET.to_le_bytes())?;
            queue.push(chain, size_of::<u32>() as u32)?;
            queue.notify()?;
            self.events = None;
        }
        Ok(())
    }

    fn take_packets(&mut self) -> Result<(), DeviceError> {
        let mut count = 0;
        while count < ROUND && self.muxer.can_receive() {
            let Some(mut chain) = self.from_guest.pop()? else {
                break;
            };
            let header: Header = chain.read_struct()?;
            let len = header.len.get() as usize;
            if len > chain.readable() as usize {
                let found = chain.readable() as usize;
                return Err(DeviceError::Short { wanted: len, found });
            }
            // One that is too long for any buffer has none here, and the muxer sees that.
            let payload = self.buffer.get_mut(..len).unwrap_or_default();
            chain.read_exact(payload)?;
            self.muxer.receive(&header, payload);
            self.from_guest.push(chain, 0)?;
            count += 1;
        }
        if count > 0 {
            self.from_guest.notify()?;
        }
        Ok(())
    }

    fn give_packets(&mut self) -> Result<(), DeviceError> {
        let mut count = 0;
        while count < ROUND && self.muxer.has_output() {
            let Some(mut chain) = self.to_guest.pop()? else {
                break;
            };
            let (wanted, found) = (HEADER_SIZE + 1, chain.writable() as usize);
            if found < wanted {
                return Err(DeviceError::Short { wanted, found });
            }
            let room = (found - HEADER_SIZE).min(PAYLOAD_MAX);
            let payload = self.buffer.get_mut(..room).unwrap_or_default();
            let Some(header) = self.muxer.transmit(payload) else {
                self.to_guest.unpop(chain);
                break;
            };
            let len = header.len.get();
            let payload = payload.get(..len as usize).unwrap_or_default();
            chain.write_struct(&header)?;
            chain.write_all(payload)?;
            self.to_guest.push(chain, HEADER_SIZE as u32 + len)?;
            count += 1;
        }
        if count > 0 {
            self.to_guest.notify()?;
        }
        Ok(())
    }
}
