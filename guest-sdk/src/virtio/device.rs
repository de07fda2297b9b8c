//! Finding devices, and what a driver does with a device before its queues work.

#![allow(unsafe_code)]

use super::{Error, feature};
use crate::event::{Port, Priority, Source};
use crate::hypercall::raw;
use crate::sync::SpinLock;
use crate::{address, start_info, upcall, vcpu};
use alloc::sync::Arc;
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use pv_abi::device::{
    DEVICE_ACKNOWLEDGE, DEVICE_DRIVER, DEVICE_DRIVER_OK, DEVICE_FEATURES_OK, DEVICE_NEEDS_RESET,
    DEVICES, DeviceInfo, QueueSetup,
};
use pv_abi::{Errno, Features};
use zerocopy::{FromBytes, IntoBytes};

/// Most bytes that one call reads of a configuration space.
const CONFIG_CHUNK: usize = 256;

/// The devices that have a driver, one bit each.
static DRIVEN: AtomicU32 = AtomicU32::new(0);
const _: () = assert!(DEVICES <= 32);

/// A device that the VM has.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    number: u32,
    info: &'static DeviceInfo,
}

impl Found {
    /// Its number.
    pub fn number(self) -> u32 {
        self.number
    }

    /// What the VMM says of it.
    pub fn info(self) -> &'static DeviceInfo {
        self.info
    }

    /// The operator's name for it; empty where it has none, and where that is not UTF-8.
    pub fn id(self) -> &'static str {
        let id = &self.info.id;
        let size = id.iter().position(|&byte| byte == 0).unwrap_or(id.len());
        str::from_utf8(&id[..size]).unwrap_or("")
    }
}

/// The devices of the VM.
pub fn devices() -> impl Iterator<Item = Found> {
    let info = start_info::get();
    let page = info.page();
    let offered = Features::DEVICES.missing_from(info.features()).is_empty();
    let devices: &'static [DeviceInfo] = if offered && page.devices != 0 {
        let first = core::ptr::with_exposed_provenance(page.devices as usize);
        // SAFETY: the VMM maps so many of them there, read-only and for ever.
        unsafe { slice::from_raw_parts(first, page.device_count as usize) }
    } else {
        &[]
    };
    (0..)
        .zip(devices)
        .map(|(number, info)| Found { number, info })
}

/// The first device of a [`kind`](super::kind), or the one of them that the operator calls `id`.
pub fn find(kind: u32, id: Option<&str>) -> Option<Found> {
    devices()
        .filter(|found| found.info.device_type == kind)
        .find(|found| id.is_none_or(|id| found.id() == id))
}

/// What a device's event told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// The configuration space may have changed.
    Configuration,
    /// The device has stopped: what it has not done by now it will not do.
    Stopped,
}

/// A device that has a driver: this value. It is reset when the value is dropped.
#[derive(Debug)]
pub struct Device {
    found: Found,
    features: u64,
    doorbell: Doorbell,
    /// Set when it has been reset: it knows of no queue any more.
    reset: AtomicBool,
    changes: SpinLock<Option<Port>>,
}

impl Device {
    /// Takes a device, resets it, and agrees with it on those of the features `wanted` that it
    /// offers (virtio 1.2, 3.1.1, up to step 6). VIRTIO_F_VERSION_1 is always wanted.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when it has a driver, [`Error::Unsupported`] when it does not offer
    /// VIRTIO_F_VERSION_1.
    pub fn take(found: Found, wanted: u64) -> Result<Arc<Self>, Error> {
        let features = found.info.features & (wanted | feature::VERSION_1);
        if features & feature::VERSION_1 == 0 {
            return Err(Error::Unsupported);
        }
        Self::take_before_features(found, features)?.agree()
    }

    fn agree(self) -> Result<Arc<Self>, Error> {
        raw::io_device_set_features(self.number(), self.features)?;
        self.add_status(DEVICE_FEATURES_OK)?;
        Ok(Arc::new(self))
    }

    /// As [`Device::take`], up to the features, on which the caller has to agree with the device.
    pub(crate) fn take_before_features(found: Found, features: u64) -> Result<Self, Error> {
        let bit = 1 << found.number;
        if DRIVEN.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
            return Err(Error::InUse);
        }
        let device = Self {
            found,
            features,
            doorbell: Doorbell::of(found),
            reset: AtomicBool::new(false),
            changes: SpinLock::new(None),
        };
        // From here on it is dropped in case of an error.
        raw::io_device_set_status(found.number, 0)?;
        device.add_status(DEVICE_ACKNOWLEDGE)?;
        device.add_status(DEVICE_DRIVER)?;
        Ok(device)
    }

    fn number(&self) -> u32 {
        self.found.number
    }

    /// What and which it is.
    pub fn found(&self) -> Found {
        self.found
    }

    /// The features that it and its driver use.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// Whether all of these features are used.
    pub fn has(&self, features: u64) -> bool {
        self.features & features == features
    }

    /// Its status, `DEVICE_*` of [`pv_abi::device`].
    ///
    /// # Errors
    ///
    /// Those of `io_device_status`; none is expected.
    pub fn status(&self) -> Result<u32, Errno> {
        raw::io_device_status(self.number())
    }

    fn add_status(&self, bits: u32) -> Result<(), Errno> {
        let status = self.status()? | bits;
        raw::io_device_set_status(self.number(), status).map(drop)
    }

    /// Has it begin with its work: its queues are set up.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] when it needs a reset.
    pub fn start(&self) -> Result<(), Error> {
        self.add_status(DEVICE_DRIVER_OK)
            .map_err(|_| Error::Stopped)
    }

    /// Resets it: behind this it touches no memory, and answers no request.
    pub fn reset(&self) {
        if !self.reset.load(Ordering::Acquire) {
            // It cannot fail: the device is there.
            let _ = raw::io_device_set_status(self.number(), 0);
            self.reset.store(true, Ordering::Release);
        }
    }

    /// Whether it has been reset.
    pub fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Acquire)
    }

    /// Reads a structure of its configuration space, all of it at one moment.
    ///
    /// # Errors
    ///
    /// Those of `io_config_read`: [`Errno::EINVAL`] past the end.
    ///
    /// # Panics
    ///
    /// For a structure of more than 256 bytes.
    pub fn config<T: FromBytes + IntoBytes>(&self, offset: u32) -> Result<T, Errno> {
        self.config_with_generation(offset)
            .map(|(config, _)| config)
    }

    /// As [`Device::config`], with the generation: how often the configuration has changed.
    ///
    /// # Errors
    ///
    /// As [`Device::config`].
    pub fn config_with_generation<T: FromBytes + IntoBytes>(
        &self,
        offset: u32,
    ) -> Result<(T, u32), Errno> {
        let mut config = T::new_zeroed();
        let generation = self.read_config(offset, config.as_mut_bytes())?;
        Ok((config, generation))
    }

    /// Reads the configuration space as far as the structure and the device have it. What the
    /// device does not have is zero.
    ///
    /// # Errors
    ///
    /// Those of `io_config_read`; none is expected.
    ///
    /// # Panics
    ///
    /// For a structure of more than 256 bytes.
    pub fn config_prefix<T: FromBytes + IntoBytes>(&self) -> Result<T, Errno> {
        let mut config = T::new_zeroed();
        let size = size_of::<T>().min(self.found.info.config_size as usize);
        self.read_config(0, &mut config.as_mut_bytes()[..size])?;
        Ok(config)
    }

    /// Reads bytes of the configuration space, and gives its generation.
    fn read_config(&self, offset: u32, bytes: &mut [u8]) -> Result<u32, Errno> {
        assert!(bytes.len() <= CONFIG_CHUNK);
        let gpa = address::virt_to_phys(bytes.as_mut_ptr(), bytes.len()).ok_or(Errno::EFAULT)?;
        // SAFETY: the call writes to these bytes alone.
        unsafe { raw::io_config_read(self.number(), offset, gpa, bytes.len() as u32) }
    }

    /// Tells the device where a queue is.
    ///
    /// # Safety
    ///
    /// The rings are the device's to write until it has been reset.
    pub(crate) unsafe fn set_up_queue(&self, queue: u16, setup: &QueueSetup) -> Result<(), Errno> {
        // SAFETY: the caller's promise; the call itself only reads `setup`.
        unsafe { raw::io_queue_setup(self.number(), queue.into(), address::of(setup)) }.map(drop)
    }

    /// Tells the device that a queue has available buffers.
    #[inline]
    pub fn ring(&self, queue: u16) {
        match self.doorbell {
            // SAFETY: the port is the device's.
            Doorbell::Port(first) => unsafe { write_doorbell(first.wrapping_add(queue)) },
            Doorbell::Call => {
                // It cannot fail: the queue is there.
                let _ = raw::io_queue_notify(self.number(), queue.into());
            }
        }
    }

    /// The source of the events of a queue.
    pub fn queue_source(&self, queue: u16) -> Source {
        Source::Queue(self.found.info.doorbell.saturating_add(queue.into()))
    }

    /// Has `handler` called when the device has a new configuration or has stopped. It is a handler
    /// of an event (see [`upcall::set_handler`]), which the running vCPU is told of.
    ///
    /// # Errors
    ///
    /// Those of [`Port::for_source`].
    pub fn on_change(
        &self,
        handler: impl Fn(Changes) + Send + Sync + 'static,
    ) -> Result<(), Errno> {
        let number = self.number();
        let source = Source::Device(number);
        let port = Port::for_source(source, vcpu::id(), Priority::default())?;
        upcall::set_handler(port.number(), move |_| {
            let stopped = match raw::io_device_status(number) {
                Ok(status) => status & DEVICE_NEEDS_RESET != 0,
                Err(_) => true,
            };
            handler(match stopped {
                true => Changes::Stopped,
                false => Changes::Configuration,
            });
        });
        let before = self.changes.lock().replace(port);
        drop(before);
        Ok(())
    }

    /// Calls no handler any more.
    pub fn ignore_changes(&self) {
        let port = self.changes.lock().take();
        if let Some(port) = port {
            upcall::clear_handler(port.number());
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.reset();
        self.ignore_changes();
        DRIVEN.fetch_and(!(1 << self.number()), Ordering::AcqRel);
    }
}

/// How a device is told of available buffers.
#[derive(Clone, Copy, Debug)]
enum Doorbell {
    /// By a byte to this port for queue 0, to those behind it for the others.
    Port(u16),
    /// By a call.
    Call,
}

impl Doorbell {
    fn of(found: Found) -> Self {
        let page = start_info::get().page();
        let last = found.info.doorbell.saturating_add(found.info.queues);
        if page.doorbell_count == 0 || last > page.doorbell_count.into() {
            return Self::Call;
        }
        Self::Port(page.doorbell_port.wrapping_add(found.info.doorbell as u16))
    }
}

/// Writes to the port of a doorbell. It is a function of its own, so that whoever looks for sensitive
/// instructions in an image finds this one in one place.
///
/// # Safety
///
/// It is the port of a doorbell of this guest's: the VMM has made those accessible, at any CPL.
#[inline(never)]
#[unsafe(export_name = "paravane_write_doorbell")]
unsafe extern "C" fn write_doorbell(port: u16) {
    // SAFETY: the caller's promise; a doorbell touches no memory of the program's.
    unsafe {
        core::arch::asm!(
            "out dx, al",
            in("dx") port,
            in("al") 0_u8,
            options(nostack, preserves_flags),
        );
    }
}
