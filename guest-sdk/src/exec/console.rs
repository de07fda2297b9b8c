//! The console's input, as a future.

use super::AsyncPort;
use crate::console;
use crate::event::{Port, Priority, Source};
use crate::vcpu;
use core::time::Duration;
use pv_abi::Errno;

/// The console's input, for tasks to wait for. There is one at a time.
#[derive(Debug)]
pub struct AsyncConsole {
    port: AsyncPort,
}

impl AsyncConsole {
    /// Has this vCPU told of input.
    ///
    /// # Errors
    ///
    /// Those of [`Port::for_source`]; [`Errno::EBUSY`] while there is another.
    pub fn new() -> Result<Self, Errno> {
        let port = Port::for_source(Source::Console, vcpu::id(), Priority::default())?;
        Ok(Self {
            port: AsyncPort::new(port),
        })
    }

    /// Reads what was typed, at least one byte, and waits for that. 0 at the end of the input.
    ///
    /// # Errors
    ///
    /// Those of [`console::read`].
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match console::read_timeout(buffer, Duration::ZERO) {
                Err(Errno::EAGAIN) => self.port.wait().await,
                result => return result,
            }
        }
    }
}
