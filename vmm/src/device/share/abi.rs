//! The FUSE protocol, as far as it serves a read-only folder: Linux' include/uapi/linux/fuse.h,
//! version 7.31. Numbers are little-endian, as the guest's and the host's are.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of the protocol.
pub const VERSION: (u32, u32) = (7, 31);
/// The oldest minor version whose structures are these.
pub const MINOR_MIN: u32 = 23;

/// The inode of the shared folder.
pub const ROOT: u64 = 1;

/// What a request asks for: `enum fuse_opcode`.
pub mod opcode {
    /// An inode by its name.
    pub const LOOKUP: u32 = 1;
    /// An inode is not used any more. Not answered.
    pub const FORGET: u32 = 2;
    /// Attributes.
    pub const GETATTR: u32 = 3;
    /// The target of a symbolic link.
    pub const READLINK: u32 = 5;
    /// A handle for a file.
    pub const OPEN: u32 = 14;
    /// Bytes of a file.
    pub const READ: u32 = 15;
    /// About the file system.
    pub const STATFS: u32 = 17;
    /// A handle is not used any more.
    pub const RELEASE: u32 = 18;
    /// Brings a file to the disk.
    pub const FSYNC: u32 = 20;
    /// Somebody closes a file.
    pub const FLUSH: u32 = 25;
    /// The beginning.
    pub const INIT: u32 = 26;
    /// A handle for a folder.
    pub const OPENDIR: u32 = 27;
    /// Names in a folder.
    pub const READDIR: u32 = 28;
    /// A handle is not used any more.
    pub const RELEASEDIR: u32 = 29;
    /// Brings a folder to the disk.
    pub const FSYNCDIR: u32 = 30;
    /// Whether an access is allowed.
    pub const ACCESS: u32 = 34;
    /// Another request is of no interest any more. Not answered.
    pub const INTERRUPT: u32 = 36;
    /// The end.
    pub const DESTROY: u32 = 38;
    /// Several inodes are not used any more. Not answered.
    pub const BATCH_FORGET: u32 = 42;
    /// Names in a folder, with what LOOKUP says of each.
    pub const READDIRPLUS: u32 = 44;

    /// What changes something: SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK, WRITE,
    /// SETXATTR, REMOVEXATTR, CREATE, FALLOCATE, RENAME2, COPY_FILE_RANGE, TMPFILE.
    pub const WRITING: [u32; 16] = [4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45, 47, 51];
}

/// Flags of [`InitOut`] that are offered: FUSE_ASYNC_READ, FUSE_AUTO_INVAL_DATA,
/// FUSE_DO_READDIRPLUS, FUSE_READDIRPLUS_AUTO, FUSE_PARALLEL_DIROPS, FUSE_MAX_PAGES.
pub const INIT_FLAGS: u32 = 1 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 22;

macro_rules! wire {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
        )]
        #[repr(C)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    )*};
}

wire! {
    /// What a request begins with: `struct fuse_in_header`.
    InHeader {
        /// Size of the request, with this.
        len: u32,
        /// [`opcode`].
        opcode: u32,
        /// Comes back in the answer.
        unique: u64,
        /// The inode it is about.
        inode: u64,
        /// Who asks, in the guest.
        uid: u32,
        /// Their group.
        gid: u32,
        /// Their process.
        pid: u32,
        /// Not used.
        reserved: u32,
    }
    /// What an answer begins with: `struct fuse_out_header`.
    OutHeader {
        /// Size of the answer, with this.
        len: u32,
        /// 0, or the negated error.
        error: i32,
        /// That of the request.
        unique: u64,
    }
    /// The beginning of `struct fuse_init_in`.
    InitIn {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
        /// Bytes.
        max_readahead: u32,
        /// Features.
        flags: u32,
    }
    /// `struct fuse_init_out`.
    InitOut {
        /// Major version.
        major: u32,
        /// Minor version.
        minor: u32,
        /// Bytes.
        max_readahead: u32,
        /// Features.
        flags: u32,
        /// 0: the guest's own.
        max_background: u16,
        /// 0: the guest's own.
        congestion_threshold: u16,
        /// Bytes.
        max_write: u32,
        /// Nanoseconds.
        time_gran: u32,
        /// Pages of the largest read.
        max_pages: u16,
        /// Not used.
        map_alignment: u16,
        /// Not used.
        reserved: [u32; 8],
    }
    /// `struct fuse_attr`.
    Attributes {
        /// The number that stat(2) shows.
        number: u64,
        /// Bytes.
        size: u64,
        /// Of 512 bytes.
        blocks: u64,
        /// Seconds.
        accessed: u64,
        /// Seconds.
        modified: u64,
        /// Seconds.
        changed: u64,
        /// Nanoseconds.
        accessed_ns: u32,
        /// Nanoseconds.
        modified_ns: u32,
        /// Nanoseconds.
        changed_ns: u32,
        /// Type and permissions.
        mode: u32,
        /// Hard links.
        links: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Which device it is.
        device: u32,
        /// Bytes.
        block_size: u32,
        /// Not used.
        flags: u32,
    }
    /// `struct fuse_attr_out`.
    AttributesOut {
        /// How long they may be kept, in seconds.
        valid: u64,
        /// And nanoseconds.
        valid_ns: u32,
        /// Not used.
        reserved: u32,
        /// The attributes.
        attributes: Attributes,
    }
    /// `struct fuse_entry_out`.
    Entry {
        /// The inode; 0 if it was not looked up.
        inode: u64,
        /// Inodes are never used again, so it is 0.
        generation: u64,
        /// How long the name may be kept, in seconds.
        entry_valid: u64,
        /// How long the attributes may be kept, in seconds.
        attributes_valid: u64,
        /// And nanoseconds.
        entry_valid_ns: u32,
        /// And nanoseconds.
        attributes_valid_ns: u32,
        /// The attributes.
        attributes: Attributes,
    }
    /// `struct fuse_dirent`; the name follows, and zeros up to a multiple of 8.
    DirectoryEntry {
        /// The number that stat(2) shows.
        number: u64,
        /// Where the next one is.
        next: u64,
        /// Size of the name.
        name_size: u32,
        /// DT_*.
        kind: u32,
    }
    /// `struct fuse_open_in`.
    OpenIn {
        /// O_*.
        flags: u32,
        /// Not used.
        open_flags: u32,
    }
    /// `struct fuse_open_out`.
    OpenOut {
        /// The handle.
        handle: u64,
        /// 0.
        flags: u32,
        /// Not used.
        reserved: u32,
    }
    /// `struct fuse_read_in`.
    ReadIn {
        /// The handle.
        handle: u64,
        /// Where; for a folder, what was said of the next entry.
        offset: u64,
        /// Bytes.
        size: u32,
        /// Not used.
        read_flags: u32,
        /// Not used.
        lock_owner: u64,
        /// Not used.
        flags: u32,
        /// Not used.
        reserved: u32,
    }
    /// The beginning of `struct fuse_release_in`.
    ReleaseIn {
        /// The handle.
        handle: u64,
    }
    /// `struct fuse_forget_in`.
    ForgetIn {
        /// How many lookups are over.
        lookups: u64,
    }
    /// `struct fuse_batch_forget_in`; so many of [`ForgetOne`] follow.
    BatchForgetIn {
        /// How many.
        count: u32,
        /// Not used.
        reserved: u32,
    }
    /// `struct fuse_forget_one`.
    ForgetOne {
        /// The inode.
        inode: u64,
        /// How many lookups are over.
        lookups: u64,
    }
    /// `struct fuse_access_in`.
    AccessIn {
        /// R_OK, W_OK, X_OK.
        mask: u32,
        /// Not used.
        reserved: u32,
    }
    /// `struct fuse_statfs_out`.
    StatfsOut {
        /// Of `fragment_size`.
        blocks: u64,
        /// Free ones.
        free: u64,
        /// Those that others than root may use.
        available: u64,
        /// Inodes.
        files: u64,
        /// Free ones.
        files_free: u64,
        /// Bytes.
        block_size: u32,
        /// The longest name.
        name_max: u32,
        /// Bytes.
        fragment_size: u32,
        /// Not used.
        reserved: [u32; 7],
    }
}

const _: () = assert!(
    size_of::<InHeader>() == 40
        && size_of::<OutHeader>() == 16
        && size_of::<InitOut>() == 64
        && size_of::<Attributes>() == 88
        && size_of::<AttributesOut>() == 104
        && size_of::<Entry>() == 128
        && size_of::<DirectoryEntry>() == 24
        && size_of::<ReadIn>() == 40
        && size_of::<StatfsOut>() == 80
);
