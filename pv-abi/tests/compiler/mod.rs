//! The C and C++ compilers, with the header in reach.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a source is written in.
#[allow(
    dead_code,
    reason = "each test program uses its own part of this module"
)]
#[derive(Clone, Copy, Debug)]
pub enum Language {
    C,
    Cpp,
    Assembly,
}

impl Language {
    /// The compiler, the ending of a file's name, and the version of the language.
    fn compiler(self) -> (String, &'static str, &'static [&'static str]) {
        let named = |variable, default: &str| std::env::var(variable).unwrap_or(default.into());
        match self {
            Self::C => (named("CC", "cc"), "c", &["-std=c11"]),
            Self::Cpp => (named("CXX", "c++"), "cpp", &["-std=c++20"]),
            Self::Assembly => (named("CC", "cc"), "S", &[]),
        }
    }
}

/// Compiles `source` with all warnings as errors, and returns what it made, under this name.
///
/// # Panics
///
/// When the compiler cannot be run, or says anything.
pub fn compile(language: Language, name: &str, source: &str, arguments: &[&str]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (compiler, ending, version) = language.compiler();
    let input = directory.join(format!("{name}.{ending}"));
    let output = directory.join(name);
    std::fs::write(&input, source).expect("the source is written");
    let result = Command::new(&compiler)
        .args(version)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(arguments)
        .arg("-I")
        .arg(root().join("include"))
        .arg("-o")
        .args([&output, &input])
        .output()
        .unwrap_or_else(|error| panic!("cannot run the compiler `{compiler}`: {error}"));
    assert!(
        result.status.success(),
        "`{compiler}` refuses {}:\n{}",
        input.display(),
        String::from_utf8_lossy(&result.stderr)
    );
    output
}
