//! Snapshots of VMs.

use crate::device::Devices;
use crate::spec::VmSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Snapshot {
    /// A UUID, which sorts by the time of creation.
    pub id: String,
    /// A name that no other snapshot has.
    pub name: String,
    /// The VM it was taken of.
    pub vm: String,
    /// That VM's spec.
    pub spec: VmSpec,
    /// When it was taken.
    pub created_at: String,
    /// What it takes of the host's disk, in bytes.
    pub size: u64,
}

/// A request to take a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TakeSnapshot {
    /// A name like a VM's; without one, the first part of the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z][a-z0-9-]{0,62}$"))]
    pub name: Option<String>,
    /// Leave the VM paused.
    pub stay_paused: bool,
}

/// A request to make VMs from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RestoreSnapshot {
    /// The VM's name, or with several the beginning of their names, which a number follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z][a-z0-9-]{0,62}$"))]
    pub name: Option<String>,
    /// How many.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 1000))]
    pub count: u32,
    /// Their labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Their devices in place of the snapshot's: the same kinds and ids in the same order, with
    /// other files, folders or ports of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Devices>,
}

impl Default for RestoreSnapshot {
    fn default() -> Self {
        Self {
            name: None,
            count: 1,
            labels: BTreeMap::new(),
            devices: None,
        }
    }
}
