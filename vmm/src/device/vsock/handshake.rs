//! What a host program says first: `CONNECT <port>\n`.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::Instant;

/// How long a host program may take for its line.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest line is much shorter.
const LINE_MAX: usize = 32;

/// A host program that has not said yet which port it wants.
#[derive(Debug)]
pub struct Handshake {
    stream: UnixStream,
    line: Vec<u8>,
    /// When it is dropped.
    pub deadline: Instant,
}

impl Handshake {
    /// Of a stream that was just accepted.
    pub fn new(stream: UnixStream, now: Instant) -> Self {
        Self {
            stream,
            line: Vec::new(),
            deadline: now + HANDSHAKE_TIMEOUT,
        }
    }

    /// Ready with the port when the line is there, or with none when it never will be.
    pub fn poll(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<Option<u32>> {
        while self.stream.poll_read_ready(context).is_ready() {
            // By single bytes: what comes after the line is for the guest.
            let mut byte = [0];
            match self.stream.try_read(&mut byte) {
                Ok(1) if byte == *b"\n" => return Poll::Ready(parse(&self.line)),
                Ok(1) if self.line.len() < LINE_MAX => self.line.extend(byte),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return Poll::Ready(None),
            }
        }
        if now >= self.deadline {
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// The stream, whose next byte is the one after the line.
    pub fn into_stream(self) -> UnixStream {
        self.stream
    }
}

fn parse(line: &[u8]) -> Option<u32> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let port = str::from_utf8(line.strip_prefix(b"CONNECT ")?).ok()?;
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| port.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_line_names_a_port() {
        assert_eq!(parse(b"CONNECT 52"), Some(52));
        assert_eq!(parse(b"CONNECT 52\r"), Some(52));
        assert_eq!(parse(b"CONNECT 4294967295"), Some(u32::MAX));
        let wrong = [
            "",
            "CONNECT",
            "CONNECT ",
            "CONNECT +1",
            "CONNECT 4294967296",
            "connect 1",
            "CONNECT 1 2",
        ];
        for line in wrong {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
