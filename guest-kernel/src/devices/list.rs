//! The devices that the VM has.

use crate::command_line::Misuse;
use paravane_sdk::println;
use paravane_sdk::virtio::devices;

/// Prints a line for each device: number, kind, name, queues and features.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    for device in devices() {
        let info = device.info();
        println!(
            "device {} kind {} id {} queues {} features {:#x}",
            device.number(),
            info.device_type,
            device.id(),
            info.queues,
            info.features,
        );
    }
    Ok(0)
}
