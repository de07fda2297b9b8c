//! Sends batches, and takes what the receiver acknowledges.

use crate::backlog::Backlog;
use core::fmt;
use core::time::Duration;
use paravane_sdk::time;
use paravane_sdk::virtio::vsock::{HOST, Vsock, VsockError, VsockStream};

/// How long to wait before the first try to connect again.
const FIRST_WAIT: Duration = Duration::from_millis(10);
/// How long to wait at most.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    lines: u64,
    batches: u64,
    connections: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lines acknowledged, in {} batches, by {} connections",
            self.lines, self.batches, self.connections
        )
    }
}

/// Why a connection is of no use any more.
enum Broken {
    Connection,
    /// The receiver says what makes no sense.
    Nonsense,
}

impl From<VsockError> for Broken {
    fn from(_: VsockError) -> Self {
        Self::Connection
    }
}

/// Ships until all lines are acknowledged.
pub async fn ship(vsock: &Vsock, port: u32, backlog: &Backlog) -> Report {
    let mut report = Report::default();
    let mut wait = FIRST_WAIT;
    loop {
        let before = report.lines;
        if let Ok(stream) = VsockStream::connect(vsock, (HOST, port)).await {
            report.connections += 1;
            match ship_to(&stream, backlog, &mut report).await {
                Ok(()) => return report,
                Err(Broken::Connection) => {}
                Err(Broken::Nonsense) => {
                    paravane_sdk::println!("log-shipper: the receiver's answer makes no sense");
                }
            }
        }
        if report.lines > before {
            wait = FIRST_WAIT;
        }
        time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Ships to one receiver.
async fn ship_to(
    stream: &VsockStream,
    backlog: &Backlog,
    report: &mut Report,
) -> Result<(), Broken> {
    let mut answers = Answers::default();
    let mut kept = answers.next(stream).await?;
    loop {
        report.lines += backlog.acknowledge(kept).ok_or(Broken::Nonsense)?;
        let Some(batch) = backlog.next().await else {
            stream.shutdown();
            return Ok(());
        };
        stream.write_all(batch.text.as_bytes()).await?;
        report.batches += 1;
        kept = answers.next(stream).await?;
        if kept > batch.last {
            return Err(Broken::Nonsense);
        }
    }
}

/// The lines of the receiver.
#[derive(Default)]
struct Answers {
    bytes: [u8; 32],
    filled: usize,
}

impl Answers {
    /// The sequence number of the next `ACK`.
    async fn next(&mut self, stream: &VsockStream) -> Result<u64, Broken> {
        loop {
            let come = &self.bytes[..self.filled];
            if let Some(end) = come.iter().position(|&byte| byte == b'\n') {
                let line = str::from_utf8(&come[..end]).map_err(|_| Broken::Nonsense)?;
                let number = line.strip_prefix("ACK ").and_then(|text| text.parse().ok());
                let number = number.ok_or(Broken::Nonsense)?;
                self.bytes.copy_within(end + 1..self.filled, 0);
                self.filled -= end + 1;
                return Ok(number);
            }
            if self.filled == self.bytes.len() {
                return Err(Broken::Nonsense);
            }
            match stream.read(&mut self.bytes[self.filled..]).await? {
                0 => return Err(Broken::Connection),
                size => self.filled += size,
            }
        }
    }
}
