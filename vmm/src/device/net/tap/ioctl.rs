//! The calls of /dev/net/tun (linux/if_tun.h).
#![allow(unsafe_code)]

use libc::{c_int, c_short, c_uint, c_ulong};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// `struct ifreq` with its flags, which is all that tun looks at.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: c_short,
    // The rest of the union.
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceRequest>() == size_of::<libc::ifreq>());

impl InterfaceRequest {
    fn new(name: &str, flags: c_int) -> Self {
        let mut request = Self {
            name: [0; libc::IFNAMSIZ],
            flags: flags as c_short,
            rest: [0; 22],
        };
        // The last byte stays 0.
        let bytes = name.bytes().take(libc::IFNAMSIZ - 1);
        request
            .name
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = from);
        request
    }
}

fn check(result: c_int) -> Result<(), Errno> {
    if result < 0 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(())
}

/// TUNSETIFF: makes `fd` a queue of the tap device `name`, with headers before packets.
pub fn set_interface(fd: &OwnedFd, name: &str, has_more_queues: bool) -> Result<(), Errno> {
    let more = if has_more_queues {
        libc::IFF_MULTI_QUEUE
    } else {
        0
    };
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | more;
    let mut request = InterfaceRequest::new(name, flags);
    // SAFETY: the call reads and writes a `struct ifreq`, which the request is.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

/// TUNSETVNETHDRSZ: the size of the header before each packet.
pub fn set_header_size(fd: &OwnedFd, size: usize) -> Result<(), Errno> {
    let size = c_int::try_from(size).map_err(|_| Errno::INVAL)?;
    // SAFETY: the call reads an int.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const size) })
}

/// TUNSETOFFLOAD: what of its work the kernel may leave to the reader.
pub fn set_offload(fd: &OwnedFd, offload: c_uint) -> Result<(), Errno> {
    // SAFETY: the call takes a number.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, c_ulong::from(offload)) })
}

/// TUNSETQUEUE: whether packets come by this queue.
pub fn attach(fd: &OwnedFd, is_used: bool) -> Result<(), Errno> {
    let flags = if is_used {
        libc::IFF_ATTACH_QUEUE
    } else {
        libc::IFF_DETACH_QUEUE
    };
    let mut request = InterfaceRequest::new("", flags);
    // SAFETY: the call reads a `struct ifreq`, which the request is.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETQUEUE, &raw mut request) })
}
