//! Why a VM cannot be saved or restored.

use super::host::Misfit;
use crate::device::saved::FitError;
use crate::vcpu::rest::SaveVcpusError;
use crate::vm::pause::PauseError;
use pv_abi::Features;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Something in a snapshot that no VM can have been: the file is damaged, or was made up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the snapshot makes no sense: {0}")]
pub struct Inconsistent(pub String);

/// Why a VM could not be saved. It goes on as before.
#[derive(Debug, Error)]
pub enum SaveError {
    /// It could not be paused.
    #[error(transparent)]
    Pause(#[from] PauseError),
    /// Its vCPUs could not be saved.
    #[error(transparent)]
    Vcpus(#[from] SaveVcpusError),
    /// It was resumed or ended meanwhile.
    #[error("the VM was resumed or ended while it was saved; pause it until it is saved")]
    Disturbed,
    /// It shares memory with another guest.
    #[error(
        "the VM shares memory with another guest of its process, by grants, and cannot be saved \
         alone; the guest has to take its grants back first"
    )]
    Grants,
    /// A device cannot be saved as it is.
    #[error("the device {id} cannot be saved: {why}")]
    Device {
        /// Its name.
        id: String,
        /// Why not.
        why: &'static str,
    },
    /// A file could not be written.
    #[error("cannot write the snapshot's {file}: {source}")]
    Write {
        /// Which one.
        file: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// The folder could not be made.
    #[error("cannot make the folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}

/// Why a snapshot cannot be restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// A file could not be opened or read.
    #[error("cannot read the snapshot's {file}: {source}")]
    Read {
        /// Which one.
        file: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// It is no snapshot.
    #[error("{file} is no part of a snapshot: it does not begin or end as one")]
    NoSnapshot {
        /// Which file.
        file: &'static str,
    },
    /// It is of another version of the format.
    #[error("the snapshot has format {found}, and this VMM reads format {known}")]
    Format {
        /// Its version.
        found: u32,
        /// The one that can be read.
        known: u32,
    },
    /// It is of another version of the ABI.
    #[error("the snapshot's guest was told ABI {major}.{minor}, which this VMM does not offer")]
    Abi {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// Its guest has features that there are not.
    #[error("the snapshot's guest uses features that this host does not offer: {missing}")]
    Features {
        /// They.
        missing: Features,
    },
    /// It is damaged.
    #[error("the snapshot is damaged: {what}")]
    Damaged {
        /// How that is known.
        what: &'static str,
    },
    /// The two files are not of one snapshot.
    #[error("the snapshot's memory and state are not of the same snapshot")]
    Mixed,
    /// No VM can have been so.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
    /// The host does not fit.
    #[error(transparent)]
    Host(#[from] Misfit),
    /// The devices do not fit.
    #[error(transparent)]
    Device(#[from] FitError),
    /// It is the snapshot of another guest of a group.
    #[error("the snapshot is of guest {saved} of {count}, and this VM is to be another")]
    Seat {
        /// The guest's number.
        saved: u32,
        /// How many there were.
        count: u32,
    },
}
