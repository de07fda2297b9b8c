//! Where a guest's output goes.
#![allow(unsafe_code)]

use super::ConsoleError;
use super::labelled::LabelledOutput;
use super::ring::Ring;
use crate::sync::lock;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Where a guest's output goes.
#[derive(Debug)]
pub enum Output {
    /// A file, pipe or terminal.
    File(File),
    /// Memory, up to a limit; what comes after it is dropped.
    Memory {
        /// What was written.
        bytes: Mutex<Vec<u8>>,
        /// The most bytes to keep.
        limit: usize,
    },
    /// That of one of several guests, which share a file.
    Labelled(LabelledOutput),
    /// Memory that any number of readers read meanwhile; the guest waits for none of them.
    Ring(Arc<Ring>),
    /// Code of the VMM's, which sees each piece while the guest waits.
    Observed(Observer),
}

/// Looks at what a guest writes, on the vCPU's thread.
pub struct Observer(Box<Observe>);

/// Called with each piece of output.
type Observe = dyn Fn(&[u8]) + Send + Sync;

impl Observer {
    /// One that calls this.
    pub fn new(observe: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self(Box::new(observe))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

impl Output {
    /// The process's standard output.
    pub fn stdout() -> std::io::Result<Self> {
        let owned = std::io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self::File(File::from(owned)))
    }

    /// Memory, at most `limit` bytes.
    pub fn memory(limit: usize) -> Self {
        Self::Memory {
            bytes: Mutex::new(Vec::new()),
            limit,
        }
    }

    /// What was written to memory; nothing for a file.
    pub fn captured(&self) -> Vec<u8> {
        match self {
            Self::File(_) | Self::Labelled(_) | Self::Ring(_) | Self::Observed(_) => Vec::new(),
            Self::Memory { bytes, .. } => lock(bytes).clone(),
        }
    }

    pub(super) fn write_all(
        &self,
        bytes: &[u8],
        stopping: &AtomicBool,
    ) -> Result<(), ConsoleError> {
        match self {
            Self::File(file) => write_file(file, bytes, stopping),
            Self::Memory { bytes: kept, limit } => {
                let mut kept = lock(kept);
                let room = limit.saturating_sub(kept.len()).min(bytes.len());
                kept.extend(bytes.iter().take(room));
                Ok(())
            }
            Self::Labelled(output) => {
                output.write(bytes, |file, lines| write_file(file, lines, stopping))
            }
            Self::Ring(ring) => {
                ring.write(bytes);
                Ok(())
            }
            Self::Observed(Observer(observe)) => {
                observe(bytes);
                Ok(())
            }
        }
    }

    /// Passes on what waits for the end of its line.
    pub(super) fn flush(&self, stopping: &AtomicBool) -> Result<(), ConsoleError> {
        match self {
            Self::File(_) | Self::Memory { .. } | Self::Ring(_) | Self::Observed(_) => Ok(()),
            Self::Labelled(output) => output.flush(|file, line| write_file(file, line, stopping)),
        }
    }
}

fn write_file(mut file: &File, bytes: &[u8], stopping: &AtomicBool) -> Result<(), ConsoleError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        if stopping.load(Ordering::SeqCst) {
            return Err(ConsoleError::Stopping);
        }
        match file.write(rest) {
            Ok(0) => return Err(ConsoleError::Closed),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            // A signal: look whether it is time to stop.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Somebody else made the other end non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait_until_writable(file),
            Err(_) => return Err(ConsoleError::Closed),
        }
    }
    Ok(())
}

fn wait_until_writable(file: &File) {
    let mut poll = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one live pollfd. A failure, a signal included, only makes the caller try again.
    unsafe { libc::poll(&mut poll, 1, -1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_the_first_bytes() {
        let output = Output::memory(4);
        let stopping = AtomicBool::new(false);
        output.write_all(b"abc", &stopping).unwrap();
        output.write_all(b"def", &stopping).unwrap();
        assert_eq!(output.captured(), b"abcd");
    }

    #[test]
    fn a_reader_that_is_gone_closes_the_console() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Output::File(File::from(std::os::fd::OwnedFd::from(writer)));
        let result = output.write_all(b"x", &AtomicBool::new(false));
        assert_eq!(result, Err(ConsoleError::Closed));
    }

    #[test]
    fn a_console_that_is_stopped_writes_nothing_more() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let output = Output::File(File::from(std::os::fd::OwnedFd::from(writer)));
        let result = output.write_all(b"x", &AtomicBool::new(true));
        assert_eq!(result, Err(ConsoleError::Stopping));
        drop(output);
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut rest).unwrap();
        assert!(rest.is_empty());
    }
}
