//! What is seen while it measures: a bar on a terminal, a line now and then in a log.

use indicatif::{ProgressBar, ProgressStyle};
use paravane::bench::session::Progress;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// When a log gets its first line; a run that is over by then needs none.
const FIRST: Duration = Duration::from_secs(1);
/// How often it gets one from then on.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows where a run is, on stderr.
pub struct Bar {
    bar: Option<ProgressBar>,
    quiet: bool,
    next: Instant,
}

impl Bar {
    /// One at the beginning; `quiet` shows nothing.
    pub fn new(quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} VMs, {eta} left  {msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        Self {
            bar,
            quiet,
            next: Instant::now() + FIRST,
        }
    }

    /// Shows where it is.
    pub fn show(&mut self, progress: &Progress) {
        let Progress { done, total, what } = progress;
        if let Some(bar) = &self.bar {
            bar.set_length(*total as u64);
            bar.set_position(*done as u64);
            bar.set_message(what.clone());
        } else if !self.quiet && Instant::now() >= self.next {
            self.next = Instant::now() + INTERVAL;
            // A stderr that is gone is no reason to fail.
            let line = format!("paravane: {done} of {total} VMs have measured; now {what}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    /// Takes it away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
