//! The store of images, and what an image's name means.

use crate::problem::{Error, Result};
use paravane_api::check;
use paravane_api::spec::{BUILTIN, VmSpec};
use std::path::PathBuf;

/// The images.
#[derive(Debug, Default)]
pub struct Images {}

impl Images {
    /// Puts digests in the place of the names of a spec's images, so that it means the same
    /// images for ever. `at` is where the spec is.
    ///
    /// # Errors
    ///
    /// There is no such image.
    pub fn resolve(&self, spec: &mut VmSpec, at: &str) -> Result<()> {
        self.resolve_one(&mut spec.image.0, format!("{at}/image"))?;
        if let Some(initrd) = &mut spec.initrd {
            self.resolve_one(initrd, format!("{at}/initrd"))?;
        }
        for (number, disk) in spec.devices.disks.iter_mut().enumerate() {
            self.resolve_one(
                &mut disk.source,
                format!("{at}/devices/disks/{number}/source"),
            )?;
        }
        Ok(())
    }

    fn resolve_one(&self, name: &mut String, field: String) -> Result<()> {
        if name == BUILTIN || name.starts_with('/') {
            return Ok(());
        }
        Err(Error::field(
            field,
            format!("there is no image {name} in the store"),
        ))
    }

    /// The file of an image, or what is said of it, in a spec that was resolved.
    ///
    /// # Errors
    ///
    /// It is not in the store any more, or is not what it was.
    pub fn file(&self, name: &str) -> Result<PathBuf, String> {
        if check::is_digest(name) {
            return Err(format!("the image {name} is not in the store"));
        }
        Ok(PathBuf::from(name))
    }
}
