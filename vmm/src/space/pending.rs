//! Which translations are to be forgotten before a call returns.

use std::ops::Range;

/// Ranges that are no further apart than this are made one: to have 1 MiB forgotten too much is
/// cheaper than to ask all vCPUs once more (docs/decisions/0008-address-spaces.md has the
/// figures).
const GAP: u64 = 1 << 20;

/// So much is forgotten by its addresses. Of more, all is forgotten.
const MOST: u64 = 8 << 20;

/// So many ranges are kept.
const RANGES: usize = 4;

/// Guest-physical ranges whose translations have to be forgotten.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Pending {
    ranges: [Range<u64>; RANGES],
    count: usize,
    everything: bool,
}

impl Pending {
    /// The translations that lead to a range of RAM are to be forgotten.
    pub fn add(&mut self, gpa: u64, size: u64) {
        if self.everything {
            return;
        }
        let end = gpa + size;
        let (kept, free) = self.ranges.split_at_mut(self.count);
        let near = kept.iter_mut().find(|range| {
            gpa <= range.end.saturating_add(GAP) && range.start <= end.saturating_add(GAP)
        });
        match (near, free.first_mut()) {
            (Some(range), _) => *range = range.start.min(gpa)..range.end.max(end),
            (None, Some(range)) => {
                *range = gpa..end;
                self.count += 1;
            }
            (None, None) => self.everything = true,
        }
        let sum: u64 = self.ranges().map(|range| range.end - range.start).sum();
        self.everything |= sum > MOST;
    }

    /// All translations are to be forgotten.
    pub fn add_everything(&mut self) {
        self.everything = true;
    }

    /// Whether all are.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && !self.everything
    }

    /// The ranges. They say nothing when all translations are to be forgotten.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().take(self.count).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_is_left_out(
            added in proptest::collection::vec((0u64..1 << 13, 1u64..600), 1..12),
        ) {
            let mut pending = Pending::default();
            for &(page, pages) in &added {
                pending.add(page << 12, pages << 12);
            }
            for (page, pages) in added {
                let (start, end) = (page << 12, (page + pages) << 12);
                prop_assert!(
                    pending.is_everything()
                        || pending.ranges().any(|range| range.start <= start && end <= range.end)
                );
            }
        }
    }

    #[test]
    fn neighbours_are_one_range_and_strangers_are_not() {
        let mut pending = Pending::default();
        assert!(pending.is_empty());
        pending.add(0x40_0000, 0x1000);
        pending.add(0x40_5000, 0x1000);
        pending.add(0x80_0000, 0x1000);
        let ranges: Vec<_> = pending.ranges().collect();
        assert_eq!(ranges, [0x40_0000..0x40_6000, 0x80_0000..0x80_1000]);
        assert!(!pending.is_everything() && !pending.is_empty());
    }

    #[test]
    fn what_is_too_much_is_everything() {
        let mut pending = Pending::default();
        for range in 0..RANGES as u64 {
            pending.add(range << 30, 0x1000);
        }
        assert!(!pending.is_everything());
        pending.add(9 << 30, 0x1000);
        assert!(pending.is_everything());
        let mut pending = Pending::default();
        pending.add(0, MOST + 0x1000);
        assert!(pending.is_everything());
    }
}
