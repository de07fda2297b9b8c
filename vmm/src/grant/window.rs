//! The window: where in a VM's guest-physical memory the grants lie that it has attached.
//!
//! It has a position for each of them, so that an attachment moves no other and needs no search
//! for room.

use pv_abi::grant::GRANTS;
use pv_abi::mapping::LARGE_PAGE_SIZE;
use std::ops::Range;

/// Size of a position, in bytes: that of the largest grant.
pub const POSITION_SIZE: u64 = LARGE_PAGE_SIZE;

/// The window of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    start: u64,
}

impl Window {
    /// The window behind everything else, which ends at `end`. It begins at a multiple of 2 MiB,
    /// so that a grant that does too can be mapped by a large page.
    pub fn behind(end: u64) -> Self {
        Self {
            start: end.next_multiple_of(LARGE_PAGE_SIZE),
        }
    }

    /// All of its guest-physical addresses.
    pub fn range(self) -> Range<u64> {
        self.start..self.start + GRANTS as u64 * POSITION_SIZE
    }

    /// Guest-physical address of a position, which is below [`GRANTS`].
    pub fn gpa(self, position: usize) -> u64 {
        self.start + position as u64 * POSITION_SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_aligned_and_apart() {
        let window = Window::behind(0x1234_5000);
        assert_eq!(window.range().start, 0x1240_0000);
        for position in 0..GRANTS {
            let gpa = window.gpa(position);
            assert!(gpa.is_multiple_of(LARGE_PAGE_SIZE));
            assert!(window.range().contains(&(gpa + POSITION_SIZE - 1)));
        }
        assert_eq!(window.gpa(1) - window.gpa(0), POSITION_SIZE);
        assert_eq!(window.gpa(GRANTS), window.range().end);
    }
}
