//! What a client asks for when it creates a VM.

use crate::device::Devices;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A VM as it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct VmSpec {
    /// A name that no other VM has: 1 to 63 of `a-z`, `0-9` and `-`, beginning with a letter.
    /// Without one, the VM is called by the first part of its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[a-z][a-z0-9-]{0,62}$"))]
    pub name: Option<String>,
    /// The guest's image: `builtin`, an absolute path of a file of the host, or an image of the
    /// store by its digest, `sha256:` and 64 hexadecimal digits, or by its name, `store:NAME`.
    pub image: Image,
    /// A file for the guest to find in its memory, named as an image is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schema(
            pattern = "^(/[^\\x00]*|sha256:[0-9a-f]{64}|store:[A-Za-z0-9][A-Za-z0-9._-]{0,126})$"
        )
    )]
    pub initrd: Option<String>,
    /// The guest's command line.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_length = 2048))]
    pub command_line: String,
    /// What the VM may use of the host.
    pub resources: Resources,
    /// The privilege level of the guest kernel.
    #[serde(skip_serializing_if = "is_default")]
    pub privilege: Privilege,
    /// What carries hypercalls.
    #[serde(skip_serializing_if = "is_default")]
    pub carrier: Carrier,
    /// Its devices.
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Devices,
    /// What happens when it has ended.
    #[serde(skip_serializing_if = "is_default")]
    pub restart: Restart,
    /// How long the guest may take to shut down when it is asked to, in milliseconds.
    #[cfg_attr(feature = "schema", schema(maximum = 600_000))]
    pub grace_ms: Grace,
    /// Words of the client's own, to find VMs by: at most 64, keys of at most 63 and values of at
    /// most 255 characters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The name of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(utoipa::ToSchema),
    schema(
        pattern = "^(builtin|/[^\\x00]*|sha256:[0-9a-f]{64}|store:[A-Za-z0-9][A-Za-z0-9._-]{0,126})$"
    )
)]
#[serde(transparent)]
pub struct Image(pub String);

/// The guest kernel that is built into the program.
pub const BUILTIN: &str = "builtin";

impl Default for Image {
    fn default() -> Self {
        Self(BUILTIN.to_string())
    }
}

/// A time to shut down in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Grace(pub u32);

impl Default for Grace {
    fn default() -> Self {
        Self(3000)
    }
}

/// What a VM may use of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Number of vCPUs.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 64))]
    pub vcpus: u32,
    /// RAM in bytes, a multiple of 4096.
    #[cfg_attr(
        feature = "schema",
        schema(minimum = 4096, maximum = 1_099_511_627_776_i64, multiple_of = 4096)
    )]
    pub memory: u64,
    /// Its share of a busy processor beside other VMs', 100 being usual: `cpu.weight` of cgroup
    /// v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 10_000))]
    pub cpu_weight: Option<u32>,
    /// The most it may use, in percent of one processor: `cpu.max` of cgroup v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 6_400))]
    pub cpu_quota: Option<u32>,
    /// The processors it may use, such as `0-3,6`: `cpuset.cpus` of cgroup v2, or the affinity of
    /// its threads where there is no such controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schema(pattern = "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$")
    )]
    pub cpus: Option<String>,
    /// The most host memory its process may have beside the guest's RAM, in bytes: `memory.max` of
    /// cgroup v2 is the sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schema(minimum = 16_777_216, maximum = 1_099_511_627_776_i64)
    )]
    pub memory_overhead: Option<u64>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            vcpus: 1,
            memory: 128 << 20,
            cpu_weight: None,
            cpu_quota: None,
            cpus: None,
            memory_overhead: None,
        }
    }
}

/// The privilege level of the guest kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Privilege {
    /// What is fastest on this host.
    #[default]
    Auto,
    /// CPL 0.
    Ring0,
    /// CPL 3.
    Ring3,
}

/// What carries hypercalls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// What is fastest on this host.
    #[default]
    Auto,
    /// VMCALL.
    Vmcall,
    /// VMMCALL.
    Vmmcall,
    /// Port I/O.
    Pio,
}

/// What happens when a VM has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Restart {
    /// Whether it is started again.
    pub policy: RestartPolicy,
    /// The pause before it is started again in milliseconds; each failure in a row doubles it.
    #[cfg_attr(feature = "schema", schema(minimum = 10, maximum = 3_600_000))]
    pub backoff_ms: u32,
    /// The longest such pause, in milliseconds.
    #[cfg_attr(feature = "schema", schema(minimum = 10, maximum = 3_600_000))]
    pub backoff_max_ms: u32,
    /// After how many failures in a row it is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 1_000_000))]
    pub max_failures: Option<u32>,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Never,
            backoff_ms: 1000,
            backoff_max_ms: 60_000,
            max_failures: None,
        }
    }
}

/// Whether a VM that has ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    Never,
    /// When it crashed, ended with another code than 0, was killed or was lost.
    OnFailure,
    /// In every case, unless a client stopped it.
    Always,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
