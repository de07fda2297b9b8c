//! How I/O is done without blocking the device's thread.
//!
//! What the page cache has is read at once, and what it takes is written at once: a file's cached
//! writes are done one after the other anyway, and handing one to another thread costs more than
//! the write. When the disk cannot keep up, which shows in how long a write takes, others wait for
//! it for a while. The rest goes through io_uring where the kernel has it and allows it, and
//! otherwise, as what io_uring does not do, to a few threads.

mod buffers;
mod operation;
mod pool;
mod ring;
#[cfg(test)]
pub mod test_memory;
#[cfg(test)]
mod tests;

pub use buffers::{Buffers, Transfer};
pub use operation::{Done, Operation};

use super::image::{Image, Step};
use pool::Pool;
use ring::Ring;
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// How many operations may be under way in an engine.
pub const DEPTH: usize = ring::DEPTH;

/// A write to the page cache that takes so long was made to wait for the disk.
const SLOW_WRITE: Duration = Duration::from_millis(2);
/// How many writes after it are done by others.
const SLOW_WRITES: u32 = 64;

/// Does operations on an image. It belongs to one thread, with a tokio runtime.
#[derive(Debug)]
pub struct Engine {
    image: Image,
    ring: Option<Ring>,
    pool: Pool,
    done: VecDeque<Done>,
    // Whether the image was looked at since the last batch: not cut short meanwhile.
    whole: Option<bool>,
    // How many writes to come are not tried at once.
    slow_writes: u32,
}

impl Engine {
    /// An engine with io_uring, if that can be had.
    pub fn new(image: Image) -> Self {
        let ring = match &image {
            Image::Raw(raw) => Ring::new(raw.clone())
                .inspect_err(|error| tracing::debug!(%error, "no io_uring; block I/O uses threads"))
                .ok(),
            Image::Qcow2(_) => None,
        };
        Self::with_ring(image, ring)
    }

    /// An engine with threads only.
    #[cfg(test)]
    pub fn without_ring(image: Image) -> Self {
        Self::with_ring(image, None)
    }

    fn with_ring(image: Image, ring: Option<Ring>) -> Self {
        Self {
            pool: Pool::new(image.clone()),
            image,
            ring,
            done: VecDeque::new(),
            whole: None,
            slow_writes: 0,
        }
    }

    /// Operations of which [`Self::take`] has not told yet.
    pub fn in_flight(&self) -> usize {
        self.ring.as_ref().map_or(0, Ring::in_flight) + self.pool.in_flight() + self.done.len()
    }

    /// Starts an operation, or prepares it for [`Self::submit`].
    pub fn start(&mut self, token: u64, operation: Operation) {
        let mut operation = operation;
        if operation.writes() && !self.is_whole() {
            let result = Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            self.done.push_back(Done { token, result });
            return;
        }
        if let Step::Done(result) = self.cached(&mut operation) {
            self.done.push_back(Done { token, result });
            return;
        }
        let rest = match &mut self.ring {
            Some(ring) => ring.push(token, operation),
            None => Err(operation),
        };
        if let Err(operation) = rest {
            self.pool.start(token, operation);
        }
    }

    /// Does at once what the page cache can do.
    fn cached(&mut self, operation: &mut Operation) -> Step {
        match (&self.image, operation) {
            (Image::Raw(image), Operation::Read(transfer)) => image.read_cached(transfer),
            (
                Image::Raw(image),
                Operation::Write {
                    transfer,
                    durable: false,
                },
            ) if self.slow_writes == 0 => {
                let start = Instant::now();
                let step = image.write_cached(transfer);
                if start.elapsed() > SLOW_WRITE {
                    self.slow_writes = SLOW_WRITES;
                }
                step
            }
            (_, Operation::Write { .. }) => {
                self.slow_writes = self.slow_writes.saturating_sub(1);
                Step::Blocks
            }
            _ => Step::Blocks,
        }
    }

    fn is_whole(&mut self) -> bool {
        let Image::Raw(image) = &self.image else {
            return true;
        };
        *self.whole.get_or_insert_with(|| image.is_whole())
    }

    /// Ends a batch: everything that was prepared is under way.
    pub fn submit(&mut self) -> io::Result<()> {
        self.whole = None;
        self.ring.as_mut().map_or(Ok(()), Ring::submit)
    }

    /// An operation that is over.
    pub fn take(&mut self) -> io::Result<Option<Done>> {
        if let Some(done) = self.done.pop_front() {
            return Ok(Some(done));
        }
        if let Some(ring) = self.ring.as_mut().filter(|ring| ring.in_flight() > 0) {
            let mut blocking = Vec::new();
            ring.take(&mut self.done, &mut blocking)?;
            for (token, operation) in blocking {
                self.pool.start(token, operation);
            }
        }
        Ok(self.done.pop_front().or_else(|| self.pool.take()))
    }

    /// Waits until [`Self::take`] may find something. Dropping the future loses nothing.
    pub async fn wait(&mut self) -> io::Result<()> {
        if !self.done.is_empty() {
            return Ok(());
        }
        let Some(ring) = &self.ring else {
            let done = self.pool.wait().await;
            self.done.push_back(done);
            return Ok(());
        };
        tokio::select! {
            ready = ring.wait() => ready,
            done = self.pool.wait() => {
                self.done.push_back(done);
                Ok(())
            }
        }
    }
}
