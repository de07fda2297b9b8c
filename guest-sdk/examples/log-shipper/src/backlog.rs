//! Lines that the receiver has not acknowledged.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use paravane_sdk::sync::Mutex;

/// Most lines that are kept: then who has more to say waits.
const LINES: usize = 4096;
/// Most lines of a batch.
const BATCH: usize = 512;

/// Lines with their sequence numbers.
pub struct Backlog(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<String>,
    /// Sequence number of the last line that was acknowledged.
    acknowledged: u64,
    /// Nothing more comes.
    closed: bool,
    shipper: Option<Waker>,
    writers: Vec<Waker>,
}

/// A number of lines, ready to be sent.
pub struct Batch {
    /// Sequence number of its last line.
    pub last: u64,
    /// What is sent.
    pub text: String,
}

impl Backlog {
    /// Without any lines.
    pub fn new() -> Self {
        Self(Mutex::new(Lines::default()))
    }

    /// Adds a line, and waits while there are too many.
    pub async fn push(&self, line: String) {
        let mut line = Some(line);
        poll_fn(|context| {
            let mut lines = self.0.lock();
            if lines.lines.len() >= LINES {
                lines.writers.push(context.waker().clone());
                return Poll::Pending;
            }
            lines.lines.extend(line.take());
            lines.wake_shipper();
            Poll::Ready(())
        })
        .await;
    }

    /// Nothing more comes.
    pub fn close(&self) {
        let mut lines = self.0.lock();
        lines.closed = true;
        lines.wake_shipper();
    }

    /// The lines that are next, once there is one; `None` when all that ever comes is acknowledged.
    pub async fn next(&self) -> Option<Batch> {
        poll_fn(|context| {
            let mut lines = self.0.lock();
            if lines.lines.is_empty() {
                if lines.closed {
                    return Poll::Ready(None);
                }
                lines.shipper = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Some(lines.batch()))
        })
        .await
    }

    /// The receiver has kept all lines up to this one: how many that is more than before. `None`
    /// when no such line was ever sent.
    pub fn acknowledge(&self, last: u64) -> Option<u64> {
        let mut lines = self.0.lock();
        let more = last.saturating_sub(lines.acknowledged);
        let count = usize::try_from(more).ok()?;
        if count > lines.lines.len() {
            return None;
        }
        lines.lines.drain(..count);
        lines.acknowledged += more;
        if lines.lines.len() < LINES {
            lines.writers.drain(..).for_each(Waker::wake);
        }
        Some(more)
    }
}

impl Lines {
    fn batch(&self) -> Batch {
        let count = self.lines.len().min(BATCH);
        let mut text = String::new();
        // It cannot fail.
        let _ = writeln!(text, "BATCH {} {count}", self.acknowledged + 1);
        for line in self.lines.range(..count) {
            text.push_str(line);
            text.push('\n');
        }
        Batch {
            last: self.acknowledged + count as u64,
            text,
        }
    }

    fn wake_shipper(&mut self) {
        if let Some(waker) = self.shipper.take() {
            waker.wake();
        }
    }
}
