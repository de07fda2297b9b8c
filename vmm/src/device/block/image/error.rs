//! Why a disk image cannot be used, for people.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A disk image that cannot be used.
#[derive(Debug, Error)]
#[error("the image {}: {problem}", path.display())]
pub struct BlockError {
    /// The image.
    pub path: PathBuf,
    /// What is wrong with it, and what would be right.
    pub problem: Problem,
}

/// What is wrong with a disk image, and what would be right.
#[derive(Debug, Error)]
pub enum Problem {
    /// There is nothing of this name.
    #[error("there is no such file")]
    Missing,
    /// It is neither a file nor a block device.
    #[error("it is {0}; an image is a regular file or a block device")]
    Kind(&'static str),
    /// The process may not read it, or not write to it.
    #[error("no permission to {0}")]
    Permission(&'static str),
    /// It, or the file system that it is in, is read-only.
    #[error("it cannot be written to; add ro to use it read-only")]
    ReadOnly,
    /// Another VM has it, and one of the two wants to write.
    #[error(
        "it is in use by another VM or another disk; only disks that all have ro may share an image"
    )]
    Locked,
    /// The host has mounted it, or uses it otherwise.
    #[error("the host uses it, as one that is mounted, say")]
    Busy,
    /// It holds nothing.
    #[error("it is empty; make it as large as the disk is to be, with truncate -s 1G, say")]
    Empty,
    /// It does not consist of sectors.
    #[error("its size of {0} bytes is not a multiple of 512")]
    NotSectors(u64),
    /// The file system has no direct I/O.
    #[error("its file system does not support direct I/O; leave out direct")]
    NoDirect,
    /// qcow2 for writing.
    #[error(
        "it is a qcow2 image, which can be used only read-only; add ro, or format=raw if the disk \
         is to hold the qcow2 file's own bytes"
    )]
    Qcow2Writable,
    /// qcow2 and direct I/O.
    #[error("a qcow2 image has no direct I/O; leave out direct")]
    Qcow2Direct,
    /// A qcow2 image that is broken, or of a kind that is not supported.
    #[error("it cannot be used as qcow2: {0}")]
    Qcow2(String),
    /// What else the host said.
    #[error("{0}")]
    Host(io::Error),
}

impl Problem {
    /// What an error of `open` means.
    pub(super) fn of_open(error: io::Error, read_only: bool) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Self::Missing,
            Some(libc::EISDIR) => Self::Kind("a directory"),
            Some(libc::EROFS) => Self::ReadOnly,
            Some(libc::EBUSY) => Self::Busy,
            Some(libc::EACCES | libc::EPERM) if read_only => Self::Permission("read it"),
            Some(libc::EACCES | libc::EPERM) => {
                Self::Permission("write to it; add ro to use it read-only")
            }
            _ => Self::Host(error),
        }
    }
}
