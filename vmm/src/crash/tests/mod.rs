//! Crash analysis of a real guest-like program: built by rustc as guests are, it
//! panics on a stack of its own and writes its registers and that stack to its
//! output. Its image and those bytes are what a crashed guest leaves to the VMM.

mod hostile;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{LittleEndian, elf};

use super::backtrace::Backtrace;
use super::unwind::{FoundBy, Registers, unwind};

const PROGRAM: &str = include_str!("guest.rs");

/// The link arguments of a guest.
const LINK: [&str; 7] = [
    "-nostartfiles",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--image-base=0x400000",
    "-Wl,--build-id=none",
    "-Wl,-z,noexecstack",
];

/// A crashed program: its image, and what a VMM would read of its state.
struct Crash {
    image: Vec<u8>,
    registers: Registers,
    stack: Vec<u64>,
    stack_start: u64,
}

impl Crash {
    fn build(name: &str, options: &[&str]) -> Crash {
        let stem = format!("paravane-crash-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(stem);
        let files = Files([path.with_extension("rs"), path.with_extension("elf")]);
        let [source, program] = &files.0;
        std::fs::write(source, PROGRAM).expect("the temporary directory is writable");
        compile(source, program, options);
        let output = Command::new(program).output().expect("the program starts");
        let (words, _) = output.stdout.as_chunks();
        let words: Vec<u64> = words.iter().map(|&word| u64::from_le_bytes(word)).collect();
        let ([rip, rsp, rbp, rbx, r12, r13, r14, r15, stack_start], stack) = words
            .split_first_chunk()
            .expect("the program writes its registers");
        let registers = Registers {
            rip: *rip,
            rsp: *rsp,
            rbp: *rbp,
            rbx: *rbx,
            r12: *r12,
            r13: *r13,
            r14: *r14,
            r15: *r15,
            ..Registers::default()
        };
        let image = std::fs::read(program).expect("the program is readable");
        Crash {
            image,
            registers,
            stack: stack.to_vec(),
            stack_start: *stack_start,
        }
    }

    /// The guest's memory: the stack as it was left, and the rest as it was loaded.
    fn read(&self, address: u64) -> Option<u64> {
        let offset = address.wrapping_sub(self.stack_start);
        if let Some(word) = self.stack.get(usize::try_from(offset / 8).ok()?) {
            return offset.is_multiple_of(8).then_some(*word);
        }
        let header = elf::FileHeader64::<LittleEndian>::parse(&*self.image).ok()?;
        let mut segments = header
            .program_headers(LittleEndian, &*self.image)
            .ok()?
            .iter();
        let bytes = segments.find_map(|segment| {
            segment
                .data_range(LittleEndian, &*self.image, address, 8)
                .ok()
                .flatten()
        });
        Some(u64::from_le_bytes(bytes?.try_into().ok()?))
    }

    fn backtrace(&self, image: &[u8], registers: &Registers) -> Backtrace {
        Backtrace::capture(image, registers, &|address| self.read(address), 64)
    }

    /// The image without the sections whose names start with one of `prefixes`: they
    /// stay, under names that nobody looks for.
    fn without(&self, prefixes: &[&str]) -> Vec<u8> {
        let header = elf::FileHeader64::<LittleEndian>::parse(&*self.image).expect("an ELF file");
        let sections = header
            .sections(LittleEndian, &*self.image)
            .expect("sections");
        let names = header
            .shstrndx(LittleEndian, &*self.image)
            .expect("a section of names");
        let names = sections
            .section(object::SectionIndex(names as usize))
            .expect("names");
        let mut image = self.image.clone();
        for section in sections.iter() {
            let name = sections
                .section_name(LittleEndian, section)
                .expect("a name");
            if prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_bytes()))
            {
                let at = names.sh_offset(LittleEndian) as usize;
                image[at + section.sh_name(LittleEndian) as usize + 1] = b'X';
            }
        }
        image
    }

    /// Where the section called `name` is in the file; nowhere, if it is missing.
    fn section(&self, name: &str) -> Range<usize> {
        let header = elf::FileHeader64::<LittleEndian>::parse(&*self.image).expect("an ELF file");
        let sections = header
            .sections(LittleEndian, &*self.image)
            .expect("sections");
        let section = sections.section_by_name(LittleEndian, name.as_bytes());
        let range = section.and_then(|(_, section)| section.file_range(LittleEndian));
        range.map_or(0..0, |(start, size)| {
            start as usize..(start + size) as usize
        })
    }
}

fn compile(source: &Path, program: &Path, options: &[&str]) {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    command.args([
        "--edition=2024",
        "--crate-name=guest",
        "-Cpanic=abort",
        "--check-cfg=cfg(trap)",
    ]);
    command.arg("-Csymbol-mangling-version=v0");
    command.args(LINK.map(|argument| format!("-Clink-arg={argument}")));
    // The debug data name the file relative to where the compiler ran, as cargo's do.
    let directory = source.parent().expect("a file lies in a directory");
    command.current_dir(directory);
    let name = source.file_name().expect("a file has a name");
    command.args(options).arg("-o").arg(program).arg(name);
    let output = command.output().expect("rustc starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Files that are gone after the test.
struct Files([PathBuf; 2]);

impl Drop for Files {
    fn drop(&mut self) {
        for file in &self.0 {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// As the SDK builds guests for release.
static RELEASE: LazyLock<Crash> =
    LazyLock::new(|| Crash::build("release", &["-Copt-level=3", "-Cdebuginfo=limited"]));

/// The number of the program's line that ends with `mark`.
fn line_of(mark: &str) -> u32 {
    let line = PROGRAM
        .lines()
        .position(|line| line.ends_with(mark))
        .expect("the mark is there");
    u32::try_from(line + 1).expect("the program is short")
}

/// The guest's own functions and lines, innermost first.
fn own_functions(backtrace: &Backtrace) -> Vec<(String, Option<u32>)> {
    let locations = backtrace.frames().iter().flat_map(|frame| &frame.locations);
    let named = locations.filter_map(|location| Some((location.function.clone()?, location.line)));
    named
        .filter(|(name, _)| name.trim_start_matches('<').starts_with("guest::"))
        .collect()
}

/// What [`own_functions`] of a complete backtrace are.
fn expected_functions() -> Vec<(String, Option<u32>)> {
    let marks = [
        ("<guest::Table>::look_up", "// the crash"),
        ("guest::deep", "// the look-up"),
        ("guest::deep", "// the recursion"),
        ("guest::deep", "// the recursion"),
        ("guest::main", "// the outermost call"),
    ];
    marks
        .map(|(name, mark)| (name.to_owned(), Some(line_of(mark))))
        .to_vec()
}

#[test]
fn a_panic_is_traced_in_every_build() {
    let debug = Crash::build("debug", &["-Copt-level=0", "-Cdebuginfo=2"]);
    let dwarf5 = Crash::build(
        "dwarf5",
        &["-Copt-level=2", "-Cdebuginfo=2", "-Cdwarf-version=5"],
    );
    // As for targets without unwind tables, such as x86_64-unknown-none.
    let frame = [
        "-Copt-level=3",
        "-Cdebuginfo=limited",
        "-Cforce-unwind-tables=no",
    ];
    let frame = Crash::build("frame", &frame);
    assert!(!frame.section(".debug_frame").is_empty());
    for crash in [&*RELEASE, &debug, &dwarf5, &frame] {
        let backtrace = crash.backtrace(&crash.image, &crash.registers);
        assert_eq!(
            own_functions(&backtrace),
            expected_functions(),
            "{backtrace:#}"
        );
        // The first call is that of the assembly, which has no call frame information.
        let mut callers = backtrace.frames().iter().skip(2);
        let all_exact = callers.all(|frame| frame.found_by == FoundBy::CallFrameInfo);
        assert!(all_exact, "{backtrace:#}");
        assert_eq!(backtrace.hint(), None);
    }
}

#[test]
fn a_panic_reads_like_one_of_std() {
    let backtrace = RELEASE.backtrace(&RELEASE.image, &RELEASE.registers);
    let text = backtrace.to_string();
    println!("{text}\n{backtrace:#}");
    assert!(
        !text.contains("panicking") && !text.contains("rust_begin_unwind"),
        "{text}"
    );
    let (name, line) = &expected_functions()[0];
    let mut lines = text.lines().skip_while(|line| !line.starts_with("   0: "));
    assert_eq!(
        lines.next(),
        Some(format!("   0: {name}").as_str()),
        "{text}"
    );
    let place = lines.next().expect("there is a place");
    assert!(
        place.starts_with("             at paravane-crash-"),
        "{text}"
    );
    assert!(
        place.ends_with(&format!("-release.rs:{}:9", line.expect("a line"))),
        "{text}"
    );
    assert!(format!("{backtrace:#}").contains("rust_begin_unwind"));

    let json = serde_json::to_value(&backtrace).expect("a backtrace is JSON");
    assert_eq!(
        json["frames"][0]["address"],
        format!("{:#x}", RELEASE.registers.rip)
    );
    assert_eq!(json["frames"][0]["found_by"], "registers");
    assert_eq!(json["machinery"], backtrace.machinery());
}

#[test]
fn line_tables_name_all_but_inlined_functions_in_full() {
    let crash = Crash::build("lines", &["-Copt-level=3", "-Cdebuginfo=line-tables-only"]);
    let backtrace = crash.backtrace(&crash.image, &crash.registers);
    // What was inlined has no symbol, and its entry here only the bare name.
    let expected = expected_functions().split_off(1);
    assert_eq!(own_functions(&backtrace), expected, "{backtrace:#}");
    assert!(
        backtrace.to_string().contains("0: look_up\n"),
        "{backtrace}"
    );
}

#[test]
fn a_wild_jump_is_traced_to_where_it_was_made() {
    // What the program called is not there: the return address is all there is.
    for rip in [0, 0xdead_beef_0000, u64::MAX] {
        let registers = Registers {
            rip,
            ..RELEASE.registers
        };
        let backtrace = RELEASE.backtrace(&RELEASE.image, &registers);
        assert_eq!(backtrace.frames()[0].address, rip);
        assert_eq!(backtrace.frames()[1].found_by, FoundBy::StackScan);
        assert_eq!(
            own_functions(&backtrace),
            expected_functions(),
            "{backtrace:#}"
        );
    }
}

#[test]
fn a_trap_frame_leads_to_what_was_interrupted() {
    let options = ["-Copt-level=3", "-Cdebuginfo=limited", "--cfg=trap"];
    let crash = Crash::build("trap", &options);
    let backtrace = crash.backtrace(&crash.image, &crash.registers);
    assert_eq!(
        own_functions(&backtrace),
        expected_functions(),
        "{backtrace:#}"
    );
    let [_, trap, interrupted, handler, ..] = backtrace.frames() else {
        panic!("{backtrace:#}");
    };
    assert_eq!(trap.locations[0].function.as_deref(), Some("trap"));
    assert_eq!(
        interrupted.locations[0].function.as_deref(),
        Some("interrupted")
    );
    // Not a call: the instruction itself was interrupted, here the first.
    assert_eq!(interrupted.locations[0].offset, Some(0));
    assert!(trap.is_return_address && !interrupted.is_return_address);
    assert_eq!(handler.found_by, FoundBy::CallFrameInfo);
}

#[test]
fn frame_pointers_do_without_call_frame_information() {
    let options = [
        "-Copt-level=3",
        "-Cdebuginfo=limited",
        "-Cforce-frame-pointers=yes",
    ];
    let crash = Crash::build("pointers", &options);
    let image = crash.without(&[".eh_frame", ".debug_frame"]);
    let backtrace = crash.backtrace(&image, &crash.registers);
    assert_eq!(
        own_functions(&backtrace),
        expected_functions(),
        "{backtrace:#}"
    );
    let mut callers = backtrace.frames().iter().skip(2);
    assert!(
        callers.all(|frame| frame.found_by == FoundBy::FramePointer),
        "{backtrace:#}"
    );
}

#[test]
fn the_stack_alone_still_tells_the_way() {
    let image = RELEASE.without(&[".eh_frame", ".debug_frame"]);
    let nothing = RELEASE.backtrace(&image, &RELEASE.registers);
    // Without debug data such targets have unwind tables for core, but not for the guest.
    let options = ["-Copt-level=3", "-Cforce-unwind-tables=no"];
    let crash = Crash::build("scan", &options);
    let mixed = crash.backtrace(&crash.image, &crash.registers);
    for backtrace in [nothing, mixed] {
        let found = own_functions(&backtrace);
        let mut rest = found.iter().map(|(name, _)| name);
        // A guess may add frames; it must not lose any of these.
        for (expected, _) in expected_functions().split_off(1) {
            assert!(
                rest.any(|name| *name == expected),
                "{expected} in {backtrace:#}"
            );
        }
        assert!(backtrace.to_string().contains("? guest::"), "{backtrace}");
        assert!(backtrace.to_string().contains("marked ?"), "{backtrace}");
    }
}

#[test]
fn missing_debug_data_gives_less_and_says_how_to_get_more() {
    let full = RELEASE.backtrace(&RELEASE.image, &RELEASE.registers);
    let symbols = RELEASE.backtrace(&RELEASE.without(&[".debug_"]), &RELEASE.registers);
    assert_eq!(symbols.frames().len(), full.frames().len(), "{symbols:#}");
    assert!(
        symbols.to_string().contains(": guest::deep+0x"),
        "{symbols}"
    );
    assert!(
        symbols
            .hint()
            .is_some_and(|hint| hint.contains("no line numbers"))
    );

    // Stripping leaves what unwinding needs: it is part of the loaded image.
    let stripped = Crash::build("stripped", &["-Copt-level=3", "-Cstrip=symbols"]);
    let stripped = stripped.backtrace(&stripped.image, &stripped.registers);
    assert_eq!(stripped.frames().len(), full.frames().len(), "{stripped:#}");
    assert!(
        stripped
            .frames()
            .iter()
            .all(|frame| frame.locations.is_empty())
    );
    assert!(
        stripped.to_string().contains("   4: 0x0000000000401"),
        "{stripped}"
    );
    assert!(stripped.to_string().contains("strip = false"), "{stripped}");
}

#[test]
fn a_limit_is_kept() {
    let read = |address| RELEASE.read(address);
    for limit in 0..4 {
        let frames = unwind(&RELEASE.image, &RELEASE.registers, &read, limit);
        assert_eq!(frames.len(), limit);
    }
}
