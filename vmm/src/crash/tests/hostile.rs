//! Images, registers and stacks that are made to hurt. What comes out does not
//! matter much; that it comes out, and soon, does.

use std::time::{Duration, Instant};

use super::super::backtrace::Backtrace;
use super::super::symbolize::Symbolizer;
use super::super::unwind::{Registers, unwind};
use super::{Crash, RELEASE};

/// What the worst input may take in an unoptimized build on a busy machine. It is far
/// more than needed: a missing bound is minutes or for ever.
const SOON: Duration = Duration::from_secs(60);

/// A small generator with a fixed seed: the same inputs in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn analyze(crash: &Crash, image: &[u8]) -> Backtrace {
    let backtrace = crash.backtrace(image, &crash.registers);
    assert!(backtrace.frames().len() <= 64);
    let text = format!("{backtrace}{backtrace:#}");
    assert!(
        !text
            .chars()
            .any(|character| character.is_control() && character != '\n')
    );
    backtrace
}

#[test]
fn a_truncated_image_is_analyzed() {
    let start = Instant::now();
    for part in 0..=64 {
        let image = &RELEASE.image[..RELEASE.image.len() * part / 64];
        analyze(&RELEASE, image);
    }
    assert!(start.elapsed() < SOON);
}

const SECTIONS: [&str; 14] = [
    ".eh_frame",
    ".debug_frame",
    ".debug_info",
    ".debug_abbrev",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_addr",
    ".debug_str",
    ".debug_str_offsets",
    ".symtab",
    ".strtab",
    ".text",
];

fn flip_bits(crash: &Crash, rounds: usize) {
    let mut ranges: Vec<_> = SECTIONS.iter().map(|name| crash.section(name)).collect();
    // The ELF header, the program headers, and the section headers at the end.
    ranges.push(0..0x200);
    ranges.push(crash.image.len().saturating_sub(64 * 24)..crash.image.len());
    ranges.retain(|range| !range.is_empty());
    assert!(ranges.len() >= 10, "the program has most of these sections");
    let mut random = Random(0x5eed);
    let start = Instant::now();
    for round in 0..rounds {
        let mut image = crash.image.clone();
        for _ in 0..1_usize << (round % 12) {
            let range = &ranges[round % ranges.len()];
            // Most of a section is about code that is not looked up.
            let length = if random.below(2) == 0 {
                range.len()
            } else {
                range.len().min(512)
            };
            image[range.start + random.below(length)] ^= 1 << random.below(8);
        }
        analyze(crash, &image);
    }
    assert!(start.elapsed() < SOON);
}

#[test]
fn flipped_bits_in_dwarf_4_do_no_harm() {
    flip_bits(&RELEASE, 300);
}

#[test]
fn flipped_bits_in_dwarf_5_do_no_harm() {
    let options = ["-Copt-level=2", "-Cdebuginfo=2", "-Cdwarf-version=5"];
    let tables = "-Cforce-unwind-tables=no";
    flip_bits(
        &Crash::build("flips", &[&options[..], &[tables]].concat()),
        300,
    );
}

#[test]
fn any_registers_and_any_stack_end_the_walk() {
    let mut random = Random(0xbad);
    let edges = [
        0,
        1,
        7,
        8,
        0x40_1000,
        0x7fff_ffff_ffff,
        1 << 63,
        u64::MAX - 8,
        u64::MAX,
    ];
    let start = Instant::now();
    for _ in 0..2000 {
        let word = |random: &mut Random| match random.below(3) {
            0 => edges[random.below(edges.len())],
            1 => 0x40_0000 + random.next() % 0x4000,
            _ => random.next(),
        };
        let registers = Registers {
            rip: word(&mut random),
            rsp: word(&mut random),
            rbp: word(&mut random),
            ..Registers::default()
        };
        let seed = random.next();
        // Memory everywhere, and full of return addresses.
        let read = |address: u64| {
            let mut random = Random(address ^ seed | 1);
            Some(if random.below(2) == 0 {
                address.wrapping_add(16)
            } else {
                word_of(&mut random)
            })
        };
        assert!(unwind(&RELEASE.image, &registers, &read, 200).len() <= 200);
    }
    assert!(start.elapsed() < SOON);
}

fn word_of(random: &mut Random) -> u64 {
    0x40_1000 + random.next() % 0x2000
}

#[test]
fn a_stack_that_points_at_itself_is_left() {
    let back = RELEASE.registers.rsp;
    let registers = Registers {
        rbp: back,
        ..RELEASE.registers
    };
    let frames = unwind(&RELEASE.image, &registers, &|_| Some(back), usize::MAX);
    assert_eq!(frames.len(), 1);
}

/// An image of one page of text at 0x1000 with `sections` behind it.
fn image_with(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut contents = vec![0; 0x2000];
    let mut headers = vec![0; 64];
    let mut add = |name: &str, kind: u32, data: &[u8], names: &mut Vec<u8>| {
        let mut header = [0; 64];
        header[0..4].copy_from_slice(&(names.len() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&kind.to_le_bytes());
        header[24..32].copy_from_slice(&(contents.len() as u64).to_le_bytes());
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        let size = if kind == 3 { names.len() } else { data.len() };
        header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
        contents.extend_from_slice(if kind == 3 { names } else { data });
        headers.extend_from_slice(&header);
    };
    for (name, data) in sections {
        add(name, 1, data, &mut names);
    }
    add(".shstrtab", 3, &[], &mut names);
    let count = headers.len() / 64;
    let mut file = contents;
    // The ELF header, then one program header.
    file[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let words: [(usize, u64, usize); 16] = [
        (16, 2, 2),
        (18, 62, 2),
        (20, 1, 4),
        (32, 64, 8),
        (40, file.len() as u64, 8),
        (52, 64, 2),
        (54, 56, 2),
        (56, 1, 2),
        (58, 64, 2),
        (60, count as u64, 2),
        (62, count as u64 - 1, 2),
        (64, 1 | 5 << 32, 8),
        (72, 0x1000, 8),
        (80, 0x1000, 8),
        (96, 0x1000, 8),
        (104, 0x1000, 8),
    ];
    for (offset, value, size) in words {
        file[offset..offset + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
    file.extend_from_slice(&headers);
    file
}

/// A DWARF 4 unit with the entries `entries` after its root, which covers the text.
fn unit(entries: &[u8]) -> Vec<u8> {
    let mut unit = vec![0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8];
    // Abbreviation 1: the root, with its addresses.
    unit.push(1);
    unit.extend_from_slice(&0x1000_u64.to_le_bytes());
    unit.extend_from_slice(&0x1000_u64.to_le_bytes());
    unit.extend_from_slice(entries);
    let length = unit.len() as u32 - 4;
    unit[..4].copy_from_slice(&length.to_le_bytes());
    unit
}

/// The abbreviations of the root and, as number 2, of a `tag` with children and
/// `attributes`, with more of them in `rest`.
fn abbreviations(tag: u8, attributes: &[u8], rest: &[u8]) -> Vec<u8> {
    let root = [1, 0x11, 1, 0x11, 0x01, 0x12, 0x07, 0, 0, 2, tag, 1];
    [&root, attributes, &[0, 0], rest, &[0]].concat()
}

const LOW_AND_HIGH: [u8; 4] = [0x11, 0x01, 0x12, 0x07];
const SUBPROGRAM: u8 = 0x2e;

/// Entry 2, from 0x1000 to 0x2000.
fn ranged_entry(number: u8) -> Vec<u8> {
    [
        &[number] as &[u8],
        &0x1000_u64.to_le_bytes(),
        &0x1000_u64.to_le_bytes(),
    ]
    .concat()
}

fn resolve_soon(sections: &[(&str, &[u8])]) -> usize {
    let image = image_with(sections);
    let start = Instant::now();
    let symbolizer = Symbolizer::new(&image);
    let found = (0x1000..0x1040).map(|address| symbolizer.resolve(address, false).len());
    let found = found.max().expect("there are addresses");
    let took = start.elapsed();
    println!("{took:?} for {} bytes, {found} locations", image.len());
    assert!(took < SOON, "{took:?}");
    found
}

#[test]
fn calls_inlined_without_end_are_cut_off() {
    // addr2line recurses here, once for each of these, until the stack is gone.
    let inlined = [&[3_u8, 0x1d, 1] as &[u8], &LOW_AND_HIGH, &[0, 0]].concat();
    let abbreviations = abbreviations(SUBPROGRAM, &LOW_AND_HIGH, &inlined);
    let entries = [ranged_entry(2), ranged_entry(3).repeat(200_000)].concat();
    let found = resolve_soon(&[
        (".debug_abbrev", &abbreviations),
        (".debug_info", &unit(&entries)),
    ]);
    assert_eq!(found, 65);
}

#[test]
fn attributes_of_no_size_are_paid_for() {
    // Each entry is a byte long and has 100,000 attributes.
    let many = [
        &[3_u8, 0x0b, 0] as &[u8],
        &[0x3f, 0x19].repeat(100_000),
        &[0, 0],
    ]
    .concat();
    let abbreviations = abbreviations(SUBPROGRAM, &LOW_AND_HIGH, &many);
    let entries = [ranged_entry(2), [3].repeat(1 << 20)].concat();
    resolve_soon(&[
        (".debug_abbrev", &abbreviations),
        (".debug_info", &unit(&entries)),
    ]);
}

#[test]
fn one_long_list_of_ranges_may_not_be_read_by_everyone() {
    // Every unit and every function refers to the same endless list.
    let attributes = [0x55, 0x17];
    let abbreviations = abbreviations(SUBPROGRAM, &attributes, &[3, 0x11, 1, 0x55, 0x17, 0, 0]);
    let pair = [0x1000_u64.to_le_bytes(), 0x1001_u64.to_le_bytes()].concat();
    let ranges = [pair.repeat(200_000), vec![0; 16]].concat();
    let one = unit(&[2_u8, 0, 0, 0, 0].repeat(10_000));
    let mut units = one.clone();
    for _ in 0..1000 {
        units.extend_from_slice(&[13, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 3, 0, 0, 0, 0, 0]);
    }
    resolve_soon(&[
        (".debug_abbrev", &abbreviations),
        (".debug_info", &units),
        (".debug_ranges", &ranges),
    ]);
}

#[test]
fn names_that_refer_in_circles_end() {
    // A function that is a copy of itself (DW_AT_abstract_origin, DW_FORM_ref4).
    let attributes = [&LOW_AND_HIGH as &[u8], &[0x31, 0x13]].concat();
    let abbreviations = abbreviations(SUBPROGRAM, &attributes, &[]);
    let entry = [ranged_entry(2), 28_u32.to_le_bytes().to_vec(), vec![0, 0]].concat();
    let found = resolve_soon(&[
        (".debug_abbrev", &abbreviations),
        (".debug_info", &unit(&entry)),
    ]);
    assert_eq!(found, 1);
}

#[test]
fn a_line_program_with_a_huge_header_is_refused() {
    let abbreviations = [1, 0x11, 0, 0x11, 0x01, 0x12, 0x07, 0x10, 0x17, 0, 0, 0];
    let mut lines = vec![0, 0, 0, 0, 5, 0, 8, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1];
    // Directories and files of one byte each, more than there are bytes.
    lines.extend_from_slice(&[1, 1, 0x0b, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    lines.resize(64 << 20, 1);
    let length = lines.len() as u32;
    lines[..4].copy_from_slice(&(length - 4).to_le_bytes());
    lines[8..12].copy_from_slice(&(length - 12).to_le_bytes());
    let info = unit(&[0, 0, 0, 0]);
    resolve_soon(&[
        (".debug_abbrev", &abbreviations),
        (".debug_info", &info),
        (".debug_line", &lines),
    ]);
}
