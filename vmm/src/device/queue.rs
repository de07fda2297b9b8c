//! A queue of a device that is being served: its rings, its doorbell and its event.

use super::DeviceError;
use super::chain::Chain;
use super::doorbell::{Doorbell, Notifier};
use super::features;
use super::saved::{Progress, SavedQueue};
use super::stats::DeviceStats;
use super::watched::Watched;
use crate::event::port::Source;
use crate::hypercall::stats::timestamp;
use crate::memory::Ram;
use crate::memory::dma::DeviceWrite;
use pv_abi::device::QueueSetup;
use pv_abi::{Errno, Gpa};
use rustix::io::read;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::Interest;
use virtio_queue::{Queue, QueueOwnedT, QueueT};

/// A queue that the driver has set up.
#[derive(Debug)]
pub struct ReadyQueue {
    queue: Queue,
    ram: Arc<Ram>,
    progress: Arc<Progress>,
    // As long as the device may write to the used ring, it cannot be sealed.
    _used_ring: DeviceWrite,
}

impl ReadyQueue {
    /// Checks where a queue is to be.
    ///
    /// # Errors
    ///
    /// Those of `io_queue_setup`.
    pub fn new(ram: &Arc<Ram>, size_max: u16, setup: &QueueSetup) -> Result<Self, Errno> {
        let size = u16::try_from(setup.size).map_err(|_| Errno::EINVAL)?;
        if setup.reserved != 0 || !size.is_power_of_two() || size > size_max {
            return Err(Errno::EINVAL);
        }
        let aligned = |gpa: u64, alignment: u64| gpa.is_multiple_of(alignment);
        if !aligned(setup.descriptors, 16) || !aligned(setup.driver, 2) || !aligned(setup.device, 4)
        {
            return Err(Errno::EFAULT);
        }
        // Sizes of virtio 1.2, 2.7, each with the two bytes for events.
        let count = u64::from(size);
        ram.check_range(Gpa(setup.descriptors), 16 * count)?;
        ram.check_range(Gpa(setup.driver), 6 + 2 * count)?;
        let used_ring = ram.begin_device_write(Gpa(setup.device), 6 + 8 * count)?;

        let mut queue = Queue::new(size_max).map_err(|_| Errno::EINVAL)?;
        let halves = |gpa: u64| (Some(gpa as u32), Some((gpa >> 32) as u32));
        queue.set_size(size);
        let (low, high) = halves(setup.descriptors);
        queue.set_desc_table_address(low, high);
        let (low, high) = halves(setup.driver);
        queue.set_avail_ring_address(low, high);
        let (low, high) = halves(setup.device);
        queue.set_used_ring_address(low, high);
        queue.set_ready(true);
        Ok(Self {
            queue,
            ram: Arc::clone(ram),
            progress: Arc::default(),
            _used_ring: used_ring,
        })
    }

    /// Lets it go on where it was when it was saved.
    pub(super) fn go_on_at(&mut self, next_avail: u16, next_used: u16) {
        self.queue.set_next_avail(next_avail);
        self.queue.set_next_used(next_used);
        self.progress.set(next_avail, next_used);
    }

    /// What it is in a snapshot, but how far it has come; that is said by the second one.
    pub(super) fn describe(&self) -> (SavedQueue, Arc<Progress>) {
        let saved = SavedQueue {
            size: self.queue.size().into(),
            descriptors: self.queue.desc_table(),
            driver: self.queue.avail_ring(),
            device: self.queue.used_ring(),
            next_avail: 0,
            next_used: 0,
        };
        (saved, Arc::clone(&self.progress))
    }
}

/// A queue that a device serves.
#[derive(Debug)]
pub struct DeviceQueue {
    index: u16,
    ready: ReadyQueue,
    bell: Watched,
    notifier: Notifier,
    source: Source,
    stats: Arc<DeviceStats>,
    /// Requests that were taken and not put back.
    outstanding: u16,
    /// What a request was kept in, for the next one.
    spare: Vec<Chain>,
}

impl DeviceQueue {
    /// Begins to serve a queue, on the thread of its device.
    pub(super) fn new(
        index: u16,
        mut ready: ReadyQueue,
        accepted: u64,
        doorbell: &Doorbell,
        notifier: Notifier,
        stats: Arc<DeviceStats>,
    ) -> io::Result<Self> {
        ready
            .queue
            .set_event_idx(accepted & features::RING_EVENT_IDX != 0);
        Ok(Self {
            index,
            ready,
            bell: Watched::new(doorbell.listener()?, Interest::READABLE)?,
            notifier,
            source: Source::Queue(doorbell.number),
            stats,
            outstanding: 0,
            spare: Vec::new(),
        })
    }

    /// Its number in its device.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Its number of descriptors.
    pub fn size(&self) -> u16 {
        self.ready.queue.size()
    }

    /// Says how far the queue has come.
    fn note_progress(&self) {
        let queue = &self.ready.queue;
        let done = queue.next_avail().wrapping_sub(self.outstanding);
        self.ready.progress.set(done, queue.next_used());
    }

    fn broken(&self, reason: impl ToString) -> DeviceError {
        DeviceError::Queue {
            queue: self.index,
            reason: reason.to_string(),
        }
    }

    /// Takes the next request; nothing when there is none now.
    ///
    /// # Errors
    ///
    /// The rings or the chain of descriptors are broken: the device needs a reset.
    pub fn pop(&mut self) -> Result<Option<Chain>, DeviceError> {
        let ram = Arc::clone(&self.ready.ram);
        let memory = ram.rings();
        // An index that is too far ahead is an error here, and nothing but an empty queue in
        // `pop_descriptor_chain`.
        let found = match self.ready.queue.iter(memory) {
            Ok(mut chains) => chains.next(),
            Err(error) => return Err(self.broken(error)),
        };
        let Some(descriptors) = found else {
            return Ok(None);
        };
        if self.outstanding >= self.size() {
            return Err(self.broken("more requests than it has descriptors"));
        }
        let mut chain = match self.spare.pop() {
            Some(chain) => chain,
            None => Chain::empty(Arc::clone(&ram)),
        };
        let head = descriptors.head_index();
        chain
            .read_descriptors(head, descriptors)
            .map_err(|reason| DeviceError::Chain {
                queue: self.index,
                head,
                reason,
            })?;
        chain.taken = timestamp();
        self.outstanding += 1;
        self.note_progress();
        Ok(Some(chain))
    }

    /// Gives back the request that was taken last, as if it had not been.
    pub fn unpop(&mut self, chain: Chain) {
        self.ready.queue.go_to_previous_position();
        self.recycle(chain);
        self.note_progress();
    }

    fn recycle(&mut self, chain: Chain) {
        self.outstanding = self.outstanding.saturating_sub(1);
        if self.spare.len() < usize::from(self.size()) {
            self.spare.push(chain);
        }
    }

    /// Whether there is a request, without taking it.
    ///
    /// # Errors
    ///
    /// The rings are broken.
    pub fn has_request(&self) -> Result<bool, DeviceError> {
        let queue = &self.ready.queue;
        let available = queue
            .avail_idx(self.ready.ram.rings(), Ordering::Acquire)
            .map_err(|error| self.broken(error))?;
        Ok(available.0 != queue.next_avail())
    }

    /// Waits until there is a request.
    ///
    /// # Errors
    ///
    /// The rings are broken, or the host failed.
    pub async fn ready(&mut self) -> Result<(), DeviceError> {
        loop {
            if self.has_request()? {
                return Ok(());
            }
            let ram = Arc::clone(&self.ready.ram);
            // It looks again once the driver knows that it is to ring.
            let came = self.ready.queue.enable_notification(ram.rings());
            if came.map_err(|error| self.broken(error))? {
                return Ok(());
            }
            // With event indices the driver's further doorbells are suppressed by the place alone.
            // Without them they are not: drivers are about that do not fence their look at the
            // flag, and would leave the device asleep.
            self.hear().await?;
        }
    }

    /// Waits for the doorbell.
    async fn hear(&mut self) -> Result<(), DeviceError> {
        let failed = DeviceError::host("waiting for a doorbell");
        let mut guard = self.bell.readable().await.map_err(&failed)?;
        let mut count = [0; 8];
        match guard.try_io(|bell| Ok(read(bell.get_ref(), &mut count)?)) {
            Ok(Ok(_)) => self.stats.of_queue(self.index, |stats| {
                stats.doorbells += u64::from_ne_bytes(count);
            }),
            Ok(Err(error)) => return Err(failed(error)),
            // It was heard before.
            Err(_would_block) => {}
        }
        Ok(())
    }

    /// Takes the next request, waiting for it.
    ///
    /// # Errors
    ///
    /// As [`DeviceQueue::pop`] and [`DeviceQueue::ready`].
    pub async fn next(&mut self) -> Result<Chain, DeviceError> {
        loop {
            if let Some(chain) = self.pop()? {
                return Ok(chain);
            }
            self.ready().await?;
        }
    }

    /// Puts a request back as used, with so many bytes written. [`DeviceQueue::notify`] is to follow, after
    /// one or after many.
    ///
    /// # Errors
    ///
    /// The rings are broken.
    pub fn push(&mut self, chain: Chain, written: u32) -> Result<(), DeviceError> {
        let ram = Arc::clone(&self.ready.ram);
        let used = self
            .ready
            .queue
            .add_used(ram.rings(), chain.head(), written);
        used.map_err(|error| self.broken(error))?;
        let latency = timestamp().wrapping_sub(chain.taken);
        self.stats.of_queue(self.index, |stats| {
            stats.requests += 1;
            stats.bytes_from_guest += u64::from(chain.given);
            stats.bytes_to_guest += u64::from(written);
            stats.latency.record(latency);
        });
        self.recycle(chain);
        self.note_progress();
        Ok(())
    }

    /// Tells the guest of what was put back, if its driver wants to know.
    ///
    /// # Errors
    ///
    /// The rings are broken.
    pub fn notify(&mut self) -> Result<(), DeviceError> {
        let ram = Arc::clone(&self.ready.ram);
        let wanted = self.ready.queue.needs_notification(ram.rings());
        let wanted = wanted.map_err(|error| self.broken(error))?;
        if wanted {
            self.notifier.raise(self.source);
        }
        self.stats.of_queue(self.index, |stats| {
            if wanted {
                stats.notifications += 1;
            } else {
                stats.suppressed_notifications += 1;
            }
        });
        Ok(())
    }
}
