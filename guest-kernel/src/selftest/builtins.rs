//! memcpy and its kin, which the SDK supplies and the compiler relies on.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure_eq, tests};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ffi::{c_int, c_void};

pub const GROUP: Group = Group {
    name: "builtins",
    tests: tests![copy, copy_within, fill, compare],
};

// Declared here, so that the compiler does not know what they do.
unsafe extern "C" {
    fn memcpy(to: *mut c_void, from: *const c_void, size: usize) -> *mut c_void;
    fn memmove(to: *mut c_void, from: *const c_void, size: usize) -> *mut c_void;
    fn memset(to: *mut c_void, byte: c_int, size: usize) -> *mut c_void;
    fn memcmp(left: *const c_void, right: *const c_void, size: usize) -> c_int;
    fn bcmp(left: *const c_void, right: *const c_void, size: usize) -> c_int;
}

/// Sizes on both sides of every limit in the implementation.
const SIZES: [usize; 20] = [
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257,
];
/// Room for the largest size at any offset, and a margin that must stay as it is.
const ROOM: usize = 400;

fn pattern() -> Vec<u8> {
    (0..ROOM).map(|i| (i * 7 + i / 251) as u8 | 1).collect()
}

fn copy() -> Outcome {
    let from = pattern();
    for size in SIZES {
        for offset in [0, 1, 7, 8, 13] {
            let mut to = vec![0; ROOM];
            // SAFETY: both have that much room behind their offsets.
            let result = unsafe {
                let to = to.as_mut_ptr().add(offset);
                memcpy(to.cast(), from.as_ptr().add(3).cast(), size) as usize - to as usize
            };
            ensure_eq!(result, 0, "the offset of memcpy's result");
            for (i, &byte) in to.iter().enumerate() {
                let expected = match i.checked_sub(offset) {
                    Some(i) if i < size => from[i + 3],
                    _ => 0,
                };
                ensure_eq!(byte, expected, "byte {i}, copying {size} to {offset}");
            }
        }
    }
    Ok(())
}

fn copy_within() -> Outcome {
    for size in SIZES {
        for (from, to) in [
            (0, 0),
            (0, 1),
            (1, 0),
            (0, 9),
            (9, 0),
            (0, 70),
            (70, 0),
            (5, 35),
        ] {
            let before = pattern();
            let mut after = before.clone();
            // SAFETY: both ranges are within the vector.
            unsafe {
                let base = after.as_mut_ptr();
                memmove(base.add(to).cast(), base.add(from).cast(), size);
            }
            for (i, &byte) in after.iter().enumerate() {
                let expected = match i.checked_sub(to) {
                    Some(i) if i < size => before[from + i],
                    _ => before[i],
                };
                ensure_eq!(
                    byte,
                    expected,
                    "byte {i}, moving {size} from {from} to {to}"
                );
            }
        }
    }
    Ok(())
}

fn fill() -> Outcome {
    for size in SIZES {
        for offset in [0, 1, 7, 8] {
            let mut bytes = vec![0x11_u8; ROOM];
            // SAFETY: there is that much room behind the offset.
            unsafe { memset(bytes.as_mut_ptr().add(offset).cast(), 0x1a5, size) };
            for (i, &byte) in bytes.iter().enumerate() {
                let within = (offset..offset + size).contains(&i);
                let expected = if within { 0xa5 } else { 0x11 };
                ensure_eq!(byte, expected, "byte {i}, filling {size} at {offset}");
            }
        }
    }
    Ok(())
}

fn compare() -> Outcome {
    let left = pattern();
    for size in SIZES {
        let mut right = left.clone();
        ensure_eq!(
            order(&left, &right, size),
            (Ordering::Equal, true),
            "equal {size}"
        );
        // A difference behind the end does not count.
        right[size] = 0;
        ensure_eq!(
            order(&left, &right, size),
            (Ordering::Equal, true),
            "first {size}"
        );
        for at in [0, size / 2, size.saturating_sub(1)] {
            if at >= size {
                continue;
            }
            let mut right = left.clone();
            right[at] = 0;
            let found = order(&left, &right, size);
            ensure_eq!(found, (Ordering::Greater, false), "{size}, less at {at}");
            let found = order(&right, &left, size);
            ensure_eq!(found, (Ordering::Less, false), "{size}, greater at {at}");
        }
    }
    Ok(())
}

/// What memcmp says of the beginnings of two vectors, and whether bcmp says that they are equal.
fn order(left: &[u8], right: &[u8], size: usize) -> (Ordering, bool) {
    let (left, right) = (left.as_ptr().cast(), right.as_ptr().cast());
    // SAFETY: both are at least that long.
    unsafe {
        (
            memcmp(left, right, size).cmp(&0),
            bcmp(left, right, size) == 0,
        )
    }
}
