//! Resource limits by cgroup v2 (Linux, Documentation/admin-guide/cgroup-v2.rst).
//!
//! Who manages VMs, and not the VM's process, uses this: it makes a group for each VM below its own,
//! which must be delegated to it (a systemd unit has `Delegate=yes`). A group that passes controllers on
//! may have no process itself, so the manager moves into one of its own first.

mod error;
mod limits;
mod tree;

pub use error::CgroupError;
pub use limits::Limits;
pub use tree::{Cgroup, Hierarchy, Usage};
