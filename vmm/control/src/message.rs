//! What is said on a connection.

use paravane_api::stats::VmStats;
use paravane_api::vm::Running;
use serde::{Deserialize, Serialize};

/// What the daemon asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// How is it? Answered by [`Answer::Status`] at any time, also before the guest runs.
    Status,
    /// End. Answered by [`Answer::Done`]; the end of the process is the end of the VM.
    Stop {
        /// How long the guest may take to shut down by itself; 0 does not ask it.
        grace_ms: u32,
    },
    /// Do not run the guest until it is resumed. Answered when it has stopped.
    Pause,
    /// Run it again.
    Resume,
    /// What has it done? Answered by [`Answer::Stats`].
    Stats,
    /// Write a snapshot to the folder's [`crate::folder::Folder::snapshot`]; the VM is paused.
    Snapshot,
    /// Let this connection be a console. Answered by [`Answer::Done`], after which it carries
    /// frames ([`crate::console`]), beginning with what was written last.
    Console {
        /// Type too. One connection at a time may; another gets [`Refusal::Busy`].
        write: bool,
        /// Take the right to type from the connection that has it, which ends.
        steal: bool,
    },
    /// Write a line of the daemon's to the VM's log.
    Log {
        /// The line's message.
        message: String,
    },
}

/// What the process answers or says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The answer to the next request that has none yet.
    Reply(Reply),
    /// Something happened.
    Notice(Notice),
}

/// The answer to a request.
pub type Reply = Result<Answer, Refusal>;

/// The answer to a request that was carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Done,
    /// How it is.
    Status(Status),
    /// What it has done.
    Stats(Box<VmStats>),
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It does not fit the VM's state, such as a pause before the guest runs.
    State(String),
    /// Another connection has what was asked for.
    Busy(String),
    /// It cannot be done with this VM.
    Unsupported(String),
    /// It was tried and failed.
    Failed(String),
}

/// How a process is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// Which start of the VM it is.
    pub start: u64,
    /// What it does.
    pub phase: Phase,
    /// How the guest runs, once it does.
    #[serde(default)]
    pub running: Option<Running>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The VM is being built.
    Starting,
    /// The guest runs.
    Running,
    /// The guest waits to be resumed.
    Paused,
    /// The guest was asked to shut down, or the process ends.
    Stopping,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The phase changed.
    Status(Status),
}
