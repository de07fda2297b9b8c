//! Which pages of RAM are sealed: nobody writes to them any more, the VMM included.

use pv_abi::address_space::PAGE_SIZE;
use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One bit for each page of RAM. A page that was sealed stays so.
#[derive(Debug, Default)]
pub struct Seals {
    /// Whether there is a sealed page at all: most guests have none, and are asked no more.
    any: AtomicBool,
    pages: OnceLock<Box<[AtomicU64]>>,
}

impl Seals {
    /// Whether a byte of a range of RAM lies in a sealed page.
    #[inline]
    pub fn covers(&self, gpa: u64, size: u64) -> bool {
        self.any.load(Ordering::Relaxed) && size != 0 && self.any_of(gpa, size)
    }

    #[cold]
    fn any_of(&self, gpa: u64, size: u64) -> bool {
        let Some(words) = self.pages.get() else {
            return false;
        };
        masks(gpa, size).any(|(index, mask)| {
            words
                .get(index)
                .is_some_and(|word| word.load(Ordering::Acquire) & mask != 0)
        })
    }

    /// The sealed pages, as ranges of page numbers.
    pub fn ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        let words = self.pages.get().into_iter().flatten();
        for (index, word) in (0u64..).zip(words) {
            let word = word.load(Ordering::Acquire);
            for page in (0..64)
                .filter(|bit| word & 1 << bit != 0)
                .map(|bit| index * 64 + bit)
            {
                match ranges.last_mut() {
                    Some((_, end)) if *end == page => *end += 1,
                    _ => ranges.push((page, page + 1)),
                }
            }
        }
        ranges
    }

    /// Seals the pages of a range of RAM, which has `ram_size` bytes.
    pub fn seal(&self, gpa: u64, size: u64, ram_size: u64) {
        let words = self.pages.get_or_init(|| {
            let count = (ram_size / PAGE_SIZE).div_ceil(64);
            (0..count).map(|_| AtomicU64::new(0)).collect()
        });
        for (index, mask) in masks(gpa, size) {
            if let Some(word) = words.get(index) {
                word.fetch_or(mask, Ordering::Release);
            }
        }
        self.any.store(true, Ordering::SeqCst);
    }
}

/// The words that have bits of a range's pages, and these bits.
fn masks(gpa: u64, size: u64) -> impl Iterator<Item = (usize, u64)> {
    let pages: RangeInclusive<u64> =
        gpa / PAGE_SIZE..=gpa.saturating_add(size.saturating_sub(1)) / PAGE_SIZE;
    (pages.start() / 64..=pages.end() / 64).map(move |word| {
        let from = pages.start().saturating_sub(word * 64).min(63);
        let to = (pages.end() - word * 64).min(63);
        (word as usize, u64::MAX >> (63 - to) & u64::MAX << from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RAM: u64 = 300 * PAGE_SIZE;

    proptest! {
        #[test]
        fn a_page_is_sealed_when_it_was(
            sealed in proptest::collection::vec((0u64..300, 1u64..150), 0..4),
            gpa in 0..RAM,
            size in 0..RAM,
        ) {
            let seals = Seals::default();
            let mut model = [false; 300];
            for &(page, count) in &sealed {
                let end = (page + count).min(300);
                seals.seal(page * PAGE_SIZE, (end - page) * PAGE_SIZE, RAM);
                model[page as usize..end as usize].fill(true);
            }
            let size = size.min(RAM - gpa);
            let end = (gpa + size).div_ceil(PAGE_SIZE);
            let expected =
                size > 0 && model[(gpa / PAGE_SIZE) as usize..end as usize].contains(&true);
            prop_assert_eq!(seals.covers(gpa, size), expected);
            let mut found = [false; 300];
            for (start, end) in seals.ranges() {
                found[start as usize..end as usize].fill(true);
            }
            prop_assert_eq!(found, model);
        }
    }
}
