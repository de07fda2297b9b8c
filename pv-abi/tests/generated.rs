//! The generated files: that they are up to date, and that the header compiles and calls.

mod compiler;

use compiler::{Language, compile, root};
use pv_abi::calls::{CALLS, CallSpec};
use pv_abi::{ABI_MAJOR, ABI_MINOR, render};
use std::process::Command;

#[test]
fn the_generated_files_are_up_to_date() {
    for (path, expected) in render::files() {
        let actual = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        let mut lines = actual.lines().zip(expected.lines());
        let first_difference = lines.position(|(actual, expected)| actual != expected);
        assert!(
            actual == expected,
            "{path} is not what the definitions in pv-abi/src say (first difference: line {}); \
             run `{}` and commit the result",
            first_difference
                .unwrap_or_else(|| actual.lines().count().min(expected.lines().count()))
                + 1,
            render::COMMAND
        );
    }
}

/// A call's wrapper with a value for each argument.
fn wrapper_call(call: &CallSpec, first: u32) -> String {
    let values = (first..).take(call.arguments.len());
    let mut values: String = values.map(|value| format!(", {value}")).collect();
    if call.repeated {
        values.push_str(", 1, &(uint32_t){0}");
    }
    format!("pv_{}(page{values})", call.name)
}

/// A guest that makes every call and takes traps.
fn guest(language: Language) -> String {
    let mut source = String::from(match language {
        // C++ wants the NUL to have room too.
        Language::Cpp => "#define NAME \"a short name\"\n",
        _ => "#define NAME \"a name of thirty-two bytes, full\"\n",
    });
    source.push_str(
        "#include <paravane.h>\n\
         PV_IMAGE_NOTE(NAME, 65536,\n\
             .required_features = PV_FEATURE_CONSOLE | PV_FEATURE_BATCH,\n\
             .wanted_features = 0, .minimum_memory = 8 << 20,\n\
             .minimum_vcpus = 1, .maximum_vcpus = 1);\n\
         PV_C_NAME const void *page;\n\
         const void *page;\n\
         PV_C_NAME void entry(const struct pv_start_info *info);\n\
         PV_C_NAME void on_trap(struct pv_trap_frame *frame, int from_task);\n\
         PV_ENTRY(_start, entry)\n\
         PV_TRAP_ENTRY(trap_entry, on_trap, page)\n\
         void on_trap(struct pv_trap_frame *frame, int from_task)\n\
         {\n\
             struct pv_vcpu_page *vcpu = pv_vcpu();\n\
             pv_take_begin(vcpu);\n\
             while (pv_take_next((struct pv_event_page *)0, vcpu) >= 0) {}\n\
             if (!from_task)\n\
                 pv_task_enter(page, frame);\n\
         }\n\
         void entry(const struct pv_start_info *info)\n\
         {\n\
             page = (const void *)(uintptr_t)info->hypercall_page;\n\
             struct pv_trap_handler handler = {(uint64_t)(uintptr_t)trap_entry, 0};\n\
             (void)pv_gpa_of(info, &handler, sizeof handler);\n\
             while (pv_upcalls_unmask())\n\
                 pv_upcalls_mask();\n\
             (void)pv_clock_now(&pv_vcpu()->clock);\n\
             uint32_t done = 0;\n\
             (void)pv_as_unmap(page, 0, 0, 1, &done);\n",
    );
    for call in CALLS {
        // C++ has no compound literals, by which the others call the repeated ones.
        if matches!(language, Language::C) || !call.repeated {
            source.push_str(&format!("    (void){};\n", wrapper_call(call, 1)));
        }
    }
    source.push_str("}\n");
    source
}

#[test]
fn the_header_compiles_without_a_warning() {
    for level in ["-O0", "-O2"] {
        for language in [Language::C, Language::Cpp] {
            let name = format!("guest_{language:?}{level}.o");
            let options = ["-ffreestanding", "-c", level];
            compile(language, &name, &guest(language), &options);
        }
    }
}

/// The values of a few constants, as an assembler puts them into an object file.
#[test]
fn the_header_serves_the_assembler() {
    const SOURCE: &str = "\
        #include <paravane.h>\n\
        .data\n\
        .quad PV_START_INFO_MAGIC, PV_FEATURE_EVENTS, PV_TASK_ENTRY_OFFSET\n\
        .quad PV_OFFSET_VCPU_PAGE_TRAP + PV_OFFSET_TRAP_STATE_RIP, PV_CALL_SCHED_BLOCK\n";
    let object = compile(Language::Assembly, "constants.o", SOURCE, &["-c"]);
    let object = std::fs::read(object).expect("the object file is read");
    let words = [
        pv_abi::start_info::START_INFO_MAGIC,
        pv_abi::Features::EVENTS.0,
        pv_abi::convention::TASK_ENTRY_OFFSET,
        core::mem::offset_of!(pv_abi::vcpu_page::VcpuPage, trap.rip) as u64,
        pv_abi::calls::number::sched_block.into(),
    ];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert!(
        object.windows(bytes.len()).any(|window| window == bytes),
        "the object file holds {words:x?}"
    );
}

#[test]
fn the_image_note_is_the_one_that_the_vmm_looks_for() {
    let source = guest(Language::C);
    let object = compile(Language::C, "note.o", &source, &["-ffreestanding", "-c"]);
    let bytes = std::fs::read(object).expect("the object file is read");
    let mut expected = Vec::new();
    for word in [9u32, 80, 1] {
        expected.extend(word.to_le_bytes());
    }
    expected.extend(b"Paravane\0\0\0\0");
    let version = u64::from(ABI_MAJOR) | u64::from(ABI_MINOR) << 16;
    expected.extend(version.to_le_bytes());
    for word in [0x41u64, 0, 8 << 20, 1 << 32 | 1, 65536] {
        expected.extend(word.to_le_bytes());
    }
    expected.extend(b"a name of thirty-two bytes, full");
    let places = bytes.windows(expected.len()).enumerate();
    let mut places = places.filter(|(_, window)| *window == expected);
    let (place, _) = places.next().expect("the object file holds the note");
    assert!(
        places.next().is_none(),
        "the object file holds the note once"
    );

    // Its section (System V gABI, "Section Header") is SHT_NOTE, so that the linker makes a
    // PT_NOTE segment of it, with an alignment that readers of notes know.
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let (table, count) = (word(0x28) as usize, word(0x38) >> 32 & 0xffff);
    let mut sections = (0..count as usize).map(|index| table + index * 64);
    // An empty section may begin there too.
    let of_note = |section: usize| (word(section + 24), word(section + 32));
    let section = sections.find(|&at| of_note(at) == (place as u64, expected.len() as u64));
    let section = section.expect("a section begins at the note");
    let (kind, alignment) = (word(section) >> 32, word(section + 48));
    assert_eq!(
        (kind, alignment),
        (7, 4),
        "type and alignment of the note's section"
    );
}

/// A program for this host in which a function stands in for the hypercall page. It answers
/// with a mixture of the call word and the arguments, and destroys what a call may destroy:
/// the clobbered registers and 64 bytes below RSP.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_wrappers_put_each_argument_into_its_register() {
    const PAGE: &str = r#"
#include <paravane.h>
#include <stdio.h>

__asm__(".text\n"
        "page:\n"
        "imulq $3, %rdi, %r11\n addq %r11, %rax\n"
        "imulq $5, %rsi, %r11\n addq %r11, %rax\n"
        "imulq $7, %rdx, %r11\n addq %r11, %rax\n"
        "imulq $11, %r10, %r11\n addq %r11, %rax\n"
        "imulq $13, %r8, %r11\n addq %r11, %rax\n"
        "imulq $17, %r9, %r11\n addq %r11, %rax\n"
        "movq $-1, %rcx\n movq $-1, %r11\n"
        "movq %rcx, -8(%rsp)\n movq %rcx, -16(%rsp)\n movq %rcx, -24(%rsp)\n"
        "movq %rcx, -32(%rsp)\n movq %rcx, -40(%rsp)\n movq %rcx, -48(%rsp)\n"
        "movq %rcx, -56(%rsp)\n"
        "cmpq %rcx, %rcx\n"
        "ret\n");
extern const char page[];

/* A leaf function, whose locals the compiler keeps in the red zone. */
static __attribute__((noinline)) int64_t leaf(uint64_t a, uint64_t b)
{
    volatile uint64_t kept[8] = {a, b, a + b, a - b, a * b, a ^ b, a | b, a & b};
    int64_t result = pv_debug_echo(page, a, b, 3, 4, 5, 6);
    int intact = kept[0] == a && kept[1] == b && kept[2] == a + b && kept[3] == a - b &&
                 kept[4] == a * b && kept[5] == (a ^ b) && kept[6] == (a | b) &&
                 kept[7] == (a & b);
    return intact ? result : -1;
}

int main(void)
{
    printf("%lld\n", (long long)leaf(1, 2));
"#;
    const WEIGHTS: [u64; 6] = [3, 5, 7, 11, 13, 17];
    let mut source = PAGE.to_string();
    let mut expected = Vec::new();
    for call in CALLS
        .iter()
        .filter(|call| call.name == "debug_echo")
        .chain(CALLS)
    {
        if !expected.is_empty() {
            let call = wrapper_call(call, 1);
            source.push_str(&format!("    printf(\"%lld\\n\", (long long){call});\n"));
        }
        let values = (1u64..).take(call.arguments.len());
        let sum: u64 = values
            .zip(WEIGHTS)
            .map(|(value, weight)| value * weight)
            .sum();
        expected.push((u64::from(call.number) + sum).to_string());
    }
    source.push_str("    return 0;\n}\n");

    for (name, level) in [("wrappers_O0", "-O0"), ("wrappers_O2", "-O2")] {
        let program = compile(Language::C, name, &source, &[level]);
        let output = Command::new(program).output().expect("the program runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            printed.lines().collect::<Vec<_>>(),
            expected,
            "with {level}"
        );
    }
}
