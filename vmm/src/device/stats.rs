//! What is counted of a device.

use crate::hypercall::stats::Histogram;
use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What is counted of a queue. Only its device's thread writes it, so the lock is free.
#[derive(Clone, Debug, Default)]
pub struct QueueStats {
    /// Requests that were put back.
    pub requests: u64,
    /// Bytes that the driver gave with them.
    pub bytes_from_guest: u64,
    /// Bytes that the device wrote for them.
    pub bytes_to_guest: u64,
    /// How often the guest rang the doorbell.
    pub doorbells: u64,
    /// Events that were raised.
    pub notifications: u64,
    /// Events that the driver did not want.
    pub suppressed_notifications: u64,
    /// From taking a request to putting it back, in cycles of the TSC.
    pub latency: Histogram,
}

/// What is counted of a device.
#[derive(Debug)]
pub struct DeviceStats {
    queues: Vec<Mutex<QueueStats>>,
    counters: Mutex<BTreeMap<&'static str, u64>>,
}

impl DeviceStats {
    /// Of a device with so many queues.
    pub fn new(queues: usize) -> Self {
        Self {
            queues: (0..queues).map(|_| Mutex::default()).collect(),
            counters: Mutex::default(),
        }
    }

    /// Adds to a counter of the device type's own.
    pub fn add(&self, name: &'static str, count: u64) {
        *lock(&self.counters).entry(name).or_default() += count;
    }

    /// The counters of the device type.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counters).clone()
    }

    /// What was counted of each queue.
    pub fn queues(&self) -> Vec<QueueStats> {
        self.queues
            .iter()
            .map(|queue| lock(queue).clone())
            .collect()
    }

    pub(super) fn of_queue(&self, queue: u16, count: impl FnOnce(&mut QueueStats)) {
        if let Some(stats) = self.queues.get(usize::from(queue)) {
            count(&mut lock(stats));
        }
    }
}
