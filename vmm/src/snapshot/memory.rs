//! The memory file: RAM, the VMM's private pages, and a last page that names the snapshot.

use super::{RestoreError, SaveError};
use crate::memory::{MemoryError, PrivateMemory, Ram};
use pv_abi::address_space::PAGE_SIZE;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The first bytes of the last page; the snapshot's number follows.
const MAGIC: [u8; 8] = *b"PVMEMORY";

/// How much is copied at a time.
const PIECE: u64 = 256 << 10;

/// Bits of an entry of /proc/self/pagemap: the page is in memory, or swapped out
/// (Linux, Documentation/admin-guide/mm/pagemap.rst).
const PRESENT_OR_SWAPPED: u64 = 3 << 62;

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
    // Of a file's mapping, bytes can be the VM's that are not in memory.
    let of_ram = pagemap.filter(|_| !ram.is_file());
    let touched = Touched::new(of_ram, ram.host_address());
    copy(file, 0, ram.size(), &touched, |offset, bytes| {
        ram.copy_out(offset, bytes)
    })?;
    let touched = Touched::new(None, 0);
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

/// Which pages of a mapping can be other than zero.
struct Touched<'file> {
    pagemap: Option<&'file File>,
    address: u64,
}

impl<'file> Touched<'file> {
    fn new(pagemap: Option<&'file File>, address: u64) -> Self {
        Self { pagemap, address }
    }

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
        entries
            .chunks_exact(8)
            .filter_map(|entry| entry.try_into().ok())
            .any(|entry| u64::from_ne_bytes(entry) & PRESENT_OR_SWAPPED != 0)
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
