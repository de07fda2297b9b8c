//! The guide: its files are as listed, and each of its commands prints what is shown behind it.

use paravane_tests::{program, workspace};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GUIDE: &str = "docs/guide.md";

/// A fenced block: the language, the rest of its first line, and what is in it.
struct Block<'a> {
    language: &'a str,
    name: &'a str,
    text: String,
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let (language, name) = info.split_once(' ').unwrap_or((info, ""));
        let mut text = String::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            text.push_str(line);
            text.push('\n');
        }
        blocks.push(Block {
            language,
            name,
            text,
        });
    }
    blocks
}

/// The commands of a block, each with what is shown behind it.
fn commands(text: &str) -> Vec<(&str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, String::new())),
            (None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => panic!("{GUIDE}: a block of commands begins with {line:?}"),
        }
    }
    commands
}

/// A directory in which the name `paravane` means the program under test.
fn search_path() -> (tempfile::TempDir, std::ffi::OsString) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(program::path(), directory.path().join("paravane"))
        .expect("a link to the program");
    let old = std::env::var_os("PATH").unwrap_or_default();
    let mut paths: Vec<PathBuf> = vec![directory.path().into()];
    paths.extend(std::env::split_paths(&old));
    let path = std::env::join_paths(paths).expect("a search path");
    (directory, path)
}

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
    let (_link, search_path) = search_path();
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
