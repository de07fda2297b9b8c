//! Loading programs: static ELF64 executables that are linked to addresses in the task area.

use super::{MemoryError, TaskMemory};
use crate::space::Rights;
use core::fmt;
use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;
use pv_abi::address_space::PAGE_SIZE;

/// Why a program cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It is no ELF64 file for x86-64.
    NotElf,
    /// It is to be linked or relocated still: no `ET_EXEC`.
    NotStatic,
    /// A segment is writable and executable.
    WritableCode,
    /// A segment cannot be where it is to be.
    Memory {
        /// Its address.
        address: u64,
        /// Why.
        error: MemoryError,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("the program is no ELF64 file for x86-64"),
            Self::NotStatic => {
                f.write_str("the program is no static executable (link it with -static -no-pie)")
            }
            Self::WritableCode => f.write_str("a segment is writable and executable"),
            Self::Memory { address, error } => write!(f, "the segment at {address:#x}: {error}"),
        }
    }
}

impl core::error::Error for LoadError {}

/// Maps the segments of a program, each with its own rights, and returns its entry.
///
/// # Errors
///
/// When the file is no such program, and for want of memory. Some segments may be mapped then.
pub fn load(memory: &mut TaskMemory, file: &[u8]) -> Result<u64, LoadError> {
    let program = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| LoadError::NotElf)?;
    if program.ehdr.e_machine != EM_X86_64 {
        return Err(LoadError::NotElf);
    }
    if program.ehdr.e_type != ET_EXEC {
        return Err(LoadError::NotStatic);
    }
    let segments = program.segments().ok_or(LoadError::NotElf)?;
    for segment in segments.iter().filter(|segment| segment.p_type == PT_LOAD) {
        let contents = program
            .segment_data(&segment)
            .map_err(|_| LoadError::NotElf)?;
        load_segment(memory, &segment, contents)?;
    }
    Ok(program.ehdr.e_entry)
}

fn load_segment(
    memory: &mut TaskMemory,
    segment: &ProgramHeader,
    contents: &[u8],
) -> Result<(), LoadError> {
    if segment.p_memsz == 0 {
        return Ok(());
    }
    let failed = |error| LoadError::Memory {
        address: segment.p_vaddr,
        error,
    };
    let rights = match (segment.p_flags & PF_W != 0, segment.p_flags & PF_X != 0) {
        (false, false) => Rights::READ,
        (true, false) => Rights::READ_WRITE,
        (false, true) => Rights::READ_EXECUTE,
        (true, true) => return Err(LoadError::WritableCode),
    };
    let offset = segment.p_vaddr % PAGE_SIZE;
    let start = segment.p_vaddr - offset;
    let end = segment
        .p_vaddr
        .checked_add(segment.p_memsz)
        .and_then(|end| end.checked_next_multiple_of(PAGE_SIZE))
        .ok_or(failed(MemoryError::BadRange))?;
    memory
        .load(start..end, rights, offset, contents)
        .map_err(failed)
}
