//! Guest images: static ELF executables with a note that says what the guest needs.
//!
//! [`Image::parse`] checks everything that can be known without a VM, and
//! [`Image::check_host`] what depends on the VM's configuration, so that a bad image is
//! refused before anything is built, with a sentence that says what would be right.
//! `docs/abi.md` ("Image") has the rules. Whoever has an [`Image`] can rely on them.

mod error;
mod header;
mod inspect;
mod note;
mod read;
mod segment;
#[cfg(test)]
pub(crate) mod test_elf;
#[cfg(test)]
mod tests;
mod words;

pub use error::ImageError;
pub use inspect::{Inspection, SegmentInspection};
pub use read::ImageFile;
pub use segment::{Plane, Rights, SEGMENTS_MAX, Segment};

use object::LittleEndian as LE;
use pv_abi::Features;
use pv_abi::image_note::ImageNote;
use std::borrow::Cow;
use std::fmt;

/// A guest image that was checked.
pub struct Image {
    bytes: Cow<'static, [u8]>,
    entry: u64,
    segments: Vec<Segment>,
    note: ImageNote,
    name: String,
}

impl Image {
    /// Checks an image, which may be a file's contents or built into the program.
    ///
    /// # Errors
    ///
    /// On the first rule that the image breaks.
    pub fn parse(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, ImageError> {
        let bytes = bytes.into();
        let (header, program_headers) = header::parse(&bytes)?;
        // First the note: to a file that is no Paravane guest at all, no other rule applies.
        let (note, name) = note::parse(program_headers, &bytes)?;
        let segments = segment::parse_all(program_headers, bytes.len())?;
        let entry = header.e_entry.get(LE);
        let holds_entry =
            |segment: &Segment| segment.rights.execute && segment.addresses().contains(&entry);
        if !segments.iter().any(holds_entry) {
            return Err(ImageError::Entry { entry });
        }
        Ok(Self {
            entry,
            segments,
            note,
            name,
            bytes,
        })
    }

    /// Checks that the image can run in a VM with this RAM, this many vCPUs and these
    /// features.
    ///
    /// # Errors
    ///
    /// On the first thing that the VM lacks.
    pub fn check_host(
        &self,
        ram_size: u64,
        vcpus: u32,
        offered: Features,
    ) -> Result<(), ImageError> {
        let missing = Features(self.note.required_features).missing_from(offered);
        if !missing.is_empty() {
            return Err(ImageError::MissingFeatures { missing });
        }
        let (minimum, maximum) = (self.note.minimum_vcpus, self.note.maximum_vcpus);
        if vcpus < minimum {
            return Err(ImageError::TooFewVcpus { minimum, vcpus });
        }
        if vcpus > maximum {
            return Err(ImageError::TooManyVcpus { maximum, vcpus });
        }
        let minimum = self.note.minimum_memory;
        if ram_size < minimum {
            return Err(ImageError::TooLittleMemory { minimum, ram_size });
        }
        // Segments do not overlap, so together they fit if each of them does.
        for segment in &self.segments {
            let end = segment.page_gpas().end;
            if end > ram_size {
                return Err(ImageError::OutsideRam {
                    segment: segment.index,
                    end,
                    ram_size,
                });
            }
        }
        Ok(())
    }

    /// The address of the first instruction; it is in an executable segment.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The loadable segments, at least one and at most [`SEGMENTS_MAX`], by ascending
    /// guest-physical address.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The bytes of a segment that come from the file.
    ///
    /// Empty for a segment of another image that this one's file is too short for.
    pub fn contents(&self, segment: &Segment) -> &[u8] {
        self.bytes
            .get(segment.file_range.clone())
            .unwrap_or_default()
    }

    /// The image's note.
    pub fn note(&self) -> &ImageNote {
        &self.note
    }

    /// The guest's name, as the note has it; printable, perhaps empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Shows no bytes of the file.
impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("name", &self.name)
            .field("entry", &format_args!("{:#x}", self.entry))
            .field("segments", &self.segments)
            .field("size", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
