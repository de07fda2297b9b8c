//! Repeated calls: many elements in one call, in pieces of bounded work.

use super::stats::timestamp;
use pv_abi::{CallWord, Errno};

/// How long a repeated call works before it returns what it has done, in cycles of the TSC:
/// 100 us at 3 GHz, in which 512 pages are mapped even by an element each (docs/decisions/0010). An
/// element that has been begun is finished.
const BUDGET: u64 = 300_000;

/// The elements that a repeated call is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    start: u16,
    count: u16,
}

impl Repeat {
    /// What a call word asks for; `None` when it is no range of elements.
    pub fn of(word: CallWord) -> Option<Self> {
        (word.start < word.count).then_some(Self {
            start: word.start,
            count: word.count,
        })
    }

    /// Number of elements in all, those before the start included.
    pub fn count(self) -> u32 {
        self.count.into()
    }

    /// Does the elements from the start index on, until all are done, one fails, or the time is
    /// over: the number of elements done, those before the start included. At least one
    /// is done, or its error is the result; an error of a later one is found when the guest
    /// goes on there.
    pub fn each(self, mut step: impl FnMut(u32) -> Result<(), Errno>) -> Result<u32, Errno> {
        let begun = timestamp();
        step(self.start.into())?;
        for index in self.start + 1..self.count {
            if timestamp().wrapping_sub(begun) > BUDGET || step(index.into()).is_err() {
                return Ok(index.into());
            }
        }
        Ok(self.count.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeat(start: u16, count: u16) -> Option<Repeat> {
        Repeat::of(CallWord {
            number: 0,
            count,
            start,
        })
    }

    #[test]
    fn a_start_is_below_the_count() {
        assert_eq!(repeat(0, 0), None);
        assert_eq!(repeat(3, 3), None);
        assert!(repeat(2, 3).is_some());
    }

    #[test]
    fn an_error_is_told_when_it_is_the_first_elements() {
        let fail_at = |bad| {
            move |index| {
                if index == bad {
                    Err(Errno::EPERM)
                } else {
                    Ok(())
                }
            }
        };
        let five = repeat(1, 5).unwrap();
        assert_eq!(five.each(fail_at(1)), Err(Errno::EPERM));
        assert_eq!(five.each(fail_at(3)), Ok(3));
        assert_eq!(five.each(fail_at(9)), Ok(5));
    }

    #[test]
    fn work_is_bounded_and_goes_on_where_it_ended() {
        let slow = |_| {
            let begun = timestamp();
            while timestamp().wrapping_sub(begun) <= BUDGET {}
            Ok(())
        };
        assert_eq!(repeat(0, 9).unwrap().each(slow), Ok(1));
        assert_eq!(repeat(7, 9).unwrap().each(slow), Ok(8));
    }
}
