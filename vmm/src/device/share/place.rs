//! Finding again what was open: by its path in the folder, and its kind.

use super::folder::{descendant, from_within, path_of};
use super::saved::Place;
use rustix::fs::{AtFlags, FileType, fstat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Where things are in a folder.
#[derive(Debug)]
pub struct Places<'a> {
    folder: &'a OwnedFd,
    /// As it is called now.
    path: Option<PathBuf>,
}

impl<'a> Places<'a> {
    /// Of the folder that is shared.
    pub fn of(folder: &'a OwnedFd) -> Self {
        Self {
            folder,
            path: path_of(folder).ok(),
        }
    }

    /// Where something is; nothing if it was removed, has left the folder, or has a path longer than
    /// PATH_MAX.
    pub fn find(&self, file: &OwnedFd) -> Option<Place> {
        let path = path_of(file).ok()?;
        let path = path.strip_prefix(self.path.as_ref()?).ok()?;
        let known = fstat(file).ok()?;
        // What was removed has a path that can be another file's.
        let within = from_within(path);
        let found = statat(self.folder, within, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let is_same = (found.st_dev, found.st_ino) == (known.st_dev, known.st_ino);
        is_same.then(|| Place {
            path: path.to_path_buf().into_os_string().into_vec(),
            kind: known.st_mode & libc::S_IFMT,
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
        let file = descendant(folder, Path::new(OsStr::from_bytes(&self.path)))?;
        if fstat(&file)?.st_mode & libc::S_IFMT != self.kind {
            return Err(Errno::STALE);
        }
        Ok(file)
    }

    /// Whether it is a folder's.
    pub fn is_folder(&self) -> bool {
        FileType::from_raw_mode(self.kind) == FileType::Directory
    }
}
