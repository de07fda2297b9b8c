//! What a process is to run, and how it ended.

use paravane_api::VmSpec;
use paravane_api::vm::Ended;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a process is to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessPlan {
    /// The VM's id.
    pub id: String,
    /// The VM's name.
    pub name: String,
    /// Which start of the VM this is, from 1.
    pub start: u64,
    /// The VM; each image in it is `builtin` or an absolute path.
    pub spec: VmSpec,
    /// The KVM device.
    pub kvm: PathBuf,
    /// The snapshot to go on from, instead of booting the image.
    #[serde(default)]
    pub restore: Option<PathBuf>,
    /// How the process confines itself.
    pub confinement: Confinement,
    /// How much the process stands back for others where processors are short: its nice value, 0 to
    /// 19.
    #[serde(default)]
    pub nice: u8,
    /// When the log is rotated.
    pub log: LogLimits,
}

/// How a process confines itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Whether at all.
    pub enabled: bool,
    /// End rather than run with less than all of it.
    pub strict: bool,
    /// The user and group to become, where the daemon is root.
    pub user: Option<(u32, u32)>,
    /// The control group that the daemon has put it into.
    pub cgroup: Option<String>,
}

/// When a log is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// The size of a file in bytes.
    pub size: u64,
    /// The number of older files.
    pub files: u32,
    /// Bytes a second that the guest's console may take of it.
    pub rate: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            size: 1 << 20,
            files: 3,
            rate: 256 << 10,
        }
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// Which start of the VM it was.
    pub start: u64,
    /// How it ended.
    pub ended: Ended,
}
