//! UDP: datagrams.

use super::error::ConnectError;
use super::{Network, Shared};
use alloc::sync::Arc;
use alloc::vec;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, RecvError, SendError, Socket};
use smoltcp::wire::IpEndpoint;

/// Datagrams that wait in each direction, at most.
const DATAGRAMS: usize = 64;
/// Bytes that wait in each direction, at most.
const BYTES: usize = 128 << 10;

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its size in bytes. More than the buffer had room for was cut off.
    pub size: usize,
    /// Who sent it.
    pub from: IpEndpoint,
    /// Whether the buffer was too small.
    pub truncated: bool,
}

/// A port for datagrams.
pub struct UdpSocket {
    network: Arc<Shared>,
    handle: SocketHandle,
}

impl UdpSocket {
    /// Takes a port; 0 takes one that is free.
    ///
    /// # Errors
    ///
    /// [`ConnectError::NoPort`] when somebody has it.
    pub fn bind(network: &Network, port: u16) -> Result<Self, ConnectError> {
        let mut stack = network.0.stack.lock();
        let port = match port {
            0 => stack.free_port().ok_or(ConnectError::NoPort)?,
            port => port,
        };
        let taken = stack.sockets.iter().any(|(_, socket)| match socket {
            smoltcp::socket::Socket::Udp(udp) => udp.endpoint().port == port,
            _ => false,
        });
        if taken {
            return Err(ConnectError::NoPort);
        }
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; DATAGRAMS], vec![0; BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.bind(port).map_err(|_| ConnectError::NoPort)?;
        let handle = stack.sockets.add(socket);
        drop(stack);
        Ok(Self {
            network: Arc::clone(&network.0),
            handle,
        })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        let mut stack = self.network.stack.lock();
        let socket = stack.sockets.get_mut::<Socket<'_>>(self.handle);
        socket.endpoint().port
    }

    /// Waits for a datagram.
    pub async fn receive(&self, buffer: &mut [u8]) -> Datagram {
        poll_fn(|context| {
            let mut stack = self.network.stack.lock();
            let socket = stack.sockets.get_mut::<Socket<'_>>(self.handle);
            match socket.recv() {
                Ok((bytes, metadata)) => {
                    let size = bytes.len().min(buffer.len());
                    buffer[..size].copy_from_slice(&bytes[..size]);
                    Poll::Ready(Datagram {
                        size,
                        from: metadata.endpoint,
                        truncated: size < bytes.len(),
                    })
                }
                Err(RecvError::Exhausted | RecvError::Truncated) => {
                    socket.register_recv_waker(context.waker());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Sends a datagram, once there is room for it.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Unreachable`] when it can be sent to no such address, or is larger than any
    /// datagram.
    pub async fn send(&self, bytes: &[u8], to: impl Into<IpEndpoint>) -> Result<(), ConnectError> {
        let to = to.into();
        if bytes.len() > BYTES.min(65507) {
            return Err(ConnectError::Unreachable);
        }
        poll_fn(|context| {
            let mut stack = self.network.stack.lock();
            let socket = stack.sockets.get_mut::<Socket<'_>>(self.handle);
            match socket.send_slice(bytes, to) {
                Ok(()) => Poll::Ready(Ok(())),
                Err(SendError::BufferFull) => {
                    socket.register_send_waker(context.waker());
                    Poll::Pending
                }
                Err(SendError::Unaddressable) => Poll::Ready(Err(ConnectError::Unreachable)),
            }
        })
        .await?;
        self.network.work.raise();
        Ok(())
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.network.stack.lock().sockets.remove(self.handle);
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("port", &self.port())
            .finish_non_exhaustive()
    }
}
