//! A small ELF file to be put together in tests: valid, and easy to break.

use pv_abi::image_note::{ImageNote, padded_name};
use pv_abi::{ABI_MAJOR, ABI_MINOR, Features};
use zerocopy::IntoBytes;

pub(crate) const PT_LOAD: u32 = object::elf::PT_LOAD.0;
pub(crate) const PT_NOTE: u32 = object::elf::PT_NOTE.0;

pub(crate) const R: u32 = 4;
pub(crate) const RW: u32 = 6;
pub(crate) const RX: u32 = 5;

/// Where the note is in the file.
const NOTE_OFFSET: u64 = 0xc00;

/// A program header, its fields as the gABI names them.
#[derive(Clone, Debug)]
pub(crate) struct TestSegment {
    pub p_type: u32,
    pub p_flags: u32,
    pub p_offset: u64,
    pub p_vaddr: u64,
    pub p_paddr: u64,
    pub p_filesz: u64,
    pub p_memsz: u64,
    pub p_align: u64,
}

/// An ELF file. Its parts can be changed before [`TestElf::build`]; the offsets of fields in
/// the header are for changes afterwards.
#[derive(Clone, Debug)]
pub(crate) struct TestElf {
    pub e_type: u16,
    pub e_machine: u16,
    pub e_entry: u64,
    pub e_phoff: u64,
    pub e_phentsize: u16,
    /// e_phnum, when it is not the number of `segments`.
    pub e_phnum: Option<u16>,
    pub segments: Vec<TestSegment>,
    pub owner: [u8; 12],
    pub note_type: u32,
    /// How many bytes of `note` the file says that the descriptor has.
    pub descriptor_size: u32,
    pub note: ImageNote,
    /// How often the note is there.
    pub notes: usize,
    pub file_size: usize,
}

impl TestElf {
    /// Number of the read-only segment.
    pub const CONSTANTS: usize = 0;
    /// Number of the executable segment.
    pub const CODE: usize = 1;
    /// Number of the writable segment.
    pub const DATA: usize = 2;
    /// Number of the segment with the note.
    pub const NOTE: usize = 3;

    /// A valid image, laid out as lld does it: segments begin inside pages, at the same
    /// offset as in the file.
    pub fn new() -> Self {
        let load = |p_flags, p_offset, p_filesz, p_memsz| TestSegment {
            p_type: PT_LOAD,
            p_flags,
            p_offset,
            // The next page for each further segment.
            p_vaddr: 0x20_0000 + p_offset,
            p_paddr: 0x20_0000 + p_offset,
            p_filesz,
            p_memsz,
            p_align: 0x1000,
        };
        let mut segments = vec![
            load(R, 0, 0xe00, 0xe00),
            load(RX, 0x1600, 0x230, 0x230),
            load(RW, 0x2830, 0x40, 0x3000),
        ];
        segments.push(TestSegment {
            p_type: PT_NOTE,
            p_align: 4,
            ..load(R, NOTE_OFFSET, 104, 104)
        });
        Self {
            e_type: 2,
            e_machine: 62,
            e_entry: 0x20_1610,
            e_phoff: 64,
            e_phentsize: 56,
            e_phnum: None,
            segments,
            owner: *b"Paravane\0\0\0\0",
            note_type: 1,
            descriptor_size: 80,
            note: ImageNote {
                abi_major: ABI_MAJOR,
                abi_minor: ABI_MINOR,
                reserved: 0,
                required_features: Features::CONSOLE.0,
                wanted_features: Features::BATCH.union(Features::ENTROPY).0,
                minimum_memory: 8 << 20,
                minimum_vcpus: 1,
                maximum_vcpus: 2,
                stack_size: 64 << 10,
                name: padded_name("test guest"),
            },
            notes: 1,
            file_size: 0x2870,
        }
    }

    /// The file's bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header.extend(self.e_type.to_le_bytes());
        header.extend(self.e_machine.to_le_bytes());
        header.extend(1u32.to_le_bytes());
        header.extend(self.e_entry.to_le_bytes());
        header.extend(self.e_phoff.to_le_bytes());
        header.extend([0; 12]);
        let e_phnum = self.e_phnum.unwrap_or(self.segments.len() as u16);
        for field in [64, self.e_phentsize, e_phnum, 64, 0, 0] {
            header.extend(field.to_le_bytes());
        }
        let mut table = Vec::new();
        for segment in &self.segments {
            table.extend(segment.p_type.to_le_bytes());
            table.extend(segment.p_flags.to_le_bytes());
            for field in [
                segment.p_offset,
                segment.p_vaddr,
                segment.p_paddr,
                segment.p_filesz,
                segment.p_memsz,
                segment.p_align,
            ] {
                table.extend(field.to_le_bytes());
            }
        }
        let mut note = Vec::new();
        for field in [9, self.descriptor_size, self.note_type] {
            note.extend(field.to_le_bytes());
        }
        note.extend(self.owner);
        note.extend(self.note.as_bytes());

        let mut file = vec![0xcc; self.file_size];
        put(&mut file, 0, &header);
        put(&mut file, self.e_phoff, &table);
        put(&mut file, NOTE_OFFSET, &note.repeat(self.notes));
        file
    }
}

/// Puts bytes into the file as far as it reaches.
fn put(file: &mut [u8], offset: u64, bytes: &[u8]) {
    let rest = file.get_mut(offset as usize..).unwrap_or_default();
    let size = rest.len().min(bytes.len());
    rest[..size].copy_from_slice(&bytes[..size]);
}
