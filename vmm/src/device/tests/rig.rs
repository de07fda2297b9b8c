//! A VM's RAM and events with one device, and a driver for it.

use crate::device::backend::Backend;
use crate::device::doorbell::Notifier;
use crate::device::features;
use crate::device::list::DeviceList;
use crate::device::registry::Devices;
use crate::device::spec::OpenDevice;
use crate::device::stats::QueueStats;
use crate::device::transport::Transport;
use crate::event::Events;
use crate::event::port::Source;
use crate::memory::{PrivateMemory, Ram};
use crate::vcpu::shared::Vcpus;
use pv_abi::Gpa;
use pv_abi::device::{
    DEVICE_ACKNOWLEDGE, DEVICE_DRIVER, DEVICE_DRIVER_OK, DEVICE_FEATURES_OK, DEVICE_NEEDS_RESET,
    QueueSetup,
};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The most that a device may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const RAM_SIZE: u64 = 8 << 20;
/// Where the rings of the first queue are; those of each further one follow.
pub(crate) const RINGS: u64 = 0x1_0000;
const RINGS_STRIDE: u64 = 0x1_0000;
/// Where buffers are put, one after the other, round and round.
const BUFFERS: u64 = 0x20_0000;

const DRIVER: u32 = DEVICE_ACKNOWLEDGE | DEVICE_DRIVER;

pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const INDIRECT: u16 = 4;

/// A device, and what its driver knows.
#[derive(Debug)]
pub(crate) struct Rig {
    pub ram: Arc<Ram>,
    pub queues: Vec<DriverQueue>,
    devices: Devices,
    events: Arc<Events>,
}

/// A queue as its driver sees it.
#[derive(Clone, Debug)]
pub(crate) struct DriverQueue {
    pub size: u16,
    pub rings: u64,
    next_buffer: u64,
    next_descriptor: u16,
    available: u16,
    used: u16,
    /// For each head that is outstanding: where its writable buffers are.
    writable: Vec<Vec<(u64, u32)>>,
}

/// A request that the device has used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub head: u16,
    /// How many bytes the device says that it wrote.
    pub written: u32,
    /// What the writable buffers hold.
    pub bytes: Vec<u8>,
}

impl Rig {
    /// A VM with this device, which nobody has touched.
    pub fn new(backend: Box<dyn Backend>) -> Self {
        Self::with_ram(backend, "test", RAM_SIZE)
    }

    /// The same with a name for the device and so many bytes of RAM.
    pub fn with_ram(backend: Box<dyn Backend>, id: &str, size: u64) -> Self {
        let ram = Arc::new(Ram::new(size).unwrap());
        let private = Arc::new(PrivateMemory::new(size, 4).unwrap());
        let event_page = private.allocate(1).unwrap();
        let vcpu_page = private.allocate(1).unwrap();
        let events = Arc::new(Events::new(private, event_page, &[vcpu_page]));
        let vcpus = Arc::new(Vcpus::new(1));
        let open = OpenDevice {
            id: id.to_string(),
            kind: "test",
            backend,
        };
        let list = DeviceList::new(vec![open]).unwrap();
        let sizes = list.devices[0].queue_sizes.clone();
        let queues = (0..)
            .zip(sizes)
            .map(|(index, size)| DriverQueue {
                size,
                rings: RINGS + index * RINGS_STRIDE,
                next_buffer: BUFFERS + index * 0x10_0000,
                next_descriptor: 0,
                available: 0,
                used: 0,
                writable: vec![Vec::new(); size.into()],
            })
            .collect();
        let notifier = Notifier::new(Arc::clone(&events), vcpus);
        Self {
            devices: Devices::new(list, &ram, &notifier),
            ram,
            queues,
            events,
        }
    }

    /// The same with a driver that uses all features of the transport, and `features`.
    pub fn started(backend: Box<dyn Backend>, features: u64) -> Self {
        let mut rig = Self::new(backend);
        rig.start(features | features::TRANSPORT);
        rig
    }

    pub fn device(&self) -> &Transport {
        self.devices.get(0).unwrap()
    }

    /// Goes through the initialization of virtio 1.2, 3.1.1, with these features and all queues.
    pub fn start(&mut self, features: u64) {
        self.device().set_status(DRIVER).unwrap();
        self.device().set_features(features).unwrap();
        self.device()
            .set_status(DRIVER | DEVICE_FEATURES_OK)
            .unwrap();
        for (index, queue) in (0..).zip(&mut self.queues) {
            queue.clear(&self.ram);
            self.devices
                .get(0)
                .unwrap()
                .setup_queue(index, &queue.setup())
                .unwrap();
        }
        let status = DRIVER | DEVICE_FEATURES_OK | DEVICE_DRIVER_OK;
        self.device().set_status(status).unwrap();
    }

    /// Resets the device.
    pub fn reset(&self) {
        self.device().set_status(0).unwrap();
    }

    pub fn needs_reset(&self) -> bool {
        self.device().status() & DEVICE_NEEDS_RESET != 0
    }

    /// Gives the device a request: buffers that it reads, and sizes of buffers that it writes.
    pub fn add(&mut self, queue: usize, readable: &[&[u8]], writable: &[u32]) -> u16 {
        self.queues[queue].add(&self.ram, readable, writable)
    }

    /// Rings the doorbell.
    pub fn kick(&self, queue: usize) {
        self.device().notify_queue(queue as u32).unwrap();
    }

    /// Takes what the device has used, if there is something.
    pub fn poll(&mut self, queue: usize) -> Option<Used> {
        self.queues[queue].poll(&self.ram)
    }

    /// Waits for the device to use a request.
    pub fn wait(&mut self, queue: usize) -> Used {
        let start = Instant::now();
        loop {
            if let Some(used) = self.poll(queue) {
                return used;
            }
            let status = self.device().status();
            assert_eq!(status & DEVICE_NEEDS_RESET, 0, "the device needs a reset");
            assert!(start.elapsed() < PATIENCE, "the device does not answer");
            thread::yield_now();
        }
    }

    /// One request and its answer.
    pub fn request(&mut self, queue: usize, readable: &[&[u8]], writable: &[u32]) -> Used {
        let head = self.add(queue, readable, writable);
        self.kick(queue);
        let used = self.wait(queue);
        assert_eq!(used.head, head);
        used
    }

    /// Waits for something that the device does.
    pub fn wait_for(&mut self, mut what: impl FnMut(&mut Self) -> bool) {
        wait_until(|| what(self));
    }

    /// Binds a port to the event of a queue.
    pub fn bind(&self, queue: u8) -> u32 {
        self.events.bind_source(Source::Queue(queue), 0, 0).unwrap()
    }

    /// Whether a port is pending.
    pub fn is_pending(&self, port: u32) -> bool {
        self.events.is_pending(port)
    }

    pub fn stats(&self, queue: usize) -> QueueStats {
        self.device().shared.stats.queues()[queue].clone()
    }
}

impl DriverQueue {
    /// Where its parts are.
    pub fn setup(&self) -> QueueSetup {
        QueueSetup {
            size: self.size.into(),
            reserved: 0,
            descriptors: self.rings,
            driver: self.driver(),
            device: self.device(),
        }
    }

    pub fn driver(&self) -> u64 {
        self.rings + 0x8000
    }

    pub fn device(&self) -> u64 {
        self.rings + 0xb000
    }

    fn clear(&mut self, ram: &Ram) {
        ram.write(Gpa(self.rings), &[0; 0x1_0000]).unwrap();
        self.next_descriptor = 0;
        self.available = 0;
        self.used = 0;
    }

    /// Writes a descriptor.
    pub fn describe(&self, ram: &Ram, index: u16, gpa: u64, size: u32, flags: u16, next: u16) {
        let mut bytes = gpa.to_le_bytes().to_vec();
        bytes.extend(size.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        let at = self.rings + 16 * u64::from(index);
        ram.write(Gpa(at), &bytes).unwrap();
    }

    /// Makes a chain available.
    pub fn offer(&mut self, ram: &Ram, head: u16) {
        let slot = self.driver() + 4 + 2 * u64::from(self.available % self.size);
        ram.write(Gpa(slot), &head.to_le_bytes()).unwrap();
        self.available = self.available.wrapping_add(1);
        // The device reads the index with acquire semantics; a lock of this process orders it.
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let index = Gpa(self.driver() + 2);
        ram.write(index, &self.available.to_le_bytes()).unwrap();
    }

    /// Tells the device behind how many used buffers an event is wanted.
    pub fn set_used_event(&self, ram: &Ram, index: u16) {
        let at = self.driver() + 4 + 2 * u64::from(self.size);
        ram.write(Gpa(at), &index.to_le_bytes()).unwrap();
    }

    fn add(&mut self, ram: &Ram, readable: &[&[u8]], writable: &[u32]) -> u16 {
        let count = readable.len() + writable.len();
        assert!(count > 0 && count <= usize::from(self.size));
        let head = self.next_descriptor;
        let mut parts: Vec<(u64, u32, u16)> = Vec::new();
        for bytes in readable {
            let gpa = self.place(bytes.len() as u64);
            ram.write(Gpa(gpa), bytes).unwrap();
            parts.push((gpa, bytes.len() as u32, 0));
        }
        for &size in writable {
            let gpa = self.place(size.into());
            ram.write(Gpa(gpa), &vec![0xee; size as usize]).unwrap();
            parts.push((gpa, size, WRITE));
        }
        for (at, &(gpa, size, flags)) in parts.iter().enumerate() {
            let index = self.next_descriptor;
            self.next_descriptor = (index + 1) % self.size;
            let more = if at + 1 < count { NEXT } else { 0 };
            self.describe(ram, index, gpa, size, flags | more, self.next_descriptor);
        }
        let written = parts.iter().filter(|part| part.2 == WRITE);
        self.writable[usize::from(head)] = written.map(|part| (part.0, part.1)).collect();
        self.offer(ram, head);
        head
    }

    fn place(&mut self, size: u64) -> u64 {
        let end = BUFFERS + 0x60_0000;
        if self.next_buffer + size > end {
            self.next_buffer = BUFFERS;
        }
        let at = self.next_buffer;
        self.next_buffer += size.next_multiple_of(64);
        at
    }

    /// How many chains were made available, modulo 2^16.
    pub fn offered(&self) -> u16 {
        self.available
    }

    /// How many chains the device says that it has used, modulo 2^16.
    pub fn used_index(&self, ram: &Ram) -> u16 {
        word_at(ram, self.device() + 2)
    }

    /// How many bytes the device says that it wrote for the chain that it used last.
    pub fn last_written(&self, ram: &Ram) -> u32 {
        let last = self.used_index(ram).wrapping_sub(1) % self.size;
        let mut bytes = [0; 4];
        let at = self.device() + 4 + 8 * u64::from(last) + 4;
        ram.read(Gpa(at), &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    /// Behind how many available chains the device wants to be told (virtio 1.2, 2.7.10).
    pub fn available_event(&self, ram: &Ram) -> u16 {
        word_at(ram, self.device() + 4 + 8 * u64::from(self.size))
    }

    /// Passes over what the device says that it has used.
    pub fn poll_unchecked(&mut self, ram: &Ram) {
        self.used = self.used_index(ram);
    }

    fn poll(&mut self, ram: &Ram) -> Option<Used> {
        let word = |at: u64| {
            let mut bytes = [0; 4];
            ram.read(Gpa(at), &mut bytes).unwrap();
            u32::from_le_bytes(bytes)
        };
        if self.used_index(ram) == self.used {
            return None;
        }
        let element = self.device() + 4 + 8 * u64::from(self.used % self.size);
        self.used = self.used.wrapping_add(1);
        let (head, written) = (word(element) as u16, word(element + 4));
        let mut bytes = Vec::new();
        for &(gpa, size) in &self.writable[usize::from(head)] {
            let start = bytes.len();
            bytes.resize(start + size as usize, 0);
            ram.read(Gpa(gpa), &mut bytes[start..]).unwrap();
        }
        Some(Used {
            head,
            written,
            bytes,
        })
    }
}

/// Waits for something that a device does.
pub(crate) fn wait_until(mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        thread::yield_now();
    }
}

fn word_at(ram: &Ram, gpa: u64) -> u16 {
    let mut bytes = [0; 2];
    ram.read(Gpa(gpa), &mut bytes).unwrap();
    u16::from_le_bytes(bytes)
}
