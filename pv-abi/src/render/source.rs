//! Reads definitions and their documentation from this crate's own source.
//!
//! A doc comment cannot be reached from Rust code, and to write it a second time would
//! let the two drift apart. This parser knows the one style that rustfmt gives these
//! files, line by line, and panics on anything else: a definition that it does not
//! understand must never be left out of the reference in silence.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// What one source file defines.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// Its name, for messages.
    pub name: &'static str,
    /// The lines of its `//!` documentation.
    pub docs: Vec<String>,
    /// The structs that are laid out in memory: those with `#[repr(C)]`.
    pub structs: Vec<Struct>,
    /// The enums.
    pub enums: Vec<Enum>,
    /// The public constants.
    pub constants: Vec<Constant>,
    /// The layouts that `pin_layout!` asserts at compile time.
    pub pins: Vec<Pin>,
    /// The documentation of every other public type: its name and the lines.
    pub other_types: Vec<(String, Vec<String>)>,
}

/// A struct whose layout is part of the ABI.
#[derive(Debug)]
pub(super) struct Struct {
    pub name: String,
    pub docs: Vec<String>,
    pub fields: Vec<Field>,
}

/// A field of a [`Struct`].
#[derive(Debug)]
pub(super) struct Field {
    pub name: String,
    pub docs: Vec<String>,
    pub rust_type: String,
}

/// An enum without fields.
#[derive(Debug)]
pub(super) struct Enum {
    pub name: String,
    /// Each variant's name and documentation.
    pub variants: Vec<(String, Vec<String>)>,
}

/// A public constant.
#[derive(Debug)]
pub(super) struct Constant {
    pub name: String,
    pub docs: Vec<String>,
    pub rust_type: String,
    /// The expression that it is defined by.
    pub expression: String,
}

/// A layout that the compiler has checked.
#[derive(Debug)]
pub(super) struct Pin {
    pub struct_name: String,
    pub size: u64,
    /// Field and offset.
    pub offsets: Vec<(String, u64)>,
}

/// Starts of items that define nothing the renderers need; they are skipped whole.
const SKIPPED: &[&str] = &[
    "const ",
    "errnos! {",
    "extern crate ",
    "features! {",
    "for_each_call!",
    "impl ",
    "macro_rules! ",
    "mod tests {",
    "pub const fn ",
    "pub fn ",
    "pub mod ",
    "pub trait ",
    "pub use ",
    "use ",
];

/// Parses the source of the module `name`.
///
/// # Panics
///
/// On an item that does not have the expected form; the message says where it is.
pub(super) fn parse(name: &'static str, source: &str) -> Module {
    let mut parser = Parser {
        name,
        lines: source.lines().enumerate(),
        line: 0,
    };
    let mut module = Module {
        name,
        ..Module::default()
    };
    parser.items(&mut module);
    module
}

struct Parser<'a> {
    name: &'static str,
    lines: core::iter::Enumerate<core::str::Lines<'a>>,
    /// Number of the line that was read last.
    line: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (index, line) = self.lines.next()?;
        self.line = index + 1;
        Some(line)
    }

    fn fail(&self, problem: &str) -> ! {
        panic!(
            "pv-abi/src/{}.rs:{}: {problem}; write it as the definitions around it are, or \
             teach render/source.rs this form",
            self.name, self.line
        )
    }

    fn expect<T>(&self, value: Option<T>, problem: &str) -> T {
        match value {
            Some(value) => value,
            None => self.fail(problem),
        }
    }

    /// The text from `first` to the end of its item: the line that ends with `end`.
    fn through(&mut self, first: &str, end: &str) -> String {
        let mut text = first.to_string();
        while !text.ends_with(end) {
            let line = self.next();
            let line = self.expect(line, "the file ends inside an item");
            text.push(' ');
            text.push_str(line.trim());
        }
        text
    }

    fn items(&mut self, module: &mut Module) {
        let mut docs = Vec::new();
        let mut is_repr_c = false;
        while let Some(line) = self.next() {
            if let Some(text) = doc_text(line, "//!") {
                module.docs.push(text);
                continue;
            }
            if let Some(text) = doc_text(line, "///") {
                docs.push(text);
                continue;
            }
            if line.is_empty() || line.starts_with("//") {
                continue;
            }
            if line.starts_with("#[") || line.starts_with("#![") {
                is_repr_c |= self.through(line, "]") == "#[repr(C)]";
                continue;
            }
            self.item(module, line, core::mem::take(&mut docs), is_repr_c);
            is_repr_c = false;
        }
    }

    fn item(&mut self, module: &mut Module, line: &str, docs: Vec<String>, is_repr_c: bool) {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            if is_repr_c {
                let name = self.expect(rest.strip_suffix(" {"), "a repr(C) struct without fields");
                let fields = self.fields();
                let name = name.to_string();
                module.structs.push(Struct { name, docs, fields });
            } else {
                let end = rest.find(|c: char| !c.is_alphanumeric());
                let name = self.expect(end.and_then(|end| rest.get(..end)), "a struct");
                module.other_types.push((name.to_string(), docs));
                self.skip(line);
            }
        } else if let Some(rest) = line.strip_prefix("pub enum ") {
            let name = self.expect(rest.strip_suffix(" {"), "an enum of an unknown form");
            let variants = self.variants();
            let name = name.to_string();
            module.enums.push(Enum { name, variants });
        } else if line.starts_with("pin_layout!(") {
            let pin = self.pin(line);
            module.pins.push(pin);
        } else if SKIPPED.iter().any(|start| line.starts_with(start)) {
            self.skip(line);
        } else if let Some(rest) = line.strip_prefix("pub const ") {
            let text = self.through(rest, ";");
            let parts = text.trim_end_matches(';').split_once(": ");
            let (name, rest) = self.expect(parts, "a constant without a type");
            let (rust_type, expression) = self.expect(rest.split_once(" = "), "a constant");
            if docs.is_empty() {
                self.fail("a constant without documentation");
            }
            module.constants.push(Constant {
                name: name.to_string(),
                docs,
                rust_type: rust_type.to_string(),
                expression: expression.to_string(),
            });
        } else {
            self.fail(&format!("an item of an unknown form, `{line}`"));
        }
    }

    /// Skips the item that begins with `line`: to its `;`, or to the bracket that closes it
    /// in the first column.
    fn skip(&mut self, line: &str) {
        if line.ends_with(';') || line.ends_with('}') {
            return;
        }
        loop {
            let line = self.next();
            let line = self.expect(line, "the file ends inside an item");
            if line.starts_with(['}', ')']) {
                return;
            }
        }
    }

    fn fields(&mut self) -> Vec<Field> {
        let mut fields = Vec::new();
        self.members("pub ", |parser, member, docs| {
            let parts = member.split_once(": ");
            let (name, rust_type) = parser.expect(parts, "a field without a type");
            fields.push(Field {
                name: name.to_string(),
                docs,
                rust_type: rust_type.to_string(),
            });
        });
        fields
    }

    fn variants(&mut self) -> Vec<(String, Vec<String>)> {
        let mut variants = Vec::new();
        self.members("", |_, member, docs| {
            let name = member.split_once(" = ").map_or(member, |(name, _)| name);
            variants.push((name.to_string(), docs));
        });
        variants
    }

    /// The members of a struct or enum, one a line, each with documentation.
    fn members(&mut self, start: &str, mut member: impl FnMut(&Self, &str, Vec<String>)) {
        let mut docs = Vec::new();
        loop {
            let line = self.next();
            let line = self.expect(line, "the file ends inside a type");
            if line == "}" {
                return;
            }
            let text = self.expect(line.strip_prefix("    "), "a member that is not indented");
            if let Some(text) = doc_text(text, "///") {
                docs.push(text);
                continue;
            }
            let text = text.strip_prefix(start).and_then(|t| t.strip_suffix(','));
            let text = self.expect(text, "a member of an unknown form");
            if docs.is_empty() {
                self.fail("a member without documentation");
            }
            member(self, text, core::mem::take(&mut docs));
        }
    }

    /// Parses `pin_layout!(Type, size N { field @ offset, ... });`.
    fn pin(&mut self, line: &str) -> Pin {
        const FORM: &str = "a pin_layout! of an unknown form";
        let text = self.through(line, ");");
        let body = text
            .strip_prefix("pin_layout!(")
            .and_then(|text| text.trim_end_matches(");").trim().strip_suffix('}'))
            .and_then(|text| text.split_once('{'));
        let (head, fields) = self.expect(body, FORM);
        let (struct_name, size) = self.expect(head.split_once(", size "), FORM);
        let size = self.expect(size.trim().parse().ok(), FORM);
        let offsets = fields
            .split(',')
            .filter(|field| !field.trim().is_empty())
            .map(|field| {
                let (name, offset) = self.expect(field.split_once('@'), FORM);
                let offset = self.expect(offset.trim().parse().ok(), FORM);
                (name.trim().to_string(), offset)
            })
            .collect();
        Pin {
            struct_name: struct_name.to_string(),
            size,
            offsets,
        }
    }
}

/// The text of a doc comment that begins with `marker`.
fn doc_text(line: &str, marker: &str) -> Option<String> {
    let text = line.strip_prefix(marker)?;
    // "////" is no doc comment.
    (!text.starts_with('/')).then(|| text.strip_prefix(' ').unwrap_or(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
//! About the module.

use crate::pin_layout;

/// How many.
pub const COUNT: usize = 3;

/// A record.
///
/// More about it.
#[repr(C)]
#[derive(
    Clone,
    Copy,
)]
pub struct Record {
    /// First,
    /// on two lines.
    pub first: u32,
    /// Second.
    pub second: [u16; COUNT],
}

impl Record {
    const HIDDEN: u32 = 1;
}

pin_layout!(Record, size 12 {
    first @ 0,
    second @ 4,
});
";

    #[test]
    fn definitions_are_read_with_their_documentation() {
        let module = parse("example", SOURCE);
        assert_eq!(module.docs, ["About the module."]);
        assert_eq!(module.constants.len(), 1);
        assert_eq!(module.constants[0].expression, "3");
        let record = &module.structs[0];
        assert_eq!(record.docs, ["A record.", "", "More about it."]);
        assert_eq!(record.fields[0].docs, ["First,", "on two lines."]);
        assert_eq!(record.fields[1].rust_type, "[u16; COUNT]");
        assert_eq!(module.pins[0].size, 12);
        assert_eq!(module.pins[0].offsets[1], ("second".to_string(), 4));
    }

    #[test]
    #[should_panic(expected = "example.rs:19: a member of an unknown form")]
    fn a_private_field_is_not_left_out_in_silence() {
        parse("example", &SOURCE.replace("pub first", "first"));
    }

    #[test]
    #[should_panic(expected = "example.rs:3: an item of an unknown form, `union Unknown {`")]
    fn an_unknown_item_is_not_left_out_in_silence() {
        parse(
            "example",
            &SOURCE.replace("use crate::pin_layout;", "union Unknown {"),
        );
    }

    #[test]
    #[should_panic(expected = "a member without documentation")]
    fn every_field_is_documented() {
        parse("example", &SOURCE.replace("    /// Second.\n", ""));
    }
}
