//! The state file: a header, and the state as postcard writes it.

use super::state::State;
use super::{Inconsistent, RestoreError, SaveError};
use pv_abi::{ABI_MAJOR, ABI_MINOR};
use std::fs::File;
use std::os::unix::fs::FileExt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The first bytes of a state file.
const MAGIC: [u8; 8] = *b"PVSTATE\0";

/// Version of the format: of the header, of [`State`], and of the memory file.
pub const FORMAT: u32 = 2;

/// Size of the header in bytes.
pub const HEADER_SIZE: usize = size_of::<Header>();

/// The most bytes of a state: 64 vCPUs of 5 KiB, all ports and timers, the page tables of 1 TiB, and
/// the paths of all files that guests know of shares.
const SIZE_MAX: u64 = 128 << 20;

/// The header, in little-endian order.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct Header {
    magic: [u8; 8],
    format: u32,
    abi_major: u16,
    abi_minor: u16,
    /// Size of what follows, in bytes.
    size: u64,
    /// CRC-32 of what follows.
    checksum: u32,
    /// CRC-32 of the header up to here.
    own_checksum: u32,
}

impl Header {
    fn checksum_of_header(&self) -> u32 {
        let bytes = self.as_bytes();
        crc32fast::hash(bytes.get(..bytes.len() - 4).unwrap_or_default())
    }
}

/// The bytes of a state file.
///
/// # Errors
///
/// postcard's; there are none for a [`State`].
pub fn encode(state: &State) -> Result<Vec<u8>, postcard::Error> {
    Ok(seal(&postcard::to_stdvec(state)?))
}

/// The bytes of a state file with this behind its header, whatever it is.
pub fn seal(payload: &[u8]) -> Vec<u8> {
    let mut header = Header {
        magic: MAGIC,
        format: FORMAT,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        size: payload.len() as u64,
        checksum: crc32fast::hash(payload),
        own_checksum: 0,
    };
    header.own_checksum = header.checksum_of_header();
    [header.as_bytes(), payload].concat()
}

/// Reads the bytes of a state file.
///
/// # Errors
///
/// They are none, or of another version, or damaged.
pub fn decode(bytes: &[u8]) -> Result<State, RestoreError> {
    let no_snapshot = RestoreError::NoSnapshot { file: "state" };
    let Ok((header, payload)) = Header::read_from_prefix(bytes) else {
        return Err(no_snapshot);
    };
    if header.magic != MAGIC {
        return Err(no_snapshot);
    }
    if header.format != FORMAT {
        return Err(RestoreError::Format {
            found: header.format,
            known: FORMAT,
        });
    }
    let damaged = |what| Err(RestoreError::Damaged { what });
    if header.own_checksum != header.checksum_of_header() {
        return damaged("the checksum of the state's header is wrong");
    }
    if header.abi_major != ABI_MAJOR || header.abi_minor > ABI_MINOR {
        return Err(RestoreError::Abi {
            major: header.abi_major,
            minor: header.abi_minor,
        });
    }
    if header.size != payload.len() as u64 {
        return damaged("the state is shorter or longer than it was");
    }
    if header.checksum != crc32fast::hash(payload) {
        return damaged("the checksum of the state is wrong");
    }
    match postcard::take_from_bytes(payload) {
        Ok((state, [])) => Ok(state),
        Ok(_) => Err(Inconsistent("something follows the state".into()).into()),
        Err(error) => Err(Inconsistent(format!("the state: {error}")).into()),
    }
}

/// Writes a state file.
pub(super) fn write(file: &File, state: &State) -> Result<(), SaveError> {
    let failed = |source| SaveError::Write {
        file: "state",
        source,
    };
    let bytes = encode(state).map_err(|error| failed(std::io::Error::other(error)))?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(failed(std::io::Error::other("it is larger than any")));
    }
    file.write_all_at(&bytes, 0).map_err(failed)?;
    file.sync_all().map_err(failed)
}

/// Reads a state file.
///
/// # Errors
///
/// As [`decode`], or it cannot be read.
pub fn read(file: &File) -> Result<State, RestoreError> {
    let failed = |source| RestoreError::Read {
        file: "state",
        source,
    };
    let size = file.metadata().map_err(failed)?.len();
    if size > SIZE_MAX {
        return Err(RestoreError::Damaged {
            what: "the state is larger than any",
        });
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;
    decode(&bytes)
}
