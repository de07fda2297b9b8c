//! What can be wrong with an image.

use super::segment::{Plane, Rights};
use super::words::{Bytes, Hex, class_name, encoding_name, file_type_name, machine_name};
use pv_abi::Features;
use pv_abi::address_space::{IMAGE_LOWEST, PAGE_SIZE};
use pv_abi::image_note::{STACK_SIZE_MAX, STACK_SIZE_MIN};
use pv_abi::mapping::TASK_AREA_START;
use pv_abi::{ABI_MAJOR, ABI_MINOR};
use std::path::PathBuf;

/// Why a file is no image that this VMM can run.
///
/// Each message is one sentence that names the value at fault and what would be right. An
/// error of the file itself names the path; every other one is about the image that was
/// given, and whoever reports it says which one that was. Segments are numbered as
/// `readelf -l` lists the program headers, from 0.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no such file.
    #[error("the image {} does not exist; give the path of an ELF executable", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The file may not be read.
    #[error("the image {} may not be read by this user; make it readable", path.display())]
    PermissionDenied {
        /// The file.
        path: PathBuf,
    },
    /// The path names something else than a file.
    #[error("the image {} is {kind}; it must be a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The file is larger than any image has to be.
    #[error("the image {} has {}; an image has at most {}", path.display(), Bytes(*size),
            Bytes(super::read::SIZE_MAX))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The file cannot be read for another reason.
    #[error("the image {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the host says.
        source: std::io::Error,
    },

    /// There is nothing in the file.
    #[error("the image is empty; it must be an ELF executable")]
    Empty,
    /// The magic number is another one.
    #[error(
        "the image is not an ELF file: it begins with {}, not with 7f 45 4c 46",
        Hex(start)
    )]
    NotElf {
        /// The first bytes, at most four.
        start: Vec<u8>,
    },
    /// The file ends too early.
    #[error("the image is truncated: it has {size} bytes, fewer than the 64 of an ELF header")]
    TruncatedHeader {
        /// The size of the file.
        size: usize,
    },
    /// The file is for another word size.
    #[error("the image is {}; it must be a 64-bit ELF file", class_name(*class))]
    NotElf64 {
        /// EI_CLASS of the header.
        class: u8,
    },
    /// The file has another byte order.
    #[error("the image is {}; it must be little-endian", encoding_name(*encoding))]
    NotLittleEndian {
        /// EI_DATA of the header.
        encoding: u8,
    },
    /// There is no other version of ELF than 1.
    #[error("the image has ELF version {version}; it must be 1")]
    ElfVersion {
        /// EI_VERSION or e_version of the header, whichever is not 1.
        version: u32,
    },
    /// The file is for another processor.
    #[error("the image is built for {}; it must be built for x86-64", machine_name(*machine))]
    Machine {
        /// e_machine of the header.
        machine: u16,
    },
    /// The file is not linked.
    #[error("the image is {}; link it to a static executable", file_type_name(*file_type))]
    NotExecutable {
        /// e_type of the header.
        file_type: u16,
    },
    /// The addresses of the file are not final.
    #[error(
        "the image is position-independent (ELF type ET_DYN); it must be linked with \
             -static -no-pie (in Rust, -C relocation-model=static)"
    )]
    PositionIndependent,
    /// The file needs a dynamic linker.
    #[error(
        "the image is dynamically linked (it has a {segment} segment); it must be linked \
             with -static -no-pie"
    )]
    Dynamic {
        /// The type of the segment that says so.
        segment: &'static str,
    },

    /// The program headers are not those of ELF64.
    #[error("the image's program headers have {size} bytes each; in ELF64 they have 56")]
    ProgramHeaderSize {
        /// e_phentsize of the header.
        size: u16,
    },
    /// There are more program headers than an image needs.
    #[error(
        "the image has {count} program headers; it may have at most {}",
        super::header::PROGRAM_HEADERS_MAX
    )]
    TooManyProgramHeaders {
        /// e_phnum of the header.
        count: u16,
    },
    /// The program headers are past the end of the file.
    #[error(
        "the image is truncated: its {count} program headers begin at byte {offset:#x}, but \
             the file has {file_size:#x} bytes"
    )]
    TruncatedProgramHeaders {
        /// How many there are.
        count: u16,
        /// Where the first one is in the file.
        offset: u64,
        /// The size of the file.
        file_size: usize,
    },

    /// No note says that this is an image.
    #[error(
        "the image has no Paravane note, so it is no Paravane guest; build it with the \
             guest SDK's entry! macro or with PV_IMAGE_NOTE of paravane.h"
    )]
    NoNote,
    /// Two notes could contradict each other.
    #[error(
        "the image has {count} Paravane notes; it must have one, from a single entry! or \
             PV_IMAGE_NOTE"
    )]
    SeveralNotes {
        /// How many there are.
        count: usize,
    },
    /// The notes are past the end of the file.
    #[error("the image is truncated: the notes of segment {segment} are at bytes {offset:#x} to \
             {end:#x}, but the file has {file_size:#x}", end = offset.saturating_add(*size))]
    TruncatedNote {
        /// Number of the program header.
        segment: usize,
        /// Where the notes begin in the file.
        offset: u64,
        /// Their size in the file.
        size: u64,
        /// The size of the file.
        file_size: usize,
    },
    /// The sizes in a note do not add up.
    #[error(
        "the image has no Paravane note that can be read: segment {segment} holds a note \
             that is longer than the segment; link it again"
    )]
    MalformedNote {
        /// Number of the program header.
        segment: usize,
    },
    /// The note has fewer fields than ABI 1.0.
    #[error("the image's Paravane note has {size} bytes; it must have at least {}",
            size_of::<pv_abi::image_note::ImageNote>())]
    NoteTooShort {
        /// The size of its descriptor.
        size: usize,
    },
    /// The image needs a newer VMM.
    #[error(
        "the image is built for ABI {major}.{minor}, newer than {ABI_MAJOR}.{ABI_MINOR}, \
             which this VMM speaks; run it with a newer Paravane"
    )]
    AbiNewer {
        /// Major version of the image.
        major: u16,
        /// Minor version of the image.
        minor: u16,
    },
    /// The image is for a VMM that spoke another ABI.
    #[error(
        "the image is built for ABI {major}.{minor}, older than {ABI_MAJOR}.{ABI_MINOR}, \
             which this VMM speaks; build it again"
    )]
    AbiOlder {
        /// Major version of the image.
        major: u16,
        /// Minor version of the image.
        minor: u16,
    },
    /// A field without a meaning has a value.
    #[error("the image's note has {value:#x} in its reserved field; it must be 0")]
    NoteReserved {
        /// The value.
        value: u32,
    },
    /// The boot stack has no possible size.
    #[error(
        "the image's note asks for a boot stack of {size} bytes; it must be a multiple of \
             {PAGE_SIZE} from {} to {}",
        Bytes(STACK_SIZE_MIN),
        Bytes(STACK_SIZE_MAX)
    )]
    StackSize {
        /// The size in the note.
        size: u64,
    },
    /// No number of vCPUs would do.
    #[error(
        "the image's note asks for {minimum} to {maximum} vCPUs; the most must be at least \
             1 and not below the least"
    )]
    VcpuRange {
        /// The least number in the note.
        minimum: u32,
        /// The greatest number in the note.
        maximum: u32,
    },
    /// The name cannot be shown.
    #[error(
        "the name in the image's note is not UTF-8 from byte {valid} on; it must be UTF-8 \
             of at most 32 bytes (a longer name is cut, perhaps inside a character)"
    )]
    NameNotUtf8 {
        /// How many bytes before the first bad one.
        valid: usize,
    },
    /// The name would do something to a terminal.
    #[error("the name in the image's note has the control character U+{:04X}; it must be \
             printable", u32::from(*character))]
    NameControl {
        /// The first control character.
        character: char,
    },

    /// Nothing would be loaded.
    #[error("the image has no loadable segment; link it to a static executable")]
    NoSegments,
    /// There are more segments than the start-info page can describe.
    #[error(
        "the image has {count} loadable segments; it may have at most {}",
        super::segment::SEGMENTS_MAX
    )]
    TooManySegments {
        /// How many there are.
        count: usize,
    },
    /// A segment is past the end of the file.
    #[error("the image is truncated: segment {segment} is at bytes {offset:#x} to {end:#x} of \
             the file, but the file has {file_size:#x}", end = offset.saturating_add(*size))]
    TruncatedSegment {
        /// Number of the program header.
        segment: usize,
        /// Where it begins in the file.
        offset: u64,
        /// Its size in the file.
        size: u64,
        /// The size of the file.
        file_size: usize,
    },
    /// A segment does not fit into its own memory.
    #[error(
        "segment {segment} has {file_size:#x} bytes in the file but only {memory_size:#x} in \
             memory; it must have at least as many in memory"
    )]
    LargerInFile {
        /// Number of the program header.
        segment: usize,
        /// p_filesz.
        file_size: u64,
        /// p_memsz.
        memory_size: u64,
    },
    /// A segment wraps around.
    #[error(
        "segment {segment} begins at {plane} address {start:#x} and has {memory_size:#x} \
             bytes, which goes past the end of the address space; it must end below"
    )]
    Wraps {
        /// Number of the program header.
        segment: usize,
        /// Which of its addresses.
        plane: Plane,
        /// The address.
        start: u64,
        /// p_memsz.
        memory_size: u64,
    },
    /// A segment would make a null pointer valid.
    #[error(
        "segment {segment} begins at {address:#x}; it must begin at {IMAGE_LOWEST:#x} or \
             above, so that null pointers fault"
    )]
    TooLow {
        /// Number of the program header.
        segment: usize,
        /// p_vaddr.
        address: u64,
    },
    /// A segment lies where the VMM maps something else.
    #[error(
        "segment {segment} ends at {end:#x}; it must end at {TASK_AREA_START:#x} or below, because \
         the addresses of tasks begin there"
    )]
    TooHigh {
        /// Number of the program header.
        segment: usize,
        /// Its end.
        end: u64,
    },
    /// The alignment is none.
    #[error("segment {segment} has the alignment {alignment:#x}; it must be a power of two")]
    Alignment {
        /// Number of the program header.
        segment: usize,
        /// p_align.
        alignment: u64,
    },
    /// A segment is unaligned in the file.
    #[error(
        "segment {segment} is unaligned: its address {address:#x} and its offset {offset:#x} \
             in the file must have the same remainder by its alignment {alignment:#x}"
    )]
    Unaligned {
        /// Number of the program header.
        segment: usize,
        /// p_vaddr.
        address: u64,
        /// p_offset.
        offset: u64,
        /// p_align.
        alignment: u64,
    },
    /// A segment cannot be mapped by whole pages.
    #[error(
        "segment {segment} is unaligned: its virtual address {address:#x} and its physical \
             address {gpa:#x} must have the same offset in their {PAGE_SIZE}-byte page"
    )]
    PageOffset {
        /// Number of the program header.
        segment: usize,
        /// p_vaddr.
        address: u64,
        /// p_paddr.
        gpa: u64,
    },
    /// A segment could be written and then executed.
    #[error(
        "segment {segment} at {address:#x} is writable and executable; give code and data \
             segments of their own"
    )]
    WritableAndExecutable {
        /// Number of the program header.
        segment: usize,
        /// p_vaddr.
        address: u64,
    },
    /// A segment cannot be read.
    #[error("segment {segment} at {address:#x} has the rights {rights}; it must be readable")]
    NotReadable {
        /// Number of the program header.
        segment: usize,
        /// p_vaddr.
        address: u64,
        /// Its rights.
        rights: Rights,
    },
    /// Two segments have the same address.
    #[error(
        "segments {first} and {second} overlap at {plane} address {address:#x}; each must \
             have addresses of its own"
    )]
    Overlap {
        /// Number of the first program header.
        first: usize,
        /// Number of the second program header.
        second: usize,
        /// Which of their addresses.
        plane: Plane,
        /// The first common address.
        address: u64,
    },
    /// A page would need the rights of two segments.
    #[error(
        "segments {first} and {second} share the {plane} page {page:#x}; begin each segment \
             on a page of its own (-z max-page-size={PAGE_SIZE})"
    )]
    SharedPage {
        /// Number of the first program header.
        first: usize,
        /// Number of the second program header.
        second: usize,
        /// Which of their addresses.
        plane: Plane,
        /// The first common page.
        page: u64,
    },
    /// The guest would fault at its first instruction.
    #[error(
        "the image's entry {entry:#x} is in no executable segment; name the entry function \
             to the linker (-e)"
    )]
    Entry {
        /// e_entry of the header.
        entry: u64,
    },

    /// The VM has less RAM than the image asks for.
    #[error("the image needs at least {} of RAM, but the VM has {}; give it more",
            Bytes(*minimum), Bytes(*ram_size))]
    TooLittleMemory {
        /// The least RAM in the note, in bytes.
        minimum: u64,
        /// The VM's RAM in bytes.
        ram_size: u64,
    },
    /// A segment lies behind the VM's RAM.
    #[error(
        "segment {segment} ends at physical address {end:#x}, but the VM's RAM ends at \
             {ram_size:#x}; give the VM more memory or link the image to lower physical addresses"
    )]
    OutsideRam {
        /// Number of the program header.
        segment: usize,
        /// One past its last page.
        end: u64,
        /// The VM's RAM in bytes.
        ram_size: u64,
    },
    /// The VM has fewer vCPUs than the image asks for.
    #[error("the image needs at least {minimum} vCPUs, but the VM has {vcpus}; give it more")]
    TooFewVcpus {
        /// The least number in the note.
        minimum: u32,
        /// The VM's.
        vcpus: u32,
    },
    /// The VM has more vCPUs than the image can use.
    #[error("the image can use at most {maximum} vCPUs, but the VM has {vcpus}; give it fewer")]
    TooManyVcpus {
        /// The greatest number in the note.
        maximum: u32,
        /// The VM's.
        vcpus: u32,
    },
    /// The image needs what this VMM or this host does not have.
    #[error(
        "the image requires features that this VM does not offer: {missing}; run it with a \
             Paravane that has them, or build it without them"
    )]
    MissingFeatures {
        /// The features.
        missing: Features,
    },
}
