//! Why a limit cannot be set.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a cgroup cannot be had or used.
#[derive(Debug, Error)]
pub enum CgroupError {
    /// There is no cgroup v2.
    #[error(
        "no cgroup v2 is mounted: limits need one (mount -t cgroup2 none /sys/fs/cgroup, or a \
         system that boots with it)"
    )]
    NotMounted,
    /// /proc does not say where this process is.
    #[error("{} names no cgroup v2 of this process", .0.display())]
    NoGroup(PathBuf),
    /// A controller is missing.
    #[error(
        "the cgroup {} cannot limit this: it has not the controller {controller}; {}",
        group.display(),
        remedy(controller, group, *bound_to_v1)
    )]
    Controller {
        /// Its name.
        controller: &'static str,
        /// The group that is to pass it on.
        group: PathBuf,
        /// cgroup v1 has it, so no group of v2 can.
        bound_to_v1: bool,
    },
    /// The group is not this process's to use.
    #[error(
        "no permission to write to {}: have the cgroup delegated to this process (Delegate=yes in \
         its systemd unit, or run it as root)",
        .0.display()
    )]
    NotDelegated(PathBuf),
    /// A group passes controllers on and has processes.
    #[error(
        "the cgroup {} has processes of its own, so it can pass no controller on; move them into a \
         group below it",
        .0.display()
    )]
    Busy(PathBuf),
    /// A name is no name of a group.
    #[error("{0:?} is no name of a cgroup: it has 1 to 255 letters, digits, dots, - and _")]
    Name(String),
    /// A limit is out of its range.
    #[error("{what} is {value}; {range}")]
    Range {
        /// The limit.
        what: &'static str,
        /// What was asked for.
        value: String,
        /// What is possible.
        range: &'static str,
    },
    /// The kernel refuses.
    #[error("the cgroup's file {} cannot be used: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// A file has another form than the documentation says.
    #[error("the cgroup's file {} says {text:?}, which is not understood", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is in it.
        text: String,
    },
}

fn remedy(controller: &str, group: &std::path::Path, bound_to_v1: bool) -> String {
    if bound_to_v1 {
        return format!(
            "cgroup v1 has it on this host: boot with cgroup_no_v1={controller}, or with \
             systemd.unified_cgroup_hierarchy=1"
        );
    }
    format!(
        "it is enabled in the group above: echo +{controller} > {}",
        group
            .parent()
            .unwrap_or(group)
            .join("cgroup.subtree_control")
            .display()
    )
}
