//! The daemon itself.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a daemon is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct DaemonInfo {
    /// The program's version.
    pub version: String,
    /// The version of the API, such as `v1`.
    pub api: String,
    /// How long it has run, in milliseconds.
    pub uptime_ms: u64,
    /// Its process.
    pub pid: u32,
    /// The host.
    pub host: HostInfo,
    /// How many VMs there are in each state that any is in.
    pub vms: BTreeMap<String, u64>,
}

/// What a daemon knows of its host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct HostInfo {
    /// The KVM device.
    pub kvm: String,
    /// How guests can run here: a privilege level and what carries calls, such as `ring3/pio`;
    /// what is best comes first. Empty if no VM can be run.
    pub modes: Vec<String>,
    /// Why no VM can be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Number of processors.
    pub processors: u32,
    /// RAM in bytes.
    pub memory: u64,
}
