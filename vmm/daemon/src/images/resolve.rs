//! What the name of an image means.

use super::Images;
use crate::problem::{Error, Result};
use paravane_api::check;
use paravane_api::spec::VmSpec;
use std::path::PathBuf;

/// The names of a spec's images, and where they are in it.
pub fn named(spec: &mut VmSpec) -> impl Iterator<Item = (&mut String, String)> {
    let image = (&mut spec.image.0, "/image".to_string());
    let initrd = spec
        .initrd
        .as_mut()
        .map(|name| (name, "/initrd".to_string()));
    let disks = spec.devices.disks.iter_mut().enumerate();
    let disks = disks.map(|(number, disk)| {
        let at = format!("/devices/disks/{number}/source");
        (&mut disk.source, at)
    });
    std::iter::once(image).chain(initrd).chain(disks)
}

/// Whether a spec that was resolved uses an image of the store.
pub fn uses(spec: &VmSpec, digest: &str) -> bool {
    let disks = spec.devices.disks.iter().map(|disk| &disk.source);
    std::iter::once(&spec.image.0)
        .chain(&spec.initrd)
        .chain(disks)
        .any(|name| name == digest)
}

impl Images {
    /// Puts digests in the place of the names of a spec's images, so that it means the same
    /// images for ever. `at` is where the spec is.
    ///
    /// # Errors
    ///
    /// There is no such image.
    pub fn resolve(&self, spec: &mut VmSpec, at: &str) -> Result<()> {
        for (name, field) in named(spec) {
            let stored = match name.strip_prefix("store:") {
                Some(stored) => stored,
                None if check::is_digest(name) => name,
                None => continue,
            };
            let image = self.find(stored).map_err(|_| {
                let detail = format!("there is no image {stored} in the store");
                Error::field(format!("{at}{field}"), detail)
            })?;
            *name = image.digest;
        }
        Ok(())
    }

    /// Puts paths of files in the place of a spec's digests. The files are verified. It takes
    /// the time that reading them takes, if they were not read since the daemon started.
    ///
    /// # Errors
    ///
    /// An image is gone or is not what it was, in a sentence.
    pub fn with_files(&self, mut spec: VmSpec) -> Result<VmSpec, String> {
        for (name, _) in named(&mut spec) {
            if check::is_digest(name) {
                *name = text(self.verified(name)?)?;
            }
        }
        Ok(spec)
    }
}

fn text(path: PathBuf) -> Result<String, String> {
    path.into_os_string()
        .into_string()
        .map_err(|path| format!("the path {} is not UTF-8", path.display()))
}
