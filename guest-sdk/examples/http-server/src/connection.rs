//! One connection: requests in, answers out.

use crate::request::{BadRequest, Request};
use crate::response::Response;
use crate::stats::Stats;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use paravane_sdk::exec::Shutdown;
use paravane_sdk::net::{Reset, TcpStream};

/// Largest head of a request.
const HEAD: usize = 16 << 10;
/// Answers are sent when they are so much, or when there is no request left.
const BATCH: usize = 32 << 10;
/// What the bodies of `/bytes/N` are made of.
static BYTES: [u8; 64 << 10] = [b'x'; 64 << 10];

/// Serves a connection to its end.
pub async fn serve(stream: TcpStream, stats: Arc<Stats>, shutdown: Arc<Shutdown>) {
    stats.opened();
    let connection = Connection {
        stream,
        stats: &stats,
        shutdown: &shutdown,
        input: vec![0; HEAD],
        filled: 0,
        output: Vec::new(),
    };
    // A peer that resets its connection is its own affair.
    let _ = connection.run().await;
    stats.closed();
}

struct Connection<'a> {
    stream: TcpStream,
    stats: &'a Stats,
    shutdown: &'a Shutdown,
    input: Vec<u8>,
    /// How much of `input` has come and was not answered.
    filled: usize,
    output: Vec<u8>,
}

impl Connection<'_> {
    async fn run(mut self) -> Result<(), Reset> {
        loop {
            let keep = self.answer().await?;
            self.flush().await?;
            if !keep || !self.read().await? {
                break;
            }
        }
        self.stream.shutdown();
        self.stream.acknowledged().await
    }

    /// Answers all requests that have come: whether more may come.
    async fn answer(&mut self) -> Result<bool, Reset> {
        let mut from = 0;
        let mut keep = true;
        while keep {
            let request = match Request::parse(&self.input[from..self.filled]) {
                Ok(Some(request)) => request,
                Ok(None) if self.filled - from == self.input.len() => {
                    self.refuse("431 Request Header Fields Too Large");
                    return Ok(false);
                }
                Ok(None) => break,
                Err(BadRequest::Malformed) => {
                    self.refuse("400 Bad Request");
                    return Ok(false);
                }
                Err(BadRequest::NoLength) => {
                    self.refuse("411 Length Required");
                    return Ok(false);
                }
            };
            keep = request.keep && !self.shutdown.is_asked();
            let response = Response::to(&request, self.stats);
            let (head, body) = (request.head, request.body);
            let bytes = response.append(keep, &mut self.output);
            self.stats.answered();
            from += head;
            let here = body.min(self.filled - from);
            from += here;
            if here < body {
                from = self.filled;
                self.skip(body - here).await?;
            }
            if bytes > 0 {
                self.send_bytes(bytes).await?;
            } else if self.output.len() >= BATCH {
                self.flush().await?;
            }
        }
        self.input.copy_within(from..self.filled, 0);
        self.filled -= from;
        Ok(keep)
    }

    fn refuse(&mut self, status: &'static str) {
        Response::error(status).append(false, &mut self.output);
    }

    /// Reads over the rest of a body.
    async fn skip(&mut self, mut size: usize) -> Result<(), Reset> {
        // Nobody sends a body before the answers that it waits for.
        self.flush().await?;
        let mut buffer = [0; 1024];
        while size > 0 {
            let part = size.min(buffer.len());
            match self.stream.read(&mut buffer[..part]).await? {
                0 => return Err(Reset),
                read => size -= read,
            }
        }
        Ok(())
    }

    async fn send_bytes(&mut self, mut size: u64) -> Result<(), Reset> {
        self.flush().await?;
        self.stats.sent(usize::try_from(size).unwrap_or(usize::MAX));
        while size > 0 {
            let part = BYTES.len().min(usize::try_from(size).unwrap_or(usize::MAX));
            let written = self.stream.write(&BYTES[..part]).await?;
            size -= written as u64;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Reset> {
        self.stats.sent(self.output.len());
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    /// Reads more: `false` at the end, and when the guest is to end.
    async fn read(&mut self) -> Result<bool, Reset> {
        let read = self.stream.read(&mut self.input[self.filled..]);
        match self.shutdown.or(read).await {
            None => Ok(false),
            Some(size) => {
                let size = size?;
                self.filled += size;
                Ok(size > 0)
            }
        }
    }
}
