//! The files of a snapshot.

use super::RestoreError;
use std::fs::File;
use std::path::Path;

/// The name of the file with the state.
pub const STATE: &str = "state";
/// The name of the file with the memory.
pub const MEMORY: &str = "memory";

/// The files of a snapshot, open: for reading, or for both to save into, and empty then.
#[derive(Debug)]
pub struct SnapshotFiles {
    /// The state.
    pub state: File,
    /// The memory.
    pub memory: File,
}

impl SnapshotFiles {
    /// Opens those of a folder for reading.
    ///
    /// # Errors
    ///
    /// One is not there, or may not be read.
    pub fn open(folder: &Path) -> Result<Self, RestoreError> {
        let open = |file: &'static str| {
            File::open(folder.join(file)).map_err(|source| RestoreError::Read { file, source })
        };
        Ok(Self {
            state: open(STATE)?,
            memory: open(MEMORY)?,
        })
    }

    /// Makes new ones in a folder.
    pub(super) fn create(folder: &Path) -> std::io::Result<Self> {
        let create = |file: &str| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(folder.join(file))
        };
        Ok(Self {
            state: create(STATE)?,
            memory: create(MEMORY)?,
        })
    }
}
