//! The devices of a VM.

use super::doorbell::Notifier;
use super::list::DeviceList;
use super::saved::{FitError, SavedDevice};
use super::transport::Transport;
use crate::event::port::Source;
use crate::memory::Ram;
use pv_abi::Errno;
use std::sync::Arc;
use std::time::Instant;

/// The devices of a VM, by their numbers.
#[derive(Debug, Default)]
pub struct Devices {
    devices: Vec<Transport>,
}

impl Devices {
    /// Those of a list, for the VM of `ram` and `notifier`.
    pub fn new(list: DeviceList, ram: &Arc<Ram>, notifier: &Notifier) -> Self {
        let devices = (0..=u8::MAX)
            .zip(list.devices)
            .map(|(number, listed)| Transport::new(number, listed, ram, notifier))
            .collect();
        Self { devices }
    }

    /// A device.
    ///
    /// # Errors
    ///
    /// ENOENT when there is none of this number.
    pub fn get(&self, device: u32) -> Result<&Transport, Errno> {
        self.devices.get(device as usize).ok_or(Errno::ENOENT)
    }

    /// All of them.
    pub fn all(&self) -> &[Transport] {
        &self.devices
    }

    /// Whether a source can ever be raised.
    pub fn has_source(&self, source: Source) -> bool {
        match source {
            Source::Console | Source::Shutdown | Source::Grant | Source::Restored => true,
            Source::Device(number) => usize::from(number) < self.devices.len(),
            Source::Queue(number) => self.devices.iter().any(|one| one.has_doorbell(number)),
        }
    }

    /// Holds the threads of all of them, which first finish what the host's kernel has to do for
    /// them. While the vCPUs rest, no device gets a thread or loses it.
    ///
    /// # Errors
    ///
    /// The name of one that is not held at `deadline`; then none is.
    pub fn pause(&self, deadline: Instant) -> Result<(), String> {
        let gates = || {
            self.devices
                .iter()
                .filter_map(|one| Some((one, one.gate()?)))
        };
        gates().for_each(|(_, gate)| gate.close());
        let late = gates().find(|(_, gate)| !gate.wait_until_held(deadline));
        let Some((device, _)) = late else {
            return Ok(());
        };
        self.resume();
        Err(device.shared.id.clone())
    }

    /// Begins to serve those that were served when the VM was saved.
    pub fn go_on(&self) {
        self.devices.iter().for_each(Transport::go_on);
    }

    /// Lets the threads of all of them go on.
    pub fn resume(&self) {
        let gates = self.devices.iter().filter_map(Transport::gate);
        gates.for_each(|gate| gate.open());
    }

    /// What their drivers have made of them, while their threads are held.
    ///
    /// # Errors
    ///
    /// The name of one that cannot be saved, and why.
    pub fn save(&self) -> Result<Vec<SavedDevice>, (String, &'static str)> {
        let save = |device: &Transport| {
            let saved = device.save();
            saved.map_err(|why| (device.shared.id.clone(), why))
        };
        self.devices.iter().map(save).collect()
    }

    /// Whether they can take the place of those of a snapshot: what is checked first, as the rest of a
    /// snapshot makes no sense with others.
    ///
    /// # Errors
    ///
    /// They are others.
    pub fn fit(&self, saved: &[SavedDevice]) -> Result<(), FitError> {
        if saved.len() != self.devices.len() {
            let list = |ids: Vec<&str>| match ids.is_empty() {
                true => "(none)".to_string(),
                false => ids.join(", "),
            };
            return Err(FitError::Devices {
                saved: list(saved.iter().map(|one| one.id.as_str()).collect()),
                given: list(
                    self.devices
                        .iter()
                        .map(|one| one.shared.id.as_str())
                        .collect(),
                ),
            });
        }
        let mut pairs = self.devices.iter().zip(saved);
        pairs.try_for_each(|(device, saved)| device.fits(saved))
    }

    /// Makes them what they were, in a VM that has not run.
    ///
    /// # Errors
    ///
    /// They do not fit, or cannot have been so.
    pub fn restore(&self, saved: &[SavedDevice]) -> Result<(), FitError> {
        let mut pairs = self.devices.iter().zip(saved);
        pairs.try_for_each(|(device, saved)| device.restore(saved))
    }

    /// Ends all of them, when the VM has ended.
    pub fn shut_down(&self) {
        self.devices.iter().for_each(Transport::shut_down);
    }
}
