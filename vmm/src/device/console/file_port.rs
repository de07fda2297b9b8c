//! A port whose host end is a file: what the guest writes is appended.

use super::socket_port::DROPPED;
use crate::device::DeviceError;
use crate::device::chain::Chain;
use crate::device::queue::DeviceQueue;
use crate::device::stats::DeviceStats;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

const BUFFER_SIZE: usize = 16 << 10;

/// The port.
#[derive(Debug)]
pub struct FilePort {
    /// The file, opened to append.
    pub file: File,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of the guest.
    pub from_guest: DeviceQueue,
    /// What is counted.
    pub stats: Arc<DeviceStats>,
}

impl FilePort {
    /// Serves the port. What the file does not take is dropped and counted.
    ///
    /// # Errors
    ///
    /// The device needs a reset.
    pub async fn serve(mut self) -> Result<(), DeviceError> {
        let mut bytes = vec![0; BUFFER_SIZE];
        let mut has_failed = false;
        loop {
            let mut chain = self.from_guest.next().await?;
            if let Err(error) = self.append(&mut chain, &mut bytes)? {
                if !has_failed {
                    let path = self.path.display();
                    tracing::warn!("the console's output to {path} is lost: {error}");
                }
                has_failed = true;
            }
            self.from_guest.push(chain, 0)?;
            self.from_guest.notify()?;
            tokio::task::yield_now().await;
        }
    }

    /// Appends what a request holds: what came of it.
    fn append(
        &mut self,
        chain: &mut Chain,
        bytes: &mut [u8],
    ) -> Result<std::io::Result<()>, DeviceError> {
        let mut result = Ok(());
        while chain.readable() > 0 {
            let count = chain.read(bytes)?;
            let bytes = bytes.get(..count).unwrap_or_default();
            if let Err(error) = self.file.write_all(bytes) {
                self.stats.add(DROPPED, count as u64);
                result = Err(error);
            }
        }
        Ok(result)
    }
}
