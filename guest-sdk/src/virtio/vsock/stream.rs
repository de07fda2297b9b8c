//! Streams and listeners.

use super::connection::Phase;
use super::packet::Ends;
use super::socket::Listener;
use super::{Shared, Vsock};
use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

/// Connections that a listener takes before they are accepted.
const BACKLOG: usize = 64;

/// Why there is no connection, or none any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VsockError {
    /// The peer does not want the connection, or nobody listens there.
    Refused,
    /// The connection has ended, and not as it should.
    Reset,
    /// Somebody listens on this port.
    PortInUse,
}

impl fmt::Display for VsockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the connection is refused",
            Self::Reset => "the connection was reset",
            Self::PortInUse => "the port is in use",
        })
    }
}

impl core::error::Error for VsockError {}

impl embedded_io_async::Error for VsockError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused => ErrorKind::ConnectionRefused,
            Self::Reset => ErrorKind::ConnectionReset,
            Self::PortInUse => ErrorKind::AddrInUse,
        }
    }
}

/// A port on which connections are taken.
pub struct VsockListener {
    shared: Arc<Shared>,
    port: u32,
}

impl VsockListener {
    /// Listens on a port.
    ///
    /// # Errors
    ///
    /// [`VsockError::PortInUse`].
    pub fn bind(vsock: &Vsock, port: u32) -> Result<Self, VsockError> {
        let mut socket = vsock.0.socket.lock();
        if socket.listeners.contains_key(&port) {
            return Err(VsockError::PortInUse);
        }
        let listener = Listener {
            backlog: BACKLOG,
            ..Listener::default()
        };
        socket.listeners.insert(port, listener);
        drop(socket);
        Ok(Self {
            shared: Arc::clone(&vsock.0),
            port,
        })
    }

    /// Waits for a connection.
    pub async fn accept(&mut self) -> VsockStream {
        let ends = poll_fn(|context| {
            let mut socket = self.shared.socket.lock();
            let Some(listener) = socket.listeners.get_mut(&self.port) else {
                return Poll::Pending;
            };
            match listener.come.pop_front() {
                Some(ends) => Poll::Ready(ends),
                None => {
                    listener.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        VsockStream {
            shared: Arc::clone(&self.shared),
            ends,
        }
    }
}

impl Drop for VsockListener {
    fn drop(&mut self) {
        let mut socket = self.shared.socket.lock();
        let listener = socket.listeners.remove(&self.port);
        for ends in listener.into_iter().flat_map(|listener| listener.come) {
            socket.abandon(ends);
        }
        drop(socket);
        self.shared.work.raise();
    }
}

/// A connection. It is closed when this is dropped; what was written before is sent.
///
/// [`Read`] and [`Write`] are there for `&VsockStream` too.
pub struct VsockStream {
    shared: Arc<Shared>,
    ends: Ends,
}

impl VsockStream {
    /// Connects to a port of a machine, such as [`HOST`](super::HOST).
    ///
    /// # Errors
    ///
    /// [`VsockError::Refused`].
    pub async fn connect(vsock: &Vsock, (cid, port): (u64, u32)) -> Result<Self, VsockError> {
        let ends = vsock.0.socket.lock().connect(cid, port);
        let stream = Self {
            shared: Arc::clone(&vsock.0),
            ends,
        };
        stream.shared.work.raise();
        poll_fn(|context| {
            let mut socket = stream.shared.socket.lock();
            let Some(connection) = socket.connections.get_mut(&ends) else {
                return Poll::Ready(Err(VsockError::Reset));
            };
            match connection.phase {
                Phase::Open => Poll::Ready(Ok(())),
                Phase::Over => Poll::Ready(Err(VsockError::Refused)),
                Phase::Connecting => {
                    connection.writer = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await?;
        Ok(stream)
    }

    /// Machine and port of the peer.
    pub fn peer(&self) -> (u64, u32) {
        (self.ends.cid, self.ends.port)
    }

    /// Reads what has come, at least one byte, and waits for that. 0 at the end: the peer sends
    /// nothing any more.
    ///
    /// # Errors
    ///
    /// The connection was reset.
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize, VsockError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            let mut socket = self.shared.socket.lock();
            let Some(connection) = socket.connections.get_mut(&self.ends) else {
                return Poll::Ready(Err(VsockError::Reset));
            };
            if connection.can_read() {
                let (size, update) = connection.read(buffer);
                if let Some(update) = update {
                    socket.send(update);
                    self.shared.work.raise();
                }
                return Poll::Ready(Ok(size));
            }
            if connection.ended {
                return Poll::Ready(Ok(0));
            }
            if connection.phase == Phase::Over {
                return Poll::Ready(Err(VsockError::Reset));
            }
            connection.reader = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Writes as much as there is room for, at least one byte, and waits for that. It is sent
    /// without further ado.
    ///
    /// # Errors
    ///
    /// The connection was reset, or the peer or this end has closed it.
    pub async fn write(&self, bytes: &[u8]) -> Result<usize, VsockError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            let mut socket = self.shared.socket.lock();
            let written = socket.write(self.ends, bytes, context.waker());
            drop(socket);
            self.shared.work.raise();
            match written {
                Some(0) => Poll::Pending,
                Some(size) => Poll::Ready(Ok(size)),
                None => Poll::Ready(Err(VsockError::Reset)),
            }
        })
        .await
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// As [`VsockStream::write`].
    pub async fn write_all(&self, mut bytes: &[u8]) -> Result<(), VsockError> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Says that nothing more will be sent. What the peer sends can still be read.
    pub fn shutdown(&self) {
        self.shared.socket.lock().shut_down(self.ends);
        self.shared.work.raise();
    }
}

impl Drop for VsockStream {
    fn drop(&mut self) {
        self.shared.socket.lock().abandon(self.ends);
        self.shared.work.raise();
    }
}

impl ErrorType for VsockStream {
    type Error = VsockError;
}

impl Read for VsockStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, VsockError> {
        Self::read(self, buffer).await
    }
}

impl Write for VsockStream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, VsockError> {
        Self::write(self, bytes).await
    }

    /// What was written is sent in any case.
    async fn flush(&mut self) -> Result<(), VsockError> {
        Ok(())
    }
}

impl ErrorType for &VsockStream {
    type Error = VsockError;
}

impl Read for &VsockStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, VsockError> {
        VsockStream::read(self, buffer).await
    }
}

impl Write for &VsockStream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, VsockError> {
        VsockStream::write(self, bytes).await
    }

    async fn flush(&mut self) -> Result<(), VsockError> {
        Ok(())
    }
}

impl fmt::Debug for VsockListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VsockListener")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VsockStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VsockStream")
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
