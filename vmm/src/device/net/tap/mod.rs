//! A tap device of the host (Documentation/networking/tuntap.rst).

mod ioctl;

use super::features::{CSUM, GUEST_CSUM, GUEST_TSO4, GUEST_TSO6};
use super::header::HEADER_SIZE;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use thiserror::Error;

/// The longest name of a network interface (IFNAMSIZ, without the 0 at its end).
pub const NAME_MAX: usize = 15;

/// Where tap devices are opened.
pub const DEVICE: &str = "/dev/net/tun";

/// Why there is no tap device.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TapError {
    /// The name cannot be one.
    #[error("\"{0}\" is no name of a tap device; it has 1 to {NAME_MAX} bytes and no / or space")]
    Name(String),
    /// The kernel has none.
    #[error("this host has no {DEVICE}; load the kernel's module tun, or use the network user")]
    NoTun,
    /// Not allowed to open /dev/net/tun.
    #[error("no permission to open {DEVICE}; get access to it, or use the network user")]
    NoAccess,
    /// Not allowed to use this device.
    #[error(
        "no permission to use the tap device {0}; have it made for this user \
         (ip tuntap add {0} mode tap user NAME), or use the network user"
    )]
    NoPermission(String),
    /// Somebody uses it.
    #[error("the tap device {0} is in use by another process; give it another one")]
    InUse(String),
    /// It is something else, or was made with or without several queues.
    #[error(
        "{0} is no tap device that can be used with {1} queues; several queues need one that \
         was made with multi_queue, and a single one needs one that was not"
    )]
    Kind(String, u16),
    /// The host failed.
    #[error("the tap device {0} cannot be used: {1}")]
    Other(String, Errno),
}

/// A tap device that this process uses.
#[derive(Debug)]
pub struct Tap {
    queues: Vec<OwnedFd>,
}

impl Tap {
    /// Takes a tap device with so many queues. One that does not exist is made, and goes with
    /// this process.
    pub fn open(name: &str, queues: u16) -> Result<Self, TapError> {
        let is_name = !name.is_empty() && name.len() <= NAME_MAX && name != "." && name != "..";
        let is_bad = |byte: u8| byte == b'/' || byte == b'%' || byte <= b' ' || byte == 0x7f;
        if !is_name || name.bytes().any(is_bad) {
            return Err(TapError::Name(name.to_string()));
        }
        let queues = (0..queues)
            .map(|_| open_queue(name, queues))
            .collect::<Result<_, _>>()?;
        Ok(Self { queues })
    }

    /// The queues: each read and write is one packet with its header.
    pub fn queues(&self) -> &[OwnedFd] {
        &self.queues
    }

    /// Has the kernel leave to the guest what a driver with these features does.
    pub fn set_offload(&self, features: u64) -> Result<(), Errno> {
        let mut offload = 0;
        if features & GUEST_CSUM != 0 {
            offload |= libc::TUN_F_CSUM;
            if features & GUEST_TSO4 != 0 {
                offload |= libc::TUN_F_TSO4;
            }
            if features & GUEST_TSO6 != 0 {
                offload |= libc::TUN_F_TSO6;
            }
        }
        match self.queues.first() {
            Some(queue) => ioctl::set_offload(queue, offload),
            None => Ok(()),
        }
    }

    /// Uses the first `count` queues and no others.
    pub fn use_queues(&self, count: u16) -> Result<(), Errno> {
        if self.queues.len() < 2 {
            return Ok(());
        }
        for (index, queue) in self.queues.iter().enumerate() {
            match ioctl::attach(queue, index < count.into()) {
                // It is so already.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn open_queue(name: &str, queues: u16) -> Result<OwnedFd, TapError> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let other = |error| TapError::Other(name.to_string(), error);
    let fd = open(DEVICE, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => TapError::NoTun,
        Errno::ACCESS | Errno::PERM => TapError::NoAccess,
        error => other(error),
    })?;
    ioctl::set_interface(&fd, name, queues > 1).map_err(|error| match error {
        Errno::PERM | Errno::ACCESS => TapError::NoPermission(name.to_string()),
        Errno::BUSY => TapError::InUse(name.to_string()),
        Errno::INVAL => TapError::Kind(name.to_string(), queues),
        error => other(error),
    })?;
    ioctl::set_header_size(&fd, HEADER_SIZE).map_err(other)?;
    Ok(fd)
}

/// What the kernel does for a guest, whichever tap device it is.
pub const FEATURES: u64 = CSUM
    | GUEST_CSUM
    | GUEST_TSO4
    | GUEST_TSO6
    | super::features::HOST_TSO4
    | super::features::HOST_TSO6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_one_is_told() {
        for name in ["", "a/b", "tap 0", "sixteen-bytes-xx", "..", "tap%d"] {
            assert_eq!(
                Tap::open(name, 1).unwrap_err(),
                TapError::Name(name.to_string())
            );
        }
    }
}
