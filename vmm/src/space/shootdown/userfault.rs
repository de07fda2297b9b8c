//! A userfaultfd whose write protection is taken away where there is none: nothing changes, and
//! the MMU notifiers are told all the same.
#![allow(unsafe_code)]

use rustix::mm::{UserfaultfdFlags, userfaultfd};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

// Linux, include/uapi/linux/userfaultfd.h; `_IOWR(UFFDIO, number, struct)`.
const UFFD_API: u64 = 0xaa;
const UFFDIO_API: libc::Ioctl = request::<Api>(0x3f);
const UFFDIO_REGISTER: libc::Ioctl = request::<Register>(0x00);
const UFFDIO_WRITEPROTECT: libc::Ioctl = request::<WriteProtect>(0x06);
const UFFD_FEATURE_PAGEFAULT_FLAG_WP: u64 = 1 << 0;
const UFFDIO_REGISTER_MODE_WP: u64 = 1 << 1;
const UFFDIO_WRITEPROTECT_MODE_DONTWAKE: u64 = 1 << 1;

const fn request<T>(number: u64) -> libc::Ioctl {
    const READ_WRITE: u64 = 3;
    (READ_WRITE << 30 | (size_of::<T>() as u64) << 16 | UFFD_API << 8 | number) as libc::Ioctl
}

#[repr(C)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct Register {
    start: u64,
    size: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct WriteProtect {
    start: u64,
    size: u64,
    mode: u64,
}

/// A userfaultfd for a mapping of this process. It never protects anything, so it never has
/// anything to report.
#[derive(Debug)]
pub struct Userfault(OwnedFd);

impl Userfault {
    /// Opens it for a range of this process's addresses.
    ///
    /// Linux 5.11 or later; a process without CAP_SYS_PTRACE may, because it asks for faults of
    /// user mode alone. Filters of system calls often deny it.
    pub fn open(range: Range<u64>) -> io::Result<Self> {
        const USER_MODE_ONLY: UserfaultfdFlags = UserfaultfdFlags::from_bits_retain(1);
        // SAFETY: a new file descriptor has no effect on memory.
        let fd = unsafe { userfaultfd(UserfaultfdFlags::CLOEXEC | USER_MODE_ONLY) }?;
        let mut api = Api {
            api: UFFD_API,
            features: UFFD_FEATURE_PAGEFAULT_FLAG_WP,
            ioctls: 0,
        };
        ioctl(&fd, UFFDIO_API, &mut api)?;
        let mut register = Register {
            start: range.start,
            size: range.end - range.start,
            mode: UFFDIO_REGISTER_MODE_WP,
            ioctls: 0,
        };
        ioctl(&fd, UFFDIO_REGISTER, &mut register)?;
        Ok(Self(fd))
    }

    /// Tells the MMU notifiers about a part of the range, and changes nothing.
    pub fn touch(&self, range: Range<u64>) -> io::Result<()> {
        let mut none = WriteProtect {
            start: range.start,
            size: range.end - range.start,
            mode: UFFDIO_WRITEPROTECT_MODE_DONTWAKE,
        };
        ioctl(&self.0, UFFDIO_WRITEPROTECT, &mut none)
    }
}

fn ioctl<T>(fd: &OwnedFd, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: the request's number has the size of its argument, which the kernel reads and
    // writes. None of these requests changes what memory holds or who may access it: they only
    // ever take away a protection that nothing has.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, std::ptr::from_mut(argument)) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
