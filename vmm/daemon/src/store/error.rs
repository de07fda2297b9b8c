//! Errors of the store.

use rustix::io::Errno;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// Why the store cannot be used.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The database is damaged.
    #[error(
        "the database {path} is damaged ({reason}). Nothing was changed. Move it away to begin \
         with an empty one (VMs that run are then no longer known), or put a copy of it back"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database was written by another version of this program.
    #[error(
        "the database {path} has schema version {found}, and this program knows versions up to \
         {known}: use the newer program that wrote it"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest that is known.
        known: u64,
    },
    /// The disk is full.
    #[error("the disk of the state folder is full: make room there, and try again")]
    Full,
    /// The database cannot be read or written.
    #[error("the database cannot be used: {0}")]
    Io(Arc<redb::Error>),
    /// A value cannot be encoded, a defect of this program.
    #[error("a value cannot be written to the database: {0}")]
    Encode(String),
    /// The writer has ended.
    #[error("the database is closed, because the daemon ends")]
    Closed,
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG];
        match &error {
            redb::Error::Io(io)
                if full
                    .iter()
                    .any(|errno| io.raw_os_error() == Some(errno.raw_os_error())) =>
            {
                Self::Full
            }
            _ => Self::Io(Arc::new(error)),
        }
    }
}
