//! The store of images: files by the SHA-256 of their contents, and names that lead to them.
//!
//! A VM's spec has the digest once the VM is created, so a name that leads elsewhere later
//! changes no VM. What the files are is in the store; a file that the store does not know was
//! left by an upload that did not end, and is removed when the daemon starts.

mod add;
pub mod resolve;
mod verify;

use crate::problem::{Error, Kind, Result};
use crate::store::{Change, Store, Table};
use paravane_api::image::StoredImage;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{RwLock, RwLockReadGuard};
use verify::Stamp;

pub use add::Upload;

/// The images.
#[derive(Debug)]
pub struct Images {
    folder: PathBuf,
    store: Store,
    known: Mutex<Known>,
    /// Held for reading from where a name is resolved until the VM that uses it is known, and
    /// for writing while an image is removed.
    uses: RwLock<()>,
}

#[derive(Debug, Default)]
struct Known {
    images: BTreeMap<String, StoredImage>,
    names: HashMap<String, String>,
    /// The files that had the right sum.
    verified: HashMap<String, Stamp>,
}

impl Images {
    /// The images in `folder`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or read.
    pub fn open(folder: PathBuf, store: Store, images: Vec<StoredImage>) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let mut known = Known::default();
        for image in images {
            known.insert(image);
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let digest = entry
                .file_name()
                .to_str()
                .map(|name| format!("sha256:{name}"));
            if digest.is_none_or(|digest| !known.images.contains_key(&digest)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self {
            folder,
            store,
            known: Mutex::new(known),
            uses: RwLock::new(()),
        })
    }

    /// All images, in the order of their digests.
    pub fn all(&self) -> Vec<StoredImage> {
        self.lock().images.values().cloned().collect()
    }

    /// An image by its digest or name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(&self, image: &str) -> Result<StoredImage> {
        let known = self.lock();
        let digest = known.names.get(image).map_or(image, String::as_str);
        known.images.get(digest).cloned().ok_or_else(|| {
            let detail = format!("there is no image {image:?}, by digest or by name");
            Error::new(Kind::NotFound, detail)
        })
    }

    /// No image is removed as long as this is held.
    pub async fn in_use(&self) -> RwLockReadGuard<'_, ()> {
        self.uses.read().await
    }

    /// Removes an image that no one uses, as `users` says: it gives the names of those who use
    /// a digest.
    ///
    /// # Errors
    ///
    /// It is in use, or the store or the file cannot be changed.
    pub async fn remove(&self, image: &str, users: impl Fn(&str) -> Vec<String>) -> Result<()> {
        let _alone = self.uses.write().await;
        let digest = self.find(image)?.digest;
        let users = users(&digest);
        if !users.is_empty() {
            let detail = format!("the image {digest} is used by {}", users.join(", "));
            return Err(Error::new(Kind::InUse, detail));
        }
        let change = Change::none(Table::Images, digest.clone());
        self.store.commit(vec![change]).await?;
        self.lock().remove(&digest);
        match fs::remove_file(self.path(&digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // The store does not know it any more; it goes when the daemon starts again.
                tracing::warn!("the file of the image {digest} is not removed: {error}");
            }
            _ => {}
        }
        Ok(())
    }

    /// The file of a digest.
    fn path(&self, digest: &str) -> PathBuf {
        let name = digest.strip_prefix("sha256:").unwrap_or(digest);
        // A digest has no slash; this makes sure.
        self.folder
            .join(Path::new(name).file_name().unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn insert(&mut self, image: StoredImage) {
        for name in &image.names {
            self.names.insert(name.clone(), image.digest.clone());
        }
        self.images.insert(image.digest.clone(), image);
    }

    fn remove(&mut self, digest: &str) {
        self.images.remove(digest);
        self.verified.remove(digest);
        self.names.retain(|_, of| of != digest);
    }
}
