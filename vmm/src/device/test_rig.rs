//! A driver for tests: rings in RAM, a device on its thread, and no guest.

use super::backend::Backend;
use super::doorbell::Notifier;
use super::features;
use super::list::DeviceList;
use super::spec::OpenDevice;
use super::transport::Transport;
use crate::event::Events;
use crate::memory::{PrivateMemory, Ram};
use crate::vcpu::shared::Vcpus;
use pv_abi::Gpa;
use pv_abi::device::{
    DEVICE_ACKNOWLEDGE, DEVICE_DRIVER, DEVICE_DRIVER_OK, DEVICE_FEATURES_OK, DEVICE_NEEDS_RESET,
    QueueSetup,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RAM_SIZE: u64 = 64 << 20;
const QUEUE_SIZE: u16 = 16;
/// The rings of a queue.
const RINGS_SIZE: u64 = 0x3000;
/// Buffers are behind the rings of all queues.
const BUFFERS: u64 = 1 << 20;

const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// A request that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request(u64);

/// One that the device has.
struct Pending {
    request: Request,
    descriptors: Vec<u16>,
    /// The writable buffer.
    target: u64,
}

#[derive(Debug, Default)]
struct DriverQueue {
    free: Vec<u16>,
    made: u16,
    seen: u16,
}

/// A device with a driver that has set up all of its queues.
pub struct Rig {
    ram: Arc<Ram>,
    transport: Transport,
    queues: Vec<DriverQueue>,
    next_buffer: u64,
    next_request: u64,
    /// By queue and first descriptor.
    pending: HashMap<(u16, u16), Pending>,
    done: HashMap<Request, Vec<u8>>,
}

impl Rig {
    /// Drives a device, with all features of its type.
    pub fn new(backend: Box<dyn Backend>) -> Self {
        let accepted = backend.features();
        Self::with_features(backend, accepted)
    }

    /// Drives a device, with these features of its type.
    pub fn with_features(backend: Box<dyn Backend>, accepted: u64) -> Self {
        let ram = Arc::new(Ram::new(RAM_SIZE).unwrap());
        let memory = Arc::new(PrivateMemory::new(RAM_SIZE, 2).unwrap());
        let (event_page, vcpu_page) = (memory.allocate(1).unwrap(), memory.allocate(1).unwrap());
        let events = Events::new(memory, event_page, &[vcpu_page]);
        let notifier = Notifier::new(Arc::new(events), Arc::new(Vcpus::new(1)));
        let device = OpenDevice {
            id: "test".to_string(),
            kind: "test",
            backend,
        };
        let listed = DeviceList::new(vec![device]).unwrap().devices.remove(0);
        let queues = listed.queue_sizes.len();
        let mut rig = Self {
            transport: Transport::new(0, listed, &ram, &notifier),
            ram,
            queues: (0..queues).map(|_| DriverQueue::default()).collect(),
            next_buffer: BUFFERS,
            next_request: 0,
            pending: HashMap::new(),
            done: HashMap::new(),
        };
        rig.start(accepted);
        rig
    }

    fn start(&mut self, accepted: u64) {
        let mut status = 0;
        for bit in [DEVICE_ACKNOWLEDGE, DEVICE_DRIVER] {
            status |= bit;
            self.transport.set_status(status).unwrap();
        }
        let accepted = accepted | features::VERSION_1;
        self.transport.set_features(accepted).unwrap();
        status |= DEVICE_FEATURES_OK;
        self.transport.set_status(status).unwrap();
        for (index, queue) in (0..).zip(&mut self.queues) {
            let rings = RINGS_SIZE * u64::from(index);
            self.ram
                .write(Gpa(rings), &[0; RINGS_SIZE as usize])
                .unwrap();
            let setup = QueueSetup {
                size: QUEUE_SIZE.into(),
                reserved: 0,
                descriptors: rings,
                driver: rings + 0x1000,
                device: rings + 0x2000,
            };
            self.transport.setup_queue(index, &setup).unwrap();
            *queue = DriverQueue {
                free: (0..QUEUE_SIZE).rev().collect(),
                ..DriverQueue::default()
            };
        }
        self.pending.clear();
        self.done.clear();
        status |= DEVICE_DRIVER_OK;
        self.transport.set_status(status).unwrap();
    }

    /// Resets the device and drives it again.
    pub fn restart(&mut self, accepted: u64) {
        self.transport.set_status(0).unwrap();
        self.start(accepted);
    }

    /// Makes a request of one readable and one writable buffer, of which either may be empty.
    pub fn send(&mut self, queue: u16, readable: &[u8], writable: usize) -> Request {
        let rings = RINGS_SIZE * u64::from(queue);
        let size = (readable.len() + writable) as u64;
        if self.next_buffer + size > RAM_SIZE {
            self.next_buffer = BUFFERS;
        }
        let gpa = self.next_buffer;
        self.next_buffer += size;
        self.ram.write(Gpa(gpa), readable).unwrap();
        let target = gpa + readable.len() as u64;
        let mut buffers = Vec::new();
        if !readable.is_empty() {
            buffers.push((gpa, readable.len(), 0));
        }
        if writable > 0 {
            buffers.push((target, writable, WRITE));
        }
        let driver = &mut self.queues[usize::from(queue)];
        let used: Vec<u16> = buffers.iter().map(|_| driver.free.pop().unwrap()).collect();
        for (at, (gpa, size, flags)) in buffers.into_iter().enumerate() {
            let next = used.get(at + 1);
            let flags = flags | if next.is_some() { NEXT } else { 0 };
            let mut descriptor = gpa.to_le_bytes().to_vec();
            descriptor.extend((size as u32).to_le_bytes());
            descriptor.extend(flags.to_le_bytes());
            descriptor.extend(next.copied().unwrap_or(0).to_le_bytes());
            let place = rings + 16 * u64::from(used[at]);
            self.ram.write(Gpa(place), &descriptor).unwrap();
        }
        let head = used[0];
        let slot = rings + 0x1000 + 4 + 2 * u64::from(driver.made % QUEUE_SIZE);
        self.ram.write(Gpa(slot), &head.to_le_bytes()).unwrap();
        driver.made = driver.made.wrapping_add(1);
        let made = driver.made.to_le_bytes();
        self.ram.write(Gpa(rings + 0x1002), &made).unwrap();
        let request = Request(self.next_request);
        self.next_request += 1;
        let pending = Pending {
            request,
            descriptors: used,
            target,
        };
        self.pending.insert((queue, head), pending);
        self.transport.notify_queue(queue.into()).unwrap();
        request
    }

    /// Looks for requests that the device has put back.
    fn collect(&mut self) {
        for (index, driver) in (0u16..).zip(&mut self.queues) {
            let used = RINGS_SIZE * u64::from(index) + 0x2000;
            let mut count = [0; 2];
            self.ram.read(Gpa(used + 2), &mut count).unwrap();
            while driver.seen != u16::from_le_bytes(count) {
                let slot = used + 4 + 8 * u64::from(driver.seen % QUEUE_SIZE);
                driver.seen = driver.seen.wrapping_add(1);
                let mut entry = [[0; 4]; 2];
                self.ram.read(Gpa(slot), entry.as_flattened_mut()).unwrap();
                let [head, size] = entry.map(u32::from_le_bytes);
                let pending = self.pending.remove(&(index, head as u16)).unwrap();
                driver.free.extend(pending.descriptors);
                let mut bytes = vec![0; size as usize];
                self.ram.read(Gpa(pending.target), &mut bytes).unwrap();
                self.done.insert(pending.request, bytes);
            }
        }
    }

    /// What the device wrote for a request, if it has put it back.
    pub fn take(&mut self, request: Request) -> Option<Vec<u8>> {
        self.collect();
        self.done.remove(&request)
    }

    /// Waits until the device has put a request back: what it wrote.
    #[track_caller]
    pub fn wait(&mut self, request: Request) -> Vec<u8> {
        let bytes = self.until(|rig| rig.take(request));
        bytes.expect("the device needs a reset")
    }

    /// Waits until something is there, or the device needs a reset.
    #[track_caller]
    pub fn until<T>(&mut self, mut found: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            let needs_reset = self.needs_reset();
            let found = found(self);
            if found.is_some() || needs_reset {
                return found;
            }
            std::thread::yield_now();
        }
        panic!("the device does nothing");
    }

    /// Whether the device has stopped.
    pub fn needs_reset(&self) -> bool {
        self.transport.status() & DEVICE_NEEDS_RESET != 0
    }

    /// Waits until the device has stopped.
    #[track_caller]
    pub fn wait_for_needs_reset(&mut self) {
        let nothing = self.until(|_| None::<()>);
        assert_eq!(nothing, None);
    }

    /// What the device has counted under a name.
    pub fn counter(&self, name: &str) -> u64 {
        let counters = self.transport.shared.stats.counters();
        counters.get(name).copied().unwrap_or_default()
    }

    /// Makes a request and waits for it.
    #[track_caller]
    pub fn call(&mut self, queue: u16, readable: &[u8], writable: usize) -> Vec<u8> {
        let request = self.send(queue, readable, writable);
        self.wait(request)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.transport.shut_down();
    }
}
