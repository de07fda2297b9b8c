//! The ELF header and the program headers.

use super::error::ImageError;
use object::LittleEndian as LE;
use object::elf::{
    self, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, ET_DYN, ET_EXEC, EV_CURRENT, PT_DYNAMIC,
    PT_INTERP,
};
use object::read::ReadRef;
use object::read::elf::FileHeader as _;

/// The header of an ELF file that an image can be.
pub(super) type FileHeader = elf::FileHeader64<LE>;
/// A program header of such a file.
pub(super) type ProgramHeader = elf::ProgramHeader64<LE>;

/// Most program headers of an image.
pub(super) const PROGRAM_HEADERS_MAX: u16 = 64;

/// Checks that the file is an executable for this machine, and returns its headers.
pub(super) fn parse(bytes: &[u8]) -> Result<(&FileHeader, &[ProgramHeader]), ImageError> {
    let header = parse_file_header(bytes)?;
    let file_type = header.e_type.get(LE);
    if file_type == ET_DYN {
        return Err(ImageError::PositionIndependent);
    }
    if file_type != ET_EXEC {
        return Err(ImageError::NotExecutable {
            file_type: file_type.0,
        });
    }
    let program_headers = parse_program_headers(header, bytes)?;
    for program_header in program_headers {
        // A static executable has neither, and nobody would do what they ask for.
        let segment = match program_header.p_type.get(LE) {
            PT_INTERP => "PT_INTERP",
            PT_DYNAMIC => "PT_DYNAMIC",
            _ => continue,
        };
        return Err(ImageError::Dynamic { segment });
    }
    Ok((header, program_headers))
}

fn parse_file_header(bytes: &[u8]) -> Result<&FileHeader, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    let start = bytes.get(..ELFMAG.len()).unwrap_or(bytes);
    if !ELFMAG.starts_with(start) {
        return Err(ImageError::NotElf {
            start: start.to_vec(),
        });
    }
    // The class comes before the size: the header of a 32-bit file is shorter.
    if let Some(&class) = bytes.get(4)
        && class != ELFCLASS64.0
    {
        return Err(ImageError::NotElf64 { class });
    }
    let Ok(header) = bytes.read_at::<FileHeader>(0) else {
        return Err(ImageError::TruncatedHeader { size: bytes.len() });
    };
    let encoding = header.e_ident.data;
    if encoding != ELFDATA2LSB {
        return Err(ImageError::NotLittleEndian {
            encoding: encoding.0,
        });
    }
    let current = u32::from(EV_CURRENT.0);
    for version in [header.e_ident.version.0.into(), header.e_version.get(LE)] {
        if version != current {
            return Err(ImageError::ElfVersion { version });
        }
    }
    let machine = header.e_machine.get(LE);
    if machine != EM_X86_64 {
        return Err(ImageError::Machine { machine: machine.0 });
    }
    Ok(header)
}

fn parse_program_headers<'a>(
    header: &FileHeader,
    bytes: &'a [u8],
) -> Result<&'a [ProgramHeader], ImageError> {
    let count = header.e_phnum.get(LE);
    if count == 0 || header.e_phoff.get(LE) == 0 {
        return Err(ImageError::NoSegments);
    }
    // Before anything else, because 0xffff means that the count is somewhere else.
    if count > PROGRAM_HEADERS_MAX {
        return Err(ImageError::TooManyProgramHeaders { count });
    }
    let size = header.e_phentsize.get(LE);
    if usize::from(size) != size_of::<ProgramHeader>() {
        return Err(ImageError::ProgramHeaderSize { size });
    }
    let program_headers = header.program_headers(LE, bytes);
    program_headers.map_err(|_| ImageError::TruncatedProgramHeaders {
        count,
        offset: header.e_phoff.get(LE),
        file_size: bytes.len(),
    })
}
