//! A disk whose driver is the test, with its data where the test says.

use crate::device::block::BlockOptions;
use crate::device::block::request::Header;
use crate::device::features::{RING_EVENT_IDX, VERSION_1};
use crate::device::gate::Gate;
use crate::device::spec::DeviceOptions;
use crate::device::stats::QueueStats;
use crate::device::tests::rig::{self, NEXT, WRITE};
use pv_abi::Gpa;
use std::sync::Arc;
use zerocopy::IntoBytes;

const RAM_SIZE: u64 = 64 << 20;
/// Where the headers and the statuses of a queue's requests are, behind its rings.
const HEADERS: u64 = 0xc000;
/// Where data can be.
pub const DATA: u64 = 4 << 20;

/// A buffer of a request: where, how long, and whether the device writes it.
pub type Piece = (u64, u32, bool);

/// The disk and its driver.
pub struct Rig {
    rig: rig::Rig,
    /// How often a doorbell was rung.
    pub rung: u64,
}

impl Rig {
    /// A disk that is being served, with all features that it offers.
    pub fn new(options: &str) -> Self {
        let options = BlockOptions::parse(options).unwrap();
        let backend = DeviceOptions::open(&options).unwrap();
        let id = options.id().unwrap_or("disk");
        let mut rig = Self {
            rig: rig::Rig::with_ram(backend, id, RAM_SIZE),
            rung: 0,
        };
        rig.start(u64::MAX);
        rig
    }

    /// Begins to drive it, with those of `features` that it offers.
    pub fn start(&mut self, features: u64) {
        let (offered, _) = self.rig.device().offers();
        self.rig
            .start((features & offered) | VERSION_1 | RING_EVENT_IDX);
    }

    pub fn reset(&self) {
        self.rig.reset();
    }

    /// Where the thread of a disk that is being served is held.
    pub fn gate(&self) -> Arc<Gate> {
        self.rig.device().gate().unwrap()
    }

    pub fn needs_reset(&self) -> bool {
        self.rig.needs_reset()
    }

    pub fn stats(&self, queue: usize) -> QueueStats {
        self.rig.stats(queue)
    }

    pub fn put(&self, gpa: u64, bytes: &[u8]) {
        self.rig.ram.write(Gpa(gpa), bytes).unwrap();
    }

    pub fn get(&self, gpa: u64, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        self.rig.ram.read(Gpa(gpa), &mut bytes).unwrap();
        bytes
    }

    /// Gives the device a chain of pieces, without telling it. There are at most four pieces, and
    /// at most 64 chains at a time.
    pub fn give(&mut self, queue: usize, pieces: &[Piece]) {
        let rig::Rig { ram, queues, .. } = &mut self.rig;
        let queue = &mut queues[queue];
        let head = queue.offered() % 64 * 4;
        for (index, &(gpa, size, writable)) in (head..).zip(pieces) {
            let is_last = index + 1 == head + pieces.len() as u16;
            let next = if is_last { 0 } else { NEXT };
            let write = if writable { WRITE } else { 0 };
            queue.describe(ram, index, gpa, size, next | write, index + 1);
        }
        queue.offer(ram, head);
    }

    /// Rings the doorbell if the device wants that (virtio 1.2, 2.7.10).
    pub fn tell(&mut self, queue: usize, before: u16) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        let ring = &self.rig.queues[queue];
        let wanted = ring.available_event(&self.rig.ram);
        let news = ring.offered().wrapping_sub(wanted).wrapping_sub(1);
        if news < ring.offered().wrapping_sub(before) {
            self.rig.kick(queue);
            self.rung += 1;
        }
    }

    /// Gives a request with its data, and returns where its status will be.
    pub fn request(&mut self, queue: usize, kind: u32, sector: u64, data: &[Piece]) -> u64 {
        let ring = &self.rig.queues[queue];
        let before = ring.offered();
        let place = ring.rings + HEADERS + u64::from(before % 64) * 32;
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
    pub fn open(&self, queue: usize) -> u16 {
        let ring = &self.rig.queues[queue];
        let used = ring.used_index(&self.rig.ram);
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        ring.offered().wrapping_sub(used)
    }

    /// What the device said of the chain that was over last: how many bytes it wrote.
    pub fn written(&self, queue: usize) -> u32 {
        self.rig.queues[queue].last_written(&self.rig.ram)
    }

    /// Waits until `condition` holds.
    pub fn until(&mut self, condition: impl Fn(&mut Self) -> bool) {
        rig::wait_until(|| condition(self));
    }

    /// Waits until a queue has nothing open, or at most so many.
    pub fn wait(&mut self, queue: usize, most: u16) {
        self.until(|rig| rig.open(queue) <= most);
    }

    /// Does one request, and returns its status.
    pub fn one(&mut self, kind: u32, sector: u64, data: &[Piece]) -> u8 {
        let status = self.request(0, kind, sector, data);
        self.wait(0, 0);
        self.get(status, 1)[0]
    }
}
