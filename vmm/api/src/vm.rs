//! A VM as the daemon has it, and what clients do with it.

use crate::spec::VmSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Vm {
    /// A UUID, which sorts by the time of creation.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What was asked for, names of images resolved.
    pub spec: VmSpec,
    /// What it does.
    pub state: VmState,
    /// When it was created.
    pub created_at: String,
    /// When its present or last process was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// The process that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How it runs; known while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// How it ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// How often it was started.
    pub starts: u64,
    /// Failures in a row, for the restart policy.
    pub failures: u32,
    /// When it is started again by its restart policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_at: Option<String>,
    /// The snapshot that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_snapshot: Option<String>,
}

/// What a VM does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum VmState {
    /// It was never started, or was stopped, or ended with code 0.
    Stopped,
    /// Its process is being started.
    Starting,
    /// The guest runs.
    Running,
    /// The guest does not run until it is resumed.
    Paused,
    /// The guest was asked to shut down.
    Stopping,
    /// It is started again after a pause.
    Restarting,
    /// It could not be started, crashed, was killed, or ended with another code than 0.
    Failed,
    /// The host went down while it ran.
    Lost,
}

impl VmState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Stopped,
        Self::Starting,
        Self::Running,
        Self::Paused,
        Self::Stopping,
        Self::Restarting,
        Self::Failed,
        Self::Lost,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Restarting => "restarting",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }

    /// Whether there is a process.
    pub fn has_process(self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Running | Self::Paused | Self::Stopping
        )
    }
}

/// How a VM runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Running {
    /// The guest kernel's privilege level: `ring0` or `ring3`.
    pub privilege: String,
    /// What carries its calls: `vmcall`, `vmmcall` or `pio`.
    pub carrier: String,
    /// Microseconds from the start of the process until the guest ran.
    pub start_us: u64,
    /// How its process is confined.
    pub sandbox: SandboxReport,
}

/// How a VM's process is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SandboxReport {
    /// No new privileges.
    pub no_new_privileges: bool,
    /// A seccomp filter.
    pub seccomp: bool,
    /// Landlock, by the version of its ABI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock: Option<u32>,
    /// The user that the process runs as.
    pub uid: u32,
    /// Its control group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
}

/// How a VM ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Ended {
    /// When.
    pub at: String,
    /// By what.
    pub kind: EndKind,
    /// The guest's code, or that of `paravane run` for such an ending.
    pub exit_code: u8,
    /// What happened, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// About a crash: the guest's registers and back-trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub crash: Option<serde_json::Value>,
}

/// What ended a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    /// The guest, in an orderly way.
    Shutdown,
    /// The guest, which wants to be started again.
    Reboot,
    /// The guest, by a crash.
    Crash,
    /// A client.
    Stopped,
    /// An error of the VMM, or something that could not be had.
    Error,
    /// Its process was killed.
    Killed,
    /// The host went down.
    Lost,
}

impl EndKind {
    /// Whether the restart policy takes it for a failure.
    pub fn is_failure(self, exit_code: u8) -> bool {
        match self {
            Self::Shutdown => exit_code != 0,
            Self::Reboot | Self::Stopped => false,
            Self::Crash | Self::Error | Self::Killed | Self::Lost => true,
        }
    }
}

/// A request to create a VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateVm {
    /// What is asked for.
    #[serde(default)]
    pub spec: VmSpec,
    /// Start it too.
    #[serde(default)]
    pub start: bool,
}

/// A request to stop a VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct StopVm {
    /// Do not ask the guest first.
    pub force: bool,
    /// How long it may take to shut down, in milliseconds, in place of what its spec says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(maximum = 600_000))]
    pub grace_ms: Option<u32>,
}

/// A request to change a VM. What is not there is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct UpdateVm {
    /// All labels, anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// What happens when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<crate::spec::Restart>,
    /// The whole spec, for its next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<VmSpec>,
}
