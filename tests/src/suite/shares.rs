//! Folders of the host, as guests see them.

use super::Once;
use crate::program::{guest, refused};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    ("a_guest_reads_what_is_shared", a_guest_reads_what_is_shared),
    (
        "a_guest_reads_nothing_but_what_is_shared",
        a_guest_reads_nothing_but_what_is_shared,
    ),
    ("a_share_is_found_by_its_tag", a_share_is_found_by_its_tag),
    (
        "a_folder_that_cannot_be_shared_is_told_in_a_sentence",
        a_folder_that_cannot_be_shared_is_told_in_a_sentence,
    ),
];

fn share(path: &Path, tag: &str) -> String {
    format!("path={},tag={tag}", path.display())
}

fn a_guest_reads_what_is_shared() {
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("sub")).expect("a folder");
    // More than one request reads.
    let text: String = (0..30_000).map(|line| format!("line {line}\n")).collect();
    fs::write(folder.path().join("sub/text"), &text).expect("there is room");
    fs::write(folder.path().join("hello"), "hello").expect("there is room");
    let share = share(folder.path(), "files");
    let run = |what: &str| guest(what, &["--share", &share]);

    let listed = run("share=list").exits(0).stdout;
    let mut lines: Vec<_> = listed.lines().collect();
    lines.sort_unstable();
    assert!(
        matches!(lines[..], ["file 5 hello", folder]
            if folder.starts_with("folder ") && folder.ends_with(" sub")),
        "{listed}"
    );
    let listed = run("share=list,path=sub").exits(0).stdout;
    assert_eq!(listed, format!("file {} text\n", text.len()));
    assert_eq!(run("share=cat,path=/hello").exits(0).stdout, "hello");
    assert!(run("share=cat,path=sub/text").exits(0).stdout == text);
}

fn a_guest_reads_nothing_but_what_is_shared() {
    let folder = TempDir::new().expect("a temporary folder");
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).expect("a folder");
    fs::write(folder.path().join("secret"), "secret").expect("there is room");
    symlink("../secret", inside.join("file")).expect("a link");
    symlink("..", inside.join("up")).expect("a link");
    symlink(folder.path(), inside.join("whole")).expect("a link");
    let share = share(&inside, "files");
    let run = |what: &str| guest(what, &["--share", &share]);

    let listed = run("share=list").exits(0).stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.lines().all(|line| line.starts_with("link ")));
    for path in ["file", "up/secret", "whole/secret", "../secret"] {
        let ended = run(&format!("share=cat,path={path}")).exits(1);
        assert!(ended.stdout.starts_with("share failed: "), "{path}");
    }
    for path in ["up", "whole", ".."] {
        let ended = run(&format!("share=list,path={path}")).exits(1);
        assert!(ended.stdout.starts_with("share failed: "), "{path}");
    }
    run("share=cat,path=none")
        .exits(1)
        .prints("share failed: there is nothing of this name\n");
}

fn a_share_is_found_by_its_tag() {
    let (one, other) = (TempDir::new(), TempDir::new());
    let (one, other) = (one.expect("a folder"), other.expect("a folder"));
    fs::write(one.path().join("name"), "one").expect("there is room");
    fs::write(other.path().join("name"), "other").expect("there is room");
    let (first, second) = (share(one.path(), "first"), share(other.path(), "second"));
    let run = |what: &str| guest(what, &["--share", &first, "--share", &second]);
    let read = |tag: &str| run(&format!("share=cat,tag={tag},path=name"));
    assert_eq!(read("first").exits(0).stdout, "one");
    assert_eq!(read("second").exits(0).stdout, "other");
    read("third")
        .exits(1)
        .prints("share failed: there is no such device\n");
}

fn a_folder_that_cannot_be_shared_is_told_in_a_sentence() {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("there is room");
    let missing = share(&folder.path().join("none"), "files");
    refused(&["--share", &missing]).says("none does not exist");
    refused(&["--share", &share(&file, "files")]).says("is not a folder");
    refused(&["--share", "tag=files"]).says("the folder is missing: path=DIR");
    refused(&["--share", "path=/"]).says("is missing: tag=NAME");
    refused(&["--share", "path=/,tag=files,rw"]).says("\"rw\" is no setting here; there are path=");
}
