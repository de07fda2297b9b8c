//! A file of the store has the sum that is its name.

use super::Images;
use crate::idempotency::hex;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What changes when a file does, as far as the file system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of a file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            // The time of change, which no one can set back.
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Images {
    /// The file of a digest. It is read if it changed since it was read last.
    pub(super) fn verified(&self, digest: &str) -> Result<PathBuf, String> {
        let path = self.path(digest);
        let stamp = Stamp::of(&path)
            .map_err(|error| format!("the image {digest} of the store cannot be used: {error}"))?;
        if self.lock().verified.get(digest) == Some(&stamp) {
            return Ok(path);
        }
        self.verify(digest)?;
        Ok(path)
    }

    /// Reads the file of a digest.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has another sum.
    pub fn verify(&self, digest: &str) -> Result<(), String> {
        let path = self.path(digest);
        let failed = |error| format!("the image {digest} of the store cannot be read: {error}");
        let stamp = Stamp::of(&path).map_err(failed)?;
        let sum = sum(&path).map_err(failed)?;
        let mut known = self.lock();
        if sum == digest {
            known.verified.insert(digest.to_string(), stamp);
            return Ok(());
        }
        known.verified.remove(digest);
        Err(format!(
            "the image {digest} of the store is damaged: its sum is {sum}. Remove it, and add it \
             again"
        ))
    }
}

fn sum(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = Sha256::new();
    let mut block = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut block)?;
        let Some(part) = block.get(..read).filter(|part| !part.is_empty()) else {
            return Ok(format!("sha256:{}", hex(&sum.finalize())));
        };
        sum.update(part);
    }
}
