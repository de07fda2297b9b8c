//! A port whose host end is a Unix socket.
//!
//! One client at a time; the next waits in the backlog. While there is none, what the guest
//! writes is dropped and counted, so that a guest whose log nobody reads does not stop. While
//! there is one, the guest waits for it: at most the ring fills.

use super::link::Link;
use crate::device::DeviceError;
use crate::device::chain::Chain;
use crate::device::queue::DeviceQueue;
use crate::device::stats::DeviceStats;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// The name of the counter of bytes that nobody got.
pub const DROPPED: &str = "dropped_bytes";

const BUFFER_SIZE: usize = 16 << 10;

/// After a failed accept (no file descriptors), the next is tried after this.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// The port.
#[derive(Debug)]
pub struct SocketPort {
    /// Its state.
    pub link: Rc<Link>,
    /// Where clients connect.
    pub listener: UnixListener,
    /// Bytes for the guest.
    pub to_guest: DeviceQueue,
    /// Bytes of the guest.
    pub from_guest: DeviceQueue,
    /// What is counted.
    pub stats: Arc<DeviceStats>,
}

/// A request of the guest of which not every byte has been written.
#[derive(Debug)]
struct Unfinished {
    chain: Chain,
    /// Bytes that were copied out of it.
    bytes: Vec<u8>,
    /// How many of those have been written.
    written: usize,
}

impl Unfinished {
    fn new(chain: Chain) -> Self {
        Self {
            chain,
            bytes: Vec::new(),
            written: 0,
        }
    }

    /// The next bytes to be written; none at the end.
    fn next(&mut self) -> Result<&[u8], DeviceError> {
        if self.written == self.bytes.len() {
            let size = BUFFER_SIZE.min(self.chain.readable() as usize);
            self.bytes.resize(size, 0);
            self.chain.read_exact(&mut self.bytes)?;
            self.written = 0;
        }
        Ok(self.bytes.get(self.written..).unwrap_or_default())
    }

    fn left(&self) -> u64 {
        let copied = self.bytes.len() - self.written;
        u64::from(self.chain.readable()) + copied as u64
    }
}

impl SocketPort {
    /// Serves the port.
    ///
    /// # Errors
    ///
    /// The device needs a reset.
    pub async fn serve(mut self) -> Result<(), DeviceError> {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                ended = drop_output(&mut self.from_guest, &self.stats) => return ended,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            };
            self.link.set_host_open(true);
            let mut unfinished = None;
            let ended = tokio::select! {
                ended = input(&stream, &self.link, &mut self.to_guest) => ended,
                ended = output(&stream, &mut self.from_guest, &mut unfinished) => ended,
            };
            self.link.set_host_open(false);
            ended?;
            if let Some(unfinished) = unfinished {
                self.stats.add(DROPPED, unfinished.left());
                self.from_guest.push(unfinished.chain, 0)?;
                self.from_guest.notify()?;
            }
        }
    }
}

/// Takes what the guest writes, for nobody.
async fn drop_output(from_guest: &mut DeviceQueue, stats: &DeviceStats) -> Result<(), DeviceError> {
    loop {
        let chain = from_guest.next().await?;
        stats.add(DROPPED, chain.readable().into());
        from_guest.push(chain, 0)?;
        from_guest.notify()?;
        tokio::task::yield_now().await;
    }
}

/// Carries bytes of the client to the guest until the client closes, be it only its half.
async fn input(
    stream: &UnixStream,
    link: &Link,
    to_guest: &mut DeviceQueue,
) -> Result<(), DeviceError> {
    let mut bytes = vec![0; BUFFER_SIZE];
    loop {
        if !has_bytes(stream).await {
            return Ok(());
        }
        link.guest_open().await;
        let mut chain = to_guest.next().await?;
        let room = bytes.len().min(chain.writable() as usize);
        if room == 0 {
            return Err(DeviceError::Short {
                wanted: 1,
                found: 0,
            });
        }
        let bytes = bytes.get_mut(..room).unwrap_or_default();
        match stream.try_read(bytes) {
            Ok(count) if count > 0 => {
                chain.write_all(bytes.get(..count).unwrap_or_default())?;
                to_guest.push(chain, count as u32)?;
                to_guest.notify()?;
            }
            // Whatever it is, it is found again above.
            _ => to_guest.unpop(chain),
        }
        tokio::task::yield_now().await;
    }
}

/// Waits for bytes of the client; whether there are any, or it has closed. Nothing is taken,
/// because the guest may not want them yet.
async fn has_bytes(stream: &UnixStream) -> bool {
    loop {
        if stream.readable().await.is_err() {
            return false;
        }
        let mut byte = [0];
        let peeked = stream.try_io(tokio::io::Interest::READABLE, || {
            Ok(recv(stream, &mut byte, RecvFlags::PEEK)?.0)
        });
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            peeked => return peeked.is_ok_and(|count| count > 0),
        }
    }
}

/// Carries bytes of the guest to the client until it reads no more.
async fn output(
    stream: &UnixStream,
    from_guest: &mut DeviceQueue,
    unfinished: &mut Option<Unfinished>,
) -> Result<(), DeviceError> {
    loop {
        let request = match unfinished {
            Some(request) => request,
            None => unfinished.insert(Unfinished::new(from_guest.next().await?)),
        };
        let bytes = request.next()?;
        if bytes.is_empty() {
            if let Some(request) = unfinished.take() {
                from_guest.push(request.chain, 0)?;
                from_guest.notify()?;
            }
            tokio::task::yield_now().await;
            continue;
        }
        match stream.try_write(bytes) {
            Ok(count) => request.written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if stream.writable().await.is_err() {
                    return Ok(());
                }
            }
            Err(_) => return Ok(()),
        }
    }
}
