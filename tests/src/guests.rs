//! Guest images other than the bundled one: built from the examples as a user builds them.

use crate::workspace;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The examples in Rust: the names of their directories and of their images.
pub const EXAMPLES: [&str; 13] = [
    "async-echo",
    "files",
    "hello",
    "http-server",
    "key-value",
    "log-shipper",
    "net-bench",
    "random",
    "shared-memory",
    "smp-matrix",
    "threads",
    "timers",
    "user-task",
];

/// The example in C.
pub const C_GUEST: &str = "c-guest";

/// An example's release image: in the directory `PARAVANE_GUESTS`, or built now.
///
/// # Panics
///
/// When it does not build.
pub fn example(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    if let Some(directory) = std::env::var_os("PARAVANE_GUESTS") {
        return Path::new(&directory).join(name);
    }
    // Whoever needs it while it is built waits.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || match name {
        C_GUEST => build_c_guest(),
        _ => build(
            &workspace::root().join("guest-sdk/examples").join(name),
            &["--release"],
            &workspace::programs().join("guests"),
        )
        .join("release")
        .join(name),
    };
    built.entry(name.into()).or_insert_with(build).clone()
}

/// The smallest example.
pub fn hello() -> PathBuf {
    example("hello")
}

/// The example in C.
pub fn c_guest() -> PathBuf {
    example(C_GUEST)
}

fn build_c_guest() -> PathBuf {
    let target = workspace::programs().join("guests");
    std::fs::create_dir_all(&target).expect("a directory for images");
    let output = Command::new("make")
        .arg("-C")
        .arg(workspace::root().join("guest-sdk/examples/c-guest"))
        .arg(format!("OUT={}", target.display()))
        .env_remove("MAKEFLAGS")
        .output()
        .expect("make (Debian package make) starts");
    assert!(
        output.status.success(),
        "the example in C does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join(C_GUEST)
}

/// Builds a guest crate by plain `cargo build` and returns its target directory.
///
/// # Panics
///
/// When it does not build.
pub fn build(crate_directory: &Path, options: &[&str], target: &Path) -> PathBuf {
    let mut command = Command::new(cargo());
    command
        .arg("build")
        .args(options)
        .arg("--target-dir")
        .arg(target);
    command.current_dir(crate_directory);
    clear_build_variables(&mut command);
    let output = command.output().expect("cargo starts");
    assert!(
        output.status.success(),
        "{} does not build:\n{}",
        crate_directory.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    target.to_path_buf()
}

/// The program `cargo`.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Leaves a command only what a user's shell has: the flags of the build that runs this test are
/// not theirs.
pub fn clear_build_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_") && name != "CARGO_HOME"
                || name.starts_with("RUST") && !name.starts_with("RUSTUP")
        });
        if ours {
            command.env_remove(name);
        }
    }
}

/// The bundled guest kernel's image: `PARAVANE_KERNEL`, or built now.
pub fn kernel() -> PathBuf {
    static KERNEL: OnceLock<PathBuf> = OnceLock::new();
    KERNEL
        .get_or_init(|| match std::env::var_os("PARAVANE_KERNEL") {
            Some(path) => PathBuf::from(path),
            None => build(
                &workspace::root().join("guest-kernel"),
                &["--release"],
                &workspace::programs().join("guests"),
            )
            .join("release/paravane-guest-kernel"),
        })
        .clone()
}
