//! qcow2 images, read only, by the crate `imago`.
//!
//! An image may come from anywhere. So its header is checked here before any table is read that
//! it gives the size of, and neither a backing file nor a data file is followed: the names would
//! be the image's maker's to choose.

use super::{Problem, SECTOR};
use crate::device::block::engine::{Operation, Transfer};
use imago::file::File as Storage;
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// What a qcow2 image begins with.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";

/// How much of a request is read at a time.
const CHUNK: u64 = 256 << 10;

/// The largest L1 table, as in QEMU.
const MAX_L1_SIZE: u64 = 32 << 20;

/// How many L2 tables `imago` keeps, of a cluster each.
const CACHED_TABLES: u64 = 128;

/// The most memory for them: four times what an image with the usual clusters of 64 KiB takes.
const MAX_CACHED: u64 = 32 << 20;

/// The header of version 2, and the first of what version 3 adds (docs/interop/qcow2.rst of QEMU).
#[derive(Debug, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: [u8; 4],
    version: U32,
    backing_file_offset: U64,
    backing_file_size: U32,
    cluster_bits: U32,
    size: U64,
    crypt_method: U32,
    l1_size: U32,
    l1_table_offset: U64,
    refcount_table_offset: U64,
    refcount_table_clusters: U32,
    snapshots: U32,
    snapshots_offset: U64,
    // Only from version 3 on.
    incompatible_features: U64,
}

const EXTERNAL_DATA: u64 = 1 << 2;
const KNOWN_INCOMPATIBLE: u64 = EXTERNAL_DATA;

/// A qcow2 image.
#[derive(Debug)]
pub struct Qcow2Image {
    access: FormatAccess<Storage>,
    size: u64,
    // A second descriptor, to see whether the file was cut short.
    file: File,
    file_size: u64,
}

impl Qcow2Image {
    pub(super) fn open(file: File, file_size: u64) -> Result<Self, Problem> {
        let size = check(&file, file_size).map_err(Problem::Qcow2)?;
        let second = file.try_clone().map_err(Problem::Host)?;
        let broken = |error: io::Error| Problem::Qcow2(one_line(&error));
        let storage = Storage::try_from(file).map_err(Problem::Host)?;
        let image = Qcow2::<Storage>::builder(storage)
            .write(false)
            .open(DenyImplicitOpenGate::default())
            .map_err(broken)?;
        Ok(Self {
            access: FormatAccess::new(image),
            size,
            file: second,
            file_size,
        })
    }

    /// Size of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn execute(&self, operation: &mut Operation) -> io::Result<()> {
        match operation {
            Operation::Read(transfer) => self.read(transfer),
            Operation::Flush => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem)),
        }
    }

    fn read(&self, transfer: &mut Transfer) -> io::Result<()> {
        let mut buffer = vec![0; transfer.left().min(CHUNK) as usize];
        while transfer.left() > 0 {
            let size = buffer.len().min(transfer.left() as usize);
            let chunk = buffer.get_mut(..size).unwrap_or_default();
            self.access.read(&mut *chunk, transfer.offset())?;
            transfer.fill(chunk);
        }
        // What is beyond the file's end reads as zeros, which would be wrong data.
        if self.file.metadata()?.len() < self.file_size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(())
    }
}

/// Checks what the header says, and returns the disk's size.
fn check(file: &File, file_size: u64) -> Result<u64, String> {
    let mut bytes = [0; size_of::<Header>()];
    // Version 2 ends before the last field; what follows is there in any image that is not empty.
    file.read_exact_at(&mut bytes, 0)
        .map_err(|_| "it is too short for a header".to_string())?;
    let header = Header::read_from_bytes(&bytes).map_err(|_| "it has no header".to_string())?;
    if header.magic != MAGIC {
        return Err("it does not begin as one; use format=raw".into());
    }
    let version = header.version.get();
    if !(2..=3).contains(&version) {
        return Err(format!("its version is {version}; 2 and 3 are supported"));
    }
    let bits = header.cluster_bits.get();
    if !(9..=21).contains(&bits) {
        return Err(format!(
            "its clusters of 2^{bits} bytes are not 512 bytes to 2 MiB"
        ));
    }
    if header.backing_file_offset.get() != 0 {
        return Err("it has a backing file; merge them with qemu-img convert -O qcow2".into());
    }
    if header.crypt_method.get() != 0 {
        return Err("it is encrypted".into());
    }
    if version == 3 {
        let features = header.incompatible_features.get();
        if features & EXTERNAL_DATA != 0 {
            return Err("its data is in another file; convert it with qemu-img convert".into());
        }
        if features & !KNOWN_INCOMPATIBLE != 0 {
            return Err(format!(
                "it has features that are not supported (incompatible features {features:#x})"
            ));
        }
    }
    let size = header.size.get();
    if size == 0 || !size.is_multiple_of(SECTOR) {
        return Err(format!(
            "the disk's size of {size} bytes is not a multiple of 512, or 0"
        ));
    }
    check_l1(&header, bits, size, file_size)?;
    Ok(size)
}

fn check_l1(header: &Header, bits: u32, size: u64, file_size: u64) -> Result<(), String> {
    // An L2 table is a cluster of 8-byte entries, each for a cluster of the disk.
    let covered = 1_u64 << (2 * bits - 3);
    let entries = u64::from(header.l1_size.get());
    if size.div_ceil(covered) > entries {
        return Err(format!(
            "its L1 table of {entries} entries is too small for {size} bytes"
        ));
    }
    // No other tables than those for the disk's bytes are looked at.
    let cached = size.div_ceil(covered).min(CACHED_TABLES) << bits;
    if cached > MAX_CACHED {
        return Err(format!(
            "reading {size} bytes in clusters of {} bytes takes {cached} bytes of memory for tables, \
             more than {MAX_CACHED}; convert it with qemu-img convert -O qcow2 -o cluster_size=64k",
            1_u64 << bits
        ));
    }
    let table = entries * 8;
    if table > MAX_L1_SIZE {
        return Err(format!("its L1 table of {entries} entries is too large"));
    }
    let offset = header.l1_table_offset.get();
    let end = offset.checked_add(table);
    if offset == 0 || !offset.is_multiple_of(1 << bits) || end.is_none_or(|end| end > file_size) {
        return Err("its L1 table is not in the file".into());
    }
    Ok(())
}

fn one_line(error: &io::Error) -> String {
    error.to_string().replace(['\n', '\r'], " ")
}
