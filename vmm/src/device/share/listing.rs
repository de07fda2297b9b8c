//! The names in a folder, as answers.

use super::abi::{DirectoryEntry, Entry, ROOT};
use super::folder::child;
use super::reply::Reply;
use super::server::entry_of;
use super::tables::Inodes;
use rustix::fs::{FileType, RawDir, RawDirEntry, SeekFrom, fstat, seek};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

/// For entries as the kernel hands them out.
const BUFFER_SIZE: usize = 32 << 10;

/// What an answer is made of.
#[derive(Debug)]
pub struct Listing<'a> {
    /// The folder, open to be listed.
    pub folder: &'a OwnedFd,
    /// Its inode.
    pub inode: u64,
    /// What is known.
    pub inodes: &'a mut Inodes,
    /// Whether each entry is looked up.
    pub plus: bool,
}

impl Listing<'_> {
    /// Adds entries from `offset` on, as many as fit into `size` bytes.
    ///
    /// # Errors
    ///
    /// Not one fits, or the folder cannot be read.
    pub fn write(mut self, offset: u64, size: usize, reply: &mut Reply) -> Result<(), Errno> {
        // An offset is what the kernel gave out as such; it refuses others.
        if i64::try_from(offset).is_err() {
            return Err(Errno::INVAL);
        }
        seek(self.folder, SeekFrom::Start(offset))?;
        let end = reply.size() + size.min(reply.room());
        let start = reply.size();
        let mut buffer = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut entries = RawDir::new(self.folder.as_fd(), &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                // What is here already has been looked up, and the guest is to know of it.
                Err(_) if reply.size() > start => return Ok(()),
                entry => entry?,
            };
            let name = entry.file_name();
            if reply.size() + self.size_of(name) > end {
                let is_any = reply.size() > start;
                return is_any.then_some(()).ok_or(Errno::INVAL);
            }
            self.push(&entry, reply)?;
        }
        Ok(())
    }

    /// The bytes of an entry.
    fn size_of(&self, name: &CStr) -> usize {
        let plus = if self.plus { size_of::<Entry>() } else { 0 };
        let size = size_of::<DirectoryEntry>() + name.count_bytes();
        plus + size.next_multiple_of(8)
    }

    fn push(&mut self, entry: &RawDirEntry<'_>, reply: &mut Reply) -> Result<(), Errno> {
        let name = entry.file_name();
        if self.plus {
            reply.push(&self.look_up(name))?;
        }
        let number = if name == c".." && self.inode == ROOT {
            // What is above the root is the guest's.
            fstat(self.folder)?.st_ino
        } else {
            entry.ino()
        };
        let bytes = name.to_bytes();
        reply.push(&DirectoryEntry {
            number,
            next: entry.next_entry_cookie(),
            name_size: bytes.len() as u32,
            kind: match entry.file_type() {
                FileType::Unknown => 0,
                // The type bits of a mode, moved to where DT_* has them.
                kind => kind.as_raw_mode() >> 12,
            },
        })?;
        reply.push_bytes(bytes)?;
        let padding = bytes.len().next_multiple_of(8) - bytes.len();
        reply.push_bytes([0; 8].get(..padding).unwrap_or_default())
    }

    /// What LOOKUP would answer; an entry without an inode when that would be an error, or when
    /// the entry is the folder itself or the one above.
    fn look_up(&mut self, name: &CStr) -> Entry {
        if name == c"." || name == c".." {
            return Entry::default();
        }
        let found = child(self.folder, name).and_then(|fd| self.inodes.look_up(fd));
        found.map_or_else(|_| Entry::default(), |(inode, stat)| entry_of(inode, &stat))
    }
}
