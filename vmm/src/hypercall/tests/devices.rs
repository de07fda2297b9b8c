//! Devices that are never served, in each state in which a call can find one.

use super::world::World;
use crate::device::backend::{Active, Backend, Work};
use crate::device::list::DeviceList;
use crate::device::registry::Devices;
use crate::device::spec::OpenDevice;
use crate::device::{DeviceError, features};
use crate::memory::Ram;
use pv_abi::device::{DEVICE_ACKNOWLEDGE, DEVICE_DRIVER, DEVICE_FEATURES_OK, QueueSetup};

/// Numbers of the devices: one that was not touched, one with a driver, one whose features are
/// set and whose queue 1 is set up, and one that needs a reset.
pub(super) const FRESH: u64 = 0;
pub(super) const DRIVEN: u64 = 1;
pub(super) const SET_UP: u64 = 2;
pub(super) const BROKEN: u64 = 3;
pub(super) const COUNT: u64 = 4;

/// Each has two queues of this size.
pub(super) const QUEUE_SIZE: u32 = 8;
pub(super) const CONFIG_SIZE: u64 = 16;

/// A `pv_queue_setup` for a queue that is not set up.
pub(super) const SETUP: u64 = 0x1_c300;
/// Where that queue is to be, and where one is.
const RINGS: u64 = 0x2_8000;
const OTHER_RINGS: u64 = RINGS + 0x1000;

#[derive(Debug)]
struct Idle;

impl Backend for Idle {
    fn device_type(&self) -> u32 {
        4
    }

    fn features(&self) -> u64 {
        1
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![QUEUE_SIZE as u16; 2]
    }

    fn config(&self) -> Vec<u8> {
        vec![7; CONFIG_SIZE as usize]
    }

    fn run(&mut self, _active: Active) -> Work<'_, Result<(), DeviceError>> {
        Box::pin(std::future::pending())
    }
}

/// The devices of a guest that has some.
pub(super) fn list() -> DeviceList {
    let device = |number: u64| OpenDevice {
        id: format!("idle{number}"),
        kind: "idle",
        backend: Box::new(Idle),
    };
    DeviceList::new((0..COUNT).map(device).collect()).unwrap()
}

fn setup(rings: u64) -> QueueSetup {
    QueueSetup {
        size: QUEUE_SIZE,
        reserved: 0,
        descriptors: rings,
        driver: rings + 0x100,
        device: rings + 0x200,
    }
}

/// Brings the devices, if there are any, into their states.
pub(super) fn furnish(world: &World) {
    world.put(SETUP, &setup(RINGS));
    let devices = &world.services.devices;
    if devices.all().is_empty() {
        return;
    }
    let get = |number: u64| devices.get(number as u32).unwrap();
    let driver = DEVICE_ACKNOWLEDGE | DEVICE_DRIVER;
    get(DRIVEN).set_status(driver).unwrap();
    let device = get(SET_UP);
    device.set_status(driver).unwrap();
    device.set_features(features::VERSION_1).unwrap();
    device.set_status(driver | DEVICE_FEATURES_OK).unwrap();
    device.setup_queue(1, &setup(OTHER_RINGS)).unwrap();
    let error = DeviceError::Protocol("it is broken".to_string());
    get(BROKEN).shared.needs_reset(&error);
}

/// What a call can change of devices.
pub(super) fn state(devices: &Devices, ram: &Ram) -> String {
    let states: Vec<_> = devices.all().iter().map(|one| one.describe()).collect();
    format!("{states:?} {:?}", ram.device_writes())
}
