//! The devices of a VM. What each option means is told in docs/devices.md.

use serde::{Deserialize, Serialize};

/// The devices of a VM. Each may have an `id` that no other device of the VM has: at most 31 of
/// `a-z`, `A-Z`, `0-9`, `-`, `_` and `.`; without one it is called by its kind and a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Devices {
    /// Disks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 16))]
    pub disks: Vec<Disk>,
    /// Networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 16))]
    pub networks: Vec<Network>,
    /// Folders of the host, to read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 16))]
    pub shares: Vec<Share>,
    /// Sockets between the guest and programs of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vsock: Option<Vsock>,
    /// Named ports beside the console.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schema(max_items = 16))]
    pub ports: Vec<Port>,
    /// Random bytes from the host, by a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rng: Option<Rng>,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9._-]{1,31}$"))]
    pub id: Option<String>,
    /// The file or block device: an absolute path, or an image of the store (which is read-only),
    /// `sha256:` and 64 hexadecimal digits, or `store:NAME`.
    #[cfg_attr(
        feature = "schema",
        schema(
            pattern = "^(/[^\\x00]*|sha256:[0-9a-f]{64}|store:[A-Za-z0-9][A-Za-z0-9._-]{0,126})$"
        )
    )]
    pub source: String,
    /// The guest may not write.
    #[serde(default)]
    pub read_only: bool,
    /// What the file is; found out when it is not said and the disk is read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<DiskFormat>,
    /// The serial number that the guest reads, at most 20 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[ -~]{0,20}$"))]
    pub serial: Option<String>,
    /// Past the host's page cache.
    #[serde(default)]
    pub direct: bool,
    /// The most bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub rate: Option<u64>,
    /// The most requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub iops: Option<u64>,
    /// Number of queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 64))]
    pub queues: Option<u16>,
    /// Whether what the guest discards is given back to the host; so without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard: Option<bool>,
}

/// The format of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// The disk's bytes.
    Raw,
    /// QEMU's format, to read.
    Qcow2,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9._-]{1,31}$"))]
    pub id: Option<String>,
    /// What it is connected to.
    pub connection: Connection,
    /// The MAC address that the guest is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schema(pattern = "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$")
    )]
    pub mac: Option<String>,
    /// The largest packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 68))]
    pub mtu: Option<u16>,
    /// The most bytes a second each way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1))]
    pub rate: Option<u64>,
}

/// What a network is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Connection {
    /// The host's network through sockets of the VM's process, which needs no permission.
    User {
        /// Ports of the host that lead to ports of the guest, such as `tcp:127.0.0.1:8080-80`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[cfg_attr(feature = "schema", schema(max_items = 64))]
        hostfwd: Vec<String>,
    },
    /// A tap device of the host.
    Tap {
        /// Its name.
        name: String,
        /// Number of queue pairs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queues: Option<u16>,
    },
    /// A switch (`paravane switch`).
    Switch {
        /// Its socket.
        path: String,
    },
}

/// A folder of the host, to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9._-]{1,31}$"))]
    pub id: Option<String>,
    /// The folder's absolute path.
    #[cfg_attr(feature = "schema", schema(pattern = "^/[^\\x00]*$"))]
    pub path: String,
    /// The name by which the guest finds it.
    #[cfg_attr(feature = "schema", schema(pattern = "^[^\\x00]{1,36}$"))]
    pub tag: String,
}

/// Sockets between the guest and programs of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Vsock {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9._-]{1,31}$"))]
    pub id: Option<String>,
    /// The guest's context id.
    #[cfg_attr(feature = "schema", schema(minimum = 3, maximum = 4_294_967_294_u32))]
    pub cid: u32,
    /// The Unix socket where both meet; without one, `vsock.sock` in the VM's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^/[^\\x00]{0,106}$"))]
    pub path: Option<String>,
}

/// A named port beside the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9._-]{1,31}$"))]
    pub name: Option<String>,
    /// The host's end.
    pub end: PortEnd,
}

/// The host's end of a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum PortEnd {
    /// A Unix socket, by its absolute path.
    Socket(String),
    /// A file to append to, by its absolute path.
    File(String),
}

/// Random bytes from the host, by a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Rng {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9._-]{1,31}$"))]
    pub id: Option<String>,
}
