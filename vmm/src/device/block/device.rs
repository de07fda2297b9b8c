//! The device: what the transport drives.

use super::disk::{Disk, QUEUE_SIZE};
use super::engine::{self, Engine};
use super::image::Image;
use super::in_flight::InFlight;
use super::server::Server;
use crate::device::DeviceError;
use crate::device::backend::{Active, Backend, Work};
use crate::device::rate::RateLimiter;
use std::path::PathBuf;
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;

/// A disk of the guest.
///
/// What is under way belongs to it and not to the future of [`Backend::run`], so that
/// [`Backend::stop`] can wait for it.
#[derive(Debug)]
pub struct BlockDevice {
    /// The image's name, for messages.
    pub(super) path: PathBuf,
    pub(super) image: Image,
    pub(super) disk: Disk,
    pub(super) rate: RateLimiter,
    /// While the device is served.
    pub(super) engine: Option<Engine>,
    pub(super) in_flight: InFlight,
}

impl BlockDevice {
    pub(super) fn new(path: PathBuf, image: Image, disk: Disk, rate: RateLimiter) -> Self {
        Self {
            path,
            image,
            disk,
            rate,
            engine: None,
            in_flight: InFlight::new(0),
        }
    }

    /// Waits for everything that is under way.
    async fn drain(&mut self) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        while engine.in_flight() > 0 {
            let waited = match engine.take() {
                Ok(Some(_)) => Ok(()),
                Ok(None) => engine.wait().await,
                Err(error) => Err(error),
            };
            if waited.is_err() {
                // Dropping the engine waits too.
                return;
            }
        }
    }
}

impl Backend for BlockDevice {
    fn device_type(&self) -> u32 {
        VIRTIO_ID_BLOCK
    }

    fn features(&self) -> u64 {
        self.disk.features()
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE; self.disk.queues.into()]
    }

    fn config(&self) -> Vec<u8> {
        self.disk.config()
    }

    fn run(&mut self, active: Active) -> Work<'_, Result<(), DeviceError>> {
        Box::pin(async move {
            self.in_flight = InFlight::new(engine::DEPTH);
            self.engine = Some(Engine::new(self.image.clone()));
            match Server::new(self, active) {
                Some(mut server) => server.serve().await,
                None => Ok(()),
            }
        })
    }

    fn finishes_first(&self) -> bool {
        true
    }

    fn stop(&mut self) -> Work<'_, ()> {
        Box::pin(async move {
            self.drain().await;
            self.engine = None;
            self.in_flight = InFlight::new(0);
        })
    }
}
