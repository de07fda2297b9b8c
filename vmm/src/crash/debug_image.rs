//! What crash analysis reads of a guest's image, and the budget it reads it with.
//!
//! The image is the guest's: every byte of it may be made up to hurt whoever looks.
//! A debugger may hang on such a file and be killed; a VMM may not. So nothing here
//! trusts an offset, and all of gimli's reading goes through [`Reader`], which stops
//! at a fixed number of reads whatever the data says. Time is bounded by that
//! alone, and so is the memory of gimli's own tables, each entry of which costs it
//! at least one read.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use gimli::{LittleEndian, ReaderOffsetId};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SymbolTable};

/// Executable segments that are looked at: a static image has one, seldom two.
const MAX_TEXTS: usize = 64;
/// Debug and unwind sections that are kept; DWARF 5 defines fewer than thirty.
const MAX_SECTIONS: usize = 64;

type Header = elf::FileHeader64<object::LittleEndian>;
/// The static symbol table of an image.
pub(super) type Symbols<'a> = SymbolTable<'a, Header>;

const ENDIAN: object::LittleEndian = object::LittleEndian;

/// A debug or unwind section of an image.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    name: &'a [u8],
    /// The section's run-time address, 0 where it is not loaded.
    pub(super) address: u64,
    /// The section's contents in the file.
    pub(super) data: &'a [u8],
}

/// One executable segment: its run-time address and its bytes in the file.
struct Text<'a> {
    start: u64,
    end: u64,
    bytes: &'a [u8],
}

/// The parts of an ELF file that crash analysis uses; whatever is malformed is
/// taken to be missing.
#[derive(Default)]
pub(super) struct Image<'a> {
    texts: Vec<Text<'a>>,
    sections: Vec<Section<'a>>,
    /// The static symbol table; empty in a stripped image.
    pub(super) symbols: Symbols<'a>,
    /// The ELF entry point, 0 if there is no valid header.
    pub(super) entry: u64,
    /// Whether a debug section was passed over because it is compressed.
    pub(super) has_compressed_sections: bool,
}

impl<'a> Image<'a> {
    /// Reads the headers of `data`, leaving out what does not parse.
    pub(super) fn parse(data: &'a [u8]) -> Image<'a> {
        let mut image = Image::default();
        let Ok(header) = Header::parse(data) else {
            return image;
        };
        image.entry = header.e_entry.get(ENDIAN);
        for segment in header.program_headers(ENDIAN, data).unwrap_or_default() {
            let executable = segment.p_flags(ENDIAN).contains(elf::PF_X);
            if segment.p_type(ENDIAN) != elf::PT_LOAD || !executable {
                continue;
            }
            let start = segment.p_vaddr(ENDIAN);
            let Ok(bytes) = segment.data(ENDIAN, data) else {
                continue;
            };
            if let Some(end) = start.checked_add(bytes.len() as u64)
                && image.texts.len() < MAX_TEXTS
            {
                image.texts.push(Text { start, end, bytes });
            }
        }
        let Ok(sections) = header.sections(ENDIAN, data) else {
            return image;
        };
        for section in sections.iter() {
            let Ok(name) = sections.section_name(ENDIAN, section) else {
                continue;
            };
            if !(name.starts_with(b".debug_") || name == b".eh_frame") {
                continue;
            }
            if section.sh_flags(ENDIAN).contains(elf::SHF_COMPRESSED) {
                // Inflating is where a small file becomes a large memory, and the
                // toolchain compresses only on request: such data counts as absent.
                image.has_compressed_sections = true;
                continue;
            }
            if let Ok(data) = section.data(ENDIAN, data)
                && image.sections.len() < MAX_SECTIONS
            {
                let address = section.sh_addr(ENDIAN);
                image.sections.push(Section {
                    name,
                    address,
                    data,
                });
            }
        }
        image.symbols = sections
            .symbols(ENDIAN, data, elf::SHT_SYMTAB)
            .unwrap_or_default();
        image
    }

    /// The section called `name`, empty where there is none.
    pub(super) fn section(&self, name: &str) -> Section<'a> {
        let found = self
            .sections
            .iter()
            .find(|section| section.name == name.as_bytes());
        found.copied().unwrap_or(Section {
            name: b"",
            address: 0,
            data: &[],
        })
    }

    /// Whether `address` lies in an executable segment.
    pub(super) fn is_text(&self, address: u64) -> bool {
        self.texts
            .iter()
            .any(|text| (text.start..text.end).contains(&address))
    }

    /// Whether the bytes just before `address` are a call instruction, so that
    /// `address` can be a return address. Most words that merely look like text
    /// addresses fail this.
    pub(super) fn follows_call(&self, address: u64) -> bool {
        (2..=8).any(|length| {
            let bytes = self.text_before(address, length);
            bytes.is_some_and(|bytes| call_length(bytes) == Some(length))
        })
    }

    /// Where the call before `address` goes, if it names its target or the word of
    /// memory (of the global offset table) that holds it.
    pub(super) fn call_target(
        &self,
        address: u64,
        read_u64: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<u64> {
        if let Some(&[0xff, 0x15, a, b, c, d]) = self.text_before(address, 6) {
            let distance = i32::from_le_bytes([a, b, c, d]);
            return read_u64(address.checked_add_signed(distance.into())?);
        }
        let Some(&[0xe8, a, b, c, d]) = self.text_before(address, 5) else {
            return None;
        };
        address.checked_add_signed(i32::from_le_bytes([a, b, c, d]).into())
    }

    /// The `length` bytes of text before `address`. A call to a function that never
    /// returns may end the segment, so that `address` itself is no longer text.
    fn text_before(&self, address: u64, length: usize) -> Option<&'a [u8]> {
        let start = address.checked_sub(length as u64)?;
        let text = self
            .texts
            .iter()
            .find(|text| (text.start..text.end).contains(&start))?;
        let start = usize::try_from(start.checked_sub(text.start)?).ok()?;
        text.bytes.get(start..start.checked_add(length)?)
    }
}

/// The length of the near call instruction at the start of `bytes`, if it is one.
fn call_length(bytes: &[u8]) -> Option<usize> {
    let (prefix, bytes) = match bytes.split_first()? {
        (0x40..=0x4f, rest) => (1, rest),
        _ => (0, bytes),
    };
    let body = match bytes {
        [0xe8, ..] => 5,
        [0xff, modrm, rest @ ..] if (modrm >> 3) & 7 == 2 => {
            let (mode, register) = (modrm >> 6, modrm & 7);
            let sib = usize::from(mode != 3 && register == 4);
            let no_base = match rest {
                [sib_byte, ..] if sib == 1 => sib_byte & 7 == 5,
                _ => register == 5,
            };
            let displacement = match mode {
                0 if no_base => 4,
                1 => 1,
                2 => 4,
                _ => 0,
            };
            2 + sib + displacement
        }
        _ => return None,
    };
    Some(prefix + body)
}

/// How many reads the analysis of one crash may still make.
#[derive(Debug)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    /// A budget of `reads` reads.
    pub(super) fn new(reads: u64) -> Budget {
        Budget(Cell::new(reads))
    }

    /// Takes `reads` from the budget, or what is left of it and fails.
    pub(super) fn spend(&self, reads: u64) -> gimli::Result<()> {
        let left = self.0.get().checked_sub(reads);
        self.0.set(left.unwrap_or(0));
        match left {
            Some(_) => Ok(()),
            None => Err(gimli::Error::UnexpectedEof(ReaderOffsetId(0))),
        }
    }

    /// Runs `work` with no more than `reads` of the budget. This is what bounds the
    /// memory of one table; the whole budget bounds the time of all of them.
    pub(super) fn at_most<T>(&self, reads: u64, work: impl FnOnce() -> T) -> T {
        let whole = self.0.get();
        let allowed = whole.min(reads);
        self.0.set(allowed);
        let result = work();
        let spent = allowed.saturating_sub(self.0.get());
        self.0.set(whole.saturating_sub(spent));
        result
    }
}

/// A reader of one section that pays for each of its reads.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` starts, from the start of the section.
    position: usize,
    budget: &'a Budget,
}

impl<'a> Reader<'a> {
    /// A reader of all of `data`.
    pub(super) fn new(data: &'a [u8], budget: &'a Budget) -> Reader<'a> {
        Reader {
            rest: data,
            position: 0,
            budget,
        }
    }

    fn end(&self) -> gimli::Error {
        gimli::Error::UnexpectedEof(gimli::Reader::offset_id(self))
    }

    /// Takes the next `length` bytes.
    fn take(&mut self, length: usize) -> gimli::Result<&'a [u8]> {
        self.budget.spend(1)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.end())?;
        self.rest = rest;
        self.position = self.position.saturating_add(length);
        Ok(taken)
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reader({} bytes at {:#x})",
            self.rest.len(),
            self.position
        )
    }
}

impl gimli::Reader for Reader<'_> {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.rest.len()
    }

    fn empty(&mut self) {
        self.position = self.position.saturating_add(self.rest.len());
        self.rest = &[];
    }

    fn truncate(&mut self, length: usize) -> gimli::Result<()> {
        self.rest = self.rest.get(..length).ok_or_else(|| self.end())?;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.position.saturating_sub(base.position)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.position as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        usize::try_from(id.0).ok()?.checked_sub(self.position)
    }

    fn find(&self, byte: u8) -> gimli::Result<usize> {
        let found = self.rest.iter().position(|&candidate| candidate == byte);
        // Many references to one long string must not be cheaper than reading it.
        self.budget
            .spend(1 + found.unwrap_or(self.rest.len()) as u64 / 8)?;
        found.ok_or_else(|| self.end())
    }

    fn skip(&mut self, length: usize) -> gimli::Result<()> {
        self.take(length).map(|_| ())
    }

    fn split(&mut self, length: usize) -> gimli::Result<Self> {
        let position = self.position;
        let rest = self.take(length)?;
        Ok(Reader {
            rest,
            position,
            budget: self.budget,
        })
    }

    fn to_slice(&self) -> gimli::Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.rest))
    }

    fn to_string(&self) -> gimli::Result<Cow<'_, str>> {
        let text = std::str::from_utf8(self.rest).map_err(|_| gimli::Error::BadUtf8)?;
        Ok(Cow::Borrowed(text))
    }

    fn to_string_lossy(&self) -> gimli::Result<Cow<'_, str>> {
        self.budget.spend(1 + self.rest.len() as u64 / 8)?;
        Ok(String::from_utf8_lossy(self.rest))
    }

    fn read_slice(&mut self, buffer: &mut [u8]) -> gimli::Result<()> {
        let bytes = self.take(buffer.len())?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_instructions_are_recognized_by_their_whole_length() {
        let calls: [&[u8]; 10] = [
            &[0xe8, 1, 2, 3, 4],
            &[0xff, 0xd0],
            &[0x41, 0xff, 0xd3],
            &[0xff, 0x10],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0xff, 0x50, 0x18],
            &[0xff, 0x54, 0x24, 8],
            &[0xff, 0x14, 0x25, 1, 2, 3, 4],
            &[0x41, 0xff, 0x94, 0x24, 1, 2, 3, 4],
            &[0xff, 0x93, 1, 2, 3, 4],
        ];
        for call in calls {
            assert_eq!(call_length(call), Some(call.len()), "{call:x?}");
        }
        for other in [&[0xff_u8, 0xe0] as &[u8], &[0xe9, 1, 2, 3, 4], &[0x90], &[]] {
            assert_eq!(call_length(other), None, "{other:x?}");
        }
    }

    #[test]
    fn a_budget_ends_reading_and_a_share_of_it_ends_sooner() {
        let budget = Budget::new(10);
        let mut reader = Reader::new(&[0; 100], &budget);
        budget.at_most(3, || {
            assert!((0..3).all(|_| gimli::Reader::read_u8(&mut reader).is_ok()));
            assert!(gimli::Reader::read_u8(&mut reader).is_err());
        });
        assert!((0..7).all(|_| gimli::Reader::read_u8(&mut reader).is_ok()));
        assert!(gimli::Reader::read_u8(&mut reader).is_err());
    }

    #[test]
    fn what_is_not_elf_has_no_parts() {
        let image = Image::parse(b"\x7fELF but not really");
        assert!(!image.is_text(0) && !image.follows_call(0) && !image.follows_call(u64::MAX));
        assert!(image.section(".eh_frame").data.is_empty() && image.symbols.is_empty());
    }
}
