//! What `paravane image inspect` shows of an image.

use super::header::FileHeader;
use super::words::Bytes;
use super::{Image, Rights};
use object::LittleEndian as LE;
use object::elf::SHT_SYMTAB;
use object::read::ReadRef;
use object::read::elf::FileHeader as _;
use pv_abi::Features;
use serde::{Serialize, Serializer};
use std::fmt;

/// An image's properties, to be shown to people by [`Display`](fmt::Display) and to
/// programs by [`Serialize`].
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The guest's name.
    pub name: String,
    /// Major version of the ABI that the image is built for.
    pub abi_major: u16,
    /// Minor version of the ABI that the image is built for.
    pub abi_minor: u16,
    /// The names of the features without which it cannot run.
    pub required_features: Vec<String>,
    /// The names of the features that it uses where they are offered.
    pub wanted_features: Vec<String>,
    /// Least RAM, in bytes.
    pub minimum_memory: u64,
    /// Least number of vCPUs.
    pub minimum_vcpus: u32,
    /// Most vCPUs that it can use.
    pub maximum_vcpus: u32,
    /// Size of the boot stack in bytes.
    pub stack_size: u64,
    /// Address of the first instruction.
    pub entry: u64,
    /// The loadable segments by ascending guest-physical address.
    pub segments: Vec<SegmentInspection>,
    /// Whether the file has a symbol table, by which a crash report names functions.
    pub has_symbols: bool,
    /// Whether the file has debugging information, by which a crash report names lines.
    pub has_debug_info: bool,
    /// Size of the file in bytes.
    pub file_size: usize,
}

/// A segment's properties.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentInspection {
    /// Virtual address of the first byte.
    pub address: u64,
    /// Guest-physical address of the first byte.
    pub gpa: u64,
    /// Size in memory, in bytes.
    pub memory_size: u64,
    /// Size in the file, in bytes.
    pub file_size: usize,
    /// Its rights, for example `r-x`.
    #[serde(serialize_with = "as_text")]
    pub rights: Rights,
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl Image {
    /// The properties of the image.
    pub fn inspect(&self) -> Inspection {
        let note = self.note();
        let (has_symbols, has_debug_info) = debug_sections(self.bytes());
        Inspection {
            name: self.name().to_string(),
            abi_major: note.abi_major,
            abi_minor: note.abi_minor,
            required_features: feature_names(note.required_features),
            wanted_features: feature_names(note.wanted_features),
            minimum_memory: note.minimum_memory,
            minimum_vcpus: note.minimum_vcpus,
            maximum_vcpus: note.maximum_vcpus,
            stack_size: note.stack_size,
            entry: self.entry(),
            segments: self.segments().iter().map(inspect_segment).collect(),
            has_symbols,
            has_debug_info,
            file_size: self.bytes().len(),
        }
    }
}

fn inspect_segment(segment: &super::Segment) -> SegmentInspection {
    SegmentInspection {
        address: segment.address,
        gpa: segment.gpa,
        memory_size: segment.memory_size,
        file_size: segment.file_range.len(),
        rights: segment.rights,
    }
}

/// The name of each bit of a set.
fn feature_names(bits: u64) -> Vec<String> {
    (0..u64::BITS)
        .map(|bit| Features(bits & 1 << bit))
        .filter(|feature| !feature.is_empty())
        .map(|feature| feature.to_string())
        .collect()
}

/// Whether the file has symbols, and whether it has debugging information.
///
/// Sections are for debuggers alone, so a file whose section headers are broken is a good
/// image without them.
fn debug_sections(bytes: &[u8]) -> (bool, bool) {
    let Ok(header) = bytes.read_at::<FileHeader>(0) else {
        return (false, false);
    };
    let Ok(sections) = header.sections(LE, bytes) else {
        return (false, false);
    };
    let has_symbols = sections
        .iter()
        .any(|section| section.sh_type.get(LE) == SHT_SYMTAB);
    let has_debug_info = sections.iter().any(|section| {
        let name = sections.section_name(LE, section).unwrap_or_default();
        [&b".debug_info"[..], b".debug_line"].contains(&name)
    });
    (has_symbols, has_debug_info)
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| match names {
            [] => "none".to_string(),
            names => names.join(", "),
        };
        let yes_or_no = |value| if value { "yes" } else { "no" };
        let name = if self.name.is_empty() {
            "(none)"
        } else {
            &self.name
        };
        writeln!(f, "name:              {name}")?;
        writeln!(
            f,
            "ABI:               {}.{}",
            self.abi_major, self.abi_minor
        )?;
        writeln!(f, "required features: {}", list(&self.required_features))?;
        writeln!(f, "wanted features:   {}", list(&self.wanted_features))?;
        writeln!(f, "minimum memory:    {}", Bytes(self.minimum_memory))?;
        writeln!(
            f,
            "vCPUs:             {} to {}",
            self.minimum_vcpus, self.maximum_vcpus
        )?;
        writeln!(f, "boot stack:        {}", Bytes(self.stack_size))?;
        writeln!(f, "entry:             {:#x}", self.entry)?;
        writeln!(f, "symbols:           {}", yes_or_no(self.has_symbols))?;
        writeln!(f, "debug information: {}", yes_or_no(self.has_debug_info))?;
        writeln!(f, "file size:         {} bytes", self.file_size)?;
        writeln!(f, "segments:")?;
        writeln!(
            f,
            "  {:>14}  {:>14}  {:>10}  {:>10}  rights",
            "address", "gpa", "in memory", "in file"
        )?;
        for segment in &self.segments {
            writeln!(
                f,
                "  {:#14x}  {:#14x}  {:#10x}  {:#10x}  {}",
                segment.address,
                segment.gpa,
                segment.memory_size,
                segment.file_size,
                segment.rights
            )?;
        }
        Ok(())
    }
}
