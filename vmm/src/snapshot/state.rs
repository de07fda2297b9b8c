//! The state of a VM, but for its memory.

use super::host::SavedHost;
use crate::carrier::Mode;
use crate::device::saved::SavedDevice;
use crate::event::saved::SavedPort;
use crate::space::saved::SavedSpaces;
use crate::time::saved::{SavedClock, SavedTimer};
use crate::vcpu::saved::SavedVcpu;
use crate::vm::machine::{Places, Sizes};
use serde::{Deserialize, Serialize};

/// What a VM is beside its memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// The memory file has the same.
    pub id: [u8; 16],
    /// How large it is.
    pub sizes: Sizes,
    /// How its guest runs and calls.
    pub mode: Mode,
    /// The features that its guest was offered.
    pub features: u64,
    /// A checksum of the VMM's code in its memory, which goes with the VMM.
    pub monitor: u32,
    /// Its number among the guests of its process, and how many these were.
    pub seat: (u32, u32),
    /// How often it went on from a snapshot.
    pub restored: u32,
    /// Where things are in private memory.
    pub places: Places,
    /// The sealed pages of RAM: ranges of page numbers.
    pub sealed: Vec<(u64, u64)>,
    /// The host that it ran on.
    pub host: SavedHost,
    /// The clock.
    pub clock: SavedClock,
    /// The vCPUs, by their numbers.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub vcpus: Vec<SavedVcpu>,
    /// The ports that are not free.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub ports: Vec<SavedPort>,
    /// The timers that are set.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub timers: Vec<SavedTimer>,
    /// The address spaces.
    pub spaces: SavedSpaces,
    /// The devices, by their numbers.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub devices: Vec<SavedDevice>,
}
