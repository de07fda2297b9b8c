//! Copying structures of whole words from and to memory that a guest changes at the same time.
//!
//! What vm-memory does for buffers of any size and alignment takes a hundred instructions before
//! the first byte. A structure of the ABI is aligned and known to the compiler: a load and a store
//! for each word.
#![allow(unsafe_code)]

use std::ptr::NonNull;
use zerocopy::{FromBytes, Immutable, IntoBytes};

const WORD: usize = size_of::<u64>();

/// A mapping of this process.
#[derive(Debug)]
pub struct Words {
    base: NonNull<u64>,
    size: u64,
}

// SAFETY: it is an address and a size; every access through it is volatile, and to memory that
// others access at the same time anyway.
unsafe impl Send for Words {}
// SAFETY: likewise.
unsafe impl Sync for Words {}

/// Whether a structure is copied by words.
pub const fn fits<T>() -> bool {
    size_of::<T>().is_multiple_of(WORD)
}

impl Words {
    /// The mapping of `size` bytes at `base`; `None` when that is not aligned.
    ///
    /// # Safety
    ///
    /// The mapping is readable and writable, and stays so as long as this value is used.
    pub unsafe fn new(base: *mut u8, size: u64) -> Option<Self> {
        let base = NonNull::new(base.cast::<u64>())?;
        base.is_aligned().then_some(Self { base, size })
    }

    /// Where the structure at `offset` lies; `None` when it is not of whole words, not aligned, or
    /// not in the mapping.
    #[inline]
    fn place<T>(&self, offset: u64) -> Option<NonNull<u64>> {
        if !fits::<T>() {
            return None;
        }
        let end = offset.checked_add(size_of::<T>() as u64)?;
        if end > self.size || !offset.is_multiple_of(WORD as u64) {
            return None;
        }
        // SAFETY: the offset lies in the mapping.
        Some(unsafe { self.base.add(offset as usize / WORD) })
    }

    /// Copies a structure from the mapping.
    #[inline]
    pub fn read<T: FromBytes + IntoBytes>(&self, offset: u64) -> Option<T> {
        let place = self.place::<T>(offset)?;
        let mut value = T::new_zeroed();
        for (index, word) in value.as_mut_bytes().chunks_exact_mut(WORD).enumerate() {
            // SAFETY: `place` has room for the structure.
            let read = unsafe { place.add(index).read_volatile() };
            word.copy_from_slice(&read.to_ne_bytes());
        }
        Some(value)
    }

    /// Copies a structure to the mapping.
    #[inline]
    pub fn write<T: IntoBytes + Immutable>(&self, offset: u64, value: &T) -> Option<()> {
        let place = self.place::<T>(offset)?;
        for (index, word) in value.as_bytes().chunks_exact(WORD).enumerate() {
            let word = word.try_into().map_or(0, u64::from_ne_bytes);
            // SAFETY: as in `read`.
            unsafe { place.add(index).write_volatile(word) };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_words(test: impl FnOnce(&Words)) {
        let mut memory = vec![0u64; 4];
        let base = memory.as_mut_ptr().cast();
        // SAFETY: the memory is this function's, which uses it in no other way meanwhile.
        let words = unsafe { Words::new(base, 32) }.unwrap();
        test(&words);
        drop(memory);
    }

    #[test]
    fn what_was_written_is_read() {
        with_words(|words| {
            assert_eq!(words.write(8, &[1u64, 2]), Some(()));
            assert_eq!(words.read(0), Some([0u64, 1, 2, 0]));
            assert_eq!(words.read::<[u32; 2]>(16), Some([2, 0]));
        });
    }

    #[test]
    fn what_is_outside_or_not_aligned_is_refused() {
        with_words(|words| {
            for offset in [1, 4, 31, 32, u64::MAX, u64::MAX - 7] {
                assert_eq!(words.read::<u64>(offset), None, "{offset}");
                assert_eq!(words.write(offset, &0u64), None, "{offset}");
            }
            assert_eq!(words.read::<[u64; 2]>(24), None);
            assert_eq!(words.read::<[u8; 12]>(0), None);
            assert_eq!(words.read::<u64>(24), Some(0));
        });
    }

    #[test]
    fn a_mapping_is_aligned() {
        let mut memory = [0u64; 2];
        let base = memory.as_mut_ptr().cast::<u8>().wrapping_add(1);
        // SAFETY: nothing is done with it.
        assert!(unsafe { Words::new(base, 8) }.is_none());
    }
}
