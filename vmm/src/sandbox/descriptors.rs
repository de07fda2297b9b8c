//! Closing what a process was given and does not know of.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;

/// Closes all descriptors but the standard three and those in `kept`. It is done first thing in a
/// process, before anything of it holds a descriptor.
///
/// # Errors
///
/// close_range(2) fails: the kernel has none before Linux 5.9.
///
/// # Safety
///
/// Nothing in the process owns a descriptor that is neither a standard one nor in `kept`.
pub unsafe fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept
        .iter()
        .filter_map(|&descriptor| u32::try_from(descriptor).ok())
        .filter(|&descriptor| descriptor > 2)
        .collect();
    kept.sort_unstable();
    kept.dedup();
    for (first, last) in gaps(&kept) {
        // SAFETY: by this function's contract nobody owns what is closed; the call takes numbers.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The ranges from 3 on that contain none of `kept`, which is in order.
fn gaps(kept: &[u32]) -> Vec<(u32, u32)> {
    let mut gaps = Vec::with_capacity(kept.len() + 1);
    let mut first = 3;
    for &descriptor in kept {
        if first < descriptor {
            gaps.push((first, descriptor - 1));
        }
        first = descriptor + 1;
    }
    gaps.push((first, u32::MAX));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_is_closed() {
        assert_eq!(gaps(&[]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[3, 4]), [(5, u32::MAX)]);
        assert_eq!(gaps(&[5, 9]), [(3, 4), (6, 8), (10, u32::MAX)]);
    }
}
