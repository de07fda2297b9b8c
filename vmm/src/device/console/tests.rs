//! The device on its thread, with rings in RAM.

use super::control::{DEVICE_ADD, DEVICE_READY, PORT_NAME, PORT_OPEN, PORT_READY};
use super::options::{ConsoleOptions, PortOptions};
use super::*;
use crate::device::spec::DeviceOptions;
use crate::device::tests::calls::Calls;
use crate::device::tests::fuzz::{Part, any_request, fuzz};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Queues of the first two ports.
const TO_GUEST: [u16; 2] = [0, 4];
const FROM_GUEST: [u16; 2] = [1, 5];

fn open(folder: &Path) -> Box<dyn Backend> {
    let port = |text: String| PortOptions::parse(&text).unwrap();
    let ports = vec![
        port(format!("socket={}/shell,name=shell", folder.display())),
        port(format!("file={}/log", folder.display())),
    ];
    ConsoleOptions::new(ports).unwrap().open().unwrap()
}

/// A driver that has taken both ports.
struct Driver {
    rig: Calls,
    folder: TempDir,
}

impl Driver {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rig = Calls::new(open(folder.path()));
        let mut driver = Self { rig, folder };
        driver.begin();
        driver
    }

    fn begin(&mut self) {
        let adds = [0, 1].map(|_| self.rig.send(2, &[], 80));
        self.tell(0, DEVICE_READY, 1);
        let adds = adds.map(|request| self.rig.wait(request));
        assert_eq!(adds, [message(0, DEVICE_ADD, 0), message(1, DEVICE_ADD, 0)]);
        let name = self.rig.send(2, &[], 80);
        self.tell(0, PORT_READY, 1);
        let expected = [message(0, PORT_NAME, 1), b"shell".to_vec()].concat();
        assert_eq!(self.rig.wait(name), expected);
        let name = [0, 1].map(|_| self.rig.send(2, &[], 80));
        self.tell(1, PORT_READY, 1);
        let [name, open] = name.map(|request| self.rig.wait(request));
        assert_eq!(name, [message(1, PORT_NAME, 1), b"port1".to_vec()].concat());
        // A file is open from the beginning.
        assert_eq!(open, message(1, PORT_OPEN, 1));
    }

    fn tell(&mut self, port: u32, event: u16, value: u16) {
        assert!(self.rig.call(3, &message(port, event, value), 0).is_empty());
    }

    /// A client of the first port, once the guest has heard of it.
    fn connect(&mut self) -> UnixStream {
        let open = self.rig.send(2, &[], 80);
        let client = UnixStream::connect(self.folder.path().join("shell")).unwrap();
        assert_eq!(self.rig.wait(open), message(0, PORT_OPEN, 1));
        client
    }
}

fn message(port: u32, event: u16, value: u16) -> Vec<u8> {
    let words = [event.to_le_bytes(), value.to_le_bytes()].concat();
    [port.to_le_bytes().to_vec(), words].concat()
}

#[test]
fn a_client_and_the_guest_talk() {
    let mut driver = Driver::new();
    let mut client = driver.connect();
    driver.tell(0, PORT_OPEN, 1);
    client.write_all(b"ls\n").unwrap();
    assert_eq!(driver.rig.call(TO_GUEST[0], &[], 64), b"ls\n");
    driver.rig.call(FROM_GUEST[0], b"etc usr\n", 0);
    let mut answer = [0; 8];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"etc usr\n");
    let closed = driver.rig.send(2, &[], 80);
    drop(client);
    assert_eq!(driver.rig.wait(closed), message(0, PORT_OPEN, 0));
    // The next one is served as the first was.
    driver.connect();
}

#[test]
fn input_waits_until_the_guest_has_opened_the_port() {
    let mut driver = Driver::new();
    let mut client = driver.connect();
    client.write_all(b"early").unwrap();
    let input = driver.rig.send(TO_GUEST[0], &[], 64);
    // The output of the same port shows that it is not just slow.
    driver.rig.call(FROM_GUEST[0], b"x", 0);
    assert_eq!(driver.rig.take(input), None);
    driver.tell(0, PORT_OPEN, 1);
    assert_eq!(driver.rig.wait(input), b"early");
}

#[test]
fn output_that_nobody_reads_is_dropped_and_counted() {
    let mut driver = Driver::new();
    driver.rig.call(FROM_GUEST[0], b"hello?", 0);
    assert_eq!(driver.rig.counter(socket_port::DROPPED), 6);
    let mut client = driver.connect();
    driver.rig.call(FROM_GUEST[0], b"hello!", 0);
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello!");
}

#[test]
fn output_waits_for_a_slow_client_and_ends_with_it() {
    let mut driver = Driver::new();
    let mut client = driver.connect();
    let bytes: Vec<u8> = (0..2 << 20).map(|at| (at % 251) as u8).collect();
    let request = driver.rig.send(FROM_GUEST[0], &bytes, 0);
    let mut got = vec![0; 1 << 20];
    client.read_exact(&mut got).unwrap();
    assert!(
        got == bytes[..1 << 20],
        "the bytes are not those that were sent"
    );
    // The socket cannot hold the other MiB.
    assert_eq!(driver.rig.take(request), None);
    drop(client);
    driver.rig.wait(request);
    assert!(driver.rig.counter(socket_port::DROPPED) > 1 << 19);
}

#[test]
fn a_file_gets_what_the_guest_writes() {
    let mut driver = Driver::new();
    driver.rig.call(FROM_GUEST[1], b"one\n", 0);
    driver.rig.call(FROM_GUEST[1], b"two\n", 0);
    let log = driver.folder.path().join("log");
    assert_eq!(std::fs::read(log).unwrap(), b"one\ntwo\n");
}

#[test]
fn after_a_reset_it_begins_again() {
    let mut driver = Driver::new();
    let mut client = driver.connect();
    driver.rig.restart(FEATURE_MULTIPORT);
    // The device has let go of the client.
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    driver.begin();
    driver.connect();
}

#[test]
fn without_multiport_there_is_the_first_port() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Calls::with_features(open(folder.path()), 0);
    let mut client = UnixStream::connect(folder.path().join("shell")).unwrap();
    client.write_all(b"hello").unwrap();
    assert_eq!(rig.call(TO_GUEST[0], &[], 64), b"hello");
}

#[test]
fn what_is_no_message_breaks_the_device() {
    let mut driver = Driver::new();
    driver.rig.send(3, b"short", 0);
    driver.rig.wait_for_needs_reset();
    driver.rig.restart(FEATURE_MULTIPORT);
    driver.begin();
}

#[test]
fn drivers_that_break_rules() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    let make = || {
        let number = count.fetch_add(1, Ordering::Relaxed).to_string();
        let own = folder.path().join(number);
        std::fs::create_dir(&own).unwrap();
        open(&own)
    };
    let message = (0..3u32, 0..9u16, 0..3u16)
        .prop_map(|(port, event, value)| vec![Part::Bytes(message(port, event, value))]);
    let output =
        proptest::collection::vec(any::<u8>(), 1..200).prop_map(|bytes| vec![Part::Bytes(bytes)]);
    let room = (0..100u32).prop_map(|size| vec![Part::Room(size)]);
    let request = prop_oneof![3 => message, 2 => output, 2 => room, 1 => any_request()];
    fuzz(make, request.boxed());
}
