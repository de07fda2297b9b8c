//! What a VM's process wrote becomes the daemon's.

use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, open};
use rustix::process::{getegid, geteuid};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes of a block of `st_blocks` (stat(2)).
const BLOCK: u64 = 512;

/// More files than a snapshot has.
const MAX_FILES: usize = 1024;

/// Moves the folder `from`, which belongs to a VM's user, to `to`, takes its files over and has
/// them on the disk. Gives the bytes that they take.
///
/// # Errors
///
/// There is something else than files in it, or it cannot be moved.
pub fn keep(from: &Path, to: &Path) -> io::Result<u64> {
    if !fs::symlink_metadata(from)?.is_dir() {
        return Err(io::Error::other(format!("{} is no folder", from.display())));
    }
    fs::rename(from, to)?;
    let kept = take_over(to);
    if kept.is_err() {
        // What stays is removed when the daemon starts again.
        let _ = fs::remove_dir_all(to);
    }
    kept
}

/// Takes the files of a folder over and has them on the disk. Gives the bytes that they take.
///
/// # Errors
///
/// There is something else than files in it.
pub fn take_over(folder: &Path) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let itself = File::from(open(folder, flags | OFlags::DIRECTORY, Mode::empty())?);
    own(&itself, 0o700)?;
    let mut size = 0;
    for (number, entry) in fs::read_dir(folder)?.enumerate() {
        let path = entry?.path();
        let wrong = |what: &str| io::Error::other(format!("{} is {what}", path.display()));
        if number == MAX_FILES {
            return Err(wrong("one file too many"));
        }
        let file = File::from(open(&path, flags, Mode::empty())?);
        let found = file.metadata()?;
        if !found.is_file() || found.nlink() != 1 {
            return Err(wrong("not a file of its own"));
        }
        own(&file, 0o400)?;
        file.sync_all()?;
        size += found.blocks() * BLOCK;
    }
    itself.sync_all()?;
    if let Some(parent) = folder.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(size)
}

fn own(file: &File, mode: u32) -> io::Result<()> {
    let (uid, gid): (Uid, Gid) = (geteuid(), getegid());
    fchown(file, Some(uid), Some(gid))?;
    fchmod(file, Mode::from_raw_mode(mode))?;
    Ok(())
}
