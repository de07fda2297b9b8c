//! What the guest has sent and the host program has not read, and how it is still written when
//! the connection is over.

use super::connection::CLOSE_TIMEOUT;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::Context;
use tokio::net::UnixStream;
use tokio::time::Instant;

/// A buffer that is as large as what is in it; credit bounds it.
#[derive(Debug, Default)]
pub struct Outgoing(VecDeque<u8>);

impl Outgoing {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Writes as much as the socket takes: how many bytes.
    ///
    /// # Errors
    ///
    /// The socket's other end reads no more.
    pub fn flush(&mut self, stream: &UnixStream) -> io::Result<usize> {
        let mut total = 0;
        while !self.0.is_empty() {
            let (front, back) = self.0.as_slices();
            match stream.try_write_vectored(&[IoSlice::new(front), IoSlice::new(back)]) {
                Ok(count) => {
                    self.0.drain(..count);
                    total += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(total),
                Err(error) => return Err(error),
            }
        }
        // An idle connection costs no buffer.
        self.0.shrink_to(0);
        Ok(total)
    }

    /// Drops everything: how many bytes that was.
    pub fn clear(&mut self) -> usize {
        std::mem::take(&mut self.0).len()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The end of a connection that the guest has left: its last bytes on their way.
#[derive(Debug)]
pub struct Lingering {
    stream: UnixStream,
    outgoing: Outgoing,
    /// When they are given up.
    pub deadline: Instant,
}

impl Lingering {
    /// Of a stream and what is to be written.
    pub fn new(stream: UnixStream, outgoing: Outgoing, now: Instant) -> Self {
        let deadline = now + CLOSE_TIMEOUT;
        Self {
            stream,
            outgoing,
            deadline,
        }
    }

    /// Writes on; whether there is more to do.
    pub fn poll(&mut self, context: &mut Context<'_>, now: Instant) -> bool {
        while !self.outgoing.is_empty() && self.stream.poll_write_ready(context).is_ready() {
            if self.outgoing.flush(&self.stream).is_err() {
                return false;
            }
        }
        !self.outgoing.is_empty() && now < self.deadline
    }

    /// How many bytes there are.
    pub fn waiting(&self) -> usize {
        self.outgoing.len()
    }
}
