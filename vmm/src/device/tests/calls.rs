//! Requests that are known by a name, and may be answered in any order.

use super::rig::Rig;
use crate::device::backend::Backend;
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

/// The most that a device may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Request(u64);

/// A device with a driver that waits for one answer or another.
#[derive(Debug)]
pub(crate) struct Calls {
    rig: Rig,
    next: u64,
    /// By queue and first descriptor.
    pending: HashMap<(usize, u16), Request>,
    done: HashMap<Request, Vec<u8>>,
}

impl Calls {
    /// Starts a device with all features of its type.
    pub fn new(backend: Box<dyn Backend>) -> Self {
        let features = backend.features();
        Self::with_features(backend, features)
    }

    /// Starts a device with these features of its type.
    pub fn with_features(backend: Box<dyn Backend>, features: u64) -> Self {
        Self {
            rig: Rig::started(backend, features),
            next: 0,
            pending: HashMap::new(),
            done: HashMap::new(),
        }
    }

    /// Resets the device and starts it again.
    pub fn restart(&mut self, features: u64) {
        self.rig.reset();
        self.rig
            .start(features | crate::device::features::TRANSPORT);
        self.pending.clear();
        self.done.clear();
    }

    /// Makes a request of one readable and one writable buffer, of which either may be empty.
    pub fn send(&mut self, queue: u16, readable: &[u8], writable: usize) -> Request {
        let queue = usize::from(queue);
        let (readable, writable) = ([readable], [writable as u32]);
        let readable = &readable[..usize::from(!readable[0].is_empty())];
        let writable = &writable[..usize::from(writable[0] > 0)];
        let head = self.rig.add(queue, readable, writable);
        let request = Request(self.next);
        self.next += 1;
        self.pending.insert((queue, head), request);
        self.rig.kick(queue);
        request
    }

    /// What the device wrote for a request, if it has put it back.
    pub fn take(&mut self, request: Request) -> Option<Vec<u8>> {
        for queue in 0..self.rig.queues.len() {
            while let Some(used) = self.rig.poll(queue) {
                let mut bytes = used.bytes;
                bytes.truncate(used.written as usize);
                let request = self.pending.remove(&(queue, used.head)).unwrap();
                self.done.insert(request, bytes);
            }
        }
        self.done.remove(&request)
    }

    /// Waits until the device has put a request back: what it wrote.
    #[track_caller]
    pub fn wait(&mut self, request: Request) -> Vec<u8> {
        let start = Instant::now();
        loop {
            // Before the answer is looked for, which may come before it stops.
            let needs_reset = self.rig.needs_reset();
            if let Some(bytes) = self.take(request) {
                return bytes;
            }
            assert!(!needs_reset, "the device needs a reset");
            assert!(start.elapsed() < PATIENCE, "the device does not answer");
            thread::yield_now();
        }
    }

    /// Makes a request and waits for it.
    #[track_caller]
    pub fn call(&mut self, queue: u16, readable: &[u8], writable: usize) -> Vec<u8> {
        let request = self.send(queue, readable, writable);
        self.wait(request)
    }

    /// Waits until the device has stopped.
    pub fn wait_for_needs_reset(&mut self) {
        self.rig.wait_for(|rig| rig.needs_reset());
    }

    /// What the device has counted under a name.
    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.rig.device().shared.stats.counters();
        counters.get(name).copied().unwrap_or_default()
    }
}
