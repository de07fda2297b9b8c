//! Reading an image from a file.

use crate::image::test_elf::TestElf;
use crate::image::{Image, ImageError};
use std::path::Path;

fn refusal(path: &Path) -> String {
    let error = Image::read(path).expect_err("this was to be refused");
    error
        .to_string()
        .replace(&path.display().to_string(), "FILE")
}

#[test]
fn an_image_is_read_from_its_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("image");
    std::fs::write(&path, TestElf::new().build()).expect("a file");
    assert_eq!(
        Image::read(&path).expect("a valid image").name(),
        "test guest"
    );
    std::fs::write(&path, "").expect("a file");
    assert_eq!(
        refusal(&path),
        "the image is empty; it must be an ELF executable"
    );
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    assert_eq!(
        refusal(directory.path()),
        "the image FILE is a directory; it must be a regular file"
    );
    assert_eq!(
        refusal(Path::new("/dev/zero")),
        "the image FILE is a character device; it must be a regular file"
    );
    let missing = directory.path().join("missing");
    assert_eq!(
        refusal(&missing),
        "the image FILE does not exist; give the path of an ELF executable"
    );
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    assert_eq!(
        refusal(&socket),
        "the image FILE is a socket; it must be a regular file"
    );
    // Nobody writes to this FIFO: opening it would wait for ever.
    let fifo = directory.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo runs").success());
    assert_eq!(
        refusal(&fifo),
        "the image FILE is a FIFO; it must be a regular file"
    );
    let inside = directory.path().join("fifo/image");
    assert!(matches!(
        Image::read(inside),
        Err(ImageError::Unreadable { .. })
    ));
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("image");
    let file = std::fs::File::create(&path).expect("a file");
    // A hole: it takes no space on the disk.
    file.set_len((1 << 30) + 1).expect("a large file");
    assert_eq!(
        refusal(&path),
        "the image FILE has 1073741825 bytes; an image has at most 1 GiB"
    );
}
