//! The data, in memory.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;

/// Bytes before key and value in the log.
pub const ENTRY_HEAD: usize = 8;

/// A change of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Set(Box<[u8]>, Box<[u8]>),
    Delete(Box<[u8]>),
}

impl Change {
    /// What it takes in the log, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Set(key, value) => ENTRY_HEAD + key.len() + value.len(),
            Self::Delete(key) => ENTRY_HEAD + key.len(),
        }
    }
}

/// A key with its value.
#[derive(Debug)]
struct Entry {
    key: Box<[u8]>,
    value: Box<[u8]>,
}

impl Entry {
    fn size(&self) -> usize {
        ENTRY_HEAD + self.key.len() + self.value.len()
    }
}

/// Keys and values, in the order of the keys' hashes: so a place in the middle is a number, which a
/// client of SCAN can keep.
#[derive(Debug, Default)]
pub struct Data {
    /// Those of one hash are together.
    entries: BTreeMap<u64, Vec<Entry>>,
    count: usize,
    size: usize,
}

impl Data {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// What all of it takes in the log, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let entries = self.entries.get(&hash(key))?;
        let entry = entries.iter().find(|entry| &*entry.key == key)?;
        Some(&entry.value)
    }

    /// Makes a change: whether the key was there.
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Set(key, value) => {
                let there = self.remove(&key);
                let entry = Entry { key, value };
                self.count += 1;
                self.size += entry.size();
                self.entries
                    .entry(hash(&entry.key))
                    .or_default()
                    .push(entry);
                there
            }
            Change::Delete(key) => self.remove(&key),
        }
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let hash = hash(key);
        let Some(entries) = self.entries.get_mut(&hash) else {
            return false;
        };
        let Some(place) = entries.iter().position(|entry| &*entry.key == key) else {
            return false;
        };
        let entry = entries.swap_remove(place);
        self.count -= 1;
        self.size -= entry.size();
        if entries.is_empty() {
            self.entries.remove(&hash);
        }
        true
    }

    /// At least `count` keys from a place on, if there are so many, and the next place; 0 is the
    /// beginning, and the end. A key that is there all the time is in one of the answers.
    pub fn scan(&self, place: u64, count: usize) -> (Vec<&[u8]>, u64) {
        let mut keys = Vec::new();
        for (&hash, entries) in self.entries.range(place..) {
            if keys.len() >= count {
                return (keys, hash);
            }
            keys.extend(entries.iter().map(|entry| &*entry.key));
        }
        (keys, 0)
    }

    /// Shows all entries behind a place, one hash after the other, as long as `take` takes them
    /// all: the last place that it took all of; `None` when there is nothing more.
    pub fn walk(
        &self,
        behind: Option<u64>,
        mut take: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<u64> {
        let from = match behind {
            Some(place) => Bound::Excluded(place),
            None => Bound::Unbounded,
        };
        let mut last = None;
        for (&hash, entries) in self.entries.range((from, Bound::Unbounded)) {
            if !entries.iter().all(|entry| take(&entry.key, &entry.value)) {
                break;
            }
            last = Some(hash);
        }
        last
    }
}

/// FNV-1a, but never 0, which is the beginning.
fn hash(key: &[u8]) -> u64 {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1)
}
