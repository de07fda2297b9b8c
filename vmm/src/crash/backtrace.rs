//! The backtrace of a crashed guest, as text and as JSON.

use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

use super::symbolize::{Location, Symbolizer};
use super::unwind::{FoundBy, Frame, Registers, unwind};

/// One frame and what is known of the code that it was executing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SymbolizedFrame {
    /// The frame's code address.
    #[serde(serialize_with = "hexadecimal")]
    pub address: u64,
    /// Whether the address is where a call returns to.
    pub is_return_address: bool,
    /// How the frame was found.
    pub found_by: FoundBy,
    /// The functions active at the address, the innermost inlined one first; none
    /// if the image has no data on it.
    pub locations: Vec<Location>,
}

fn hexadecimal<S: Serializer>(address: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{address:#x}"))
}

/// A symbolized backtrace.
///
/// `{}` prints it like `RUST_BACKTRACE=1` does, without the functions that only
/// carried the panic; `{:#}` prints every frame with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backtrace {
    frames: Vec<SymbolizedFrame>,
    hint: Option<&'static str>,
}

/// A function of the backtrace: the frame that it is in, and its location there.
type Line<'a> = (&'a SymbolizedFrame, Option<&'a Location>);

impl Backtrace {
    /// Unwinds and symbolizes the stack of a guest that runs `image`: at most
    /// `limit` frames. See [`unwind`] for the arguments.
    pub fn capture(
        image: &[u8],
        registers: &Registers,
        read_u64: &dyn Fn(u64) -> Option<u64>,
        limit: usize,
    ) -> Backtrace {
        let frames = unwind(image, registers, read_u64, limit);
        Backtrace::new(&frames, &Symbolizer::new(image))
    }

    /// Symbolizes `frames`.
    pub fn new(frames: &[Frame], symbolizer: &Symbolizer<'_>) -> Backtrace {
        let symbolized = |frame: &Frame| SymbolizedFrame {
            address: frame.address,
            is_return_address: frame.is_return_address,
            found_by: frame.found_by,
            locations: symbolizer.resolve(frame.address, frame.is_return_address),
        };
        Backtrace {
            frames: frames.iter().map(symbolized).collect(),
            hint: symbolizer.hint(),
        }
    }

    /// All frames, innermost first.
    pub fn frames(&self) -> &[SymbolizedFrame] {
        &self.frames
    }

    /// How to build the guest for a better backtrace, if that is possible.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// How many functions at the top, inlined ones counted, only carried the panic or
    /// the crash report. At least one function is always left.
    pub fn machinery(&self) -> usize {
        let names: Vec<&str> = self.lines().map(|line| name(line).unwrap_or("")).collect();
        let entry = names.iter().position(|name| is_panic(name));
        let count = match entry {
            Some(entry) => {
                let below = names.get(entry..).unwrap_or_default();
                entry
                    + below
                        .iter()
                        .take_while(|name| is_panic_machinery(name))
                        .count()
            }
            None => {
                // No panic: the guest reported a crash itself. A fault in the SDK's
                // own code looks alike but for the names, and must stay visible.
                let of_sdk = names.iter().take_while(|name| is_in(name, "paravane_sdk"));
                let reports = of_sdk.enumerate().filter(|(_, name)| is_crash_report(name));
                reports.last().map_or(0, |(index, _)| index + 1)
            }
        };
        count.min(names.len().saturating_sub(1))
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.frames.iter().flat_map(|frame| {
            let known = frame
                .locations
                .iter()
                .map(move |location| (frame, Some(location)));
            let unknown = frame.locations.is_empty().then_some((frame, None));
            known.chain(unknown)
        })
    }
}

fn name<'a>((_, location): Line<'a>) -> Option<&'a str> {
    location?.function.as_deref()
}

/// Whether the function called `name` is of the crate `krate`, its impls included.
fn is_in(name: &str, krate: &str) -> bool {
    let path = name.trim_start_matches(['<', '&']);
    path.strip_prefix(krate)
        .is_some_and(|rest| rest.starts_with("::"))
}

/// Whether `name` is the panic handler's symbol or what calls it.
fn is_panic(name: &str) -> bool {
    name.starts_with("core::panicking::") || name.ends_with("rust_begin_unwind")
}

/// Whether `name` does nothing but panic.
fn is_panic_machinery(name: &str) -> bool {
    let of_library = is_in(name, "core") || is_in(name, "alloc");
    is_panic(name) || (of_library && (name.ends_with("_fail") || name.ends_with("_failed")))
}

/// Whether `name`, of the SDK, reports a crash.
fn is_crash_report(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["crash", "panic", "abort"]
        .iter()
        .any(|word| name.contains(word))
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = f.alternate();
        let trimmed = if full { 0 } else { self.machinery() };
        writeln!(f, "stack backtrace:")?;
        match trimmed {
            0 => {}
            1 => writeln!(f, "      (1 function of the panic machinery is not shown)")?,
            n => writeln!(
                f,
                "      ({n} functions of the panic machinery are not shown)"
            )?,
        }
        let mut number = 0_usize;
        let mut last: Option<&SymbolizedFrame> = None;
        let mut guessed = false;
        let mut repeated = 0_usize;
        for (frame, location) in self.lines().skip(trimmed) {
            // Recursion returns to one address over and over.
            let same = |last: &SymbolizedFrame| {
                !std::ptr::eq(last, frame) && last.address == frame.address
            };
            if !full && last.is_some_and(same) {
                let innermost = frame.locations.first();
                repeated += usize::from(location.is_none() || location == innermost);
                number += usize::from(location.is_none() || location == innermost);
                continue;
            }
            write_repeated(f, repeated)?;
            repeated = 0;
            // Inlined functions share the number of the frame that they are in.
            if last.is_some_and(|last| std::ptr::eq(last, frame)) {
                write!(f, "      ")?;
            } else {
                write!(f, "{number:>4}: ")?;
                number = number.saturating_add(1);
            }
            last = Some(frame);
            if full {
                write!(f, "{:#018x} - ", frame.address)?;
            }
            if frame.found_by == FoundBy::StackScan {
                write!(f, "? ")?;
                guessed = true;
            }
            write_location(f, frame, location, full)?;
        }
        write_repeated(f, repeated)?;
        if guessed {
            writeln!(
                f,
                "note: frames marked ? are guesses from what lies on the stack"
            )?;
        }
        if let Some(hint) = self.hint {
            writeln!(f, "note: {hint}")?;
        }
        Ok(())
    }
}

fn write_repeated(f: &mut fmt::Formatter<'_>, times: usize) -> fmt::Result {
    match times {
        0 => Ok(()),
        1 => writeln!(f, "      (and once more)"),
        _ => writeln!(f, "      (and {times} times more)"),
    }
}

fn write_location(
    f: &mut fmt::Formatter<'_>,
    frame: &SymbolizedFrame,
    location: Option<&Location>,
    full: bool,
) -> fmt::Result {
    let Some(location) = location else {
        return match full {
            true => writeln!(f, "<unknown>"),
            false => writeln!(f, "{:#018x}", frame.address),
        };
    };
    f.write_str(location.function.as_deref().unwrap_or("<unknown>"))?;
    let Some(file) = &location.file else {
        return match location.offset {
            Some(0) | None => writeln!(f),
            Some(offset) => writeln!(f, "+{offset:#x}"),
        };
    };
    write!(f, "\n             at {file}")?;
    if let Some(line) = location.line {
        write!(f, ":{line}")?;
        if let Some(column) = location.column {
            write!(f, ":{column}")?;
        }
    }
    writeln!(f)
}

impl Serialize for Backtrace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Backtrace", 3)?;
        fields.serialize_field("frames", &self.frames)?;
        fields.serialize_field("machinery", &self.machinery())?;
        fields.serialize_field("hint", &self.hint)?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backtrace of one frame for each of `names`.
    fn backtrace(names: &[&str]) -> Backtrace {
        let frame = |name: &&str| SymbolizedFrame {
            address: 0x40_1234,
            is_return_address: true,
            found_by: FoundBy::CallFrameInfo,
            locations: vec![Location {
                function: Some((*name).to_owned()),
                ..Location::default()
            }],
        };
        Backtrace {
            frames: names.iter().map(frame).collect(),
            hint: None,
        }
    }

    #[test]
    fn what_carried_a_panic_is_left_out() {
        let panic = [
            "paravane_sdk::hypercall::call",
            "paravane_sdk::panic::report",
            "__rustc::rust_begin_unwind",
            "core::panicking::panic_fmt",
            "core::result::unwrap_failed",
            "<guest::Disk>::read",
            "guest::main",
        ];
        assert_eq!(backtrace(&panic).machinery(), 5);
        let text = backtrace(&panic).to_string();
        assert!(text.contains("(5 functions") && text.contains("   0: <guest::Disk>::read\n"));
        // A guest with a panic handler of its own.
        assert_eq!(
            backtrace(&["dump", "core::panicking::panic_fmt", "main"]).machinery(),
            2
        );
    }

    #[test]
    fn a_reported_crash_is_traced_to_who_reported_it() {
        let crash = [
            "paravane_sdk::hypercall::call",
            "<paravane_sdk::Crash>::report",
            "guest::f",
        ];
        assert_eq!(backtrace(&crash).machinery(), 2);
        // A fault in the SDK is the SDK's to explain.
        let fault = [
            "paravane_sdk::heap::grow",
            "paravane_sdk::heap::alloc",
            "guest::f",
        ];
        assert_eq!(backtrace(&fault).machinery(), 0);
        assert_eq!(
            backtrace(&["guest::f", "paravane_sdk::crash"]).machinery(),
            0
        );
    }

    #[test]
    fn something_is_always_left() {
        assert_eq!(backtrace(&["core::panicking::panic_fmt"]).machinery(), 0);
        assert_eq!(backtrace(&[]).machinery(), 0);
        assert_eq!(backtrace(&[]).to_string(), "stack backtrace:\n");
    }
}
