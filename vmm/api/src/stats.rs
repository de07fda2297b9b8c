//! What a VM does and uses.

use crate::vm::VmState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The upper bounds of the buckets of latency histograms, in nanoseconds. What takes longer is
/// counted in one bucket more.
pub const LATENCY_BOUNDS_NS: [u64; 12] = [
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// What a VM did since its process was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VmStats {
    /// Nanoseconds since the guest began to run.
    pub uptime_ns: u64,
    /// Exits to the VMM by reason; hypercalls are one of them.
    pub exits: BTreeMap<String, u64>,
    /// Hypercalls, for each that was made.
    pub hypercalls: BTreeMap<String, CallStats>,
    /// Its vCPUs.
    pub vcpus: Vec<VcpuStats>,
    /// Processor time of the process, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory.
    pub memory: MemoryStats,
    /// Bytes that the guest wrote to its console.
    pub console_bytes: u64,
    /// Its devices.
    pub devices: Vec<DeviceStats>,
}

/// What was counted of a hypercall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CallStats {
    /// The times it took.
    pub latency: Histogram,
}

/// Times, in buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Histogram {
    /// How many there were.
    pub count: u64,
    /// Their sum in nanoseconds, about: that of the buckets' middles.
    pub sum_ns: u64,
    /// How many are at most [`LATENCY_BOUNDS_NS`] and above the bound before; the last number is
    /// of those above all bounds.
    pub buckets: Vec<u64>,
}

/// A vCPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VcpuStats {
    /// `running`, `runnable`, `blocked` or `stopped`.
    pub state: String,
    /// Nanoseconds that it was ready and the host ran something else.
    pub steal_ns: u64,
    /// Exits to the VMM.
    pub exits: u64,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MemoryStats {
    /// The guest's RAM.
    pub ram: u64,
    /// What the host has given it of that.
    pub resident_ram: u64,
    /// What else the process has that no other process shares.
    pub overhead: u64,
}

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DeviceStats {
    /// Its name.
    pub id: String,
    /// What it is, such as `disk`.
    pub kind: String,
    /// Requests of all its queues.
    pub requests: u64,
    /// Bytes that the device took from the guest.
    pub bytes_from_guest: u64,
    /// Bytes that the device gave the guest.
    pub bytes_to_guest: u64,
    /// Doorbells that rang.
    pub doorbells: u64,
    /// Notifications of the guest.
    pub notifications: u64,
    /// Notifications that were not needed.
    pub suppressed_notifications: u64,
    /// From taking a request until it was done.
    pub latency: Histogram,
    /// What the kind of device counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
}

/// A VM's figures for a list of VMs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct VmStatsEntry {
    /// The VM's id.
    pub id: String,
    /// The VM's name.
    pub name: String,
    /// What it does.
    pub state: VmState,
    /// Its figures, where it has a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<VmStats>,
}
