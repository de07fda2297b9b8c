//! What the store keeps of a thing. A field that came later has a default.

use paravane_api::VmSpec;
use paravane_api::vm::{Ended, Running, Vm, VmState};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// A VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmRecord {
    /// Its id.
    pub id: Uuid,
    /// A small number that no other VM has at the time, for its user id.
    #[serde(default)]
    pub slot: u32,
    /// Its name.
    pub name: String,
    /// What was asked for, names of images resolved.
    pub spec: VmSpec,
    /// What it did when this was written.
    pub state: VmState,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The number of its present or last start, from 1.
    pub starts: u64,
    /// When that was.
    #[serde(default)]
    pub started_ms: Option<u64>,
    /// How it ended last.
    #[serde(default)]
    pub ended: Option<Ended>,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// When it is to be started again.
    #[serde(default)]
    pub restart_ms: Option<u64>,
    /// The snapshot that it was made from.
    #[serde(default)]
    pub from_snapshot: Option<String>,
    /// What a client asked for and is not done yet.
    #[serde(default)]
    pub pending: Option<Pending>,
    /// What its process was started with, where `spec` has changed since.
    #[serde(default)]
    pub started_spec: Option<Arc<VmSpec>>,
    /// It is paused for a snapshot only, and goes on after it.
    #[serde(default)]
    pub goes_on: bool,
}

/// What a client asked for and takes until the VM's process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// To stop it.
    Stop {
        /// How long the guest may take.
        grace_ms: u32,
    },
    /// To start it anew.
    Reset,
    /// To delete it.
    Delete,
}

impl VmRecord {
    /// What clients see of it.
    pub fn view(&self, pid: Option<u32>, running: Option<Running>) -> Vm {
        Vm {
            id: self.id.to_string(),
            name: self.name.clone(),
            spec: self.spec.clone(),
            state: self.state,
            created_at: crate::time::format_ms(self.created_ms),
            started_at: self.started_ms.map(crate::time::format_ms),
            pid,
            running,
            ended: self.ended.clone(),
            starts: self.starts,
            failures: self.failures,
            restart_at: self.restart_ms.map(crate::time::format_ms),
            from_snapshot: self.from_snapshot.clone(),
        }
    }
}

/// A request that came with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The SHA-256 of method, path and body, in hexadecimal digits.
    pub request: String,
    /// When it came, in milliseconds since 1970.
    pub at_ms: u64,
    /// The things that it made, by id.
    #[serde(default)]
    pub made: Vec<String>,
    /// The answer, once there is one.
    #[serde(default)]
    pub response: Option<KeyResponse>,
}

/// An answer that is given again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyResponse {
    /// The HTTP status.
    pub status: u16,
    /// The header `Location`.
    #[serde(default)]
    pub location: Option<String>,
    /// The body.
    pub body: String,
}
