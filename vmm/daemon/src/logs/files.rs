//! The files of a log.

use paravane_control::folder::Folder;
use rustix::fs::{Mode, OFlags, open};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// More older files than any configuration allows.
const MOST: u32 = 100;

/// Opens the files of a VM's log, the oldest first; the last is the one that is written.
///
/// # Errors
///
/// One of them is no file, or cannot be read.
pub fn open_all(folder: &Folder) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    // The newest first: if it is rotated meanwhile, a file is seen twice and none is missed.
    files.extend(open_one(&folder.log())?);
    for number in 1..=MOST {
        match open_one(&folder.old_log(number))? {
            Some(file) => files.push(file),
            None => break,
        }
    }
    files.reverse();
    let mut seen = Vec::new();
    let mut result = Vec::new();
    for file in files {
        let id = identity(&file)?;
        if !seen.contains(&id) {
            seen.push(id);
            result.push(file);
        }
    }
    Ok(result)
}

/// Opens a file of the VM's folder, which belongs to the VM's user: what is no file is not read.
/// None if it is not there.
fn open_one(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if file.metadata()?.is_file() {
        Ok(Some(file))
    } else {
        Err(io::Error::other(format!("{} is no file", path.display())))
    }
}

/// What a file is, whatever it is called.
pub fn identity(file: &File) -> io::Result<(u64, u64)> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}
