//! What is in the package: files with their modes, and what dpkg is told.

use super::package;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Files of which there have to be these, with these modes.
const FILES: [(&str, &str); 9] = [
    ("./usr/bin/paravane", "-rwxr-xr-x"),
    ("./etc/paravane/daemon.toml", "-rw-r-----"),
    ("./usr/lib/systemd/system/paravane.service", "-rw-r--r--"),
    ("./usr/lib/systemd/system/paravane.socket", "-rw-r--r--"),
    ("./usr/share/man/man1/paravane-vm-create.1.gz", "-rw-r--r--"),
    (
        "./usr/share/bash-completion/completions/paravane",
        "-rw-r--r--",
    ),
    ("./usr/share/zsh/vendor-completions/_paravane", "-rw-r--r--"),
    (
        "./usr/share/fish/vendor_completions.d/paravane.fish",
        "-rw-r--r--",
    ),
    ("./usr/share/doc/paravane/copyright", "-rw-r--r--"),
];

/// Where a package of this kind has files.
const PLACES: [&str; 4] = [
    "./etc/paravane/",
    "./usr/bin/",
    "./usr/lib/systemd/system/",
    "./usr/share/",
];

/// The most that the program may take installed, in KiB: without its debug data it does.
const MOST_KIB: u64 = 64 << 10;

pub fn are_right() -> Result<(), String> {
    let package = package()?;
    files(&package)?;
    control(&package)?;
    scripts(&package)
}

fn files(package: &Path) -> Result<(), String> {
    let listing = dpkg_deb(&["--contents"], package)?;
    let files: BTreeMap<_, _> = listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (mode, owner) = (words.next()?, words.next()?);
            Some((words.last()?, (mode, owner)))
        })
        .collect();
    for (path, mode) in FILES {
        assert_eq!(files.get(path), Some(&(mode, "0/0")), "{path}");
    }
    for (path, (mode, owner)) in files {
        assert_eq!(owner, "0/0", "{path}");
        match mode.strip_prefix('d') {
            Some(mode) => assert_eq!(mode, "rwxr-xr-x", "{path}"),
            None => assert!(
                PLACES.iter().any(|place| path.starts_with(place)),
                "{path} is where no file of this package belongs"
            ),
        }
    }
    Ok(())
}

fn control(package: &Path) -> Result<(), String> {
    let control = dpkg_deb(&["--field"], package)?;
    let field = |name: &str| {
        let line = control
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("there is no {name}:\n{control}"))
    };
    assert_eq!(field("Package"), "paravane");
    assert_eq!(field("Architecture"), "amd64");
    assert_eq!(field("Section"), "admin");
    let version = concat!(env!("CARGO_PKG_VERSION"), "-1");
    assert_eq!(field("Version"), version);
    // What its program is linked with, found by dpkg-shlibdeps.
    assert!(field("Depends").contains("libc6 (>= "), "{control}");
    assert!(field("Maintainer").contains(" <"), "{control}");
    let size: u64 = field("Installed-Size").parse().expect("a number");
    assert!((1024..MOST_KIB).contains(&size), "{size} KiB");
    // The synopsis is a line, and what is beyond it is indented.
    assert!(field("Description").len() < 80, "{control}");
    Ok(())
}

/// What is done when it is installed and removed, and which files are the administrator's.
fn scripts(package: &Path) -> Result<(), String> {
    let read = |name: &str| dpkg_deb_file(package, name);
    assert_eq!(read("conffiles")?, "/etc/paravane/daemon.toml\n");
    for name in ["postinst", "prerm", "postrm"] {
        let script = read(name)?;
        assert!(script.starts_with("#!/bin/sh\nset -e\n"), "{name}");
        assert!(!script.contains("#DEBHELPER#"), "{name}");
        assert!(script.contains("paravane.service"), "{name}: {script}");
        assert!(script.contains("paravane.socket"), "{name}: {script}");
    }
    Ok(())
}

fn dpkg_deb_file(package: &Path, name: &str) -> Result<String, String> {
    let output = Command::new("dpkg-deb")
        .arg("--info")
        .arg(package)
        .arg(name)
        .output();
    text(output, name)
}

fn dpkg_deb(options: &[&str], package: &Path) -> Result<String, String> {
    let output = Command::new("dpkg-deb").args(options).arg(package).output();
    text(output, options[0])
}

fn text(output: std::io::Result<std::process::Output>, what: &str) -> Result<String, String> {
    let output = output.map_err(|error| format!("dpkg-deb cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("dpkg-deb {what}: {said}"))
        }
    }
}
