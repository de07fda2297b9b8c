//! The reference, `docs/abi.md`.

use super::definitions::{Definitions, Value, array_type};
use super::source::{Module, Struct};
use super::text::{self, DOES_NOT_RETURN, Target, struct_name};
use crate::calls::{ArgumentSpec, CALLS, CallSpec, Cost, Group};
use crate::{ABI_MAJOR, ABI_MINOR, Errno, Features};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

mod prose;

/// The registers of the arguments, in their order.
const ARGUMENT_REGISTERS: [&str; crate::convention::ARGUMENTS] =
    ["RDI", "RSI", "RDX", "R10", "R8", "R9"];

/// Every group, those without a call in this version included.
const GROUPS: &[Group] = &[
    Group::Core,
    Group::As,
    Group::Trap,
    Group::Event,
    Group::Time,
    Group::Sched,
    Group::Vcpu,
    Group::Mem,
    Group::Io,
    Group::Debug,
];

/// Renders the reference.
pub(super) fn render(definitions: &Definitions) -> String {
    let mut page = Page {
        definitions,
        out: String::new(),
    };
    page.text(&format!(
        "# The Paravane ABI, version {ABI_MAJOR}.{ABI_MINOR}"
    ));
    page.text(&format!(
        "<!-- Generated from pv-abi/src by `{}`; edit the definitions there. -->",
        super::COMMAND
    ));
    page.text(prose::INTRODUCTION);
    page.convention();
    page.text(prose::REPEATED);
    page.text(prose::DEFERRED);
    page.atomicity();
    page.text(prose::ENTRY);
    page.text("## Address space");
    page.module_text("address_space");
    page.constants("address_space");
    page.errors();
    page.features();
    page.text("## Image");
    page.text(prose::IMAGE);
    page.module_text("image_note");
    page.structs("image_note");
    page.constants("image_note");
    page.text("## Start-info page");
    page.module_text("start_info");
    page.structs("start_info");
    page.constants("start_info");
    page.text("## vCPU page");
    page.module_text("vcpu_page");
    page.structs("vcpu_page");
    page.constants("vcpu_page");
    page.text("## Traps");
    page.module_text("trap");
    page.text(prose::TRAP_RETURN);
    page.text(prose::UPCALLS);
    page.text(prose::TASKS);
    page.structs("trap");
    page.constants("trap");
    page.text("## Address spaces");
    page.module_text("mapping");
    page.structs("mapping");
    page.constants("mapping");
    page.text("## Events");
    page.module_text("event");
    page.structs("event");
    page.constants("event");
    page.text("## Time");
    page.module_text("time");
    page.structs("time");
    page.constants("time");
    page.text("## Grants");
    page.module_text("grant");
    page.structs("grant");
    page.constants("grant");
    page.text("## Sets");
    page.module_text("set");
    page.structs("set");
    page.constants("set");
    page.text("## Crash report");
    page.module_text("crash");
    page.structs("crash");
    page.constants("crash");
    page.text("## Batches and counters");
    page.module_text("stats");
    page.structs("stats");
    page.constants("stats");
    page.calls();
    page.text(prose::EXITLESS);
    // One newline ends the file.
    page.out.truncate(page.out.trim_end().len());
    page.out.push('\n');
    page.out
}

struct Page<'a> {
    definitions: &'a Definitions,
    out: String,
}

impl Page<'_> {
    /// Adds a block, and the empty line behind it.
    fn text(&mut self, text: &str) {
        self.out.push_str(text.trim());
        self.out.push_str("\n\n");
    }

    fn docs(&mut self, docs: &[String]) {
        let lines = text::lines(self.definitions, Target::Markdown, docs);
        self.text(&lines.join("\n"));
    }

    fn paragraph(&self, docs: &[String]) -> String {
        text::paragraph(self.definitions, Target::Markdown, docs)
    }

    fn table<const N: usize>(&mut self, head: [&str; N], rows: &[[String; N]]) {
        let mut out = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(N));
        for row in rows {
            // A bar would end the cell.
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        self.text(&out);
    }

    /// The documentation of a source file.
    fn module_text(&mut self, name: &str) {
        let module: &Module = self.definitions.module(name);
        self.docs(&module.docs);
    }

    /// The structs of a source file, each before those that it contains.
    fn structs(&mut self, module: &str) {
        let structs = &self.definitions.module(module).structs;
        let is_part = |candidate: &Struct| {
            let mut fields = structs.iter().flat_map(|definition| &definition.fields);
            fields.any(|field| field.rust_type.contains(&candidate.name))
        };
        let (parts, wholes): (Vec<_>, Vec<_>) = structs.iter().partition(|one| is_part(one));
        for definition in wholes.into_iter().chain(parts) {
            self.layout(definition);
        }
    }

    fn layout(&mut self, definition: &Struct) {
        let definitions = self.definitions;
        let size = definitions.layout(&definition.name).size;
        self.text(&format!("### `{}`", struct_name(&definition.name)));
        self.docs(&definition.docs);
        let rows: Vec<_> = definitions
            .fields(definition)
            .map(|(field, offset, size)| {
                [
                    offset.to_string(),
                    size.to_string(),
                    format!("`{}`", field.name),
                    format!("`{}`", self.type_name(&field.rust_type)),
                    self.paragraph(&field.docs),
                ]
            })
            .collect();
        self.table(["offset", "size", "field", "type", "meaning"], &rows);
        self.text(&format!("Size: {size} bytes."));
    }

    fn type_name(&self, rust_type: &str) -> String {
        match array_type(rust_type) {
            Some((element, length)) => {
                let length = self.definitions.array_length(length);
                format!("{}[{length}]", self.type_name(element))
            }
            None => match super::c_header::scalar_name(rust_type) {
                Some(name) => name.to_string(),
                None => struct_name(rust_type),
            },
        }
    }

    fn constants(&mut self, module: &str) {
        let module = self.definitions.module(module);
        let rows: Vec<_> = self
            .definitions
            .constants(module)
            .map(|(constant, value)| {
                let value = match value {
                    Value::Text(text) => format!("`\"{text}\"`"),
                    // Large numbers are addresses, sizes or masks.
                    Value::Number(number) if number > 0xffff => format!("{number:#x}"),
                    Value::Number(number) if constant.expression.starts_with("0x") => {
                        format!("{number:#x}")
                    }
                    Value::Number(number) => number.to_string(),
                };
                [
                    format!("`{}`", constant.name),
                    value,
                    self.paragraph(&constant.docs),
                ]
            })
            .collect();
        self.table(["constant", "value", "meaning"], &rows);
    }

    fn convention(&mut self) {
        self.text("## Calling convention");
        self.module_text("convention");
        self.text(prose::PROMISES);
        self.constants("convention");
        self.text("### The call word");
        let module = self.definitions.module("convention");
        let mut types = module.other_types.iter();
        match types.find(|(name, _)| name == "CallWord") {
            Some((_, docs)) => self.docs(docs),
            None => panic!("pv-abi/src/convention.rs defines no CallWord"),
        }
    }

    /// What the calls may be to other vCPUs.
    fn atomicity(&mut self) {
        self.text(prose::ATOMICITY);
        let definitions = self.definitions;
        let rows: Vec<_> = definitions
            .variants("atomicity", "Atomicity")
            .map(|(name, docs)| [name.to_lowercase(), self.paragraph(docs)])
            .collect();
        self.table(["atomicity", "meaning"], &rows);
    }

    fn errors(&mut self) {
        self.text("## Error codes");
        self.text(prose::ERRORS);
        let rows: Vec<_> = Errno::ALL
            .iter()
            .map(|&errno| {
                [
                    format!("`{}`", errno.name()),
                    errno.to_result().to_string(),
                    errno.meaning().to_string(),
                ]
            })
            .collect();
        self.table(["error", "RAX", "meaning"], &rows);
    }

    fn features(&mut self) {
        self.text("## Feature bits");
        self.text(prose::FEATURES);
        let rows: Vec<_> = Features::DEFINED
            .iter()
            .map(|(bit, name, meaning)| [bit.to_string(), format!("`{name}`"), one_line(meaning)])
            .collect();
        self.table(["bit", "feature", "meaning"], &rows);
    }

    fn calls(&mut self) {
        self.text("## Calls");
        self.text(prose::CALLS);
        let rows: Vec<_> = CALLS
            .iter()
            .map(|call| {
                [
                    format!("{:#05x}", call.number),
                    format!("[`{0}`](#{0})", call.name),
                    first_sentence(call),
                ]
            })
            .collect();
        self.table(["number", "call", "what it does"], &rows);
        for &group in GROUPS {
            self.group(group);
        }
    }

    fn group(&mut self, group: Group) {
        let first = (group as u16) << 5;
        let docs = self
            .definitions
            .variant_docs("calls", "Group", &format!("{group:?}"));
        let name = format!("{group:?}").to_lowercase();
        self.text(&format!(
            "### Group `{name}` ({first:#05x} to {:#05x})",
            first + 31
        ));
        let docs = self.paragraph(docs);
        let mut calls = CALLS.iter().filter(|call| call.group == group).peekable();
        if calls.peek().is_none() {
            self.text(&format!(
                "{docs} No call in this version: the numbers are reserved."
            ));
            return;
        }
        self.text(&docs);
        for call in calls {
            self.call(call);
        }
    }

    fn call(&mut self, call: &CallSpec) {
        self.text(&format!("#### `{}`", call.name));
        let prose: Vec<String> = call
            .prose
            .iter()
            .map(|line| line.trim().to_string())
            .collect();
        self.docs(&prose);
        if !call.arguments.is_empty() {
            let row = |(register, argument): (&&str, &ArgumentSpec)| {
                [
                    register.to_string(),
                    format!("`{}`", argument.name),
                    format!("`{}`", argument.c_type),
                    argument.meaning.to_string(),
                ]
            };
            let rows: Vec<_> = ARGUMENT_REGISTERS
                .iter()
                .zip(call.arguments)
                .map(row)
                .collect();
            self.table(["register", "argument", "type", "meaning"], &rows);
        }
        let result = match call.result {
            DOES_NOT_RETURN => "Does not return, unless it fails".to_string(),
            result => format!("Returns: {result}"),
        };
        let mut facts = format!("- Number: {:#05x}\n- {result}\n", call.number);
        facts.push_str(&errors_of(call));
        let cost = self
            .definitions
            .variant_docs("calls", "Cost", &format!("{:?}", call.cost));
        let atomicity = format!("{:?}", call.atomicity()).to_lowercase();
        let (major, minor) = call.since;
        facts.push_str(&format!(
            "- Atomicity: [{atomicity}](#atomicity)\n- Cost: {}\n- In a batch, or deferred: {}\n\
             - Safe: {}\n- Since: {major}.{minor}\n- Replaces: {}\n",
            cost_text(call.cost, &self.paragraph(cost)),
            match call {
                CallSpec {
                    batchable: true, ..
                } => "yes",
                CallSpec { repeated: true, .. } =>
                    "no, answers `EPERM`, or `EINVAL` for a word with a count",
                _ => "no, answers `EPERM`",
            },
            if call.safe {
                "with any arguments"
            } else {
                "no"
            },
            call.replaces,
        ));
        self.text(&facts);
    }
}

/// The errors of a call beside those that every call can have.
fn errors_of(call: &CallSpec) -> String {
    if call.errors.is_empty() {
        return "- Errors: only [those of every call](#calls)\n".to_string();
    }
    let mut out = "- Errors, beside [those of every call](#calls):\n".to_string();
    for (errno, reason) in call.errors {
        out.push_str(&format!("  - `{}`: {reason}\n", errno.name()));
    }
    out
}

/// What a class of calls costs: the name of the class, and what it means.
fn cost_text(cost: Cost, docs: &str) -> String {
    let class = match cost {
        Cost::NoExit => "no exit",
        Cost::KernelExit => "kernel exit",
        Cost::UserExit => "user exit",
    };
    let text = docs.trim_end_matches('.');
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        panic!("Cost::{cost:?} has no documentation");
    };
    format!("{class} ({}{})", first.to_ascii_lowercase(), chars.as_str())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a call is for, in the list of calls.
fn first_sentence(call: &CallSpec) -> String {
    let prose = one_line(&call.prose.join(" "));
    match prose.split_once(". ") {
        Some((sentence, _)) => format!("{sentence}."),
        None => prose,
    }
}
