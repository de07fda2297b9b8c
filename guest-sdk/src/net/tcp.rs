//! TCP: listeners and streams.

use super::error::{ConnectError, Reset};
use super::stack::Stack;
use super::{Network, Shared};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::task::{Context, Poll};
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{self, RecvError, Socket, SocketBuffer, State};
use smoltcp::wire::{IpAddress, IpEndpoint};

/// How long a peer may leave unanswered what it was sent.
const PATIENCE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(60);

/// What a connection is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Size of the buffer for what has come, in bytes, and so the window. 64 KiB by default.
    pub receive_buffer: usize,
    /// Size of the buffer for what is sent and not acknowledged, in bytes. 64 KiB by default.
    pub send_buffer: usize,
    /// Connections that a listener takes before they are accepted. Their buffers are there from
    /// the beginning. 32 by default.
    pub backlog: usize,
    /// Whether small pieces wait for others while something is not acknowledged (Nagle's
    /// algorithm, RFC 896). Not by default.
    pub nagle: bool,
    /// After how much silence a peer is asked whether it is there.
    pub keep_alive: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            receive_buffer: 64 << 10,
            send_buffer: 64 << 10,
            backlog: 32,
            nagle: false,
            keep_alive: None,
        }
    }
}

impl TcpOptions {
    fn socket(&self) -> Socket<'static> {
        let buffer = |size: usize| SocketBuffer::new(vec![0; size.max(1)]);
        let mut socket = Socket::new(buffer(self.receive_buffer), buffer(self.send_buffer));
        socket.set_nagle_enabled(self.nagle);
        socket.set_timeout(Some(PATIENCE));
        let interval = self.keep_alive.map(|interval| {
            let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
            smoltcp::time::Duration::from_micros(micros)
        });
        socket.set_keep_alive(interval);
        socket
    }
}

/// A port on which connections are taken.
pub struct TcpListener {
    network: Arc<Shared>,
    options: TcpOptions,
    port: u16,
    /// Sockets that wait for a connection or have one.
    backlog: Vec<SocketHandle>,
}

impl TcpListener {
    /// Listens on a port. 0 is none.
    ///
    /// # Errors
    ///
    /// [`ConnectError::NoPort`] when somebody listens there, and for port 0.
    pub fn bind(network: &Network, port: u16, options: TcpOptions) -> Result<Self, ConnectError> {
        let mut listener = Self {
            network: Arc::clone(&network.0),
            options,
            port,
            backlog: Vec::new(),
        };
        let mut stack = network.0.stack.lock();
        let taken = stack.sockets.iter().any(|(_, socket)| match socket {
            smoltcp::socket::Socket::Tcp(tcp) => tcp.listen_endpoint().port == port,
            _ => false,
        });
        if taken || port == 0 {
            return Err(ConnectError::NoPort);
        }
        for _ in 0..options.backlog.max(1) {
            let handle = stack.sockets.add(options.socket());
            listener.backlog.push(handle);
            listener.listen(&mut stack, handle);
        }
        drop(stack);
        Ok(listener)
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub async fn accept(&mut self) -> Result<TcpStream, ConnectError> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<Result<TcpStream, ConnectError>> {
        let network = Arc::clone(&self.network);
        let mut stack = network.stack.lock();
        for place in 0..self.backlog.len() {
            let handle = self.backlog[place];
            let socket = stack.tcp(handle);
            match socket.state() {
                State::Closed => self.listen(&mut stack, handle),
                State::Listen | State::SynSent | State::SynReceived => {}
                _ => {
                    let next = stack.sockets.add(self.options.socket());
                    self.listen(&mut stack, next);
                    // The oldest are first.
                    self.backlog.remove(place);
                    self.backlog.push(next);
                    drop(stack);
                    return Poll::Ready(Ok(TcpStream { network, handle }));
                }
            }
            let socket = stack.tcp(handle);
            socket.register_recv_waker(context.waker());
            socket.register_send_waker(context.waker());
        }
        Poll::Pending
    }

    fn listen(&self, stack: &mut Stack, handle: SocketHandle) {
        // It cannot fail: the port is not 0, and the socket is closed.
        let _ = stack.tcp(handle).listen(self.port);
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        let mut stack = self.network.stack.lock();
        for handle in self.backlog.drain(..) {
            stack.tcp(handle).abort();
            stack.orphan(handle);
        }
        drop(stack);
        self.network.work.raise();
    }
}

/// A connection. It is closed when this is dropped; what was written before is sent.
///
/// Both [`Read`] and [`Write`] are there for `&TcpStream` too, so that one task can read and another
/// one write.
pub struct TcpStream {
    network: Arc<Shared>,
    handle: SocketHandle,
}

impl TcpStream {
    /// Connects to a peer.
    ///
    /// # Errors
    ///
    /// The peer does not want the connection, does not answer, or cannot be reached.
    pub async fn connect(
        network: &Network,
        (address, port): (Ipv4Addr, u16),
        options: TcpOptions,
    ) -> Result<Self, ConnectError> {
        let stream = {
            let mut stack = network.0.stack.lock();
            let local = stack.free_port().ok_or(ConnectError::NoPort)?;
            let handle = stack.sockets.add(options.socket());
            let peer = (IpAddress::Ipv4(address), port);
            if stack.connect(handle, peer, local).is_err() {
                stack.sockets.remove(handle);
                return Err(ConnectError::Unreachable);
            }
            Self {
                network: Arc::clone(&network.0),
                handle,
            }
        };
        stream.network.work.raise();
        poll_fn(|context| {
            let mut stack = stream.network.stack.lock();
            let socket = stack.tcp(stream.handle);
            match socket.state() {
                State::SynSent | State::SynReceived => {
                    socket.register_recv_waker(context.waker());
                    socket.register_send_waker(context.waker());
                    Poll::Pending
                }
                State::Closed => Poll::Ready(Err(ConnectError::Refused)),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await?;
        Ok(stream)
    }

    /// Reads what has come, at least one byte, and waits for that. 0 at the end: the peer sends
    /// nothing any more.
    ///
    /// # Errors
    ///
    /// The connection was reset.
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize, Reset> {
        if buffer.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            self.with(|socket| match socket.recv_slice(buffer) {
                Ok(0) => {
                    socket.register_recv_waker(context.waker());
                    Poll::Pending
                }
                Ok(size) => Poll::Ready((Ok(size), true)),
                Err(RecvError::Finished) => Poll::Ready((Ok(0), false)),
                Err(RecvError::InvalidState) => Poll::Ready((Err(Reset), false)),
            })
        })
        .await
    }

    /// Writes as much as there is room for, at least one byte, and waits for that. It is sent
    /// without further ado.
    ///
    /// # Errors
    ///
    /// The connection was reset, or closed here.
    pub async fn write(&self, bytes: &[u8]) -> Result<usize, Reset> {
        if bytes.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            self.with(|socket| match socket.send_slice(bytes) {
                Ok(0) => {
                    socket.register_send_waker(context.waker());
                    Poll::Pending
                }
                Ok(size) => Poll::Ready((Ok(size), true)),
                Err(tcp::SendError::InvalidState) => Poll::Ready((Err(Reset), false)),
            })
        })
        .await
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::write`].
    pub async fn write_all(&self, mut bytes: &[u8]) -> Result<(), Reset> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Says that nothing more will be sent. What the peer sends can still be read.
    pub fn shutdown(&self) {
        self.network.stack.lock().tcp(self.handle).close();
        self.network.work.raise();
    }

    /// Waits until the peer has acknowledged all that was written, the end included if there was
    /// one ([`TcpStream::shutdown`]).
    ///
    /// # Errors
    ///
    /// The connection was reset.
    pub async fn acknowledged(&self) -> Result<(), Reset> {
        poll_fn(|context| {
            self.with(|socket| {
                let ending = matches!(
                    socket.state(),
                    State::FinWait1 | State::Closing | State::LastAck
                );
                let rest = socket.send_queue();
                if rest == 0 && !ending {
                    return Poll::Ready((Ok(()), false));
                }
                if !socket.is_open() {
                    return Poll::Ready((Err(Reset), false));
                }
                socket.register_send_waker(context.waker());
                socket.register_recv_waker(context.waker());
                Poll::Pending
            })
        })
        .await
    }

    /// Ends the connection at once: the peer sees that it is reset.
    pub fn abort(self) {
        self.network.stack.lock().tcp(self.handle).abort();
    }

    /// The peer; `None` when the connection has ended.
    pub fn peer(&self) -> Option<IpEndpoint> {
        self.network.stack.lock().tcp(self.handle).remote_endpoint()
    }

    /// Looks at the socket; what is ready comes with whether there is something to send now.
    fn with<T>(&self, look: impl FnOnce(&mut Socket<'static>) -> Poll<(T, bool)>) -> Poll<T> {
        let mut stack = self.network.stack.lock();
        let result = look(stack.tcp(self.handle));
        drop(stack);
        result.map(|(value, work)| {
            if work {
                self.network.work.raise();
            }
            value
        })
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let mut stack = self.network.stack.lock();
        stack.tcp(self.handle).close();
        stack.orphan(self.handle);
        drop(stack);
        self.network.work.raise();
    }
}

impl ErrorType for TcpStream {
    type Error = Reset;
}

impl Read for TcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Reset> {
        Self::read(self, buffer).await
    }
}

impl Write for TcpStream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Reset> {
        Self::write(self, bytes).await
    }

    /// What was written is sent in any case.
    async fn flush(&mut self) -> Result<(), Reset> {
        Ok(())
    }
}

impl ErrorType for &TcpStream {
    type Error = Reset;
}

impl Read for &TcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Reset> {
        TcpStream::read(self, buffer).await
    }
}

impl Write for &TcpStream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Reset> {
        TcpStream::write(self, bytes).await
    }

    async fn flush(&mut self) -> Result<(), Reset> {
        Ok(())
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
