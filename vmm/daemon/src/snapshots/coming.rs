//! A snapshot on its way in.

use super::Snapshots;
use crate::problem::{Error, Kind, Result};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};
use uuid::Uuid;

/// The file that is received, in the folder that is to be the snapshot's.
const ARCHIVE: &str = "archive";

/// Bytes that are written at a time.
const BLOCK: usize = 256 << 10;

/// A folder into which a snapshot comes. It is removed if this is dropped before that is to stay.
#[derive(Debug)]
pub struct Coming {
    folder: PathBuf,
    file: BufWriter<File>,
    size: u64,
    most: u64,
    stays: bool,
}

impl Coming {
    /// Begins to receive an archive of at most `most` bytes, of what is to be the snapshot `id`.
    ///
    /// # Errors
    ///
    /// The folder cannot be made.
    pub async fn begin(snapshots: &Snapshots, id: Uuid, most: u64) -> Result<Self> {
        let folder = snapshots.path(&id.to_string());
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| failed(&error))?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true).mode(0o600);
        let path = folder.join(ARCHIVE);
        // It is no part of the snapshot, and is gone when nobody has it open any more.
        let opened = options.open(&path).await;
        let opened = opened.and_then(|file| std::fs::remove_file(&path).map(|()| file));
        let file = opened.inspect_err(|_| remove(&folder));
        Ok(Self {
            file: BufWriter::with_capacity(BLOCK, file.map_err(|error| failed(&error))?),
            folder,
            size: 0,
            most,
            stays: false,
        })
    }

    /// Where it comes to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes more of the archive.
    ///
    /// # Errors
    ///
    /// It is too large, or the disk is full.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.most {
            let detail = format!(
                "the archive has more than {} bytes (snapshots.max_size)",
                self.most
            );
            return Err(Error::new(Kind::TooLarge, detail));
        }
        let written = self.file.write_all(bytes).await;
        written.map_err(|error| failed(&error))
    }

    /// The archive has come. It, from its beginning.
    ///
    /// # Errors
    ///
    /// It is empty, or the disk is full.
    pub async fn finish(&mut self) -> Result<std::fs::File> {
        if self.size == 0 {
            let detail = "the body is empty; it has to be the archive of a snapshot";
            return Err(Error::new(Kind::BadRequest, detail));
        }
        self.file.flush().await.map_err(|error| failed(&error))?;
        let file = self.file.get_mut();
        file.rewind().await.map_err(|error| failed(&error))?;
        let cloned = file.try_clone().await.map_err(|error| failed(&error))?;
        Ok(cloned.into_std().await)
    }

    /// What has come stays.
    pub fn keep(&mut self) {
        self.stays = true;
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        if !self.stays {
            remove(&self.folder);
        }
    }
}

/// Removes a folder, beside everything else: what is large takes a while.
fn remove(folder: &Path) {
    let folder = folder.to_path_buf();
    // What stays is removed when the daemon starts again.
    let _ = std::thread::Builder::new()
        .name("remove".to_string())
        .spawn(move || std::fs::remove_dir_all(folder));
}

fn failed(error: &io::Error) -> Error {
    Error::not_kept("the snapshot", error)
}
