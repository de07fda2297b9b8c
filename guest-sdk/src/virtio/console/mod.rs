//! Ports of a console device, by name (virtio 1.2, 5.3): streams of bytes to files and sockets of
//! the host, beside the console of the ABI.
//!
//! ```ignore
//! let console = Console::start(None)?;
//! let port = console.port("log").await?;
//! port.write_all(b"ready\n").await?;
//! ```
//!
//! The console driver of the crate `virtio-drivers` has one port only.

mod message;
mod ports;

use self::message::Event;
use self::ports::Ports;
use super::signal::{self, QueueEvents, Signal};
use super::{Error, find, kind};
use crate::exec;
use crate::sync::Mutex;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

/// A console device. Clones are the same one.
#[derive(Clone)]
pub struct Console(Arc<Shared>);

/// What the task that moves bytes, and all ports, share.
struct Shared {
    ports: Mutex<Ports>,
    work: Arc<Signal>,
}

/// Why bytes do not go through a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortError {
    /// Somebody has the port.
    InUse,
    /// The device has stopped.
    Stopped,
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "the port is in use",
            Self::Stopped => "the console device has stopped",
        })
    }
}

impl core::error::Error for PortError {}

impl embedded_io_async::Error for PortError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse => ErrorKind::AddrInUse,
            Self::Stopped => ErrorKind::BrokenPipe,
        }
    }
}

impl Console {
    /// Sets up the console device that the operator calls `id`, or the first one, and starts to
    /// move its bytes: whoever is in [`exec::block_on`] or [`exec::run`] does it.
    ///
    /// # Errors
    ///
    /// There is no such device, or it has no named ports.
    pub fn start(id: Option<&str>) -> Result<Self, Error> {
        let ports = Ports::open(find(kind::CONSOLE, id).ok_or(Error::NotFound)?)?;
        let work = Arc::new(Signal::default());
        work.watch(ports.device())?;
        let events = ports.queues().into_iter();
        let events = events.map(|queue| QueueEvents::new(ports.device(), queue, &work));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(Shared {
            ports: Mutex::new(ports),
            work: Arc::clone(&work),
        });
        exec::spawn(run(Arc::downgrade(&shared), work, events)).detach();
        Ok(Self(shared))
    }

    /// The names of the ports that there are now.
    pub fn names(&self) -> Vec<String> {
        let ports = self.0.ports.lock();
        let there = ports.ports.iter().filter(|port| port.there);
        there.map(|port| port.name.clone()).collect()
    }

    /// Opens the port of this name, once there is one.
    ///
    /// # Errors
    ///
    /// [`PortError`].
    pub async fn port(&self, name: &str) -> Result<ConsolePort, PortError> {
        let index = poll_fn(|context| {
            let mut ports = self.0.ports.lock();
            if ports.broken {
                return Poll::Ready(Err(PortError::Stopped));
            }
            let mut named = ports.ports.iter_mut().enumerate();
            match named.find(|(_, port)| port.there && port.name == name) {
                Some((_, port)) if port.taken => Poll::Ready(Err(PortError::InUse)),
                Some((index, port)) => {
                    port.taken = true;
                    port.ended = false;
                    Poll::Ready(Ok(index))
                }
                None => {
                    ports.seekers.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await?;
        let port = ConsolePort {
            shared: Arc::clone(&self.0),
            index,
        };
        port.tell_open(true);
        Ok(port)
    }
}

/// Moves bytes until nobody has the device any more.
async fn run(shared: Weak<Shared>, work: Arc<Signal>, _events: Vec<QueueEvents>) {
    signal::serve(shared, work, |shared, stopped| {
        shared.ports.lock().work(stopped)
    })
    .await;
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The task ends.
        self.work.raise();
    }
}

/// A port of this guest's. It is closed when this is dropped.
///
/// [`Read`] and [`Write`] are there for `&ConsolePort` too.
pub struct ConsolePort {
    shared: Arc<Shared>,
    index: usize,
}

impl ConsolePort {
    fn tell_open(&self, open: bool) {
        let mut ports = self.shared.ports.lock();
        ports.send(self.index as u32, Event::PortOpen, open);
        drop(ports);
        self.shared.work.raise();
    }

    /// Whether the host's end is open.
    pub fn is_connected(&self) -> bool {
        let ports = self.shared.ports.lock();
        let port = ports.ports.get(self.index);
        port.is_some_and(|port| port.host_open)
    }

    /// Waits until the host's end is open.
    ///
    /// # Errors
    ///
    /// [`PortError::Stopped`].
    pub async fn connected(&self) -> Result<(), PortError> {
        poll_fn(|context| {
            let mut ports = self.shared.ports.lock();
            if ports.broken {
                return Poll::Ready(Err(PortError::Stopped));
            }
            let port = &mut ports.ports[self.index];
            if port.host_open {
                return Poll::Ready(Ok(()));
            }
            port.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Reads what has come, at least one byte, and waits for that. 0 when the host's end is closed,
    /// and once when it was, even if it is open again.
    ///
    /// # Errors
    ///
    /// [`PortError::Stopped`].
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize, PortError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            let mut ports = self.shared.ports.lock();
            let broken = ports.broken;
            let port = &mut ports.ports[self.index];
            match port.read(buffer) {
                0 if broken => Poll::Ready(Err(PortError::Stopped)),
                0 if port.host_open && !port.ended => {
                    port.reader = Some(context.waker().clone());
                    Poll::Pending
                }
                size => {
                    port.ended &= size > 0;
                    drop(ports);
                    // There is room for more.
                    self.shared.work.raise();
                    Poll::Ready(Ok(size))
                }
            }
        })
        .await
    }

    /// Writes as much as there is room for, at least one byte, and waits for that and for the
    /// host's end to be open.
    ///
    /// # Errors
    ///
    /// [`PortError::Stopped`].
    pub async fn write(&self, bytes: &[u8]) -> Result<usize, PortError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        poll_fn(|context| {
            let mut ports = self.shared.ports.lock();
            let broken = ports.broken;
            let port = &mut ports.ports[self.index];
            let sent = match port.host_open && !broken {
                true => port.write(bytes).map_err(|_| PortError::Stopped),
                false if broken => Err(PortError::Stopped),
                false => Ok(0),
            };
            if sent == Ok(0) {
                port.writer = Some(context.waker().clone());
            }
            drop(ports);
            self.shared.work.raise();
            match sent {
                Ok(0) => Poll::Pending,
                sent => Poll::Ready(sent),
            }
        })
        .await
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// As [`ConsolePort::write`].
    pub async fn write_all(&self, mut bytes: &[u8]) -> Result<(), PortError> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

impl Drop for ConsolePort {
    fn drop(&mut self) {
        let mut ports = self.shared.ports.lock();
        if let Some(port) = ports.ports.get_mut(self.index) {
            port.taken = false;
        }
        drop(ports);
        self.tell_open(false);
    }
}

impl ErrorType for ConsolePort {
    type Error = PortError;
}

impl Read for ConsolePort {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PortError> {
        Self::read(self, buffer).await
    }
}

impl Write for ConsolePort {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, PortError> {
        Self::write(self, bytes).await
    }

    /// What was written is sent in any case.
    async fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

impl ErrorType for &ConsolePort {
    type Error = PortError;
}

impl Read for &ConsolePort {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, PortError> {
        ConsolePort::read(self, buffer).await
    }
}

impl Write for &ConsolePort {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, PortError> {
        ConsolePort::write(self, bytes).await
    }

    async fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Console").field(&self.names()).finish()
    }
}

impl fmt::Debug for ConsolePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsolePort")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
