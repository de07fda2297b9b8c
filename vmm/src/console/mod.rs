//! The console of a VM: bytes out to whoever reads, bytes in from whoever types.
//!
//! Output is written by the vCPU thread itself, so a slow reader slows its guest and host
//! memory stays flat however much a guest prints; where it goes to a [`ring`], the guest waits for
//! nobody and a slow reader loses bytes. Input waits in a bounded buffer.

pub mod escape;
pub mod input;
pub mod labelled;
pub mod output;
pub mod ring;
pub mod stdin;
pub mod terminal;

use input::InputBuffer;
use output::Output;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Why a console operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleError {
    /// The other end is closed.
    Closed,
    /// Nothing was typed in time.
    TimedOut,
    /// The VM is being stopped.
    Stopping,
    /// The VM is being paused.
    Pausing,
}

/// The console of a VM.
#[derive(Debug)]
pub struct Console {
    output: Output,
    input: Arc<InputBuffer>,
    stopping: AtomicBool,
    first_byte: OnceLock<Instant>,
    written: AtomicU64,
}

impl Console {
    /// A console that writes to `output`, with no input yet.
    pub fn new(output: Output) -> Self {
        Self::with_input(output, Arc::default())
    }

    /// A console that reads from `input`, which a VM that starts again takes over from the
    /// one before.
    pub fn with_input(output: Output, input: Arc<InputBuffer>) -> Self {
        Self {
            output,
            input,
            stopping: AtomicBool::new(false),
            first_byte: OnceLock::new(),
            written: AtomicU64::new(0),
        }
    }

    /// Writes all of `bytes`, waiting for the reader where it is slow.
    pub fn write(&self, bytes: &[u8]) -> Result<(), ConsoleError> {
        if bytes.is_empty() {
            return Ok(());
        }
        // Before somebody has read them, who may ask at once how many there were.
        let count = bytes.len() as u64;
        self.written.fetch_add(count, Ordering::SeqCst);
        if let Err(error) = self.output.write_all(bytes, &self.stopping) {
            self.written.fetch_sub(count, Ordering::SeqCst);
            return Err(error);
        }
        self.first_byte.get_or_init(Instant::now);
        Ok(())
    }

    /// Passes on what was written and waits for the end of its line.
    pub fn flush(&self) -> Result<(), ConsoleError> {
        self.output.flush(&self.stopping)
    }

    /// Reads what was typed, waiting for the first byte for at most `timeout` (for ever when
    /// that is `None`). At least one byte is read.
    pub fn read(&self, bytes: &mut [u8], timeout: Option<Duration>) -> Result<usize, ConsoleError> {
        // A reader that is gone is told of by the next write.
        let _ = self.flush();
        self.input.read(bytes, timeout)
    }

    /// Where typed bytes are put.
    pub fn input(&self) -> &InputBuffer {
        &self.input
    }

    /// Where written bytes go.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Makes every waiting and later operation end with [`ConsoleError::Stopping`]. A thread
    /// that is inside a write must be interrupted by a signal too.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.input.stop();
    }

    /// Makes every read that finds nothing end with [`ConsoleError::Pausing`], until that is taken
    /// back.
    pub fn set_pausing(&self, pausing: bool) {
        self.input.set_pausing(pausing);
    }

    /// When the guest's first byte was written.
    pub fn first_byte(&self) -> Option<Instant> {
        self.first_byte.get().copied()
    }

    /// How many bytes the guest wrote.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}
