//! A page-table page, which the MMUs of all vCPUs may read while it is changed.

use super::{Entry, SLOTS};
use crate::memory::{MemoryError, PrivateMemory};
use std::sync::atomic::{AtomicU64, Ordering};
use vm_memory::{VolatileMemory, VolatileSlice};

/// A page-table page. Its entries are read and written whole: each is an aligned 8-byte access.
#[derive(Debug)]
pub struct Table<'memory>(VolatileSlice<'memory>);

impl<'memory> Table<'memory> {
    /// The table at a private page.
    pub fn at(memory: &'memory PrivateMemory, gpa: u64) -> Result<Self, MemoryError> {
        Ok(Self(memory.page(gpa)?))
    }

    /// The entry in a slot. There is none in a slot past the last one.
    pub fn get(&self, slot: u64) -> Entry {
        self.slot(slot).map_or(Entry::NONE, |entry| {
            Entry::from_bits(entry.load(Ordering::Acquire))
        })
    }

    /// Stores an entry. What was stored before, such as the contents of a table that it leads to,
    /// is seen by whoever sees the entry.
    pub fn set(&self, slot: u64, entry: Entry) {
        if let Some(place) = self.slot(slot) {
            place.store(entry.bits(), Ordering::Release);
        }
    }

    /// Whether there is neither a page nor a table in it.
    pub fn is_empty(&self) -> bool {
        (0..SLOTS).all(|slot| !self.get(slot).is_present())
    }

    fn slot(&self, slot: u64) -> Option<&AtomicU64> {
        self.0.get_atomic_ref(usize::try_from(slot * 8).ok()?).ok()
    }
}
