//! The shared folder and what is in it, by file descriptors that can only name (`O_PATH`).
//!
//! Nothing outside is reached: names are looked up one at a time, in a folder that is inside, and the
//! kernel is told to stay beneath it and to follow no link. So it is for the paths of a snapshot. A symbolic link is a thing of its
//! own here; it is the guest that follows it, in its own file system.

use super::abi::Attributes;
use rustix::fs::{
    Access, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, accessat, fstat, open, openat,
    openat2,
};
use rustix::io::Errno;
use rustix::path::Arg;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The longest name there is.
pub const NAME_MAX: usize = 255;

/// Why a folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It does not exist.
    #[error("the folder {} does not exist; give the path of one that does", .0.display())]
    Missing(PathBuf),
    /// It is something else.
    #[error("{} is not a folder; give the path of the folder that it is in", .0.display())]
    NotAFolder(PathBuf),
    /// This user cannot read it.
    #[error("this user may not read the folder {}; allow reading and searching it", .0.display())]
    Denied(PathBuf),
    /// The kernel is older than Linux 5.6.
    #[error("this kernel has no openat2(2), by which a share is confined; use Linux 5.6 or later")]
    OldKernel,
    /// Something else.
    #[error("the folder {} cannot be shared: {error}", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Opens the folder that is shared.
///
/// # Errors
///
/// See [`FolderError`].
pub fn open_root(path: &Path) -> Result<OwnedFd, FolderError> {
    let explain = |error: Errno| {
        let path = path.to_path_buf();
        match error {
            Errno::NOENT => FolderError::Missing(path),
            Errno::NOTDIR => FolderError::NotAFolder(path),
            Errno::ACCESS | Errno::PERM => FolderError::Denied(path),
            Errno::NOSYS => FolderError::OldKernel,
            error => FolderError::Other {
                path,
                error: error.into(),
            },
        }
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(path, flags, Mode::empty()).map_err(explain)?;
    let wanted = Access::READ_OK | Access::EXEC_OK;
    accessat(&root, c".", wanted, AtFlags::empty()).map_err(explain)?;
    beneath(&root, c".").map_err(explain)?;
    Ok(root)
}

fn beneath(parent: impl AsFd, path: impl Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(parent, path, flags, Mode::empty(), resolve)
}

/// What has this name in a folder.
///
/// # Errors
///
/// There is nothing, or it is not a name of one thing in a folder.
pub fn child(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let bytes = name.to_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        return Err(Errno::INVAL);
    }
    if bytes.len() > NAME_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    beneath(parent, name)
}

/// Opens a regular file to be read. Anything else that could be opened would do something: a
/// device, a pipe.
///
/// # Errors
///
/// It is something else, or this user may not read it.
pub fn open_file(file: impl AsFd) -> Result<OwnedFd, Errno> {
    match kind(&fstat(&file)?) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR),
        FileType::Symlink => return Err(Errno::LOOP),
        _ => return Err(Errno::ACCESS),
    }
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open(own_path(file.as_fd()), flags, Mode::empty())
}

/// Opens a folder to be listed.
///
/// # Errors
///
/// It is none, or this user may not list it.
pub fn open_folder(folder: impl AsFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(folder, c".", flags, Mode::empty())
}

/// What it is.
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// The path by which the kernel knows something that is open, at this moment. Of what was removed it is
/// none, but looks like one.
///
/// # Errors
///
/// It is longer than PATH_MAX.
pub fn path_of(file: impl AsFd) -> io::Result<PathBuf> {
    std::fs::read_link(own_path(file.as_fd()))
}

/// Opens what is at a path of names in a folder; the folder itself, if there are none.
///
/// # Errors
///
/// There is nothing, or it is not in the folder.
pub fn descendant(folder: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    beneath(folder, from_within(path))
}

/// A path from a folder, as system calls take it: the folder itself is `.` for them.
pub fn from_within(path: &Path) -> &Path {
    match path.as_os_str().is_empty() {
        true => Path::new("."),
        false => path,
    }
}

/// A path by which this process finds what it has open.
fn own_path(file: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// The attributes as the guest sees them.
pub fn attributes(stat: &Stat) -> Attributes {
    Attributes {
        number: stat.st_ino,
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        accessed: stat.st_atime as u64,
        modified: stat.st_mtime as u64,
        changed: stat.st_ctime as u64,
        accessed_ns: stat.st_atime_nsec as u32,
        modified_ns: stat.st_mtime_nsec as u32,
        changed_ns: stat.st_ctime_nsec as u32,
        mode: stat.st_mode,
        links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        // The devices of the host are none of the guest's.
        device: 0,
        block_size: stat.st_blksize as u32,
        flags: 0,
    }
}
