//! The entropy device (virtio 1.2, 5.4): random bytes from the host's generator.

use super::DeviceError;
use super::backend::{Active, Backend, Work};
use super::options::Options;
use super::spec::DeviceOptions;
use std::error::Error;

/// VIRTIO_ID_RNG.
const DEVICE_TYPE: u32 = 4;
const QUEUE_SIZE: u16 = 64;

/// The most bytes that one request gets. A driver asks again for more (virtio 1.2, 5.4.6.2: it
/// gets at least one byte).
const BYTES_MAX: usize = 4096;

/// `--rng`.
#[derive(Clone, Debug, Default)]
pub struct EntropyOptions {
    id: Option<String>,
}

impl EntropyOptions {
    /// Parses `[id=NAME]`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_options(Options::parse(text)?)
    }

    /// Makes it of what was said.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_options(mut options: Options) -> Result<Self, String> {
        let id = options.take("id");
        options.finish(&["id=NAME"])?;
        Ok(Self { id })
    }
}

impl DeviceOptions for EntropyOptions {
    fn kind(&self) -> &'static str {
        "rng"
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn open(&self) -> Result<Box<dyn Backend>, Box<dyn Error + Send + Sync>> {
        Ok(Box::new(Entropy))
    }
}

/// The device.
#[derive(Debug)]
struct Entropy;

impl Backend for Entropy {
    fn device_type(&self) -> u32 {
        DEVICE_TYPE
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE]
    }

    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    fn run(&mut self, mut active: Active) -> Work<'_, Result<(), DeviceError>> {
        Box::pin(async move {
            let mut queue = active.take_queue(0)?;
            let mut bytes = [0; BYTES_MAX];
            loop {
                queue.ready().await?;
                while let Some(mut chain) = queue.pop()? {
                    let size = bytes.len().min(chain.writable() as usize);
                    let random = bytes.get_mut(..size).unwrap_or_default();
                    crate::entropy::fill(random)
                        .map_err(DeviceError::host("asking the host for random bytes"))?;
                    let written = chain.write(random)?;
                    queue.push(chain, written as u32)?;
                }
                queue.notify()?;
                // Others of this thread have their turn between the requests of a driver that
                // never stops asking.
                tokio::task::yield_now().await;
            }
        })
    }
}
