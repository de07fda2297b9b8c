//! An image comes into the store.

use super::Images;
use super::verify::Stamp;
use crate::host::Host;
use crate::idempotency::hex;
use crate::problem::{Error, Kind, Result};
use crate::store::Change;
use crate::time;
use paravane_api::image::StoredImage;
use sha2::{Digest, Sha256};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// Bytes that are written at a time; what comes from a socket is in smaller pieces.
const BLOCK: usize = 256 << 10;

/// An image that is coming. What came is removed if this is dropped.
#[derive(Debug)]
pub struct Upload {
    file: File,
    path: PathBuf,
    /// What is not written yet.
    block: Vec<u8>,
    sum: Sha256,
    size: u64,
    most: u64,
    done: bool,
}

impl Upload {
    /// Begins to take an image of at most `most` bytes.
    ///
    /// # Errors
    ///
    /// No file can be made.
    pub async fn begin(images: &Images, most: u64) -> Result<Self> {
        let path = images.folder.join(format!("new-{}", Uuid::now_v7()));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o400).open(&path);
        Ok(Self {
            file: file.await.map_err(|error| failed(&error))?,
            path,
            block: Vec::with_capacity(BLOCK),
            sum: Sha256::new(),
            size: 0,
            most,
            done: false,
        })
    }

    /// Whether nothing of it has come.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Takes more of it.
    ///
    /// # Errors
    ///
    /// It is too large, or the disk is full.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.most {
            let detail = format!(
                "the image has more than {} bytes (images.max_size)",
                self.most
            );
            return Err(Error::new(Kind::TooLarge, detail));
        }
        self.block.extend_from_slice(bytes);
        if self.block.len() >= BLOCK {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.sum.update(&self.block);
        let written = self.file.write_all(&self.block).await;
        self.block.clear();
        written.map_err(|error| failed(&error))
    }

    /// It has come as a whole. The name, if there is one, leads to it from now on.
    ///
    /// # Errors
    ///
    /// It cannot be kept.
    pub async fn finish(
        mut self,
        images: &Images,
        host: Arc<dyn Host>,
        name: Option<String>,
    ) -> Result<StoredImage> {
        self.flush().await?;
        self.file.flush().await.map_err(|error| failed(&error))?;
        self.file.sync_all().await.map_err(|error| failed(&error))?;
        let path = self.path.clone();
        let kind = tokio::task::spawn_blocking(move || host.image_kind(&path));
        let kind = kind
            .await
            .map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
        let digest = format!("sha256:{}", hex(&std::mem::take(&mut self.sum).finalize()));
        // Nobody removes the file between here and where the store knows it.
        let _held = images.in_use().await;
        let to = images.path(&digest);
        fs::rename(&self.path, &to)
            .await
            .map_err(|error| failed(&error))?;
        self.done = true;
        sync_folder(&images.folder)
            .await
            .map_err(|error| failed(&error))?;
        let stamp = Stamp::of(&to).map_err(|error| failed(&error))?;
        let (changed, image) = images.with_name(&digest, name, || StoredImage {
            digest: digest.clone(),
            size: self.size,
            names: Vec::new(),
            added_at: time::now(),
            kind,
        });
        let changes: Result<Vec<_>, _> = changed.iter().map(Change::image).collect();
        images.store.commit(changes?).await?;
        let mut known = images.lock();
        for image in changed {
            known.insert(image);
        }
        known.verified.insert(digest, stamp);
        Ok(image)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done {
            // What stays is removed when the daemon starts again.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Images {
    /// The image as it is with the name, and all images that this changes.
    fn with_name(
        &self,
        digest: &str,
        name: Option<String>,
        new: impl FnOnce() -> StoredImage,
    ) -> (Vec<StoredImage>, StoredImage) {
        let known = self.lock();
        let mut image = known.images.get(digest).cloned().unwrap_or_else(new);
        let mut changed = Vec::new();
        if let Some(name) = name
            && !image.names.contains(&name)
        {
            let before = known.names.get(&name).and_then(|of| known.images.get(of));
            if let Some(mut before) = before.cloned() {
                before.names.retain(|other| *other != name);
                changed.push(before);
            }
            image.names.push(name);
            image.names.sort();
        }
        changed.push(image.clone());
        (changed, image)
    }
}

async fn sync_folder(folder: &std::path::Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

fn failed(error: &io::Error) -> Error {
    Error::not_kept("the image", error)
}
