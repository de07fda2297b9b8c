//! Finds functions, inlined calls and lines in an image's DWARF data.
//!
//! This is done with gimli alone, not with addr2line, because the data is the
//! guest's: addr2line (0.27) recurses once for each nested inlined call, so that a
//! file of some kilobytes overflows the VMM's stack, and it keeps every row, range
//! and path of each unit it meets. Here nothing recurses, all reads are paid for from a
//! [`Budget`], and what is kept has a limit.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use gimli::{
    AttributeValue, DebugInfoOffset, DebugLineOffset, DebuggingInformationEntry, Reader as _,
    Section as _, UnitOffset,
};

use super::debug_image::{Budget, Image, Reader};

/// Units that are looked at; each costs 8 bytes.
const MAX_UNITS: usize = 1 << 16;
/// Address ranges of units that are kept; each costs 24 bytes.
const MAX_UNIT_RANGES: usize = 1 << 20;
/// Function ranges that are kept for one unit; each costs 24 bytes.
const MAX_FUNCTIONS: usize = 1 << 16;
/// Units whose functions are kept at a time.
const MAX_CACHED_UNITS: usize = 16;
/// Units that are searched for one address; they overlap only by mistake.
const MAX_CANDIDATES: usize = 4;
/// Inlined calls in one frame.
const MAX_INLINED: usize = 64;
/// References that are followed from a call to the name of its function.
const MAX_NAME_HOPS: usize = 8;
/// The longest line program header, which is mostly names of files. gimli reserves
/// about 200 bytes for each byte of it.
const MAX_LINE_HEADER: usize = 256 << 10;

/// Reads for the index of all units.
const INDEX_READS: u64 = 8 << 20;
/// Reads to open one unit: its abbreviations and the header of its line program.
const UNIT_READS: u64 = 1 << 20;
/// Reads for the functions or the lines of one unit.
const TABLE_READS: u64 = 4 << 20;

type Dwarf<'a> = gimli::Dwarf<Reader<'a>>;
type Unit<'a> = gimli::Unit<Reader<'a>>;
type Entry<'a> = DebuggingInformationEntry<Reader<'a>>;

/// One function of a frame, inlined or not, as DWARF has it.
#[derive(Debug, Default)]
pub(super) struct SourceFrame {
    /// The linkage name where there is one, not demangled.
    pub(super) function: Option<String>,
    /// Where the function starts; only for one that is not inlined.
    pub(super) start: Option<u64>,
    /// The directory that the unit was compiled in.
    pub(super) directory: String,
    /// The file, absolute or relative to `directory`.
    pub(super) file: Option<String>,
    /// The line, from 1.
    pub(super) line: Option<u32>,
    /// The column, from 1.
    pub(super) column: Option<u32>,
}

/// What has been read of an image's DWARF data so far.
#[derive(Default)]
pub(super) struct DebugData {
    units: OnceCell<Units>,
    functions: RefCell<BTreeMap<usize, Arc<[Function]>>>,
}

#[derive(Default)]
struct Units {
    /// Where each unit starts in `.debug_info`, ascending.
    offsets: Vec<usize>,
    ranges: Vec<UnitRange>,
}

struct UnitRange {
    begin: u64,
    end: u64,
    unit: usize,
}

/// One address range of a function and the entry that describes it.
struct Function {
    begin: u64,
    end: u64,
    entry: UnitOffset,
}

/// A row of a line program, the file by number.
#[derive(Clone, Copy)]
struct Position {
    file: u64,
    line: Option<u32>,
    column: Option<u32>,
}

impl DebugData {
    /// The functions active at `pc`, innermost first; none where there is no data.
    pub(super) fn frames(&self, image: &Image<'_>, budget: &Budget, pc: u64) -> Vec<SourceFrame> {
        let load = |id: gimli::SectionId| {
            Ok::<_, Infallible>(Reader::new(image.section(id.name()).data, budget))
        };
        let Ok(dwarf) = Dwarf::load(load);
        let units = self
            .units
            .get_or_init(|| budget.at_most(INDEX_READS, || Units::read(&dwarf, budget)));
        let mut seen = Vec::new();
        for range in &units.ranges {
            if !(range.begin..range.end).contains(&pc) || seen.contains(&range.unit) {
                continue;
            }
            seen.push(range.unit);
            let unit = Lookup::open(&dwarf, budget, units, range.unit);
            let frames = unit
                .map(|unit| unit.frames(self, range.unit, pc))
                .unwrap_or_default();
            if !frames.is_empty() || seen.len() >= MAX_CANDIDATES {
                return frames;
            }
        }
        Vec::new()
    }
}

impl Units {
    fn read(dwarf: &Dwarf<'_>, budget: &Budget) -> Units {
        let mut units = Units::default();
        let mut headers = dwarf.units();
        while units.offsets.len() < MAX_UNITS
            && let Ok(Some(header)) = headers.next()
        {
            let Some(DebugInfoOffset(offset)) = header.debug_info_offset() else {
                continue;
            };
            units.offsets.push(offset);
            let Ok(unit) = open(dwarf, budget, offset) else {
                continue;
            };
            let Ok(mut ranges) = dwarf.unit_ranges(&unit) else {
                continue;
            };
            while units.ranges.len() < MAX_UNIT_RANGES
                && let Ok(Some(range)) = ranges.next()
            {
                units.ranges.push(UnitRange {
                    begin: range.begin,
                    end: range.end,
                    unit: offset,
                });
            }
        }
        units
    }

    /// The unit that the entry at `offset` of `.debug_info` is in.
    fn containing(&self, offset: usize) -> Option<usize> {
        let after = self.offsets.partition_point(|&unit| unit <= offset);
        self.offsets.get(after.checked_sub(1)?).copied()
    }
}

/// Parses the unit at `offset`, without its entries and lines.
fn open<'a>(dwarf: &Dwarf<'a>, budget: &Budget, offset: usize) -> gimli::Result<Unit<'a>> {
    budget.at_most(UNIT_READS, || {
        let header = dwarf.unit_header(DebugInfoOffset(offset))?;
        let abbreviations = dwarf.abbreviations(&header)?;
        let mut root = Entry::null();
        header
            .entries_raw(&abbreviations, None)?
            .read_entry(&mut root)?;
        for attribute in root.attrs() {
            if let AttributeValue::DebugLineRef(lines) = attribute.value() {
                check_line_header(dwarf, lines)?;
            }
        }
        Unit::new_with_abbreviations(dwarf, header, abbreviations)
    })
}

/// Refuses a line program header that gimli would reserve too much memory for.
fn check_line_header(dwarf: &Dwarf<'_>, offset: DebugLineOffset) -> gimli::Result<()> {
    let mut reader = *dwarf.debug_line.reader();
    reader.skip(offset.0)?;
    let (_, format) = reader.read_initial_length()?;
    if reader.read_u16()? >= 5 {
        reader.skip(2)?;
    }
    match reader.read_length(format)? {
        0..=MAX_LINE_HEADER => Ok(()),
        _ => Err(gimli::Error::UnexpectedEof(reader.offset_id())),
    }
}

/// One unit while it is searched.
struct Lookup<'d, 'a> {
    dwarf: &'d Dwarf<'a>,
    budget: &'d Budget,
    units: &'d Units,
    unit: Unit<'a>,
}

/// An inlined call: what was inlined, and from where.
struct Inlined {
    function: Option<String>,
    call: Position,
    depth: isize,
}

impl<'d, 'a> Lookup<'d, 'a> {
    fn open(
        dwarf: &'d Dwarf<'a>,
        budget: &'d Budget,
        units: &'d Units,
        offset: usize,
    ) -> gimli::Result<Self> {
        Ok(Lookup {
            dwarf,
            budget,
            units,
            unit: open(dwarf, budget, offset)?,
        })
    }

    fn frames(&self, data: &DebugData, unit: usize, pc: u64) -> Vec<SourceFrame> {
        let functions = self.functions(data, unit);
        let function = functions
            .iter()
            .filter(|function| (function.begin..function.end).contains(&pc))
            .min_by_key(|function| function.end.saturating_sub(function.begin));
        let mut position = self
            .budget
            .at_most(TABLE_READS, || self.position(pc))
            .ok()
            .flatten();
        if function.is_none() && position.is_none() {
            return Vec::new();
        }
        let mut frames = Vec::new();
        if let Some(function) = function {
            let mut name = None;
            let mut inlined = Vec::new();
            // An error deep in the entry leaves what was found before it.
            self.budget.at_most(TABLE_READS, || {
                let _ = self.inlined(function, pc, &mut name, &mut inlined);
            });
            for call in inlined.into_iter().rev() {
                frames.push(self.frame(call.function, position));
                position = Some(call.call);
            }
            let outermost = self.frame(name, position);
            frames.push(SourceFrame {
                start: Some(function.begin),
                ..outermost
            });
        } else {
            frames.push(self.frame(None, position));
        }
        frames
    }

    fn frame(&self, function: Option<String>, position: Option<Position>) -> SourceFrame {
        let directory = self
            .unit
            .comp_dir
            .and_then(|dir| text(&dir))
            .unwrap_or_default();
        SourceFrame {
            function,
            start: None,
            directory,
            file: position.and_then(|position| self.file(position.file)),
            line: position.and_then(|position| position.line),
            column: position.and_then(|position| position.column),
        }
    }

    /// All functions of the unit, from the cache if they were read before.
    fn functions(&self, data: &DebugData, unit: usize) -> Arc<[Function]> {
        let mut cache = data.functions.borrow_mut();
        if let Some(functions) = cache.get(&unit) {
            return Arc::clone(functions);
        }
        let mut functions = Vec::new();
        // An error in the unit leaves what was found before it.
        self.budget.at_most(TABLE_READS, || {
            let _ = self.read_functions(&mut functions);
        });
        let functions: Arc<[Function]> = functions.into();
        if cache.len() >= MAX_CACHED_UNITS {
            cache.clear();
        }
        cache.insert(unit, Arc::clone(&functions));
        functions
    }

    fn read_functions(&self, functions: &mut Vec<Function>) -> gimli::Result<()> {
        let mut entries = self.unit.entries_raw(None)?;
        let mut entry = Entry::null();
        while !entries.is_empty() {
            let present = entries.read_entry(&mut entry)?;
            self.pay_for(&entry)?;
            if !present || entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let mut ranges = self.dwarf.die_ranges(&self.unit, &entry)?;
            while let Some(range) = ranges.next()? {
                if functions.len() >= MAX_FUNCTIONS {
                    return Ok(());
                }
                let entry = entry.offset();
                functions.push(Function {
                    begin: range.begin,
                    end: range.end,
                    entry,
                });
            }
        }
        Ok(())
    }

    /// Some attributes take no bytes and so no reads, and one abbreviation can give
    /// a great many of them to each of a great many entries.
    fn pay_for(&self, entry: &Entry<'_>) -> gimli::Result<()> {
        self.budget.spend(entry.attrs().len() as u64)
    }

    /// The name of `function` and the calls inlined in it at `pc`, outermost first.
    fn inlined(
        &self,
        function: &Function,
        pc: u64,
        name: &mut Option<String>,
        calls: &mut Vec<Inlined>,
    ) -> gimli::Result<()> {
        let mut entries = self.unit.entries_raw(Some(function.entry))?;
        let mut entry = Entry::null();
        entries.read_entry(&mut entry)?;
        *name = self.name(&entry);
        if !entry.has_children() {
            return Ok(());
        }
        let function_depth = entry.depth();
        // Where a nested function is passed over: until entries are this shallow.
        let mut skipped = None;
        while !entries.is_empty() && calls.len() < MAX_INLINED {
            let depth = entries.next_depth();
            let left = calls.last().is_some_and(|call| depth <= call.depth);
            if depth <= function_depth || left {
                // Siblings do not overlap: behind the innermost call that contains
                // `pc` there is nothing more to find.
                return Ok(());
            }
            let present = entries.read_entry(&mut entry)?;
            self.pay_for(&entry)?;
            if skipped.is_some_and(|limit| depth > limit) {
                continue;
            }
            skipped = None;
            if !present {
                continue;
            }
            match entry.tag() {
                gimli::DW_TAG_subprogram => skipped = Some(depth),
                gimli::DW_TAG_inlined_subroutine => {
                    if self.covers(&entry, pc)? {
                        calls.push(self.inlined_call(&entry, depth));
                    } else {
                        skipped = Some(depth);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn covers(&self, entry: &Entry<'a>, pc: u64) -> gimli::Result<bool> {
        let mut ranges = self.dwarf.die_ranges(&self.unit, entry)?;
        while let Some(range) = ranges.next()? {
            if (range.begin..range.end).contains(&pc) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn inlined_call(&self, entry: &Entry<'a>, depth: isize) -> Inlined {
        let number = |name| match entry.attr_value(name) {
            Some(AttributeValue::FileIndex(index)) => Some(index),
            Some(value) => value.udata_value(),
            None => None,
        };
        let small = |name| number(name).and_then(|value| u32::try_from(value).ok());
        Inlined {
            function: self.name(entry),
            call: Position {
                file: number(gimli::DW_AT_call_file).unwrap_or(u64::MAX),
                line: small(gimli::DW_AT_call_line).filter(|&line| line != 0),
                column: small(gimli::DW_AT_call_column).filter(|&column| column != 0),
            },
            depth,
        }
    }

    /// The name of the function that `entry` is, is a copy of or completes.
    fn name(&self, entry: &Entry<'a>) -> Option<String> {
        let mut elsewhere: Option<Unit<'a>> = None;
        let mut entry = entry.clone();
        for _ in 0..MAX_NAME_HOPS {
            let unit = elsewhere.as_ref().unwrap_or(&self.unit);
            let names = [
                gimli::DW_AT_linkage_name,
                gimli::DW_AT_MIPS_linkage_name,
                gimli::DW_AT_name,
            ];
            let named = names.into_iter().find_map(|name| entry.attr_value(name));
            if let Some(name) = named {
                return text(&self.dwarf.attr_string(unit, name).ok()?);
            }
            let origins = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification];
            let origin = origins
                .into_iter()
                .find_map(|origin| entry.attr_value(origin))?;
            let (next_unit, offset) = match origin {
                AttributeValue::UnitRef(offset) => (None, offset),
                AttributeValue::DebugInfoRef(DebugInfoOffset(target)) => {
                    let start = self.units.containing(target)?;
                    let unit = open(self.dwarf, self.budget, start).ok()?;
                    (Some(unit), UnitOffset(target.checked_sub(start)?))
                }
                _ => return None,
            };
            if let Some(unit) = next_unit {
                elsewhere = Some(unit);
            }
            let unit = elsewhere.as_ref().unwrap_or(&self.unit);
            entry = unit.entry(offset).ok()?;
            self.pay_for(&entry).ok()?;
        }
        None
    }

    /// The row of the line program that covers `pc`.
    fn position(&self, pc: u64) -> gimli::Result<Option<Position>> {
        let Some(program) = self.unit.line_program.clone() else {
            return Ok(None);
        };
        let mut rows = program.rows();
        let mut previous: Option<(u64, Position)> = None;
        while let Some((_, row)) = rows.next_row()? {
            if let Some((address, position)) = previous
                && (address..row.address()).contains(&pc)
            {
                return Ok(Some(position));
            }
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok());
            let column = match row.column() {
                gimli::ColumnType::LeftEdge => None,
                gimli::ColumnType::Column(column) => u32::try_from(column.get()).ok(),
            };
            let position = Position {
                file: row.file_index(),
                line,
                column,
            };
            previous = (!row.end_sequence()).then_some((row.address(), position));
        }
        Ok(None)
    }

    /// The path of file number `index` of the unit's line program.
    fn file(&self, index: u64) -> Option<String> {
        let header = self.unit.line_program.as_ref()?.header();
        let file = header.file(index)?;
        let name = text(&self.dwarf.attr_string(&self.unit, file.path_name()).ok()?)?;
        // Directory 0 is the one that the unit was compiled in.
        if name.starts_with('/') || file.directory_index() == 0 {
            return Some(name);
        }
        let directory = self
            .dwarf
            .attr_string(&self.unit, file.directory(header)?)
            .ok()?;
        Some(format!(
            "{}/{name}",
            text(&directory)?.trim_end_matches('/')
        ))
    }
}

/// A string that the data refers to.
fn text(reader: &Reader<'_>) -> Option<String> {
    reader.to_string_lossy().ok().map(|text| text.into_owned())
}
