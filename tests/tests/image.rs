//! The images: what is in them, and that anybody can build one.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use paravane_tests::{figures, guests, program, workspace};
use std::path::Path;

/// The SDK's function that writes to a doorbell's port, which the ABI opens at any CPL: it does not
/// trap.
const DOORBELL: &str = "paravane_write_doorbell";

/// Symbols whose code is sensitive on purpose: the self-tests need something to trap.
const DELIBERATE: &str = "paravane_deliberate_";

/// Whether an instruction is privileged, or sensitive without being privileged: it tells or
/// changes what a kernel that does not own the machine must not see or change (Popek and
/// Goldberg; for x86, Robin and Irvine, USENIX Security 2000).
fn is_sensitive(instruction: &Instruction) -> bool {
    use Mnemonic::*;
    let moves_system_register = || {
        instruction.op_kinds().enumerate().any(|(operand, kind)| {
            kind == OpKind::Register && {
                let register = instruction.op_register(operand as u32);
                register.is_cr() || register.is_dr() || register.is_segment_register()
            }
        })
    };
    instruction.is_privileged()
        || matches!(
            instruction.mnemonic(),
            Sgdt | Sidt
                | Sldt
                | Str
                | Smsw
                | Lmsw
                | Lgdt
                | Lidt
                | Lldt
                | Ltr
                | Lar
                | Lsl
                | Verr
                | Verw
                | Pushf
                | Pushfd
                | Pushfq
                | Popf
                | Popfd
                | Popfq
                | Cli
                | Sti
                | Hlt
                | In
                | Out
                | Insb
                | Insw
                | Insd
                | Outsb
                | Outsw
                | Outsd
                | Iret
                | Iretd
                | Iretq
                | Int
                | Into
                | Syscall
                | Sysret
                | Sysretq
                | Sysenter
                | Sysexit
                | Sysexitq
                | Swapgs
                | Rdmsr
                | Wrmsr
                | Rdpmc
                | Rdfsbase
                | Rdgsbase
                | Wrfsbase
                | Wrgsbase
                | Cpuid
                | Invlpg
                | Invpcid
                | Invd
                | Wbinvd
                | Clts
                | Xsetbv
                | Xgetbv
                | Vmcall
                | Vmmcall
                | Monitor
                | Mwait
                | Clac
                | Stac
                | Xsaves
                | Xsaves64
                | Xrstors
                | Xrstors64
        )
        || (instruction.mnemonic() == Mov && moves_system_register())
        || instruction.op_kinds().enumerate().any(|(operand, kind)| {
            kind == OpKind::Register && instruction.op_register(operand as u32) == Register::CR8
        })
        || matches!(instruction.mnemonic(), Lds | Les | Lfs | Lgs | Lss)
}

/// The sensitive instructions of an image, each with the symbol that it is in.
fn sensitive_instructions(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).expect("the image can be read");
    let image = object::File::parse(&*bytes).expect("the image is an ELF file");
    let mut symbols: Vec<_> = image
        .symbols()
        .filter(|symbol| matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Label))
        .map(|symbol| (symbol.address(), symbol.name().unwrap_or("?").to_owned()))
        .collect();
    symbols.sort();
    assert!(!symbols.is_empty(), "{} has symbols", path.display());
    let symbol_at = |address: u64| {
        let next = symbols.partition_point(|(start, _)| *start <= address);
        next.checked_sub(1)
            .map_or("?", |index| symbols[index].1.as_str())
    };
    let mut found = Vec::new();
    let mut decoded = 0;
    for section in image
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
    {
        let code = section.data().expect("the section can be read");
        let decoder = Decoder::with_ip(64, code, section.address(), DecoderOptions::NONE);
        for instruction in decoder {
            decoded += 1;
            let symbol = symbol_at(instruction.ip());
            let rings = symbol == DOORBELL && instruction.mnemonic() == Mnemonic::Out;
            if is_sensitive(&instruction) && !rings {
                found.push(format!("{symbol}: {:#x} {instruction}", instruction.ip()));
            }
        }
    }
    assert!(decoded > 1000, "{decoded} instructions are no image");
    found
}

#[test]
fn the_guest_kernel_has_no_sensitive_instruction_but_the_deliberate_ones() {
    let found = sensitive_instructions(&guests::kernel());
    let (deliberate, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|line| line.starts_with(DELIBERATE));
    assert_eq!(others, Vec::<String>::new());
    // They are found, so others would be.
    for name in ["hlt", "lidt", "syscall"] {
        assert!(
            deliberate.iter().any(|line| line.contains(name)),
            "{deliberate:?}"
        );
    }
}

#[test]
fn the_examples_have_no_sensitive_instruction() {
    for name in guests::EXAMPLES {
        let found = sensitive_instructions(&guests::example(name));
        assert_eq!(found, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_example_in_c_has_no_sensitive_instruction() {
    assert_eq!(
        sensitive_instructions(&guests::c_guest()),
        Vec::<String>::new()
    );
}

#[test]
fn every_kind_of_sensitive_instruction_is_recognized() {
    let samples: &[(&str, &[u8])] = &[
        ("cli", &[0xfa]),
        ("hlt", &[0xf4]),
        ("in", &[0xe5, 0x50]),
        ("popfq", &[0x9d]),
        ("pushfq", &[0x9c]),
        ("sgdt", &[0x0f, 0x01, 0x00]),
        ("smsw", &[0x0f, 0x01, 0xe0]),
        ("str", &[0x0f, 0x00, 0xc8]),
        ("mov eax, cs", &[0x8c, 0xc8]),
        ("mov ds, eax", &[0x8e, 0xd8]),
        ("mov cr3, rax", &[0x0f, 0x22, 0xd8]),
        ("mov rax, dr7", &[0x0f, 0x21, 0xf8]),
        ("iretq", &[0x48, 0xcf]),
        ("int 0x80", &[0xcd, 0x80]),
        ("wrmsr", &[0x0f, 0x30]),
        ("cpuid", &[0x0f, 0xa2]),
        ("wrfsbase", &[0xf3, 0x48, 0x0f, 0xae, 0xd0]),
        ("vmcall", &[0x0f, 0x01, 0xc1]),
        ("vmmcall", &[0x0f, 0x01, 0xd9]),
        ("invlpg", &[0x0f, 0x01, 0x38]),
        ("lar", &[0x0f, 0x02, 0xc0]),
    ];
    for (name, code) in samples {
        let instruction = Decoder::new(64, code, DecoderOptions::NONE).decode();
        assert!(is_sensitive(&instruction), "{name}");
    }
    let harmless: &[(&str, &[u8])] = &[
        ("mov eax, ecx", &[0x89, 0xc8]),
        ("int3", &[0xcc]),
        ("rdtsc", &[0x0f, 0x31]),
    ];
    for (name, code) in harmless {
        let instruction = Decoder::new(64, code, DecoderOptions::NONE).decode();
        assert!(!is_sensitive(&instruction), "{name}");
    }
}

#[test]
fn the_example_is_a_crate_of_its_own_of_at_most_20_lines() {
    let example = workspace::root().join("guest-sdk/examples/hello");
    let lines: usize = ["Cargo.toml", "build.rs", "src/main.rs"]
        .iter()
        .map(|file| {
            std::fs::read_to_string(example.join(file))
                .expect(file)
                .lines()
                .count()
        })
        .sum();
    assert!(lines <= 20, "{lines} lines");
}

#[test]
fn the_example_is_small() {
    let size = figures::size::hello_stripped().expect("it can be stripped");
    assert!(size <= 64 << 10, "{size} bytes");
}

/// What somebody does who starts a guest: a copy of the example in a directory of its own, with
/// the SDK wherever it is, and plain `cargo build`.
#[test]
fn a_guest_crate_outside_of_the_workspace_builds_and_boots() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let example = workspace::root().join("guest-sdk/examples/hello");
    let sdk = workspace::root().join("guest-sdk");
    std::fs::create_dir(directory.path().join("src")).expect("a directory");
    for file in ["Cargo.toml", "Cargo.lock", "build.rs", "src/main.rs"] {
        let text = std::fs::read_to_string(example.join(file)).expect(file);
        let absolute = text.replace("../..", sdk.to_str().expect("its path is text"));
        std::fs::write(directory.path().join(file), absolute).expect(file);
    }
    let target = guests::build(directory.path(), &[], &directory.path().join("target"));
    if !program::has_local_kvm("a_guest_crate_outside_of_the_workspace_builds_and_boots") {
        return;
    }
    let mut command = program::paravane(["run"]);
    let ended = program::end(command.arg(target.join("debug/hello"))).exits(0);
    assert_eq!(ended.stdout, "hello from hello\n");
}
