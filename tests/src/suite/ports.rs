//! Named ports of a guest's console device, as programs of the host use them.

use super::Once;
use crate::program::{Running, guest_command, refused};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    (
        "ports_lead_to_programs_of_the_host",
        ports_lead_to_programs_of_the_host,
    ),
    ("a_port_appends_to_a_file", a_port_appends_to_a_file),
    (
        "a_port_that_cannot_be_had_is_told_in_a_sentence",
        a_port_that_cannot_be_had_is_told_in_a_sentence,
    ),
];

fn socket(path: &Path, name: &str) -> String {
    format!("socket={},name={name}", path.display())
}

fn file(path: &Path, name: &str) -> String {
    format!("file={},name={name}", path.display())
}

/// A client of a port that echoes, which has been greeted.
pub(super) fn connect(path: &Path, name: &str) -> UnixStream {
    let mut client = UnixStream::connect(path).expect("the VMM listens");
    expect(&mut client, format!("this is {name}\n").as_bytes());
    client
}

pub(super) fn expect(client: &mut UnixStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    client.read_exact(&mut read).expect("so much is sent");
    assert!(read == bytes, "{:?}", String::from_utf8_lossy(&read));
}

fn ports_lead_to_programs_of_the_host() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let (one, other) = (socket(&path("1"), "shell"), socket(&path("2"), "log"));
    let options = ["--console", &one, "--console", &other];
    let mut guest = Running::start(&mut guest_command("ports=shell,log", &options));
    assert_eq!(guest.line(), "ports shell log\n");
    let mut shell = connect(&path("1"), "shell");
    let mut log = connect(&path("2"), "log");
    log.write_all(b"to the log").expect("it is read");
    shell.write_all(b"to the shell").expect("it is read");
    expect(&mut shell, b"to the shell");
    expect(&mut log, b"to the log");

    // More than there is room for on the way.
    let bytes: Vec<u8> = (0..100_000_u32).map(|byte| byte as u8).collect();
    let mut writer = shell.try_clone().expect("a second file descriptor");
    let sent = bytes.clone();
    let sender = thread::spawn(move || writer.write_all(&sent));
    expect(&mut shell, &bytes);
    sender.join().expect("it ends").expect("it is read");

    // Who comes later is served as well.
    drop(shell);
    let mut shell = connect(&path("1"), "shell");
    shell.write_all(b"again").expect("it is read");
    expect(&mut shell, b"again");
    drop(guest.stdin.take());
    assert_eq!(guest.end().0, Some(0));
    assert!(!path("1").exists() && !path("2").exists());
}

/// How long something may take that happens at once.
const PATIENCE: Duration = Duration::from_secs(30);

fn a_port_appends_to_a_file() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("log");
    let port = file(&path, "log");
    for count in 1..=2 {
        let options = ["--console", &port];
        let mut guest = Running::start(&mut guest_command("ports=log", &options));
        assert_eq!(guest.line(), "ports log\n");
        let expected = "this is log\n".repeat(count);
        let begun = Instant::now();
        while fs::read_to_string(&path).expect("it is there") != expected {
            assert!(begun.elapsed() < PATIENCE, "nothing is written");
            thread::sleep(Duration::from_millis(1));
        }
        drop(guest.stdin.take());
        assert_eq!(guest.end().0, Some(0));
        assert_eq!(fs::read_to_string(&path).expect("it is there"), expected);
    }
}

fn a_port_that_cannot_be_had_is_told_in_a_sentence() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let refused = |text: &str| refused(&["--console", text]);
    refused("name=x").says("a port has either socket=PATH or file=PATH");
    refused("file=x,tty").says("\"tty\" is no setting here; there are socket=PATH");
    refused(&file(folder.path(), "x")).says("is not a regular file");
    refused(&file(&path("none/log"), "x")).says("cannot write to the file");
    refused(&socket(&path(&"x".repeat(110)), "x")).says("at most 107 fit here");

    let (one, other) = (file(&path("1"), "log"), file(&path("2"), "log"));
    crate::program::refused(&["--console", &one, "--console", &other])
        .says("two console ports have the name log");

    let port = socket(&path("port"), "shell");
    let mut guest = Running::start(&mut guest_command("idle", &["--console", &port]));
    assert_eq!(guest.line(), "idle\n");
    refused(&port).says("is in use by another program");
    drop(guest.stdin.take());
    assert_eq!(guest.end().0, Some(0));
}
