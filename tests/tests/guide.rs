//! The guide: its files are as listed, and each of its commands prints what is shown behind it.

use paravane_tests::document::{blocks, commands};
use paravane_tests::{program, workspace};
use std::path::Path;
use std::process::{Command, Stdio};

const GUIDE: &str = "docs/guide.md";

/// Runs a command, which must succeed, and returns what it printed and what it said beside that.
fn run(command: &str, directory: &Path, search_path: &std::ffi::OsStr) -> (String, String) {
    let output = Command::new("bash")
        .args(["-e", "-c", command])
        .current_dir(directory)
        .env("PARAVANE", workspace::root())
        .env("PATH", search_path)
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{GUIDE}: {command}\n{}",
        text(&output.stderr)
    );
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn each_command_of_the_guide_prints_what_it_says() {
    let has_kvm = program::has_local_kvm("each_command_of_the_guide_prints_what_it_says");
    let guide = std::fs::read_to_string(workspace::root().join(GUIDE)).expect(GUIDE);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_link, search_path) = program::search_path();
    let mut ran = 0;
    for block in blocks(&guide) {
        if !block.name.is_empty() {
            assert!(
                guide.contains(&format!("`{}`:\n\n```{} ", block.name, block.language)),
                "{GUIDE}: the name of {} is not above it",
                block.name
            );
            std::fs::write(directory.path().join(block.name), &block.text).expect(block.name);
        }
        if block.language != "console" {
            continue;
        }
        for (command, expected) in commands(&block.text) {
            if command.contains("paravane ") && !has_kvm {
                continue;
            }
            let (printed, said) = run(command, directory.path(), &search_path);
            assert_eq!(printed, expected, "{GUIDE}: {command}\n{said}");
            ran += 1;
        }
    }
    assert!(ran >= 8, "only {ran} commands");
}
