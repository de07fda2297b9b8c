//! The devices of a VM as the guest is told of them, and their doorbells.

use super::doorbell::Doorbell;
use super::features;
use super::spec::OpenDevice;
use pv_abi::device::{DEVICE_ID_MAX, DEVICES, DOORBELLS, DeviceInfo};
use std::io;
use thiserror::Error;
use zerocopy::FromZeros;

/// Why devices do not go together.
#[derive(Debug, Error)]
pub enum ListError {
    /// There are too many.
    #[error("{count} devices are more than the {DEVICES} that a VM can have")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// They have too many queues.
    #[error(
        "the devices have {queues} queues, more than the {DOORBELLS} that a VM can have; \
         give them fewer by queues="
    )]
    TooManyQueues {
        /// How many.
        queues: usize,
    },
    /// A name is used twice.
    #[error("two devices have the id {id}; give one of them another by id=")]
    SameId {
        /// The name.
        id: String,
    },
    /// A name is too long.
    #[error("the id {id} has {size} bytes; at most {DEVICE_ID_MAX} are possible")]
    LongId {
        /// The name.
        id: String,
        /// Its length.
        size: usize,
    },
    /// A device has a queue of a size that does not exist: a defect of the VMM.
    #[error("the device {id} has no queue, or one of {size} descriptors (a defect of the VMM)")]
    QueueSize {
        /// The device.
        id: String,
        /// The size.
        size: u16,
    },
    /// The host failed.
    #[error("cannot make a doorbell: {0}; raise the limit of open files (ulimit -n)")]
    Doorbell(io::Error),
}

/// A device with its doorbells.
#[derive(Debug)]
pub struct ListedDevice {
    /// The device.
    pub device: OpenDevice,
    /// What the guest is told.
    pub info: DeviceInfo,
    /// The largest size of each queue.
    pub queue_sizes: Vec<u16>,
    /// The doorbell of each queue.
    pub doorbells: Vec<Doorbell>,
}

/// The devices of a VM.
#[derive(Debug, Default)]
pub struct DeviceList {
    /// In the order of their numbers.
    pub devices: Vec<ListedDevice>,
}

impl DeviceList {
    /// Checks that devices go together, and makes their doorbells.
    ///
    /// # Errors
    ///
    /// They do not.
    pub fn new(devices: Vec<OpenDevice>) -> Result<Self, ListError> {
        if devices.len() > DEVICES {
            return Err(ListError::TooMany {
                count: devices.len(),
            });
        }
        let sizes: Vec<_> = devices
            .iter()
            .map(|one| one.backend.queue_sizes())
            .collect();
        let queues = sizes.iter().map(Vec::len).sum();
        if queues > DOORBELLS {
            return Err(ListError::TooManyQueues { queues });
        }
        let mut next = 0..=u8::MAX;
        let mut listed = Vec::<ListedDevice>::with_capacity(devices.len());
        for (device, queue_sizes) in devices.into_iter().zip(sizes) {
            if listed.iter().any(|other| other.device.id == device.id) {
                return Err(ListError::SameId { id: device.id });
            }
            let doorbells = next
                .by_ref()
                .take(queue_sizes.len())
                .map(Doorbell::new)
                .collect::<Result<Vec<_>, _>>()
                .map_err(ListError::Doorbell)?;
            let info = info(&device, &queue_sizes, &doorbells)?;
            listed.push(ListedDevice {
                device,
                info,
                queue_sizes,
                doorbells,
            });
        }
        Ok(Self { devices: listed })
    }

    /// What the guest is told of each.
    pub fn infos(&self) -> Vec<DeviceInfo> {
        self.devices.iter().map(|listed| listed.info).collect()
    }

    /// All doorbells, in the order of their numbers.
    pub fn doorbells(&self) -> impl Iterator<Item = &Doorbell> {
        self.devices.iter().flat_map(|listed| &listed.doorbells)
    }
}

fn info(
    device: &OpenDevice,
    queue_sizes: &[u16],
    doorbells: &[Doorbell],
) -> Result<DeviceInfo, ListError> {
    let bad = queue_sizes.iter().find(|size| !size.is_power_of_two());
    let (Some(smallest), Some(first), None) = (queue_sizes.iter().min(), doorbells.first(), bad)
    else {
        return Err(ListError::QueueSize {
            id: device.id.clone(),
            size: bad.copied().unwrap_or_default(),
        });
    };
    let mut info = DeviceInfo::new_zeroed();
    info.device_type = device.backend.device_type();
    info.queues = queue_sizes.len() as u32;
    info.features = device.backend.features() | features::TRANSPORT;
    info.config_size = device.backend.config().len() as u32;
    info.doorbell = first.number.into();
    info.queue_size_max = u32::from(*smallest);
    let id = device.id.as_bytes();
    let Some(place) = info.id.get_mut(..id.len()) else {
        return Err(ListError::LongId {
            size: id.len(),
            id: device.id.clone(),
        });
    };
    place.copy_from_slice(id);
    Ok(info)
}
