//! What the daemon asks the VMM's library, which is no part of this crate.

use paravane_api::image::ImageKind;
use paravane_api::info::HostInfo;
use std::fmt;
use std::path::Path;

/// How large a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotFacts {
    /// The VM's vCPUs.
    pub vcpus: u32,
    /// Its RAM in bytes.
    pub ram: u64,
    /// The size of the file with its memory, in bytes.
    pub memory: u64,
}

/// What the VMM's library knows. The functions may take long and are called where that is right.
pub trait Host: fmt::Debug + Send + Sync + 'static {
    /// What a file is: an image that can be run, or anything else.
    fn image_kind(&self, path: &Path) -> ImageKind;

    /// What the state of a snapshot says of it, if this program can read it.
    ///
    /// # Errors
    ///
    /// Why it cannot, in a sentence.
    fn snapshot_facts(&self, state: &Path) -> Result<SnapshotFacts, String>;

    /// Whether the files in a folder are a snapshot that this program can restore, or why not. Whether
    /// this host can is found out when it does.
    ///
    /// # Errors
    ///
    /// Why not, in a sentence.
    fn check_snapshot(&self, folder: &Path) -> Result<(), String>;

    /// What can be run here, with the KVM device `kvm`.
    fn info(&self, kvm: &Path) -> HostInfo;
}
