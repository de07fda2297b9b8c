//! Sockets between a guest and programs of the host.

use super::Once;
use crate::program::{Running, guest_command, refused};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    (
        "a_socket_device_that_cannot_be_had_is_told_in_a_sentence",
        a_socket_device_that_cannot_be_had_is_told_in_a_sentence,
    ),
    (
        "a_socket_serves_one_vm_at_a_time",
        a_socket_serves_one_vm_at_a_time,
    ),
];

fn vsock(path: &Path) -> String {
    format!("cid=3,uds={}", path.display())
}

fn a_socket_device_that_cannot_be_had_is_told_in_a_sentence() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let refused = |text: &str| refused(&["--vsock", text]);
    for cid in ["0", "2", "4294967295", "x"] {
        refused(&format!("cid={cid},uds={}", path("sock").display()))
            .says(&format!("cid={cid} is not a number from 3 to 4294967294"));
    }
    refused("cid=3").says("the socket for host programs is missing: uds=PATH");
    refused("uds=sock").says("the guest's address is missing: cid=N");
    refused("cid=3,uds=sock,port=1").says("\"port=1\" is no setting here; there are cid=N");
    refused(&vsock(&path(&"x".repeat(100)))).says("at most 96 fit here");
    refused(&vsock(&path("none/sock"))).says("does not exist; make it");
    std::fs::write(path("file"), "kept").expect("there is room");
    refused(&vsock(&path("file"))).says("exists and is not a socket");
    assert_eq!(std::fs::read(path("file")).expect("it is there"), b"kept");
}

fn a_socket_serves_one_vm_at_a_time() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("sock");
    let vsock = vsock(&path);
    let start = || {
        let mut guest = Running::start(&mut guest_command("idle", &["--vsock", &vsock]));
        assert_eq!(guest.line(), "idle\n");
        guest
    };
    let first = start();
    refused(&["--vsock", &vsock]).says("is in use by another program");
    UnixStream::connect(&path).expect("the first one still listens");

    // One that was killed leaves its socket behind, and the next takes its place.
    first.kill();
    assert!(path.exists());
    let mut second = start();
    drop(second.stdin.take());
    assert_eq!(second.end().0, Some(0));
    assert!(!path.exists());
}
