//! The store of images.

use serde::{Deserialize, Serialize};

/// A file of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StoredImage {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// The names that lead to it.
    pub names: Vec<String>,
    /// When it was added.
    pub added_at: String,
    /// What it is: `guest`, an image that can be run, or `file`, anything else.
    pub kind: ImageKind,
}

/// What a file of the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// An ELF file with a note of Paravane.
    Guest,
    /// Anything else: a disk, an initrd.
    File,
}
