//! The Debian package: what is in it, and that its daemon runs VMs, restarts and goes away as a
//! package's should, with real dpkg and systemd in a [`system`] of its own.

mod contents;
mod installed;

use libtest_mimic::{Arguments, Failed, Trial};
use paravane_tests::{lanes, program, system, workspace};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial(
            "the_package_has_what_belongs_into_it",
            tools(),
            contents::are_right,
        ),
        trial(
            "an_installed_daemon_runs_vms_and_leaves_nothing_behind",
            tools().or_else(system::missing).or_else(no_kvm),
            installed::runs_vms_and_leaves_nothing_behind,
        ),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test for which something may be missing.
fn trial(name: &str, missing: Option<String>, test: fn() -> Result<(), String>) -> Trial {
    match missing {
        None => Trial::test(name, move || test().map_err(Failed::from)),
        Some(reason) => {
            eprintln!("deb: {name} SKIPPED: {reason}");
            Trial::test(name, move || Err(reason.into())).with_ignored_flag(!lanes::required())
        }
    }
}

/// What is missing to build the package.
fn tools() -> Option<String> {
    let cargo_deb = workspace::root().join("target/tools/bin/cargo-deb");
    if !cargo_deb.exists() {
        let path = cargo_deb.display();
        return Some(format!("there is no {path}; run .ci/setup"));
    }
    let tools = [
        ("dpkg-shlibdeps", "dpkg-dev"),
        ("dpkg-deb", "dpkg"),
        ("strip", "binutils"),
        ("xz", "xz-utils"),
    ];
    let missing = tools.iter().find(|(tool, _)| {
        let ran = Command::new(tool).arg("--version").output();
        !ran.is_ok_and(|output| output.status.success())
    });
    missing.map(|(tool, package)| {
        format!("there is no {tool}; install the package {package}, or run .ci/setup")
    })
}

fn no_kvm() -> Option<String> {
    let mut options = std::fs::File::options();
    let opened = options.read(true).write(true).open("/dev/kvm");
    let error = opened.err()?;
    Some(format!("/dev/kvm cannot be opened: {error}"))
}

/// The package, built once from the program under test.
fn package() -> Result<PathBuf, String> {
    static PACKAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PACKAGE.get_or_init(build).clone()
}

fn build() -> Result<PathBuf, String> {
    let output = Command::new(workspace::root().join("vmm/packaging/build-deb"))
        .arg("--no-build")
        .env("PARAVANE_BIN", program::path())
        .output()
        .map_err(|error| format!("build-deb cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !said.is_empty() {
        return Err(format!("build-deb: {}\n{said}", output.status));
    }
    let path = String::from_utf8_lossy(&output.stdout);
    Ok(workspace::root().join(path.trim()))
}
