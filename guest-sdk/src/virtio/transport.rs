//! The transport of `virtio-drivers`: a [`Device`] for its drivers.
//!
//! Those drivers wait by spinning. They do not fence their look at whether the device wants a
//! doorbell, so VIRTIO_F_RING_EVENT_IDX is not offered to them: without it a device of Paravane's
//! wants every doorbell.

#![allow(unsafe_code)]

use super::{Device, Error, Found, feature};
use crate::hypercall::raw;
use pv_abi::device::QueueSetup;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus};
use virtio_drivers::{Error as DriverError, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A device, for a driver of `virtio-drivers`.
#[derive(Debug)]
pub struct Transport {
    device: Device,
    kind: DeviceType,
    /// The queues that are set up, one bit each.
    queues: u64,
}

impl Transport {
    /// Takes a device.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a kind that `virtio-drivers` does not know, and those of
    /// [`Device::take`].
    pub fn new(found: Found) -> Result<Self, Error> {
        let kind = DeviceType::try_from(found.info().device_type);
        let kind = kind.map_err(|_| Error::Unsupported)?;
        Ok(Self {
            device: Device::take_before_features(found, 0)?,
            kind,
            queues: 0,
        })
    }

    fn number(&self) -> u32 {
        self.device.found().number()
    }
}

impl virtio_drivers::transport::Transport for Transport {
    fn device_type(&self) -> DeviceType {
        self.kind
    }

    fn read_device_features(&mut self) -> u64 {
        self.device.found().info().features & !feature::RING_EVENT_IDX
    }

    fn write_driver_features(&mut self, features: u64) {
        // What goes wrong is found when FEATURES_OK is missing in the status.
        let _ = raw::io_device_set_features(self.number(), features);
    }

    fn max_queue_size(&mut self, _: u16) -> u32 {
        self.device.found().info().queue_size_max
    }

    fn notify(&mut self, queue: u16) {
        self.device.ring(queue);
    }

    fn get_status(&self) -> DeviceStatus {
        let status = self.device.status().unwrap_or(0);
        DeviceStatus::from_bits_retain(status)
    }

    fn set_status(&mut self, status: DeviceStatus) {
        // A driver writes the bits that it adds and those that are set, or 0.
        let _ = raw::io_device_set_status(self.number(), status.bits());
        if status.is_empty() {
            self.queues = 0;
        }
    }

    fn set_guest_page_size(&mut self, _: u32) {
        // Only devices before virtio 1.0 ask for it.
    }

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        let setup = QueueSetup {
            size,
            reserved: 0,
            descriptors,
            driver: driver_area,
            device: device_area,
        };
        // SAFETY: the driver's queue has the rings for itself, and unsets it before it gives them
        // back.
        let set = unsafe { self.device.set_up_queue(queue, &setup) };
        if set.is_ok() {
            self.queues |= 1_u64.checked_shl(queue.into()).unwrap_or(0);
        }
    }

    fn queue_unset(&mut self, _: u16) {
        // A driver does so when it is dropped, before its rings are. There is no call for a single
        // queue: the device forgets all of them.
        self.device.reset();
        self.queues = 0;
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        let bit = 1_u64.checked_shl(queue.into()).unwrap_or(0);
        self.queues & bit != 0
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        // Which event it is says which queue it is of.
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        self.device
            .config_with_generation::<u8>(0)
            .map_or(0, |(_, generation)| generation)
    }

    fn read_config_space<T: FromBytes + IntoBytes>(
        &self,
        offset: usize,
    ) -> virtio_drivers::Result<T> {
        let offset = u32::try_from(offset).map_err(|_| DriverError::ConfigSpaceTooSmall)?;
        self.device
            .config(offset)
            .map_err(|_| DriverError::ConfigSpaceTooSmall)
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        _: usize,
        _: T,
    ) -> virtio_drivers::Result<()> {
        Err(DriverError::Unsupported)
    }
}
