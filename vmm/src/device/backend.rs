//! What a virtio device is to the transport.

use super::DeviceError;
use super::config::Config;
use super::gate::Gate;
use super::queue::DeviceQueue;
use super::saved::{NoteBytes, Notes};
use super::stats::DeviceStats;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

/// What a back end does, on the thread of its device.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A device.
pub trait Backend: Debug + Send + 'static {
    /// The device ID (virtio 1.2, chapter 5).
    fn device_type(&self) -> u32;

    /// The feature bits of the device type that are offered. Those of the transport
    /// ([`features::TRANSPORT`](super::features::TRANSPORT)) are added.
    fn features(&self) -> u64;

    /// The largest number of descriptors of each queue, powers of two.
    fn queue_sizes(&self) -> Vec<u16>;

    /// The configuration space at the beginning.
    fn config(&self) -> Vec<u8>;

    /// Serves the device. It ends when the device needs a reset; otherwise it is dropped, at any
    /// point where it waits, when the device is reset.
    ///
    /// It runs on a thread of its own, in a tokio runtime with I/O and time, and may use
    /// `spawn_local`; what it has spawned ends with it.
    fn run(&mut self, active: Active) -> Work<'_, Result<(), DeviceError>>;

    /// Whether [`Backend::run`] itself goes to its gate ([`Active::gate`]) when that is closed,
    /// because it has requests under way that the host's kernel works on. Otherwise the thread is
    /// held wherever it waits.
    fn finishes_first(&self) -> bool {
        false
    }

    /// What it knows of its driver beside what is in the rings, for snapshots.
    fn notes(&self) -> Arc<dyn Notes> {
        Arc::new(NoteBytes::default())
    }

    /// Is to go on, when it [runs](Backend::run), with what a device noted that was saved while it
    /// was served. Until then its own notes are the same.
    ///
    /// # Errors
    ///
    /// No such device can have noted that, or this one cannot go on with it.
    fn go_on_with(&mut self, notes: &[u8]) -> Result<(), String> {
        NoteBytes::default().take_over(notes)
    }

    /// Its driver has reset it: what is known of that driver is so no longer. It is not served then.
    fn forget(&mut self) {}

    /// Takes the place of a device that was saved when it had this configuration space: the one
    /// that it is to have.
    ///
    /// # Errors
    ///
    /// How it is another device than its driver knows.
    fn take_over(&mut self, config: &[u8]) -> Result<Vec<u8>, String> {
        if config == self.config() {
            Ok(config.to_vec())
        } else {
            Err("its size or another property of it is not what its driver knows".into())
        }
    }

    /// What is left to be done when [`Backend::run`] is over: once this is done, nothing of the
    /// device touches guest memory.
    fn stop(&mut self) -> Work<'_, ()> {
        Box::pin(async {})
    }
}

/// A device whose driver is ready.
#[derive(Debug)]
pub struct Active {
    /// The features that the driver uses.
    pub features: u64,
    /// The queues; `None` for one that the driver has not set up.
    pub queues: Vec<Option<DeviceQueue>>,
    /// The configuration space.
    pub config: Arc<Config>,
    /// What is counted.
    pub stats: Arc<DeviceStats>,
    /// Where the device is held while the VM is paused.
    pub gate: Arc<Gate>,
}

impl Active {
    /// Takes a queue that the device cannot do without.
    ///
    /// # Errors
    ///
    /// The driver has not set it up.
    pub fn take_queue(&mut self, index: usize) -> Result<DeviceQueue, DeviceError> {
        let queue = self.queues.get_mut(index).and_then(Option::take);
        queue.ok_or_else(|| DeviceError::Protocol(format!("queue {index} is not set up")))
    }
}
