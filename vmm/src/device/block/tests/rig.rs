//! A disk whose driver is the test: rings in RAM, and the transport's calls.

use crate::device::block::BlockOptions;
use crate::device::block::request::Header;
use crate::device::doorbell::Notifier;
use crate::device::features::{RING_EVENT_IDX, VERSION_1};
use crate::device::list::DeviceList;
use crate::device::spec::{DeviceOptions, OpenDevice};
use crate::device::stats::QueueStats;
use crate::device::transport::Transport;
use crate::event::Events;
use crate::memory::{PrivateMemory, Ram};
use crate::vcpu::shared::Vcpus;
use pv_abi::Gpa;
use pv_abi::device::{
    DEVICE_ACKNOWLEDGE, DEVICE_DRIVER, DEVICE_DRIVER_OK, DEVICE_FEATURES_OK, DEVICE_NEEDS_RESET,
    QueueSetup,
};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

const RAM_SIZE: u64 = 64 << 20;
const QUEUE_SIZE: u16 = 256;
/// A queue's rings, and then the headers and statuses of its requests.
const QUEUE_AREA: u64 = 64 << 10;
const DRIVER: u64 = 8 << 10;
const DEVICE: u64 = 12 << 10;
const HEADERS: u64 = 16 << 10;
/// Where data can be.
pub const DATA: u64 = 4 << 20;

/// A buffer of a request: where, how long, and whether the device writes it.
pub type Piece = (u64, u32, bool);

struct Ring {
    base: u64,
    // How many requests were given, and how many of those were seen to be over.
    given: u16,
    seen: u16,
}

/// The disk and its driver.
pub struct Rig {
    pub ram: Arc<Ram>,
    pub transport: Transport,
    rings: Vec<Ring>,
    /// How often a doorbell was rung.
    pub rung: u64,
}

impl Rig {
    /// A disk that is being served, with all features that it offers.
    pub fn new(options: &str) -> Self {
        let mut rig = Self::stopped(options);
        rig.start(u64::MAX);
        rig
    }

    fn stopped(options: &str) -> Self {
        let options = BlockOptions::parse(options).unwrap();
        let backend = DeviceOptions::open(&options).unwrap();
        let (id, kind) = (options.id().unwrap_or("disk").to_string(), options.kind());
        let list = DeviceList::new(vec![OpenDevice { id, kind, backend }]).unwrap();
        let listed = list.devices.into_iter().next().unwrap();
        let memory = Arc::new(PrivateMemory::new(RAM_SIZE, 2).unwrap());
        let event_page = memory.allocate(1).unwrap();
        let vcpu_page = memory.allocate(1).unwrap();
        let events = Arc::new(Events::new(memory, event_page, &[vcpu_page]));
        let notifier = Notifier::new(events, Arc::new(Vcpus::new(1)));
        let ram = Arc::new(Ram::new(RAM_SIZE).unwrap());
        Self {
            transport: Transport::new(0, listed, &ram, &notifier),
            ram,
            rings: Vec::new(),
            rung: 0,
        }
    }

    /// Begins to drive it, with those of `features` that it offers.
    pub fn start(&mut self, features: u64) {
        let (offered, queues) = self.transport.offers();
        let mut status = DEVICE_ACKNOWLEDGE | DEVICE_DRIVER;
        self.transport.set_status(status).unwrap();
        let wanted = (features & offered) | VERSION_1 | RING_EVENT_IDX;
        self.transport.set_features(wanted).unwrap();
        status |= DEVICE_FEATURES_OK;
        self.transport.set_status(status).unwrap();
        self.rings.clear();
        for queue in 0..queues as u64 {
            let base = queue * QUEUE_AREA;
            self.ram
                .write(Gpa(base), &vec![0; HEADERS as usize])
                .unwrap();
            let setup = QueueSetup {
                size: QUEUE_SIZE.into(),
                reserved: 0,
                descriptors: base,
                driver: base + DRIVER,
                device: base + DEVICE,
            };
            self.transport.setup_queue(queue as u32, &setup).unwrap();
            self.rings.push(Ring {
                base,
                given: 0,
                seen: 0,
            });
        }
        self.transport
            .set_status(status | DEVICE_DRIVER_OK)
            .unwrap();
    }

    pub fn reset(&self) {
        self.transport.set_status(0).unwrap();
    }

    pub fn needs_reset(&self) -> bool {
        self.transport.status() & DEVICE_NEEDS_RESET != 0
    }

    pub fn stats(&self, queue: usize) -> QueueStats {
        self.transport.shared.stats.queues().remove(queue)
    }

    pub fn put(&self, gpa: u64, bytes: &[u8]) {
        self.ram.write(Gpa(gpa), bytes).unwrap();
    }

    pub fn get(&self, gpa: u64, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        self.ram.read(Gpa(gpa), &mut bytes).unwrap();
        bytes
    }

    fn index(&self, gpa: u64) -> u16 {
        let bytes = self.get(gpa, 2);
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    /// Gives the device a chain of pieces, without telling it. There are at most four pieces, and
    /// at most 64 chains at a time.
    pub fn give(&mut self, queue: usize, pieces: &[Piece]) {
        let ring = &mut self.rings[queue];
        let slot = ring.given % 64;
        let (base, given) = (ring.base, ring.given);
        ring.given = given.wrapping_add(1);
        let last = pieces.len() - 1;
        for (number, &(gpa, size, writable)) in pieces.iter().enumerate() {
            let index = slot * 4 + number as u16;
            let next = if number == last { 0 } else { index + 1 };
            let flags = u16::from(number != last) | u16::from(writable) << 1;
            let mut descriptor = Vec::new();
            descriptor.extend(gpa.to_le_bytes());
            descriptor.extend(size.to_le_bytes());
            descriptor.extend(flags.to_le_bytes());
            descriptor.extend(next.to_le_bytes());
            self.put(base + u64::from(index) * 16, &descriptor);
        }
        let entry = base + DRIVER + 4 + u64::from(given % QUEUE_SIZE) * 2;
        self.put(entry, &(slot * 4).to_le_bytes());
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        self.put(base + DRIVER + 2, &given.wrapping_add(1).to_le_bytes());
    }

    /// Rings the doorbell if the device wants that (virtio 1.2, 2.7.10).
    pub fn tell(&mut self, queue: usize, before: u16) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let ring = &self.rings[queue];
        let wanted = self.index(ring.base + DEVICE + 4 + 8 * u64::from(QUEUE_SIZE));
        let news = ring.given.wrapping_sub(wanted).wrapping_sub(1);
        if news < ring.given.wrapping_sub(before) {
            self.transport.notify_queue(queue as u32).unwrap();
            self.rung += 1;
        }
    }

    /// Gives a request with its data, and returns where its status will be.
    pub fn request(&mut self, queue: usize, kind: u32, sector: u64, data: &[Piece]) -> u64 {
        let ring = &self.rings[queue];
        let place = ring.base + HEADERS + u64::from(ring.given % 64) * 32;
        let before = ring.given;
        let header = Header {
            kind: kind.into(),
            reserved: 0.into(),
            sector: sector.into(),
        };
        self.put(place, header.as_bytes());
        self.put(place + 16, &[0xaa]);
        let mut pieces = vec![(place, 16, false)];
        pieces.extend(data);
        pieces.push((place + 16, 1, true));
        self.give(queue, &pieces);
        self.tell(queue, before);
        place + 16
    }

    /// How many chains were given and are not over.
    pub fn open(&mut self, queue: usize) -> u16 {
        let used = self.index(self.rings[queue].base + DEVICE + 2);
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let ring = &mut self.rings[queue];
        ring.seen = used;
        ring.given.wrapping_sub(used)
    }

    /// What the device said of the chain that was over last: how many bytes it wrote.
    pub fn written(&self, queue: usize) -> u32 {
        let ring = &self.rings[queue];
        let entry = u64::from(ring.seen.wrapping_sub(1) % QUEUE_SIZE) * 8;
        let bytes = self.get(ring.base + DEVICE + 4 + entry + 4, 4);
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Waits until `condition` holds.
    pub fn until(&mut self, what: &str, condition: impl Fn(&mut Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            let broken = start.elapsed() > Duration::from_secs(20);
            assert!(
                !broken,
                "{what} has not come; status {:#x}",
                self.transport.status()
            );
            std::thread::yield_now();
        }
    }

    /// Waits until a queue has nothing open, or at most so many.
    pub fn wait(&mut self, queue: usize, most: u16) {
        self.until("the end of requests", |rig| rig.open(queue) <= most);
    }

    /// Does one request, and returns its status.
    pub fn one(&mut self, kind: u32, sector: u64, data: &[Piece]) -> u8 {
        let status = self.request(0, kind, sector, data);
        self.wait(0, 0);
        self.get(status, 1)[0]
    }
}
