//! The C header, `include/paravane.h`.

use super::definitions::{Definitions, Value, array_type};
use super::source::{Constant, Module, Struct};
use super::text::{self, DOES_NOT_RETURN, Target, struct_name};
use crate::calls::{CALLS, CallSpec};
use crate::convention::ARGUMENTS;
use crate::{ABI_MAJOR, ABI_MINOR, Errno, Features};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

mod fixed;

/// The longest line of the header.
const WIDTH: usize = 92;

/// The name in C of a scalar type.
pub(super) fn scalar_name(rust_type: &str) -> Option<&'static str> {
    Some(match rust_type {
        "u8" => "uint8_t",
        "u16" => "uint16_t",
        "u32" => "uint32_t",
        "u64" => "uint64_t",
        "i8" => "int8_t",
        "i16" => "int16_t",
        "i32" => "int32_t",
        "i64" => "int64_t",
        _ => return None,
    })
}

/// Renders the header.
pub(super) fn render(definitions: &Definitions) -> String {
    let mut header = Header {
        definitions,
        out: String::new(),
    };
    header.comment(
        "",
        &[
            format!(
                "The Paravane ABI, version {ABI_MAJOR}.{ABI_MINOR}, for guests written in C11, C++20 or \
                 assembly."
            ),
            "docs/abi.md is the reference.".to_string(),
            String::new(),
            format!(
                "Generated from pv-abi/src by `{}`; edit the definitions there.",
                super::COMMAND
            ),
            String::new(),
            "SPDX-License-Identifier: MIT OR Apache-2.0".to_string(),
        ],
    );
    header.text(fixed::START);
    header.errors();
    header.features();
    for module in &definitions.modules {
        header.module(module);
    }
    header.text(fixed::IMAGE_NOTE);
    header.call_numbers();
    header.text(fixed::HYPERCALL);
    for call in CALLS {
        header.wrapper(call);
    }
    for part in fixed::EXITLESS {
        header.text(part);
    }
    header.out.push_str(fixed::END);
    header.out
}

struct Header<'a> {
    definitions: &'a Definitions,
    out: String,
}

impl Header<'_> {
    /// Adds a block, and the empty line behind it.
    fn text(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push_str("\n\n");
    }

    fn docs(&self, docs: &[String]) -> Vec<String> {
        text::lines(self.definitions, Target::Header, docs)
    }

    /// Adds a comment whose paragraphs are separated by empty lines.
    fn comment(&mut self, indent: &str, lines: &[String]) {
        let text = lines.join("\n");
        assert!(
            !text.contains("/*") && !text.contains("*/"),
            "a comment of the header would begin or end a comment: {text}"
        );
        let mut wrapped: Vec<String> = Vec::new();
        for paragraph in text.trim().split("\n\n") {
            if !wrapped.is_empty() {
                wrapped.push(String::new());
            }
            for block in blocks(paragraph) {
                wrapped.extend(filled(&block, WIDTH - indent.len() - " * ".len()));
            }
        }
        if let [line] = wrapped.as_slice()
            && indent.len() + line.len() + 6 <= WIDTH
        {
            self.out.push_str(&format!("{indent}/* {line} */\n"));
            return;
        }
        self.out.push_str(&format!("{indent}/*\n"));
        for line in wrapped {
            let line = format!("{indent} * {line}");
            self.out.push_str(line.trim_end());
            self.out.push('\n');
        }
        self.out.push_str(&format!("{indent} */\n"));
    }

    fn errors(&mut self) {
        let introduction = "Error codes: a failed call returns the negated number.".to_string();
        self.comment("", &[introduction]);
        self.out.push('\n');
        for errno in Errno::ALL {
            self.comment("", &[errno.meaning().to_string()]);
            let number = errno.to_result().unsigned_abs();
            self.out
                .push_str(&format!("#define PV_{} {number}\n", errno.name()));
        }
        self.out.push('\n');
    }

    fn features(&mut self) {
        self.comment("", &["Feature bits.".to_string()]);
        self.out.push('\n');
        for (bit, name, meaning) in Features::DEFINED {
            let meaning = self.docs(&[meaning.to_string()]);
            self.comment("", &meaning);
            self.out
                .push_str(&format!("#define PV_FEATURE_{name} (PV_U64(1) << {bit})\n"));
        }
        self.out.push('\n');
    }

    fn module(&mut self, module: &Module) {
        // What these say about themselves is for readers of the Rust source.
        if !["lib", "calls", "atomicity"].contains(&module.name) {
            let docs = self.docs(&module.docs);
            self.comment("", &docs);
            self.out.push('\n');
        }
        for (constant, value) in self.definitions.constants(module) {
            let docs = self.docs(&constant.docs);
            self.comment("", &docs);
            let literal = literal(constant, value);
            self.out
                .push_str(&format!("#define PV_{} {literal}\n", constant.name));
        }
        if !module.constants.is_empty() {
            self.out.push('\n');
        }
        for definition in &module.structs {
            self.layout(definition);
        }
    }

    fn layout(&mut self, definition: &Struct) {
        let definitions = self.definitions;
        let name = struct_name(&definition.name);
        let docs = self.docs(&definition.docs);
        self.comment("", &docs);
        self.out
            .push_str(&format!("#ifndef __ASSEMBLER__\nstruct {name} {{\n"));
        for field in &definition.fields {
            let docs = self.docs(&field.docs);
            self.comment("    ", &docs);
            let declaration = declaration(definitions, &field.rust_type, &field.name);
            self.out.push_str(&format!("    {declaration};\n"));
        }
        self.out.push_str("};\n#endif\n");
        let size = definitions.layout(&definition.name).size;
        let size_name = format!("PV_SIZE_{}", name.trim_start_matches("pv_")).to_uppercase();
        self.out.push_str(&format!("#define {size_name} {size}\n"));
        for (field, offset, _) in definitions.fields(definition) {
            let macro_name = offset_name(&name, &field.name);
            self.out
                .push_str(&format!("#define {macro_name} {offset}\n"));
        }
        self.out
            .push_str(&format!("PV_PIN_SIZE({name}, {size_name});\n"));
        for field in &definition.fields {
            let field = &field.name;
            let macro_name = offset_name(&name, field);
            self.out
                .push_str(&format!("PV_PIN_OFFSET({name}, {field}, {macro_name});\n"));
        }
        self.out.push('\n');
    }

    fn call_numbers(&mut self) {
        self.comment(
            "",
            &["Call numbers: bits 15:0 of the call word.".to_string()],
        );
        for call in CALLS {
            let name = call.name.to_uppercase();
            self.out
                .push_str(&format!("#define PV_CALL_{name} {:#05x}\n", call.number));
        }
        self.out.push('\n');
    }

    /// The wrapper of a call. Its name is the call's with the prefix `pv_`.
    fn wrapper(&mut self, call: &CallSpec) {
        let mut lines: Vec<String> = call
            .prose
            .iter()
            .map(|line| line.trim().to_string())
            .collect();
        lines.push(String::new());
        for argument in call.arguments {
            lines.push(format!("- {}: {}", argument.name, argument.meaning));
        }
        if call.repeated {
            lines.push("- count, done: see pv_repeat".to_string());
        }
        lines.push(match call.result {
            DOES_NOT_RETURN => "- does not return, unless it fails".to_string(),
            result => format!("- returns: {result}"),
        });
        for (errno, reason) in call.errors {
            lines.push(format!("- -{}: {reason}", errno.name()));
        }
        let lines = self.docs(&lines);
        self.comment("", &lines);

        let mut parameters = Vec::from(["const void *page".to_string()]);
        let mut values = Vec::from([
            "page".to_string(),
            format!("PV_CALL_{}", call.name.to_uppercase()),
        ]);
        if call.repeated {
            values.extend(["count", "done"].map(String::from));
        }
        // Behind what comes first, a value for each register.
        let length = values.len() + ARGUMENTS;
        for argument in call.arguments {
            parameters.push(format!("{} {}", argument.c_type, argument.name));
            values.push(argument.name.to_string());
        }
        values.resize(length, "0".to_string());
        if call.repeated {
            parameters.extend(["uint32_t count", "uint32_t *done"].map(String::from));
        }
        let start = format!("static inline int64_t pv_{}", call.name);
        let signature = with_list(&start, parameters, "");
        let function = match call.repeated {
            true => "    return pv_repeat",
            false => "    return pv_hypercall",
        };
        let body = with_list(function, values, ";");
        self.text(&format!("{signature}\n{{\n{body}\n}}"));
    }
}

/// `start(items, ...)end`, broken between items where the line is full.
fn with_list(start: &str, mut items: Vec<String>, end: &str) -> String {
    let last = items.len() - 1;
    for item in &mut items[..last] {
        item.push(',');
    }
    let width = WIDTH - start.len() - "()".len() - end.len();
    let lines = text::wrapped(items.iter().map(String::as_str), width);
    let separator = format!("\n{}", " ".repeat(start.len() + 1));
    format!("{start}({}){end}", lines.join(&separator))
}

/// The lines of a block: the further lines of a list's item are indented, and the row of a
/// table has one line, however long.
fn filled(block: &str, width: usize) -> Vec<String> {
    if block.starts_with('|') {
        return Vec::from([block.to_string()]);
    }
    let indent = if block.starts_with("- ") { "  " } else { "" };
    let lines = text::wrapped(block.split_whitespace(), width - indent.len());
    let indented = lines.iter().enumerate().map(|(i, line)| match i {
        0 => line.clone(),
        _ => format!("{indent}{line}"),
    });
    indented.collect()
}

/// Splits a paragraph into what may be wrapped together: the items of a list and the rows
/// of a table begin new blocks.
fn blocks(paragraph: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for line in paragraph.lines() {
        match blocks.last_mut() {
            Some(block) if !line.starts_with("- ") && !line.starts_with('|') => {
                block.push(' ');
                block.push_str(line);
            }
            _ => blocks.push(line.to_string()),
        }
    }
    blocks
}

/// The name of the constant that holds a field's offset, for the assembler's sake.
fn offset_name(struct_name: &str, field: &str) -> String {
    let name = struct_name.trim_start_matches("pv_");
    format!("PV_OFFSET_{name}_{field}").to_uppercase()
}

fn declaration(definitions: &Definitions, rust_type: &str, name: &str) -> String {
    if let Some((element, length)) = array_type(rust_type) {
        // A length that has a name in the source has one here too.
        let length = match definitions.value(length) {
            Some(_) => format!("PV_{length}"),
            None => length.to_string(),
        };
        return declaration(definitions, element, &format!("{name}[{length}]"));
    }
    match scalar_name(rust_type) {
        Some(scalar) => format!("{scalar} {name}"),
        None => format!("struct {} {name}", struct_name(rust_type)),
    }
}

/// A constant's value in C. The suffix keeps the type that the constant has in Rust.
fn literal(constant: &Constant, value: Value) -> String {
    let number = match value {
        Value::Text(text) => return format!("\"{text}\""),
        Value::Number(number) => number,
    };
    let digits = if number > 0xffff || constant.expression.starts_with("0x") {
        format!("{number:#x}")
    } else {
        number.to_string()
    };
    match constant.rust_type.as_str() {
        "u64" => format!("PV_U64({digits})"),
        _ => digits,
    }
}
