//! The generated files: that they are up to date, and that the C header does what it says.

use pv_abi::calls::{CALLS, CallSpec};
use pv_abi::render;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

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

/// Runs the C compiler on `source` with the header in reach, and returns what it made.
fn compile(name: &str, source: &str, arguments: &[&str]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let input = directory.join(format!("{name}.c"));
    let output = directory.join(name);
    std::fs::write(&input, source).expect("the C source is written");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_string());
    let result = Command::new(&compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(arguments)
        .arg("-I")
        .arg(root().join("include"))
        .arg("-o")
        .args([&output, &input])
        .output()
        .unwrap_or_else(|error| panic!("cannot run the C compiler `{compiler}`: {error}"));
    assert!(
        result.status.success(),
        "`{compiler}` refuses {}:\n{}",
        input.display(),
        String::from_utf8_lossy(&result.stderr)
    );
    output
}

/// A call's wrapper with a value for each argument.
fn wrapper_call(call: &CallSpec, first: u32) -> String {
    let values = (first..).take(call.arguments.len());
    let values: String = values.map(|value| format!(", {value}")).collect();
    format!("pv_{}(page{values})", call.name)
}

/// A guest that makes every call.
fn guest() -> String {
    let mut source = String::from(
        "#include <paravane.h>\n\
         PV_IMAGE_NOTE(\"a name of thirty-two bytes, full\", 65536,\n\
             .minimum_memory = 8 << 20, .minimum_vcpus = 1, .maximum_vcpus = 1,\n\
             .required_features = PV_FEATURE_CONSOLE | PV_FEATURE_BATCH);\n\
         void entry(const struct pv_start_info *info);\n\
         void entry(const struct pv_start_info *info)\n\
         {\n\
             const void *page = (const void *)(uintptr_t)info->hypercall_page;\n",
    );
    for call in CALLS {
        source.push_str(&format!("    (void){};\n", wrapper_call(call, 1)));
    }
    source.push_str("}\n");
    source
}

#[test]
fn the_header_compiles_without_a_warning() {
    for (name, level) in [("guest_O0.o", "-O0"), ("guest_O2.o", "-O2")] {
        compile(name, &guest(), &["-ffreestanding", "-c", level]);
    }
}

#[test]
fn the_image_note_is_the_one_that_the_vmm_looks_for() {
    let object = compile("note.o", &guest(), &["-ffreestanding", "-c"]);
    let bytes = std::fs::read(object).expect("the object file is read");
    let mut expected = Vec::new();
    for word in [9u32, 80, 1] {
        expected.extend(word.to_le_bytes());
    }
    expected.extend(b"Paravane\0\0\0\0");
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0]);
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
    let section = sections.find(|&section| word(section + 24) == place as u64);
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
        let program = compile(name, &source, &[level]);
        let output = Command::new(program).output().expect("the program runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            printed.lines().collect::<Vec<_>>(),
            expected,
            "with {level}"
        );
    }
}
