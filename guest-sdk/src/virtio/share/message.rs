//! Messages of FUSE (Linux, include/uapi/linux/fuse.h, version 7.31), as far as a reader needs them.

use alloc::string::String;
use alloc::vec::Vec;

/// Size of `struct fuse_in_header`.
const IN_HEADER: usize = 40;
/// Size of `struct fuse_out_header`.
pub(super) const OUT_HEADER: usize = 16;
/// Size of `struct fuse_attr`.
const ATTR: usize = 88;
/// Offset of the attributes in `struct fuse_entry_out`.
const ENTRY_ATTR: usize = 40;
/// Offset of the attributes in `struct fuse_attr_out`.
const ATTR_ATTR: usize = 16;
/// Size of `struct fuse_entry_out`.
pub(super) const ENTRY: usize = ENTRY_ATTR + ATTR;
/// Size of `struct fuse_attr_out`.
pub(super) const ATTRIBUTES: usize = ATTR_ATTR + ATTR;
/// Size of `struct fuse_open_out`.
pub(super) const OPENED: usize = 16;
/// Size of `struct fuse_init_out`.
pub(super) const INIT: usize = 64;
/// Size of `struct fuse_dirent` without the name.
const DIRENT: usize = 24;

/// The version that is spoken.
const MAJOR: u32 = 7;
const MINOR: u32 = 31;

/// The folder that is shared.
pub(super) const ROOT: u64 = 1;

/// What is asked for. The number is the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Lookup = 1,
    Forget = 2,
    GetAttr = 3,
    Open = 14,
    Read = 15,
    Release = 18,
    Init = 26,
    OpenDir = 27,
    ReadDir = 28,
    ReleaseDir = 29,
}

/// A request under construction.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A request for a node. `unique` is its number.
    pub fn new(opcode: Opcode, unique: u64, node: u64) -> Self {
        let message = Self(Vec::with_capacity(128));
        // The size comes at the end; user, group and process are 0.
        message
            .u32(0)
            .u32(opcode as u32)
            .u64(unique)
            .u64(node)
            .u64(0)
            .u64(0)
    }

    pub fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// A name, with the zero behind it.
    pub fn name(mut self, name: &str) -> Self {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(0);
        self
    }

    /// What INIT says: the version, and no feature.
    pub fn init(self) -> Self {
        self.u32(MAJOR).u32(MINOR).u32(0).u32(0)
    }

    /// What READ and READDIR say.
    pub fn read(self, handle: u64, offset: u64, size: u32) -> Self {
        let this = self.u64(handle).u64(offset).u32(size).u32(0);
        this.u64(0).u32(0).u32(0)
    }

    /// Its bytes.
    pub fn finish(mut self) -> Vec<u8> {
        debug_assert!(self.0.len() >= IN_HEADER);
        let size = self.0.len() as u32;
        self.0[..4].copy_from_slice(&size.to_le_bytes());
        self.0
    }
}

/// The error of an answer, positive, and what follows its header; `None` for what is no answer to
/// this request.
pub(super) fn answer(bytes: &[u8], unique: u64) -> Option<(u32, &[u8])> {
    let size = u32_at(bytes, 0)? as usize;
    let error = u32_at(bytes, 4)?.cast_signed();
    if u64_at(bytes, 8)? != unique {
        return None;
    }
    Some((error.unsigned_abs(), bytes.get(OUT_HEADER..size)?))
}

/// What the answer to INIT says: whether this version is spoken.
pub(super) fn speaks(body: &[u8]) -> bool {
    u32_at(body, 0) == Some(MAJOR)
}

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link. It is not followed.
    Link,
    /// Something else, such as a device or a socket.
    Other,
}

impl Kind {
    /// Of the bits 12 to 15 of a mode.
    fn of_mode(mode: u32) -> Self {
        match mode >> 12 & 0xf {
            0x8 => Self::File,
            0x4 => Self::Folder,
            0xa => Self::Link,
            _ => Self::Other,
        }
    }
}

/// What is known of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Size in bytes.
    pub size: u64,
    /// The permissions, as Unix has them: the bits 0 to 11 of the mode.
    pub permissions: u32,
    /// When it was changed, in seconds since 1970.
    pub modified: u64,
    /// The number of the node.
    pub inode: u64,
}

impl Metadata {
    fn parse(attributes: &[u8]) -> Option<Self> {
        let mode = u32_at(attributes, 60)?;
        Some(Self {
            kind: Kind::of_mode(mode),
            size: u64_at(attributes, 8)?,
            permissions: mode & 0xfff,
            modified: u64_at(attributes, 32)?,
            inode: u64_at(attributes, 0)?,
        })
    }

    /// Of the answer to GETATTR.
    pub(super) fn of_attributes(body: &[u8]) -> Option<Self> {
        Self::parse(body.get(ATTR_ATTR..ATTRIBUTES)?)
    }

    /// Of the answer to LOOKUP, with the node.
    pub(super) fn of_entry(body: &[u8]) -> Option<(u64, Self)> {
        let metadata = Self::parse(body.get(ENTRY_ATTR..ENTRY)?)?;
        let node = u64_at(body, 0)?;
        (node != 0).then_some((node, metadata))
    }
}

/// The handle in the answer to OPEN and OPENDIR.
pub(super) fn handle(body: &[u8]) -> Option<u64> {
    u64_at(body, 0)
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name. What is not UTF-8 is replaced in it, and cannot be opened by it.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
    /// The number of the node.
    pub inode: u64,
}

/// The next entry in the answer to READDIR: where to go on, the entry, and what is behind it.
pub(super) fn entry(body: &[u8]) -> Option<(u64, Entry, &[u8])> {
    let name_size = u32_at(body, 16)? as usize;
    let name = body.get(DIRENT..DIRENT.checked_add(name_size)?)?;
    let entry = Entry {
        name: String::from_utf8_lossy(name).into_owned(),
        kind: Kind::of_mode(u32_at(body, 20)? << 12),
        inode: u64_at(body, 0)?,
    };
    let size = (DIRENT + name_size).next_multiple_of(8);
    Some((
        u64_at(body, 8)?,
        entry,
        body.get(size..).unwrap_or_default(),
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|number| u32::from_le_bytes(*number))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|number| u64::from_le_bytes(*number))
}
