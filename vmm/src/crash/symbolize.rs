//! Turns code addresses of a guest into functions, files and lines.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use object::elf;
use object::read::elf::Sym as _;
use serde::Serialize;

use super::debug_image::{Budget, Image};
use super::dwarf::{DebugData, SourceFrame};

/// Reads that one symbolizer may make in the debug sections: some 0.2 s of them.
/// Sixty frames of a program with 5 MiB of `.debug_info` took two million.
const READS: u64 = 32 << 20;
/// Symbols that are indexed by address (24 bytes each).
const MAX_SYMBOLS: usize = 1 << 18;
/// How far behind a symbol that has no size an address may still belong to it.
const UNSIZED_SYMBOL_BYTES: u64 = 64 << 10;
/// The longest mangled name that is demangled, in bytes.
const MAX_MANGLED: usize = 8 << 10;
/// The longest name or path that is shown, in bytes.
const MAX_SHOWN: usize = 1 << 10;
/// Addresses whose locations are remembered: a deep recursion repeats a few.
const MAX_REMEMBERED: usize = 256;

/// One function, inlined or not, that was active at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The function's path, demangled and without its hash.
    pub function: Option<String>,
    /// The source file, shortened to its crate or workspace where that is known.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// How far behind the start of the function the address is; not for inlined ones.
    pub offset: Option<u64>,
}

/// Looks up addresses in the debug data and the symbol table of one image.
///
/// Nothing is read until the first address is asked for, and whatever is missing,
/// malformed or too costly makes the answers poorer, not an error.
pub struct Symbolizer<'a> {
    image: Image<'a>,
    budget: Budget,
    debug_data: DebugData,
    symbols: OnceCell<Vec<Symbol>>,
    remembered: RefCell<BTreeMap<(u64, bool), Vec<Location>>>,
}

/// A code symbol; the name is found by its number when it is wanted.
struct Symbol {
    address: u64,
    size: u64,
    index: object::SymbolIndex,
}

impl<'a> Symbolizer<'a> {
    /// A symbolizer of `image`, the ELF file that the guest runs.
    pub fn new(image: &'a [u8]) -> Symbolizer<'a> {
        Symbolizer {
            image: Image::parse(image),
            budget: Budget::new(READS),
            debug_data: DebugData::default(),
            symbols: OnceCell::new(),
            remembered: RefCell::default(),
        }
    }

    /// The functions active at `address`, the innermost inlined one first; none if
    /// nothing is known of it. `is_return_address` says that the frame was executing
    /// the call before `address`.
    pub fn resolve(&self, address: u64, is_return_address: bool) -> Vec<Location> {
        let mut remembered = self.remembered.borrow_mut();
        if let Some(locations) = remembered.get(&(address, is_return_address)) {
            return locations.clone();
        }
        let locations = self.look_up(address, is_return_address);
        if remembered.len() < MAX_REMEMBERED {
            remembered.insert((address, is_return_address), locations.clone());
        }
        locations
    }

    fn look_up(&self, address: u64, is_return_address: bool) -> Vec<Location> {
        let pc = address.saturating_sub(u64::from(is_return_address));
        if !self.image.is_text(pc) {
            return Vec::new();
        }
        let frames = self.debug_data.frames(&self.image, &self.budget, pc);
        let mut locations: Vec<Location> = frames.iter().map(|f| located(f, address)).collect();
        // Assembly has lines but no functions, and with `line-tables-only` a function
        // is called `new` where its symbol has the whole path.
        let named = frames
            .last()
            .and_then(|outermost| outermost.function.as_deref());
        let with_path = named.is_some_and(|name| name.starts_with("_R") || name.starts_with("_Z"));
        if !with_path && let Some((name, start)) = self.symbol(pc) {
            if locations.is_empty() {
                locations.push(Location::default());
            }
            if let Some(outermost) = locations.last_mut() {
                outermost.function = Some(demangled(&name));
                outermost.offset = address.checked_sub(start);
            }
        }
        locations
    }

    /// How a better backtrace could be had, if this image's debug data is not all
    /// that it could be.
    pub fn hint(&self) -> Option<&'static str> {
        let has = |name| !self.image.section(name).data.is_empty();
        if has(".debug_info") && has(".debug_line") {
            None
        } else if self.image.has_compressed_sections {
            Some(
                "the guest's debug data is compressed, which is not read: \
                 link it without --compress-debug-sections",
            )
        } else if self.image.symbols.is_empty() {
            Some(
                "the guest image is stripped: for functions and lines, build it with \
                 `debug = \"limited\"` and `strip = false` in its Cargo profile",
            )
        } else {
            Some(
                "the guest image has no line numbers: build it with \
                 `debug = \"limited\"` in its Cargo profile",
            )
        }
    }

    /// The name and start of the symbol that `pc` belongs to.
    fn symbol(&self, pc: u64) -> Option<(String, u64)> {
        let symbols = self.symbols.get_or_init(|| self.read_symbols());
        let after = symbols.partition_point(|symbol| symbol.address <= pc);
        let symbol = symbols.get(after.checked_sub(1)?)?;
        let reach = if symbol.size == 0 {
            UNSIZED_SYMBOL_BYTES
        } else {
            symbol.size
        };
        if pc.checked_sub(symbol.address)? >= reach {
            return None;
        }
        let table = &self.image.symbols;
        let entry = table.symbol(symbol.index).ok()?;
        let name = table.symbol_name(object::LittleEndian, entry).ok()?;
        // The string table may be one endless string: no more of it than is shown.
        let name = name.get(..MAX_MANGLED).unwrap_or(name);
        Some((String::from_utf8_lossy(name).into_owned(), symbol.address))
    }

    fn read_symbols(&self) -> Vec<Symbol> {
        let mut symbols = Vec::new();
        for (index, entry) in self.image.symbols.enumerate() {
            let kind = entry.st_type();
            let address = entry.st_value(object::LittleEndian);
            let is_code = kind == elf::STT_FUNC || kind == elf::STT_NOTYPE;
            if is_code && entry.st_name(object::LittleEndian) != 0 && self.image.is_text(address) {
                let size = entry.st_size(object::LittleEndian);
                symbols.push(Symbol {
                    address,
                    size,
                    index,
                });
            }
            if symbols.len() >= MAX_SYMBOLS {
                break;
            }
        }
        // Of several names of one address, the one with a size sorts last and wins.
        symbols.sort_unstable_by_key(|symbol| (symbol.address, symbol.size));
        symbols
    }
}

fn located(frame: &SourceFrame, address: u64) -> Location {
    let path = frame
        .file
        .as_ref()
        .map(|file| short_path(&frame.directory, file));
    Location {
        function: frame.function.as_deref().map(demangled),
        file: path.as_deref().map(printable),
        line: frame.line,
        column: frame.column,
        offset: frame.start.and_then(|start| address.checked_sub(start)),
    }
}

/// A symbol's name as Rust source has it, or as it is if it is not mangled.
fn demangled(name: &str) -> String {
    let mut shown = Limited(String::new());
    // An error says that the limit is reached.
    let _ = match rustc_demangle::try_demangle(name) {
        Ok(demangled) if name.len() < MAX_MANGLED => write!(shown, "{demangled:#}"),
        _ => shown.write_str(name),
    };
    shown.0
}

/// `text` fit for a terminal.
fn printable(text: &str) -> String {
    let mut shown = Limited(String::new());
    // An error says that the limit is reached.
    let _ = shown.write_str(text);
    shown.0
}

/// Collects what is fit to be shown: a guest names its functions and files as it
/// likes, and must not thereby move the cursor of whoever reads the report.
struct Limited(String);

impl fmt::Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.len() >= MAX_SHOWN {
                return Err(fmt::Error);
            }
            // Controls, and the marks that reorder or hide text.
            let harmful = character.is_control()
                || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
                || matches!(character, '\u{2060}'..='\u{2069}' | '\u{feff}');
            self.0.push(if harmful { '\u{fffd}' } else { character });
        }
        Ok(())
    }
}

/// A path without the parts that only say where the toolchain, the registry or the
/// workspace happened to be when the guest was built.
fn short_path(directory: &str, file: &str) -> String {
    let full = match file.starts_with('/') || directory.is_empty() {
        true => file.to_owned(),
        false => format!("{}/{file}", directory.trim_end_matches('/')),
    };
    let after = |mark: &str| full.split_once(mark).map(|(_, rest)| rest);
    // The standard library, built by its makers or from the rust-src component.
    if let Some(rest) = full
        .strip_prefix("/rustc/")
        .and_then(|rest| rest.split_once('/'))
    {
        return rest.1.strip_prefix("library/").unwrap_or(rest.1).to_owned();
    }
    if let Some(rest) = after("/lib/rustlib/src/rust/") {
        return rest.strip_prefix("library/").unwrap_or(rest).to_owned();
    }
    let registry = after("/registry/src/").and_then(|rest| rest.split_once('/'));
    if let Some((_, rest)) = registry {
        return rest.to_owned();
    }
    if let Some(rest) = after("/git/checkouts/") {
        return rest.to_owned();
    }
    // rustc is run in the root of the workspace for its members, with relative
    // paths, and in a package's own directory for packages from elsewhere, with
    // absolute ones: then the directory's name is needed to tell them apart.
    if !file.starts_with('/') {
        return file.strip_prefix("./").unwrap_or(file).to_owned();
    }
    let base = directory
        .trim_end_matches('/')
        .rsplit_once('/')
        .map_or("", |(base, _)| base);
    match full
        .strip_prefix(base)
        .and_then(|rest| rest.strip_prefix('/'))
    {
        Some(rest) if !base.is_empty() => rest.to_owned(),
        _ => full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_what_only_the_build_machine_knows() {
        let cases = [
            (
                "/w",
                "/rustc/0123abcd/library/core/src/panicking.rs",
                "core/src/panicking.rs",
            ),
            (
                "/rustc/0123abcd",
                "library/core/src/panicking.rs",
                "core/src/panicking.rs",
            ),
            (
                "/w",
                "/root/.rustup/toolchains/x/lib/rustlib/src/rust/library/alloc/src/vec/mod.rs",
                "alloc/src/vec/mod.rs",
            ),
            (
                "/home/u/.cargo/registry/src/index.crates.io-19/talc-5.1.1",
                "src/lib.rs",
                "talc-5.1.1/src/lib.rs",
            ),
            ("/home/u/guest", "src/main.rs", "src/main.rs"),
            (
                "/build/guest-sdk",
                "/build/guest-sdk/src/lib.rs",
                "guest-sdk/src/lib.rs",
            ),
            ("", "/src/lib.rs", "/src/lib.rs"),
            ("/", "/elsewhere/lib.rs", "/elsewhere/lib.rs"),
        ];
        for (directory, file, short) in cases {
            assert_eq!(short_path(directory, file), short, "{directory} {file}");
        }
    }

    #[test]
    fn names_are_demangled_and_defused() {
        assert_eq!(demangled("_ZN3cfi5depth17h9e0f27e86eb87a46E"), "cfi::depth");
        assert_eq!(demangled("memcpy"), "memcpy");
        assert_eq!(demangled("\x1b[2Jboom\u{202e}"), "\u{fffd}[2Jboom\u{fffd}");
        assert!(demangled(&"x".repeat(1 << 20)).len() <= MAX_SHOWN);
    }

    #[test]
    fn nothing_is_known_of_a_file_that_is_not_elf() {
        let symbolizer = Symbolizer::new(b"#!/bin/sh");
        assert_eq!(symbolizer.resolve(0x40_1000, true), Vec::new());
        assert!(
            symbolizer
                .hint()
                .is_some_and(|hint| hint.contains("strip = false"))
        );
    }
}
