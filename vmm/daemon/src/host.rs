//! What the daemon asks the VMM's library, which is no part of this crate.

use paravane_api::image::ImageKind;
use paravane_api::info::HostInfo;
use std::fmt;
use std::path::Path;

/// What the VMM's library knows. The functions may take long and are called where that is right.
pub trait Host: fmt::Debug + Send + Sync + 'static {
    /// What a file is: an image that can be run, or anything else.
    fn image_kind(&self, path: &Path) -> ImageKind;

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
