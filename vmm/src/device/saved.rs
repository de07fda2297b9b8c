//! A device in a snapshot: what its driver has made of it. What it has of the host is opened anew.

use super::queue::ReadyQueue;
use super::transport::Transport;
use crate::snapshot::Inconsistent;
use crate::snapshot::few::few;
use pv_abi::device::QueueSetup;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use thiserror::Error;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDevice {
    /// Its name.
    pub id: String,
    /// What kind of device it is.
    pub kind: String,
    /// The features that it offers.
    pub offered: u64,
    /// The largest size of each queue.
    #[serde(deserialize_with = "few")]
    pub queue_sizes: Vec<u16>,
    /// Its status, as the driver has set it.
    pub status: u32,
    /// Whether it needs a reset.
    pub needs_reset: bool,
    /// The features that the driver uses.
    pub features: u64,
    /// The queues that were set up.
    #[serde(deserialize_with = "few")]
    pub queues: Vec<Option<SavedQueue>>,
    /// The configuration space.
    pub config: Vec<u8>,
    /// Its generation.
    pub config_generation: u32,
    /// What it knows of its driver beside that.
    pub notes: Vec<u8>,
}

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQueue {
    /// Number of descriptors.
    pub size: u32,
    /// Guest-physical address of the descriptors.
    pub descriptors: u64,
    /// That of the driver's ring.
    pub driver: u64,
    /// That of the device's ring.
    pub device: u64,
    /// How many requests were taken and are done, modulo 2^16.
    pub next_avail: u16,
    /// How many were put back, modulo 2^16.
    pub next_used: u16,
}

impl SavedQueue {
    /// As its driver has set it up.
    pub fn setup(&self) -> QueueSetup {
        QueueSetup {
            size: self.size,
            descriptors: self.descriptors,
            driver: self.driver,
            device: self.device,
            ..QueueSetup::default()
        }
    }
}

/// How far a queue has come, as its device's thread says and others read while it is held.
///
/// A request that was taken and not put back counts as not taken: devices that answer in another
/// order than they are asked finish all of them before they are held.
#[derive(Debug, Default)]
pub struct Progress {
    next_avail: AtomicU16,
    next_used: AtomicU16,
}

impl Progress {
    /// Notes it.
    pub fn set(&self, next_avail: u16, next_used: u16) {
        self.next_avail.store(next_avail, Ordering::Relaxed);
        self.next_used.store(next_used, Ordering::Relaxed);
    }

    /// How many were taken and put back.
    pub fn get(&self) -> (u16, u16) {
        (
            self.next_avail.load(Ordering::Relaxed),
            self.next_used.load(Ordering::Relaxed),
        )
    }
}

/// What a device knows of its driver that is not in its rings. Its thread changes it, and others read it
/// while that is held.
pub trait Notes: Debug + Send + Sync {
    /// All of it, as [`Backend::go_on_with`](super::backend::Backend::go_on_with) takes it.
    ///
    /// # Errors
    ///
    /// Why it cannot be saved.
    fn bytes(&self) -> Result<Vec<u8>, &'static str>;
}

/// Notes that are a fixed number of bytes. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct NoteBytes(Arc<[AtomicU8]>);

impl NoteBytes {
    /// So many bytes, which are 0.
    pub fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU8::new(0)).collect())
    }

    /// Changes one, if there is one of this number.
    pub fn set(&self, index: usize, byte: u8) {
        if let Some(note) = self.0.get(index) {
            note.store(byte, Ordering::Relaxed);
        }
    }

    /// All of them.
    pub fn get(&self) -> Vec<u8> {
        let bytes = self.0.iter().map(|note| note.load(Ordering::Relaxed));
        bytes.collect()
    }

    /// Makes all of them 0 again.
    pub fn clear(&self) {
        self.0
            .iter()
            .for_each(|note| note.store(0, Ordering::Relaxed));
    }

    /// Takes over those of a device that was saved.
    ///
    /// # Errors
    ///
    /// There are more of them, or fewer.
    pub fn take_over(&self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() != self.0.len() {
            return Err("it knows too much of its driver, or too little".into());
        }
        (0..)
            .zip(bytes)
            .for_each(|(index, &byte)| self.set(index, byte));
        Ok(())
    }
}

impl Notes for NoteBytes {
    fn bytes(&self) -> Result<Vec<u8>, &'static str> {
        Ok(self.get())
    }
}

/// Why a device does not fit a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FitError {
    /// It is another device.
    #[error("the device {id} does not fit the snapshot: {why}")]
    Other {
        /// Its name.
        id: String,
        /// What is different.
        why: String,
    },
    /// The devices are others.
    #[error("the snapshot has the devices {saved}, and the VM is to have {given}")]
    Devices {
        /// Those of the snapshot.
        saved: String,
        /// Those that were given.
        given: String,
    },
    /// No device can have been so.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
}

/// Checks that a queue can have been there, and makes it.
pub(super) fn restore_queue(
    transport: &Transport,
    index: usize,
    saved: &SavedQueue,
) -> Result<ReadyQueue, Inconsistent> {
    let queue = transport.ready_queue(index, &saved.setup());
    let mut queue = queue.map_err(|_| {
        let id = &transport.shared.id;
        Inconsistent(format!("queue {index} of the device {id} is not in RAM"))
    })?;
    queue.go_on_at(saved.next_avail, saved.next_used);
    Ok(queue)
}
