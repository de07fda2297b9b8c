//! Guest memory that somebody writes to for longer than a copy takes: the kernel, on behalf of a
//! device, and devices that keep a ring there.
//!
//! Such ranges are registered for as long as it may happen. A page of one cannot be sealed, and a
//! sealed page is in none; both are decided under one lock.

use super::Ram;
use crate::sync::lock;
use pv_abi::{Errno, Gpa};
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// The ranges of a VM's RAM that are being written.
#[derive(Debug, Default)]
pub(super) struct Writes(Mutex<Vec<Option<Range<u64>>>>);

/// A range that is being written. It may be sealed again when this is dropped.
#[derive(Debug)]
pub struct DeviceWrite {
    ram: Arc<Ram>,
    slot: usize,
}

impl Drop for DeviceWrite {
    fn drop(&mut self) {
        let mut ranges = lock(&self.ram.writes.0);
        if let Some(range) = ranges.get_mut(self.slot) {
            *range = None;
        }
        // What is at the end and of no use goes, so that there are as many as were in use at once.
        while ranges.last().is_some_and(Option::is_none) {
            ranges.pop();
        }
    }
}

impl Ram {
    /// Registers a range as being written.
    ///
    /// # Errors
    ///
    /// EFAULT when it is not in RAM, or a page of it is sealed.
    pub fn begin_device_write(self: &Arc<Self>, gpa: Gpa, size: u64) -> Result<DeviceWrite, Errno> {
        let mut ranges = lock(&self.writes.0);
        self.check_writable(gpa, size)?;
        let range = Some(gpa.0..gpa.0 + size);
        let free = ranges.iter().position(Option::is_none);
        let slot = match free.and_then(|at| Some((at, ranges.get_mut(at)?))) {
            Some((at, slot)) => {
                *slot = range;
                at
            }
            None => {
                ranges.push(range);
                ranges.len() - 1
            }
        };
        Ok(DeviceWrite {
            ram: Arc::clone(self),
            slot,
        })
    }

    /// What is being written, for tests.
    #[cfg(test)]
    pub(crate) fn device_writes(&self) -> Vec<Range<u64>> {
        lock(&self.writes.0).iter().flatten().cloned().collect()
    }

    /// Seals pages: ranges of whole ones, all or none. [`Self::wait_for_writers`] is to follow.
    ///
    /// # Errors
    ///
    /// EBUSY when a device is writing to one of them.
    pub fn seal<I>(&self, pages: impl Fn() -> I) -> Result<(), Errno>
    where
        I: Iterator<Item = Range<u64>>,
    {
        let writes = lock(&self.writes.0);
        let is_written = |pages: &Range<u64>| {
            let mut writes = writes.iter().flatten();
            writes.any(|write| write.start < pages.end && pages.start < write.end)
        };
        if pages().any(|range| is_written(&range)) {
            return Err(Errno::EBUSY);
        }
        for range in pages() {
            self.seals
                .seal(range.start, range.end - range.start, self.size);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pv_abi::address_space::PAGE_SIZE;

    #[test]
    fn what_is_written_is_not_sealed_and_what_is_sealed_not_written() {
        let ram = Arc::new(Ram::new(16 * PAGE_SIZE).unwrap());
        let first = ram.begin_device_write(Gpa(PAGE_SIZE - 1), 2).unwrap();
        let second = ram.begin_device_write(Gpa(0), 1).unwrap();
        let seal = |pages: &[u64]| {
            let range = |&page| page * PAGE_SIZE..(page + 1) * PAGE_SIZE;
            ram.seal(|| pages.iter().map(range))
        };
        assert_eq!(seal(&[0]), Err(Errno::EBUSY));
        assert_eq!(seal(&[3, 1]), Err(Errno::EBUSY));
        assert_eq!(seal(&[2]), Ok(()));
        drop(first);
        assert_eq!(seal(&[0]), Err(Errno::EBUSY));
        assert_eq!(seal(&[1]), Ok(()));
        drop(second);
        assert_eq!(seal(&[0]), Ok(()));
        assert!(!ram.is_sealed(Gpa(3 * PAGE_SIZE), PAGE_SIZE));
        let refused = ram.begin_device_write(Gpa(3 * PAGE_SIZE - 1), 2);
        assert_eq!(refused.err(), Some(Errno::EFAULT));
        let outside = ram.begin_device_write(Gpa(16 * PAGE_SIZE - 1), 2);
        assert_eq!(outside.err(), Some(Errno::EFAULT));
    }

    #[test]
    fn what_is_over_takes_no_room() {
        let ram = Arc::new(Ram::new(PAGE_SIZE).unwrap());
        for _ in 0..100 {
            let writes: Vec<_> = (0..3)
                .map(|_| ram.begin_device_write(Gpa(0), 1).unwrap())
                .collect();
            drop(writes);
        }
        assert!(lock(&ram.writes.0).is_empty());
    }
}
