//! Descriptors by which others see that there is a daemon: the lock of its state folder, and its
//! listeners.

#![allow(unsafe_code)]

use rustix::fs::fstat;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The descriptors. A process that is being started closes its copies at once: its exec may be
/// long in coming, and if the daemon is killed meanwhile the next one would find them in use.
#[derive(Clone, Debug)]
pub struct Private(Vec<(RawFd, Identity)>);

/// What a descriptor is of, as a number may come to mean another one.
type Identity = (u64, u64);

fn identity(fd: BorrowedFd<'_>) -> io::Result<Identity> {
    let found = fstat(fd)?;
    Ok((found.st_dev, found.st_ino))
}

impl Private {
    /// These descriptors.
    ///
    /// # Errors
    ///
    /// The host says nothing of one of them.
    pub fn of<'a>(all: impl IntoIterator<Item = BorrowedFd<'a>>) -> io::Result<Self> {
        let one = |fd: BorrowedFd<'_>| Ok((fd.as_raw_fd(), identity(fd)?));
        all.into_iter()
            .map(one)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Closes them, as far as they are still there.
    ///
    /// # Safety
    ///
    /// This process is a child between fork and exec, so that nobody else has them.
    pub unsafe fn close(&self) {
        for (fd, known) in &self.0 {
            // SAFETY: it is used here only, and a number that is no descriptor is an error of
            // the call.
            let borrowed = unsafe { BorrowedFd::borrow_raw(*fd) };
            if identity(borrowed).is_ok_and(|found| found == *known) {
                // SAFETY: it is open, and by the caller's promise nobody else's.
                drop(unsafe { OwnedFd::from_raw_fd(*fd) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_number_that_means_something_else_is_left_alone() {
        let first = File::open("/").unwrap();
        let private = Private::of([first.as_fd()]).unwrap();
        let other = File::open("/proc").unwrap();
        // The first has the other's number now, as after a close and an open.
        let mut first = OwnedFd::from(first);
        rustix::io::dup2(&other, &mut first).unwrap();
        // SAFETY: none of the descriptors is closed, as they are not what they were.
        unsafe { private.close() };
        assert!(fstat(&first).is_ok());
    }
}
