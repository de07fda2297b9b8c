//! Disks (virtio 1.2, 5.2).
//!
//! ```ignore
//! let disk = Disk::open(None)?;
//! let buffer = Buffer::from_slice(&[1; 4096]).ok_or(Error::NoMemory)?;
//! let (buffer, written) = disk.write(0, buffer).await;
//! written?;
//! disk.flush().await?;
//! ```
//!
//! Places and sizes are in sectors of [`SECTOR`] bytes. What was written is safe from a loss of
//! power when a [`Disk::flush`] has ended that was begun behind it.

mod blocking;
#[cfg(feature = "embedded-io")]
mod bytes;
mod config;
mod request;

pub use blocking::Blocking;
#[cfg(feature = "embedded-io")]
pub use bytes::Bytes;

use super::{Buffer, Changes, Costs, Device, Error, QueueOptions, Requests, feature, find, kind};
use crate::vcpu;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use config::{Config, Limits};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use pv_abi::Errno;
use request::{Asked, Memory, Outcome};

/// Size of a sector in bytes.
pub const SECTOR: usize = 512;

/// Requests of a queue at once, where the device takes so many.
const QUEUE_SIZE: u32 = 256;
/// Segments of a request: what is asked for, the data, and how it went.
const SEGMENTS: u16 = 3;

/// A disk. Several tasks on several vCPUs may use it at once.
#[derive(Debug)]
pub struct Disk {
    queues: Box<[Requests<Asked>]>,
    device: Arc<Device>,
    limits: Limits,
    capacity: AtomicU64,
    /// Set by the handler of the device's event when `capacity` may be another.
    changed: Arc<AtomicBool>,
}

impl Disk {
    /// Takes the first disk, or the one that the operator calls `id`. Its events come to the
    /// running vCPU.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::InUse`], and those of [`Device::take`] and [`Requests::new`].
    pub fn open(id: Option<&str>) -> Result<Self, Error> {
        let found = find(kind::BLOCK, id).ok_or(Error::NotFound)?;
        let wanted = config::FEATURES | feature::RING_EVENT_IDX | feature::RING_INDIRECT_DESC;
        let device = Device::take(found, wanted)?;
        let config: Config = device.config_prefix()?;
        let limits = Limits::new(&device, &config);
        // A queue for each vCPU, so that they do not wait for each other's locks.
        let queues = limits.queues.min(found.info().queues).min(vcpu::count());
        let options = QueueOptions {
            size: QUEUE_SIZE,
            segments: SEGMENTS,
        };
        let queues = (0..queues as u16)
            .map(|index| Requests::new(&device, index, options))
            .collect::<Result<Box<[_]>, Error>>()?;
        let changed = Arc::new(AtomicBool::new(false));
        let its = Arc::clone(&changed);
        let stop: Vec<_> = queues.iter().map(Requests::stopper).collect();
        device.on_change(move |change| match change {
            Changes::Configuration => its.store(true, Ordering::Release),
            Changes::Stopped => stop.iter().for_each(|stop| stop()),
        })?;
        // From here on the handler is removed when this is dropped.
        let disk = Self {
            queues,
            capacity: AtomicU64::new(config.capacity),
            limits,
            changed,
            device,
        };
        disk.device.start()?;
        Ok(disk)
    }

    /// The device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Its size in sectors. It may grow.
    pub fn capacity(&self) -> u64 {
        if self.changed.swap(false, Ordering::AcqRel)
            && let Ok(config) = self.device.config_prefix::<Config>()
        {
            self.capacity.store(config.capacity, Ordering::Release);
        }
        self.capacity.load(Ordering::Acquire)
    }

    /// Whether it can be read only.
    pub fn is_read_only(&self) -> bool {
        self.limits.read_only
    }

    /// Whether it takes [`Disk::discard`].
    pub fn has_discard(&self) -> bool {
        self.limits.discard.is_some()
    }

    /// The size of its blocks in bytes: it is fastest with whole ones.
    pub fn block_size(&self) -> u32 {
        self.limits.block_size
    }

    /// How many queues are in use.
    pub fn queues(&self) -> usize {
        self.queues.len()
    }

    /// What its requests took so far.
    pub fn costs(&self) -> Costs {
        let mut costs = Costs::default();
        for queue in &self.queues {
            costs += queue.costs();
        }
        costs
    }

    /// Has another vCPU told of the events of a queue. The vCPU is to run as long as anybody waits.
    ///
    /// # Errors
    ///
    /// [`Errno::EINVAL`] for no such vCPU or queue.
    pub fn bind_vcpu(&self, queue: usize, vcpu: u32) -> Result<(), Errno> {
        self.queues.get(queue).ok_or(Errno::EINVAL)?.bind_vcpu(vcpu)
    }

    /// Fills a buffer from `sector` on, and gives it back. A future that is dropped before its end
    /// leaves the buffer to the request.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] past the end and for a buffer of no whole number of sectors,
    /// [`Error::Io`], [`Error::Stopped`].
    pub async fn read(&self, sector: u64, buffer: Buffer) -> (Buffer, Result<(), Error>) {
        self.transfer(Asked::read(sector, Memory::Owned(buffer)))
            .await
    }

    /// Writes a buffer from `sector` on, and gives it back, as [`Disk::read`] does. Of what is
    /// written to a sector at the same time either may remain.
    ///
    /// # Errors
    ///
    /// As [`Disk::read`], and [`Error::ReadOnly`].
    pub async fn write(&self, sector: u64, buffer: Buffer) -> (Buffer, Result<(), Error>) {
        self.transfer(Asked::write(sector, Memory::Owned(buffer)))
            .await
    }

    async fn transfer(&self, asked: Asked) -> (Buffer, Result<(), Error>) {
        let outcome = self.ask(asked).await;
        match outcome.memory {
            Memory::Owned(buffer) => (buffer, outcome.result),
            _ => unreachable!("a request gives back what it was given"),
        }
    }

    /// Waits until everything is on the disk whose writing has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], when any of it may be lost, and [`Error::Stopped`].
    pub async fn flush(&self) -> Result<(), Error> {
        if !self.limits.flush {
            // Such a device has written when it says so.
            return Ok(());
        }
        self.ask(Asked::flush()).await.result
    }

    /// Says that what is in `count` sectors is not needed any more. What is read there then is
    /// anything, until it is written.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`], and those of [`Disk::write`]. Some of it may be done.
    pub async fn discard(&self, sector: u64, count: u64) -> Result<(), Error> {
        let most = self.limits.discard.ok_or(Error::Unsupported)?;
        self.in_parts(sector, count, most, Asked::discard).await
    }

    /// Fills `count` sectors with zeros, without any sent. Their room on the host may be freed.
    ///
    /// # Errors
    ///
    /// As [`Disk::discard`].
    pub async fn write_zeroes(&self, sector: u64, count: u64) -> Result<(), Error> {
        let zeroes = self.limits.write_zeroes.ok_or(Error::Unsupported)?;
        let may_unmap = self.limits.may_unmap;
        let ask = |sector, count| Asked::write_zeroes(sector, count, may_unmap);
        self.in_parts(sector, count, zeroes, ask).await
    }

    async fn in_parts(
        &self,
        mut sector: u64,
        mut count: u64,
        most: u32,
        ask: impl Fn(u64, u32) -> Asked,
    ) -> Result<(), Error> {
        self.check_range(sector, count)?;
        while count > 0 {
            let part = count.min(most.into()) as u32;
            self.ask(ask(sector, part)).await.result?;
            sector += u64::from(part);
            count -= u64::from(part);
        }
        Ok(())
    }

    /// The name that the disk itself gives (virtio 1.2, 5.2.6, VIRTIO_BLK_T_GET_ID).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`], [`Error::Io`], [`Error::Stopped`].
    pub async fn serial(&self) -> Result<String, Error> {
        let outcome = self.ask(Asked::serial()).await;
        outcome.result?;
        let size = outcome.serial.iter().position(|&byte| byte == 0);
        let serial = &outcome.serial[..size.unwrap_or(outcome.serial.len())];
        Ok(String::from_utf8_lossy(serial).into_owned())
    }

    /// The same where there are no tasks, and for memory that is borrowed.
    pub fn blocking(&self) -> Blocking<'_> {
        Blocking::new(self)
    }

    async fn ask(&self, asked: Asked) -> Outcome {
        if let Err(error) = self.check(&asked) {
            return asked.refused(error);
        }
        let queue = vcpu::id() as usize % self.queues.len();
        self.queues[queue].request(asked).await
    }

    fn check(&self, asked: &Asked) -> Result<(), Error> {
        if asked.writes() && self.limits.read_only {
            return Err(Error::ReadOnly);
        }
        match asked.size() {
            Some(size) if size == 0 || !size.is_multiple_of(SECTOR) || size > u32::MAX as usize => {
                Err(Error::OutOfRange)
            }
            Some(size) => self.check_range(asked.sector(), (size / SECTOR) as u64),
            None => Ok(()),
        }
    }

    fn check_range(&self, sector: u64, count: u64) -> Result<(), Error> {
        let end = sector.checked_add(count).ok_or(Error::OutOfRange)?;
        if end > self.capacity() {
            return Err(Error::OutOfRange);
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Its handler keeps what it stops.
        self.device.ignore_changes();
    }
}
