//! The note by which an image says what it needs.

use super::error::ImageError;
use super::header::{FileHeader, ProgramHeader};
use super::segment::file_range;
use object::LittleEndian as LE;
use object::elf::PT_NOTE;
use object::read::elf::NoteIterator;
use pv_abi::ABI_MAJOR;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::image_note::{ImageNote, NOTE_OWNER, NOTE_TYPE, STACK_SIZE_MAX, STACK_SIZE_MIN};
use std::cmp::Ordering;
use zerocopy::FromBytes;

/// Finds the image's note, checks it, and returns it with the name that is in it.
pub(super) fn parse(
    headers: &[ProgramHeader],
    bytes: &[u8],
) -> Result<(ImageNote, String), ImageError> {
    let descriptor = find(headers, bytes)?;
    let Ok((note, _)) = ImageNote::read_from_prefix(descriptor) else {
        return Err(ImageError::NoteTooShort {
            size: descriptor.len(),
        });
    };
    let name = check(&note)?;
    Ok((note, name))
}

/// The descriptor of the image's only note.
fn find<'a>(headers: &[ProgramHeader], bytes: &'a [u8]) -> Result<&'a [u8], ImageError> {
    let mut found = Vec::new();
    let mut malformed = None;
    for (segment, header) in headers.iter().enumerate() {
        if header.p_type.get(LE) != PT_NOTE {
            continue;
        }
        let (offset, size) = (header.p_offset.get(LE), header.p_filesz.get(LE));
        let range = file_range(offset, size, bytes.len());
        let Some(data) = range.and_then(|range| bytes.get(range)) else {
            return Err(ImageError::TruncatedNote {
                segment,
                offset,
                size,
                file_size: bytes.len(),
            });
        };
        // Notes are aligned to 4 or 8 bytes. Some compilers align the section further, which
        // does not change how the notes follow each other.
        let alignment = if header.p_align.get(LE) == 8 { 8 } else { 4 };
        let notes = NoteIterator::<FileHeader>::new(LE, alignment, data);
        for note in notes.into_iter().flatten() {
            // A note of someone else's may be as broken as it likes, if ours is found.
            let Ok(note) = note else {
                malformed = Some(segment);
                break;
            };
            if note.name() == NOTE_OWNER.as_bytes() && note.n_type(LE).0 == NOTE_TYPE {
                found.push(note.desc());
            }
        }
    }
    match (found.as_slice(), malformed) {
        (&[descriptor], _) => Ok(descriptor),
        ([], Some(segment)) => Err(ImageError::MalformedNote { segment }),
        ([], None) => Err(ImageError::NoNote),
        (several, _) => Err(ImageError::SeveralNotes {
            count: several.len(),
        }),
    }
}

/// Checks the fields of a note that do not depend on the VM, and returns the name.
fn check(note: &ImageNote) -> Result<String, ImageError> {
    let (major, minor) = (note.abi_major, note.abi_minor);
    // The version comes first: the other fields may mean something else in another one.
    match major.cmp(&ABI_MAJOR) {
        Ordering::Greater => return Err(ImageError::AbiNewer { major, minor }),
        Ordering::Less => return Err(ImageError::AbiOlder { major, minor }),
        Ordering::Equal => {}
    }
    if note.reserved != 0 {
        return Err(ImageError::NoteReserved {
            value: note.reserved,
        });
    }
    let size = note.stack_size;
    if !(STACK_SIZE_MIN..=STACK_SIZE_MAX).contains(&size) || !size.is_multiple_of(PAGE_SIZE) {
        return Err(ImageError::StackSize { size });
    }
    let (minimum, maximum) = (note.minimum_vcpus, note.maximum_vcpus);
    if maximum == 0 || minimum > maximum {
        return Err(ImageError::VcpuRange { minimum, maximum });
    }
    let name = std::str::from_utf8(&note.name).map_err(|error| ImageError::NameNotUtf8 {
        valid: error.valid_up_to(),
    })?;
    let name = name.trim_end_matches('\0');
    if let Some(character) = name.chars().find(|c| c.is_control()) {
        return Err(ImageError::NameControl { character });
    }
    Ok(name.to_string())
}
