//! Finding again what was open: by its path in the folder, and its kind.

use super::folder::{descendant, path_of};
use super::saved::Place;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where things are in a folder.
#[derive(Debug)]
pub struct Places {
    folder: Option<PathBuf>,
}

impl Places {
    /// Of the folder that is shared, as it is called now.
    pub fn of(folder: &OwnedFd) -> Self {
        Self {
            folder: path_of(folder).ok(),
        }
    }

    /// Where something is; nothing if it has left the folder, or its path is longer than any
    /// (PATH_MAX).
    pub fn find(&self, file: &OwnedFd) -> Option<Place> {
        let path = path_of(file).ok()?;
        let path = path.strip_prefix(self.folder.as_ref()?).ok()?;
        Some(Place {
            path: path.to_path_buf().into_os_string().into_vec(),
            kind: kind(file).ok()?,
        })
    }
}

impl Place {
    /// Opens what is there, to be named only, as in the folder's own table.
    ///
    /// # Errors
    ///
    /// There is nothing of this kind.
    pub fn open(&self, folder: &OwnedFd) -> Result<OwnedFd, Errno> {
        let path = Path::new(std::ffi::OsStr::from_bytes(&self.path));
        let file = descendant(folder, path)?;
        if kind(&file)? != self.kind {
            return Err(Errno::STALE);
        }
        Ok(file)
    }

    /// Whether it is a folder's.
    pub fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.kind) == FileType::Directory
    }
}

/// The type bits of its mode.
fn kind(file: &OwnedFd) -> Result<u32, Errno> {
    Ok(fstat(file)?.st_mode & libc::S_IFMT)
}
