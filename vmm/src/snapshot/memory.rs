//! The memory file: RAM, the VMM's private pages, and a last page that names the snapshot.

use super::{RestoreError, SaveError};
use crate::memory::{MemoryError, PrivateMemory, Ram};
use pv_abi::address_space::PAGE_SIZE;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use vm_memory::FileOffset;

/// The first bytes of the last page; the snapshot's number follows.
const MAGIC: [u8; 8] = *b"PVMEMORY";

/// How much is copied at a time.
const PIECE: u64 = 256 << 10;

/// Bits of an entry of /proc/self/pagemap: the page is in memory, or swapped out
/// (Linux, Documentation/admin-guide/mm/pagemap.rst).
const PRESENT_OR_SWAPPED: u64 = 3 << 62;
/// It is a page of a file, or of shared memory.
const OF_FILE: u64 = 1 << 61;

fn failed(source: io::Error) -> SaveError {
    SaveError::Write {
        file: "memory",
        source,
    }
}

/// Writes the memory of a VM that is paused: without `pagemap`, after a look at all of it.
pub(super) fn write(
    file: &File,
    id: &[u8; 16],
    ram: &Ram,
    private: &PrivateMemory,
    pagemap: Option<&File>,
) -> Result<(), SaveError> {
    let size = ram.size() + private.size();
    // What is not written is a hole, and reads as zero.
    file.set_len(0).map_err(failed)?;
    file.set_len(size + PAGE_SIZE).map_err(failed)?;
    let touched = Touched {
        pagemap,
        address: ram.host_address(),
        file: ram.file(),
    };
    copy(file, 0, ram.size(), &touched, |offset, bytes| {
        ram.copy_out(offset, bytes)
    })?;
    let touched = Touched {
        pagemap,
        address: private.host_address(),
        file: private.file(),
    };
    copy(
        file,
        ram.size(),
        private.size(),
        &touched,
        |offset, bytes| private.copy_out(offset, bytes),
    )?;
    let last = [&MAGIC[..], id].concat();
    file.write_all_at(&last, size).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// Which pages of a mapping can be other than zero: those that the VM has written, and, where a file is
/// mapped copy-on-write, those that the file has. To find that out by reading would take memory for
/// every page.
struct Touched<'a> {
    pagemap: Option<&'a File>,
    address: u64,
    file: Option<&'a FileOffset>,
}

impl Touched<'_> {
    /// Whether any page of a range can be.
    fn any(&self, offset: u64, size: u64) -> bool {
        let Some(pagemap) = self.pagemap else {
            return true;
        };
        let mut entries = vec![0; (size / PAGE_SIZE * 8) as usize];
        let first = (self.address + offset) / PAGE_SIZE * 8;
        if pagemap.read_exact_at(&mut entries, first).is_err() {
            return true;
        }
        let written = |entry: u64| {
            entry & PRESENT_OR_SWAPPED != 0 && (self.file.is_none() || entry & OF_FILE == 0)
        };
        entries
            .chunks_exact(8)
            .filter_map(|entry| entry.try_into().ok())
            .any(|entry| written(u64::from_ne_bytes(entry)))
            || self.file.is_some_and(|file| has_data(file, offset, size))
    }
}

/// Whether the file has anything but holes in a range of its mapping, as far as its file system tells.
fn has_data(file: &FileOffset, offset: u64, size: u64) -> bool {
    let begin = file.start() + offset;
    match seek(file.file(), SeekFrom::Data(begin)) {
        Ok(data) => data < begin + size,
        // There is none from here on.
        Err(Errno::NXIO) => false,
        Err(_) => true,
    }
}

/// Copies pages that are not zero.
fn copy(
    file: &File,
    place: u64,
    size: u64,
    touched: &Touched<'_>,
    read: impl Fn(u64, &mut [u8]) -> Result<(), MemoryError>,
) -> Result<(), SaveError> {
    let mut piece = vec![0; PIECE as usize];
    let mut offset = 0;
    while offset < size {
        let length = PIECE.min(size - offset);
        if touched.any(offset, length) {
            let bytes = piece.get_mut(..length as usize).unwrap_or_default();
            read(offset, bytes).map_err(|error| failed(io::Error::other(error)))?;
            write_pages(file, place + offset, bytes).map_err(failed)?;
        }
        offset += length;
    }
    Ok(())
}

/// Writes the pages of a piece that are not zero, those that follow each other at once.
fn write_pages(file: &File, place: u64, bytes: &[u8]) -> io::Result<()> {
    let mut begun = None;
    let pages = bytes.chunks(PAGE_SIZE as usize);
    let zero = |page: &[u8]| page.iter().all(|&byte| byte == 0);
    let ends = (0..).step_by(PAGE_SIZE as usize).zip(pages.map(zero));
    let end = (bytes.len(), true);
    for (at, is_zero) in ends.chain([end]) {
        match (begun, is_zero) {
            (None, false) => begun = Some(at),
            (Some(start), true) => {
                let run = bytes.get(start..at).unwrap_or_default();
                file.write_all_at(run, place + start as u64)?;
                begun = None;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that a memory file is the one of a snapshot whose memory has so many bytes.
pub(crate) fn check(file: &File, id: &[u8; 16], size: u64) -> Result<(), RestoreError> {
    let read = |source| RestoreError::Read {
        file: "memory",
        source,
    };
    let found = file.metadata().map_err(read)?.len();
    if size.checked_add(PAGE_SIZE) != Some(found) {
        return Err(RestoreError::Damaged {
            what: "the memory is shorter or longer than it was",
        });
    }
    let mut last = [0; 24];
    file.read_exact_at(&mut last, size).map_err(read)?;
    let (magic, found) = last.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(RestoreError::NoSnapshot { file: "memory" });
    }
    if found != id {
        return Err(RestoreError::Mixed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pv_abi::Gpa;

    const PAGES: u64 = 64;

    /// The pages that are looked at.
    fn looked_at(ram: &Ram) -> Vec<u64> {
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let touched = Touched {
            pagemap: Some(&pagemap),
            address: ram.host_address(),
            file: ram.file(),
        };
        let page = |page: &u64| touched.any(page * PAGE_SIZE, PAGE_SIZE);
        (0..PAGES).filter(page).collect()
    }

    #[test]
    fn what_nobody_has_written_is_not_looked_at() {
        let ram = Ram::new(PAGES * PAGE_SIZE).unwrap();
        ram.write(Gpa(3 * PAGE_SIZE), b"x").unwrap();
        assert_eq!(looked_at(&ram), [3]);
    }

    #[test]
    fn holes_of_a_snapshot_are_not_looked_at() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(PAGES * PAGE_SIZE).unwrap();
        file.write_all_at(b"x", 7 * PAGE_SIZE).unwrap();
        file.write_all_at(b"x", 40 * PAGE_SIZE).unwrap();
        let ram = Ram::from_file(&file, PAGES * PAGE_SIZE).unwrap();
        assert_eq!(looked_at(&ram), [7, 40]);
        // Its own pages, also where the file has none, and where it read what it then wrote.
        let mut byte = [0];
        for page in [20, 40] {
            ram.read(Gpa(page * PAGE_SIZE), &mut byte).unwrap();
            ram.write(Gpa(page * PAGE_SIZE), b"y").unwrap();
        }
        assert_eq!(looked_at(&ram), [7, 20, 40]);

        let saved = tempfile::tempfile().unwrap();
        let private = PrivateMemory::new(PAGES * PAGE_SIZE, 1).unwrap();
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        for pagemap in [Some(&pagemap), None] {
            write(&saved, &[1; 16], &ram, &private, pagemap).unwrap();
            let again = Ram::from_file(&saved, PAGES * PAGE_SIZE).unwrap();
            for page in 0..PAGES {
                let expected = match page {
                    7 => b"x",
                    20 | 40 => b"y",
                    _ => b"\0",
                };
                again.read(Gpa(page * PAGE_SIZE), &mut byte).unwrap();
                assert_eq!(&byte, expected, "{page}");
            }
        }
    }
}
