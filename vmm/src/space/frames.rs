//! How often each page of RAM is mapped writable, and how often executable.
//!
//! The linear map is not counted: whoever asks looks there himself. So a page that is mapped
//! nowhere else, as most are, takes no memory here.

use crate::paging::{Access, LARGE_PAGE_SIZE};
use pv_abi::address_space::PAGE_SIZE;
use std::ops::Range;

/// Pages of 4 KiB in one of 2 MiB.
const PARTS: u64 = LARGE_PAGE_SIZE / PAGE_SIZE;

/// A right that a page has by some mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// To write.
    Write = 0,
    /// To execute.
    Execute = 1,
}

impl Right {
    /// The one of them that an access has.
    pub fn of(access: Access) -> Option<Self> {
        match access {
            Access::Read => None,
            Access::ReadWrite => Some(Self::Write),
            Access::ReadExecute => Some(Self::Execute),
        }
    }

    /// The one that excludes this one.
    pub fn other(self) -> Self {
        match self {
            Self::Write => Self::Execute,
            Self::Execute => Self::Write,
        }
    }
}

/// The counts of all pages of RAM.
#[derive(Debug, Default)]
pub struct Frames {
    // In each element: two halves, one for each right. Zeroed memory is not touched until it is
    // needed, so these take memory where something is mapped.
    /// Mappings by 4 KiB, for each page of 4 KiB.
    small: Vec<u32>,
    /// Mappings by 2 MiB, for each 2 MiB.
    large: Vec<u32>,
    /// The sum of `small`, for each 2 MiB.
    sums: Vec<u64>,
}

impl Frames {
    /// No page is mapped.
    pub fn new(ram_size: u64) -> Self {
        let large = ram_size.div_ceil(LARGE_PAGE_SIZE) as usize;
        Self {
            small: vec![0; (ram_size / PAGE_SIZE) as usize],
            large: vec![0; large],
            sums: vec![0; large],
        }
    }

    /// A page is mapped by 4 KiB.
    pub fn add(&mut self, gpa: u64, access: Access) {
        self.change(gpa, access, u32::wrapping_add, u64::wrapping_add);
    }

    /// A page is mapped by 4 KiB no more.
    pub fn remove(&mut self, gpa: u64, access: Access) {
        self.change(gpa, access, u32::wrapping_sub, u64::wrapping_sub);
    }

    /// 2 MiB are mapped as one page.
    pub fn add_large(&mut self, gpa: u64, access: Access) {
        self.change_large(gpa, access, u32::wrapping_add);
    }

    /// 2 MiB are mapped as one page no more.
    pub fn remove_large(&mut self, gpa: u64, access: Access) {
        self.change_large(gpa, access, u32::wrapping_sub);
    }

    /// A mapping of 2 MiB becomes mappings of 4 KiB.
    pub fn split(&mut self, gpa: u64, access: Access) {
        self.remove_large(gpa, access);
        for part in 0..PARTS {
            self.add(gpa + part * PAGE_SIZE, access);
        }
    }

    /// Undoes [`Self::split`].
    pub fn join(&mut self, gpa: u64, access: Access) {
        for part in 0..PARTS {
            self.remove(gpa + part * PAGE_SIZE, access);
        }
        self.add_large(gpa, access);
    }

    /// Whether a page of a range is mapped with a right.
    pub fn any(&self, range: Range<u64>, right: Right) -> bool {
        let has = |counts: &[u32], index| half(counts.get(index as usize).copied(), right) != 0;
        blocks(range).any(|(block, part, whole)| {
            has(&self.large, block)
                || if whole {
                    let sum = self.sums.get(block as usize).copied().unwrap_or(0);
                    (sum >> (32 * right as u32)) as u32 != 0
                } else {
                    pages(part).any(|page| has(&self.small, page))
                }
        })
    }

    /// Whether one more mapping of each page of a range can be counted.
    pub fn have_room(&self, range: Range<u64>, right: Right) -> bool {
        let room = |counts: &[u32], index| {
            half(counts.get(index as usize).copied(), right) < u32::from(u16::MAX)
        };
        blocks(range).all(|(block, part, whole)| {
            if whole {
                room(&self.large, block)
            } else {
                pages(part).all(|page| room(&self.small, page))
            }
        })
    }

    fn change(
        &mut self,
        gpa: u64,
        access: Access,
        by: fn(u32, u32) -> u32,
        sum_by: fn(u64, u64) -> u64,
    ) {
        let Some(right) = Right::of(access) else {
            return;
        };
        if let (Some(count), Some(sum)) = (
            self.small.get_mut((gpa / PAGE_SIZE) as usize),
            self.sums.get_mut((gpa / LARGE_PAGE_SIZE) as usize),
        ) {
            *count = by(*count, 1 << (16 * right as u32));
            *sum = sum_by(*sum, 1 << (32 * right as u32));
        }
    }

    fn change_large(&mut self, gpa: u64, access: Access, by: fn(u32, u32) -> u32) {
        if let Some(right) = Right::of(access)
            && let Some(count) = self.large.get_mut((gpa / LARGE_PAGE_SIZE) as usize)
        {
            *count = by(*count, 1 << (16 * right as u32));
        }
    }

    /// Whether nothing is counted.
    #[cfg(test)]
    pub fn are_zero(&self) -> bool {
        self.small.iter().all(|&count| count == 0)
            && self.large.iter().all(|&count| count == 0)
            && self.sums.iter().all(|&count| count == 0)
    }
}

fn half(counts: Option<u32>, right: Right) -> u32 {
    counts.unwrap_or(0) >> (16 * right as u32) & 0xffff
}

/// The 2 MiB that a range lies in: the number of each, the part of the range in it, and whether
/// that is all of it.
fn blocks(range: Range<u64>) -> impl Iterator<Item = (u64, Range<u64>, bool)> {
    let first = range.start / LARGE_PAGE_SIZE;
    let end = range.end.div_ceil(LARGE_PAGE_SIZE);
    (first..end).map(move |block| {
        let start = range.start.max(block * LARGE_PAGE_SIZE);
        let end = range.end.min((block + 1) * LARGE_PAGE_SIZE);
        (block, start..end, end - start == LARGE_PAGE_SIZE)
    })
}

/// The numbers of the pages of a range.
fn pages(range: Range<u64>) -> Range<u64> {
    range.start / PAGE_SIZE..range.end / PAGE_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const RAM: u64 = 4 * LARGE_PAGE_SIZE + 3 * PAGE_SIZE;
    const RW: Access = Access::ReadWrite;
    const RX: Access = Access::ReadExecute;

    proptest! {
        #[test]
        fn a_range_has_a_right_when_one_of_its_pages_has_it(
            small in proptest::collection::vec((0..RAM / PAGE_SIZE, any::<bool>()), 0..6),
            large in proptest::collection::vec((0..RAM / LARGE_PAGE_SIZE, any::<bool>()), 0..3),
            start in 0..RAM / PAGE_SIZE,
            size in 1..RAM / PAGE_SIZE,
        ) {
            let access = |writable| if writable { RW } else { RX };
            let mut frames = Frames::new(RAM);
            let mut model = BTreeMap::<u64, [bool; 2]>::new();
            for &(page, writable) in &small {
                frames.add(page * PAGE_SIZE, access(writable));
                model.entry(page).or_default()[usize::from(!writable)] = true;
            }
            for &(block, writable) in &large {
                frames.add_large(block * LARGE_PAGE_SIZE, access(writable));
                for page in block * PARTS..(block + 1) * PARTS {
                    model.entry(page).or_default()[usize::from(!writable)] = true;
                }
            }
            let end = (start + size).min(RAM / PAGE_SIZE);
            let range = start * PAGE_SIZE..end * PAGE_SIZE;
            for right in [Right::Write, Right::Execute] {
                let expected = model.range(start..end).any(|(_, has)| has[right as usize]);
                prop_assert_eq!(frames.any(range.clone(), right), expected);
            }
            // A split changes nothing, and all of it can be undone.
            for &(block, writable) in &large {
                frames.split(block * LARGE_PAGE_SIZE, access(writable));
                for right in [Right::Write, Right::Execute] {
                    let expected = model.range(start..end).any(|(_, has)| has[right as usize]);
                    prop_assert_eq!(frames.any(range.clone(), right), expected);
                }
                frames.join(block * LARGE_PAGE_SIZE, access(writable));
            }
            for &(block, writable) in &large {
                frames.remove_large(block * LARGE_PAGE_SIZE, access(writable));
            }
            for &(page, writable) in &small {
                frames.remove(page * PAGE_SIZE, access(writable));
            }
            prop_assert!(frames.are_zero());
        }
    }

    #[test]
    fn counts_are_full_before_they_wrap() {
        let mut frames = Frames::new(RAM);
        for _ in 0..u16::MAX {
            assert!(frames.have_room(0..2 * PAGE_SIZE, Right::Write));
            frames.add(PAGE_SIZE, RW);
        }
        assert!(!frames.have_room(0..2 * PAGE_SIZE, Right::Write));
        assert!(frames.have_room(0..2 * PAGE_SIZE, Right::Execute));
        assert!(frames.have_room(0..PAGE_SIZE, Right::Write));
        assert!(!frames.any(0..LARGE_PAGE_SIZE, Right::Execute));
    }
}
