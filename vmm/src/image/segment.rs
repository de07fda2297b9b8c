//! The loadable segments of an image, and the rules that they have to keep.

use super::error::ImageError;
use super::header::ProgramHeader;
use object::LittleEndian as LE;
use object::elf::{PF_R, PF_W, PF_X, PT_LOAD};
use pv_abi::address_space::{IMAGE_LOWEST, PAGE_SIZE};
use pv_abi::mapping::TASK_AREA_START;
use std::fmt;
use std::ops::Range;

/// Most loadable segments of an image. The rest of the start-info page's memory map is for
/// stacks, the initrd and the free ranges between.
pub const SEGMENTS_MAX: usize = 24;

const _: () = assert!(SEGMENTS_MAX < pv_abi::start_info::MEMORY_MAP_REGIONS);

/// What guest code may do with a range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Load from it.
    pub read: bool,
    /// Store to it.
    pub write: bool,
    /// Execute it.
    pub execute: bool,
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |right, mark| if right { mark } else { "-" };
        f.write_str(mark(self.read, "r"))?;
        f.write_str(mark(self.write, "w"))?;
        f.write_str(mark(self.execute, "x"))
    }
}

/// Which of the two addresses of a segment is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// Its guest-virtual address.
    Virtual,
    /// Its guest-physical address.
    Physical,
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Plane::Virtual => "virtual",
            Plane::Physical => "physical",
        })
    }
}

/// A loadable segment of an image that was checked.
///
/// No page of it is a page of another segment, neither virtually nor physically, and both
/// addresses have the same offset in their page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Number of its program header, from 0, as `readelf -l` lists them.
    pub index: usize,
    /// Guest-physical address of its first byte (p_paddr).
    pub gpa: u64,
    /// Virtual address of its first byte (p_vaddr).
    pub address: u64,
    /// Where its first bytes are in the file. What follows in memory is zero.
    pub file_range: Range<usize>,
    /// Its size in memory, in bytes: at least 1 and at least that of `file_range`.
    pub memory_size: u64,
    /// What guest code may do with it: always read, never both write and execute.
    pub rights: Rights,
}

impl Segment {
    /// The virtual addresses of the segment.
    pub fn addresses(&self) -> Range<u64> {
        self.range(Plane::Virtual)
    }

    /// The guest-physical addresses of the segment.
    pub fn gpas(&self) -> Range<u64> {
        self.range(Plane::Physical)
    }

    /// The guest-physical addresses of all pages that hold a part of the segment.
    pub fn page_gpas(&self) -> Range<u64> {
        pages(&self.gpas())
    }

    /// The virtual addresses of all pages that hold a part of the segment.
    pub fn page_addresses(&self) -> Range<u64> {
        pages(&self.addresses())
    }

    // Neither this nor `pages` overflows in a segment that was parsed; if someone puts
    // another one together, the range is cut.
    fn range(&self, plane: Plane) -> Range<u64> {
        let start = match plane {
            Plane::Virtual => self.address,
            Plane::Physical => self.gpa,
        };
        start..start.saturating_add(self.memory_size)
    }

    /// Checks a program header of type PT_LOAD; `None` when the segment is empty.
    fn parse(
        segment: usize,
        header: &ProgramHeader,
        file_size: usize,
    ) -> Result<Option<Self>, ImageError> {
        let (address, gpa) = (header.p_vaddr.get(LE), header.p_paddr.get(LE));
        let (offset, in_file) = (header.p_offset.get(LE), header.p_filesz.get(LE));
        let memory_size = header.p_memsz.get(LE);
        let flags = header.p_flags.get(LE);

        if in_file > memory_size {
            return Err(ImageError::LargerInFile {
                segment,
                file_size: in_file,
                memory_size,
            });
        }
        if memory_size == 0 {
            return Ok(None);
        }
        let Some(file_range) = file_range(offset, in_file, file_size) else {
            return Err(ImageError::TruncatedSegment {
                segment,
                offset,
                size: in_file,
                file_size,
            });
        };
        let end = |plane, start| {
            checked_end(start, memory_size).ok_or(ImageError::Wraps {
                segment,
                plane,
                start,
                memory_size,
            })
        };
        let virtual_end = end(Plane::Virtual, address)?;
        end(Plane::Physical, gpa)?;
        if address < IMAGE_LOWEST {
            return Err(ImageError::TooLow { segment, address });
        }
        if virtual_end > TASK_AREA_START {
            return Err(ImageError::TooHigh {
                segment,
                end: virtual_end,
            });
        }
        check_alignment(segment, address, offset, header.p_align.get(LE))?;
        if address % PAGE_SIZE != gpa % PAGE_SIZE {
            return Err(ImageError::PageOffset {
                segment,
                address,
                gpa,
            });
        }
        let rights = Rights {
            read: flags.0 & PF_R.0 != 0,
            write: flags.0 & PF_W.0 != 0,
            execute: flags.0 & PF_X.0 != 0,
        };
        if rights.write && rights.execute {
            return Err(ImageError::WritableAndExecutable { segment, address });
        }
        // A page table entry cannot express a page that is writable or mapped but not
        // readable, and constants in code need to be read.
        if !rights.read {
            return Err(ImageError::NotReadable {
                segment,
                address,
                rights,
            });
        }
        Ok(Some(Self {
            index: segment,
            gpa,
            address,
            file_range,
            memory_size,
            rights,
        }))
    }
}

/// Finds and checks the loadable segments; returns them by ascending guest-physical address.
pub(super) fn parse_all(
    headers: &[ProgramHeader],
    file_size: usize,
) -> Result<Vec<Segment>, ImageError> {
    let mut segments = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        if header.p_type.get(LE) == PT_LOAD {
            segments.extend(Segment::parse(index, header, file_size)?);
        }
    }
    if segments.is_empty() {
        return Err(ImageError::NoSegments);
    }
    if segments.len() > SEGMENTS_MAX {
        return Err(ImageError::TooManySegments {
            count: segments.len(),
        });
    }
    check_disjoint(&segments)?;
    segments.sort_by_key(|segment| segment.gpa);
    Ok(segments)
}

/// The bytes of the file from `offset` on; `None` when they are not all there. An empty
/// range may begin anywhere: linkers give a segment of zeros the offset it would have.
pub(super) fn file_range(offset: u64, size: u64, file_size: usize) -> Option<Range<usize>> {
    if size == 0 {
        return Some(0..0);
    }
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    (end <= file_size).then_some(start..end)
}

/// One past the last byte, when that and the end of its page are addresses.
fn checked_end(start: u64, size: u64) -> Option<u64> {
    let end = start.checked_add(size)?;
    end.checked_next_multiple_of(PAGE_SIZE)?;
    Some(end)
}

/// The rule of the System V gABI ("Program Header", p_align).
fn check_alignment(
    segment: usize,
    address: u64,
    offset: u64,
    alignment: u64,
) -> Result<(), ImageError> {
    if alignment <= 1 {
        return Ok(());
    }
    if !alignment.is_power_of_two() {
        return Err(ImageError::Alignment { segment, alignment });
    }
    if address % alignment != offset % alignment {
        return Err(ImageError::Unaligned {
            segment,
            address,
            offset,
            alignment,
        });
    }
    Ok(())
}

fn check_disjoint(segments: &[Segment]) -> Result<(), ImageError> {
    for (i, first) in segments.iter().enumerate() {
        for second in segments.iter().skip(i + 1) {
            for plane in [Plane::Virtual, Plane::Physical] {
                let (one, other) = (first.range(plane), second.range(plane));
                let (first, second) = (first.index, second.index);
                if let Some(address) = first_common(&one, &other) {
                    return Err(ImageError::Overlap {
                        first,
                        second,
                        plane,
                        address,
                    });
                }
                // One page cannot have two rights, nor show two pages of RAM.
                if let Some(page) = first_common(&pages(&one), &pages(&other)) {
                    return Err(ImageError::SharedPage {
                        first,
                        second,
                        plane,
                        page,
                    });
                }
            }
        }
    }
    Ok(())
}

/// The first address that is in both ranges.
fn first_common(one: &Range<u64>, other: &Range<u64>) -> Option<u64> {
    let start = one.start.max(other.start);
    (start < one.end.min(other.end)).then_some(start)
}

/// The pages that hold a part of the range.
fn pages(range: &Range<u64>) -> Range<u64> {
    let start = range.start - range.start % PAGE_SIZE;
    let end = range.end.checked_next_multiple_of(PAGE_SIZE);
    start..end.unwrap_or(u64::MAX)
}
