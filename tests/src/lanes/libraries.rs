//! The shared libraries that a program needs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The absolute paths of the shared libraries and the dynamic loader that `program` needs. There
/// are none if it is statically linked or no ELF file.
pub(super) fn needed_by(program: &Path, ldd: &Path) -> Result<Vec<PathBuf>, String> {
    if !is_elf(program)? {
        return Ok(Vec::new());
    }
    let output = Command::new(ldd)
        .arg(program)
        .output()
        .map_err(|error| format!("cannot run {}: {error}", ldd.display()))?;
    // ldd fails for a statically linked program, and says so in words: there is nothing to list.
    let listing = String::from_utf8_lossy(&output.stdout);
    listed(&listing).map_err(|missing| {
        format!(
            "{} needs {missing}, which is not on this machine",
            program.display()
        )
    })
}

/// Whether `file` begins as an ELF file does.
pub(super) fn is_elf(file: &Path) -> Result<bool, String> {
    let mut magic = Vec::new();
    File::open(file)
        .and_then(|file| file.take(4).read_to_end(&mut magic))
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(magic == b"\x7fELF")
}

/// The paths in what `ldd` printed; an error is the name of a library that it did not find.
fn listed(listing: &str) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in listing.lines() {
        let (name, path) = match line.split_once(" => ") {
            Some((name, path)) => (name.trim(), path),
            None => (line.trim(), line),
        };
        if path.trim() == "not found" {
            return Err(name.to_owned());
        }
        // The address follows the path. The vDSO has a name, but no path.
        let path = path.trim().rsplit_once(" (").map_or("", |(path, _)| path);
        if path.starts_with('/') {
            paths.push(PathBuf::from(path));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_listed() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd4d5f2000)\n\
                       \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2f4a400000)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f2f4a6ff000)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(listed(listing), Ok(expected.map(PathBuf::from).to_vec()));
    }

    #[test]
    fn a_static_program_needs_none() {
        assert_eq!(listed("\tstatically linked\n"), Ok(vec![]));
    }

    #[test]
    fn a_missing_library_is_named() {
        assert_eq!(
            listed("\tlibodd.so.2 => not found\n"),
            Err("libodd.so.2".to_owned())
        );
    }
}
