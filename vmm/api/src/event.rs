//! What happens to VMs, as `GET /v1/events` tells it.

use crate::vm::VmState;
use serde::{Deserialize, Serialize};

/// Something that happened to a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Event {
    /// Its number, which grows; also across restarts of the daemon.
    pub id: u64,
    /// When.
    pub time: String,
    /// What.
    pub kind: EventKind,
    /// The VM's id.
    pub vm: String,
    /// The VM's name.
    pub name: String,
    /// The VM's state after it.
    pub state: VmState,
    /// More about it, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was created.
    Created,
    /// Its spec, labels or restart policy were changed.
    Updated,
    /// Its process is being started.
    Starting,
    /// The guest runs.
    Started,
    /// The guest was asked to shut down.
    Stopping,
    /// It has ended.
    Ended,
    /// It is started again after a pause.
    Restarting,
    /// The guest does not run until it is resumed.
    Paused,
    /// The guest runs again.
    Resumed,
    /// A restarted daemon found it running.
    Adopted,
    /// A snapshot was taken of it.
    Snapshotted,
    /// It is gone.
    Deleted,
}
