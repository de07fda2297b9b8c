//! Build helper of Paravane guests: a guest crate's build script is
//! `fn main() { paravane_guest_build::configure() }`.
//!
//! It makes the linker produce what the VMM loads: a static ELF64 at a fixed address, whose
//! segments lie on pages of their own so that none is writable and executable at once.
//! One linker script says so for every linker (rust-lld, GNU ld and others disagree about
//! options such as `--image-base` and `-Ttext-segment`, but all read scripts).
//!
//! It works for `x86_64-unknown-linux-gnu`, which every stable toolchain on Linux has, and
//! for the bare-metal `x86_64-unknown-none`. It prints instructions for the package's binaries
//! only; libraries, build scripts and host programs of the same build are untouched.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Layout of the image, for every linker.
const LINKER_SCRIPT: &str = include_str!("guest.ld");

/// Layout of a program for a task.
const TASK_SCRIPT: &str = include_str!("task.ld");

/// The variable by which `paravane-guest-test` asks for an image with tests.
const TEST_VARIABLE: &str = "PARAVANE_GUEST_TEST";

/// Makes the binaries of the calling build script's package guest images.
///
/// # Panics
///
/// With one sentence that says what is wrong and what would be right: outside of a build
/// script, for a target that no guest can be built for, and where the linker script cannot be
/// written.
pub fn configure() {
    let target = variable("TARGET");
    let script = write_script("paravane-guest.ld", LINKER_SCRIPT);
    let linker = env::var_os("RUSTC_LINKER").map(PathBuf::from);
    for argument in link_arguments(&target, linker.as_deref(), &script) {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    // Whether `#[paravane_sdk::guest_test]` makes tests; see `paravane_sdk::test`.
    println!("cargo:rustc-check-cfg=cfg(guest_test)");
    println!("cargo:rerun-if-env-changed={TEST_VARIABLE}");
    if env::var_os(TEST_VARIABLE).is_some() {
        println!("cargo:rustc-cfg=guest_test");
    }
    println!("cargo:rerun-if-changed=build.rs");
    // Cargo sets RUSTC_LINKER from these and its configuration files.
    println!("cargo:rerun-if-env-changed=CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER");
    println!("cargo:rerun-if-env-changed=CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER");
}

/// A variable that Cargo sets for build scripts.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!(
            "paravane_guest_build::configure() needs Cargo's variable {name}: \
             call it from a build script (build.rs)"
        )
    })
}

/// Writes a linker script where only this package's build looks.
fn write_script(name: &str, text: &str) -> PathBuf {
    let path = Path::new(&variable("OUT_DIR")).join(name);
    if let Err(error) = fs::write(&path, text) {
        panic!("cannot write the linker script {}: {error}", path.display());
    }
    path
}

/// Compiles a Rust source file to a program for a task (`paravane_sdk::task::elf`), without
/// dependencies but `core`. The guest has it built in by
/// `include_bytes!(env!("TASK_PROGRAM_<NAME>"))`, with the file's name in capitals.
///
/// # Panics
///
/// As [`configure`], and when the file cannot be compiled.
pub fn task_program(source: &str) {
    let source = Path::new(source);
    let Some(name) = source.file_stem().and_then(|name| name.to_str()) else {
        panic!("{} is no source file", source.display());
    };
    let program = Path::new(&variable("OUT_DIR")).join(format!("{name}.task"));
    let target = variable("TARGET");
    let script = write_script("paravane-task.ld", TASK_SCRIPT);
    let linker = env::var_os("RUSTC_LINKER").map(PathBuf::from);
    let mut command = Command::new(variable("RUSTC"));
    command
        .arg(source)
        .args(["--edition=2024", "--crate-type=bin", "--target", &target])
        // What has an address of its own in the task area is found by RIP.
        .args(["-Crelocation-model=pic", "-Cpanic=abort", "-Copt-level=s"])
        .args(["-Ccodegen-units=1", "-Cstrip=symbols", "-o"])
        .arg(&program);
    if let Some(linker) = &linker {
        command.arg("-Clinker").arg(linker);
    }
    for argument in link_arguments(&target, linker.as_deref(), &script) {
        command.arg(format!("-Clink-arg={argument}"));
    }
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{} cannot be compiled: {status}", source.display()),
        Err(error) => panic!("cannot run the compiler: {error}"),
    }
    let variable = format!("TASK_PROGRAM_{}", name.to_uppercase().replace('-', "_"));
    println!("cargo:rustc-env={variable}={}", program.display());
    let directory = source.parent().unwrap_or(Path::new("."));
    println!("cargo:rerun-if-changed={}", directory.display());
}

/// The linker arguments for a target.
fn link_arguments(target: &str, linker: Option<&Path>, script: &Path) -> Vec<String> {
    // What each takes through a compiler driver, and what it takes when rustc calls it itself.
    let through_driver = match target {
        "x86_64-unknown-linux-gnu" => linker.is_none_or(is_driver),
        "x86_64-unknown-none" => linker.is_some_and(is_driver),
        _ => panic!(
            "a Paravane guest cannot be built for the target {target}: build it for \
             x86_64-unknown-linux-gnu, or for x86_64-unknown-none where that is installed \
             (cargo build --target x86_64-unknown-linux-gnu)"
        ),
    };
    let mut arguments = Vec::new();
    if through_driver {
        // The target's own start files, C library and position independence are the host's.
        arguments.extend(["-nostartfiles", "-nostdlib", "-static", "-no-pie"].map(String::from));
    } else {
        arguments.push(String::from("-no-pie"));
    }
    let options = [
        format!("-T{}", script.display()),
        // An identifier of the build would be a note that nobody reads, in a page of its own.
        String::from("--build-id=none"),
        // The script's segments are what the VMM maps; no linker is to add to them.
        String::from("-znorelro"),
        String::from("-znoexecstack"),
        String::from("-zmax-page-size=4096"),
    ];
    for option in options {
        arguments.push(if through_driver {
            format!("-Wl,{option}")
        } else {
            option
        });
    }
    arguments
}

/// Whether this linker program is a compiler that calls a linker.
fn is_driver(linker: &Path) -> bool {
    let name = linker
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    ["gcc", "clang", "cc"]
        .iter()
        .any(|driver| name == *driver || name.ends_with(&format!("-{driver}")))
        || name.starts_with("gcc-")
        || name.starts_with("clang-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "/out/guest.ld";

    fn arguments(target: &str, linker: Option<&str>) -> Vec<String> {
        link_arguments(target, linker.map(Path::new), Path::new(SCRIPT))
    }

    #[test]
    fn the_host_target_links_through_the_compiler() {
        let arguments = arguments("x86_64-unknown-linux-gnu", None);
        assert!(arguments.contains(&String::from("-nostartfiles")));
        assert!(arguments.contains(&String::from("-Wl,-T/out/guest.ld")));
    }

    #[test]
    fn the_bare_target_links_by_the_linker_itself() {
        for linker in [None, Some("ld"), Some("/usr/bin/ld.lld"), Some("rust-lld")] {
            let arguments = arguments("x86_64-unknown-none", linker);
            assert!(arguments.contains(&String::from("-T/out/guest.ld")));
            assert!(!arguments.contains(&String::from("-nostartfiles")));
        }
    }

    #[test]
    fn a_linker_of_the_users_choice_is_spoken_to_in_its_own_way() {
        for driver in ["cc", "/usr/bin/x86_64-linux-gnu-gcc", "clang-19"] {
            let arguments = arguments("x86_64-unknown-none", Some(driver));
            assert!(arguments.contains(&String::from("-Wl,-T/out/guest.ld")));
        }
    }

    #[test]
    #[should_panic(expected = "cannot be built for the target aarch64-apple-darwin")]
    fn another_target_is_refused_by_its_name() {
        arguments("aarch64-apple-darwin", None);
    }
}
