//! Doorbells, by which a guest tells a device of work, and events, by which a device tells a guest.
#![allow(unsafe_code)]

use crate::event::Events;
use crate::event::port::Source;
use crate::ports::DOORBELLS;
use crate::vcpu::shared::Vcpus;
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::Arc;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// The doorbell of a queue.
#[derive(Debug)]
pub struct Doorbell {
    /// Its number, which is unique in its VM.
    pub number: u8,
    fd: EventFd,
}

impl Doorbell {
    /// Makes one.
    pub fn new(number: u8) -> io::Result<Self> {
        Ok(Self {
            number,
            fd: EventFd::new(EFD_NONBLOCK)?,
        })
    }

    /// Has KVM ring it when the guest writes to its port, so that no exit to the VMM follows.
    pub fn connect(&self, vm: &VmFd) -> io::Result<()> {
        let port = IoEventAddress::Pio(u64::from(DOORBELLS) + u64::from(self.number));
        vm.register_ioevent(&self.fd, &port, NoDatamatch)
            .map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }

    /// Rings it.
    pub fn ring(&self) {
        // It can only fail when it has rung 2^64 times and nobody has heard it.
        let _ = self.fd.write(1);
    }

    /// Another handle of it, for who hears it.
    pub fn listener(&self) -> io::Result<OwnedFd> {
        let clone = self.fd.try_clone()?.into_raw_fd();
        // SAFETY: the descriptor is open, and whoever had it has just given it up.
        Ok(unsafe { OwnedFd::from_raw_fd(clone) })
    }
}

/// Raises events of a VM.
#[derive(Clone, Debug)]
pub struct Notifier {
    events: Arc<Events>,
    vcpus: Arc<Vcpus>,
}

impl Notifier {
    /// For the VM of these.
    pub fn new(events: Arc<Events>, vcpus: Arc<Vcpus>) -> Self {
        Self { events, vcpus }
    }

    /// Raises the port of a source, if it has one; whether it has.
    pub fn raise(&self, source: Source) -> bool {
        self.events.raise_source(&self.vcpus, source)
    }
}
