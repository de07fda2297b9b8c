//! What the guest writes on its console, as lines of the log.
//!
//! It is read from the ring, on the control thread. A guest that writes more than the log takes
//! goes on writing: what is overwritten before its turn comes is left out, and one line says how
//! much that was. The last of it is always in the log.

use super::Log;
use super::lines::Lines;
use crate::console::ring::{Found, Ring};
use paravane_api::log::{LogLevel, LogSource};
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// How long to leave the ring alone after reading: many small writes are one piece of work, and
/// the vCPU that makes them does not have to wake anybody.
const PAUSE: Duration = Duration::from_millis(20);

/// How many parts of a second's bytes are waited for when all were used.
const PARTS: u64 = 4;

/// Copies all that is written to `ring` into `log`, at most so many bytes of the log a second,
/// until the guest has ended. With a rate of 0 nothing is copied.
pub async fn copy(ring: &Ring, log: &Log, rate: u64) {
    if rate == 0 {
        return;
    }
    let mut copier = Copier {
        log,
        lines: Lines::default(),
        budget: Budget::new(rate, Instant::now()),
    };
    let mut cursor = ring.oldest();
    let mut bytes = [0; 4096];
    loop {
        match ring.next(&mut cursor, &mut bytes).await {
            Found::Bytes(count) => copier.take(bytes.get(..count).unwrap_or_default()),
            Found::Lost(count) => copier.leave_out(count, rate),
            Found::Nothing => {}
            Found::End => break,
        }
        let pause = match copier.budget.wait(Instant::now()) {
            Some(time) => time,
            None if ring.has_more(cursor) => {
                // A guest that is never caught up with holds up no other task of this thread.
                yield_now().await;
                continue;
            }
            None => PAUSE,
        };
        tokio::select! {
            () = sleep(pause) => {}
            // What is left fits into the ring.
            () = ring.ended() => {}
        }
    }
    copier.finish();
}

struct Copier<'a> {
    log: &'a Log,
    lines: Lines,
    budget: Budget,
}

impl Copier<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let (log, budget) = (self.log, &mut self.budget);
        self.lines
            .take(bytes, |line| budget.use_up(write(log, line)));
    }

    fn leave_out(&mut self, count: u64, rate: u64) {
        self.finish();
        let message = format!(
            "{count} bytes of the console were left out of the log, which takes {rate} bytes of it \
             a second"
        );
        self.log.write(LogSource::Vmm, LogLevel::Warn, &message);
    }

    fn finish(&mut self) {
        let (log, budget) = (self.log, &mut self.budget);
        self.lines.finish(|line| budget.use_up(write(log, line)));
    }
}

fn write(log: &Log, line: &str) -> usize {
    log.write_counted(LogSource::Console, LogLevel::Info, line)
}

/// Bytes that may be written: a token bucket that holds those of a second.
#[derive(Debug)]
struct Budget {
    rate: u64,
    /// Bytes that are left; less than none are a debt.
    left: i64,
    filled: Instant,
}

impl Budget {
    fn new(rate: u64, now: Instant) -> Self {
        // A terabyte a second is no limit, and no overflow.
        let rate = rate.min(1 << 40);
        Self {
            rate,
            left: rate as i64,
            filled: now,
        }
    }

    fn use_up(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes as i64);
    }

    /// How long to wait until there is a good part of a second's bytes, if none are left.
    fn wait(&mut self, now: Instant) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = now;
        let gained = (passed.as_secs_f64() * self.rate as f64) as i64;
        self.left = self.left.saturating_add(gained).min(self.rate as i64);
        if self.left > 0 {
            return None;
        }
        let wanted = (self.rate / PARTS) as i64 - self.left;
        Some(Duration::from_secs_f64(wanted as f64 / self.rate as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;
    use crate::console::ring::RING_CAPACITY;
    use paravane_control::folder::Folder;
    use paravane_control::plan::LogLimits;
    use std::sync::Arc;

    struct Rig {
        _directory: tempfile::TempDir,
        folder: Folder,
        ring: Arc<Ring>,
        task: tokio::task::JoinHandle<()>,
    }

    fn start(rate: u64) -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let log = Log::new(&folder, LogLimits::default());
        let ring = Arc::new(Ring::default());
        let source = Arc::clone(&ring);
        let task = tokio::spawn(async move { copy(&source, &log, rate).await });
        Rig {
            _directory: directory,
            folder,
            ring,
            task,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_of_the_console_are_in_the_log() {
        let rig = start(1 << 20);
        rig.ring.write(b"one\ntw");
        sleep(Duration::from_secs(1)).await;
        rig.ring.write(b"o\nno end");
        rig.ring.end();
        rig.task.await.unwrap();
        let lines = read(&rig.folder);
        let messages: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(messages, ["one", "two", "no end"]);
        assert!(lines.iter().all(|line| line.source == LogSource::Console));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_left_out_and_told() {
        const RATE: u64 = 10_000;
        let rig = start(RATE);
        let mut written = 0;
        for _ in 0..100 {
            let piece = b"all work and no play\n".repeat(1000);
            written += piece.len() as u64;
            rig.ring.write(&piece);
            sleep(Duration::from_millis(100)).await;
        }
        let in_time = std::fs::metadata(rig.folder.log()).unwrap().len();
        // Ten seconds' bytes, the second's with which it begins, and the piece that is under way.
        assert!(in_time <= 11 * RATE + 3 * 4096 * 4, "{in_time}");
        rig.ring.write(b"the last word\n");
        rig.ring.end();
        rig.task.await.unwrap();
        let lines = read(&rig.folder);
        let last = lines.last().unwrap();
        assert_eq!(last.message, "the last word");
        let (mut kept, mut left_out) = (0, 0);
        for line in &lines {
            match line.source {
                LogSource::Console => kept += line.message.len() as u64 + 1,
                _ => {
                    let (count, rest) = line.message.split_once(' ').unwrap();
                    assert!(rest.starts_with("bytes of the console were left out"));
                    left_out += count.parse::<u64>().unwrap();
                }
            }
        }
        assert!(kept > RING_CAPACITY as u64, "{kept}");
        // A line that was torn has no end, or one of its own.
        let told = kept + left_out;
        assert!(told.abs_diff(written) < 1000, "{told} of {written}");
    }

    #[tokio::test]
    async fn a_log_that_takes_nothing_of_the_console_is_empty() {
        let rig = start(0);
        rig.ring.write(b"one\n");
        rig.task.await.unwrap();
        assert_eq!(read(&rig.folder), []);
    }
}
