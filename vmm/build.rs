//! Builds the guest kernel, which the `paravane` program has built in.
//!
//! The guest kernel is a workspace of its own, built for the guest's world, so a Cargo inside
//! this one builds it, in the release profile whatever the profile of the VMM. Nothing of the
//! VMM's own build is to have an influence on it: the image is the same everywhere.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// The target with which every stable toolchain on Linux can build a guest.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What the image is made of, beside the sources of crates.io that its Cargo.lock pins.
const SOURCES: &[&str] = &[
    "Cargo.toml",
    "guest-kernel/Cargo.lock",
    "guest-kernel/Cargo.toml",
    "guest-kernel/build.rs",
    "guest-kernel/src",
    "guest-sdk/Cargo.toml",
    "guest-sdk/build",
    "guest-sdk/src",
    "guest-sdk/test-macros",
    "pv-abi/Cargo.toml",
    "pv-abi/src",
];

fn main() -> ExitCode {
    if let Some(commit) = commit() {
        println!("cargo:rustc-env=PARAVANE_COMMIT={commit}");
    }
    match build() {
        Ok(image) => {
            println!("cargo:rustc-env=PARAVANE_GUEST_KERNEL={image}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The commit that is built, for whoever quotes a figure of it; `None` outside of a repository.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // It grows with each commit, also in a work tree that is not the repository's first.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// Builds the guest kernel and gives the path of its image.
fn build() -> Result<String, String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = package
        .parent()
        .ok_or("the package vmm is not in the workspace's directory")?;
    println!("cargo:rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo:rerun-if-changed={}", root.join(source).display());
    }

    let target_directory = PathBuf::from(variable("OUT_DIR")?).join("guest-kernel");
    let output = cargo(root, &target_directory)?;
    if !output.status.success() {
        return Err(format!(
            "the guest kernel cannot be built:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let image = target_directory
        .join(TARGET)
        .join("release/paravane-guest-kernel");
    if !image.is_file() {
        return Err(format!("there is no guest kernel in {}", image.display()));
    }
    image.into_os_string().into_string().map_err(|path| {
        format!(
            "the target directory has the path {}, which is not UTF-8; set CARGO_TARGET_DIR",
            path.display()
        )
    })
}

/// Runs Cargo for the guest kernel.
fn cargo(root: &Path, target_directory: &Path) -> Result<Output, String> {
    let program = variable("CARGO")?;
    let manifest = root.join("guest-kernel/Cargo.toml");
    let mut command = Command::new(&program);
    command
        .args(["build", "--release", "--locked", "--target", TARGET])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(target_directory);
    for (name, _) in env::vars_os() {
        if concerns_the_outer_build(&name) {
            command.env_remove(name);
        }
    }
    // Set, so that no configuration file's flags for the host reach the guest. Sources get
    // paths relative to the workspace: in a backtrace they say enough, and an installed program
    // does not show where it was built.
    let mut remap = OsString::from("--remap-path-prefix=");
    remap.push(root);
    remap.push("/=");
    command.env("CARGO_ENCODED_RUSTFLAGS", remap);
    command.output().map_err(|error| {
        format!(
            "cannot run {} to build the guest kernel: {error}",
            Path::new(&program).display()
        )
    })
}

/// Whether a variable says how the VMM is built, and so not how the guest kernel is.
fn concerns_the_outer_build(name: &OsString) -> bool {
    /// What the guest kernel's build needs too: where Cargo keeps what it fetches, whether and
    /// how it may fetch, and how many jobs may run.
    const KEPT: &[&str] = &["CARGO_HOME", "CARGO_MAKEFLAGS"];
    const KEPT_PREFIXES: &[&str] = &[
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_SOURCE_",
    ];
    /// What Cargo or its user sets without the prefix. Clippy comes in by a wrapper.
    const REMOVED: &[&str] = &[
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "TARGET",
    ];
    let Some(name) = name.to_str() else {
        return false;
    };
    let kept = KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let cargos = name.starts_with("CARGO") || name.starts_with("DEP_");
    REMOVED.contains(&name) || cargos && !kept
}

/// A variable that Cargo sets for build scripts.
fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("Cargo has not set {name}: run this by cargo build"))
}
