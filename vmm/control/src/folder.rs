//! The folder of a VM, which belongs to its process's user.

use std::path::{Path, PathBuf};

/// The name of a folder that no VM has, as long as those that they have, which are ids. It is in
/// the command lines of processes that were started before there was a VM for them.
pub const NO_VM: &str = "00000000-0000-0000-0000-000000000000";

/// The folder of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the process is to run: a [`crate::plan::ProcessPlan`].
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// The process's socket.
    pub fn control(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// How the process ended: a [`crate::plan::Exit`], written to another name and renamed.
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// The log: lines of [`paravane_api::log::LogLine`]. Older ones are in `log.1.jsonl` and so on.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.jsonl")
    }

    /// An older part of the log; 1 is the youngest of them.
    pub fn old_log(&self, number: u32) -> PathBuf {
        self.0.join(format!("log.{number}.jsonl"))
    }

    /// The socket of a vsock device that was given no other place.
    pub fn vsock(&self) -> PathBuf {
        self.0.join("vsock.sock")
    }

    /// Where the process writes a snapshot before the daemon moves it to its place.
    pub fn snapshot(&self) -> PathBuf {
        self.0.join("snapshot")
    }
}
