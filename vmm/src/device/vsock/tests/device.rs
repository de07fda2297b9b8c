//! The device on its thread, with rings in RAM.

use super::super::options::VsockOptions;
use super::*;
use crate::device::spec::DeviceOptions;
use crate::device::tests::calls::{Calls, Request};
use crate::device::vsock::FEATURE_STREAM;
use crate::device::vsock::packet::HEADER_SIZE;
use std::io::{Read, Write};
use std::os::unix::net;
use zerocopy::{FromBytes, IntoBytes};

const TO_GUEST: u16 = 0;
const FROM_GUEST: u16 = 1;

struct Driver {
    rig: Calls,
    folder: TempDir,
}

impl Driver {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("cid={CID},uds={}/vsock", folder.path().display());
        let device = VsockOptions::parse(&text).unwrap().open().unwrap();
        Self {
            rig: Calls::new(device),
            folder,
        }
    }

    fn send(&mut self, op: Op, host_port: u32, payload: &[u8]) -> Request {
        let header = Header {
            src_cid: u64::from(CID).into(),
            dst_cid: HOST_CID.into(),
            src_port: GUEST_PORT.into(),
            dst_port: host_port.into(),
            kind: TYPE_STREAM.into(),
            op: (op as u16).into(),
            len: (payload.len() as u32).into(),
            buf_alloc: (1 << 20).into(),
            ..Header::default()
        };
        let packet = [header.as_bytes(), payload].concat();
        self.rig.send(FROM_GUEST, &packet, 0)
    }

    fn wait(&mut self, request: Request) -> (Op, u32, Vec<u8>) {
        let packet = self.rig.wait(request);
        let (header, payload) = Header::read_from_prefix(&packet).unwrap();
        (
            header.op().unwrap(),
            header.src_port.get(),
            payload.to_vec(),
        )
    }
}

#[test]
fn packets_go_through_the_rings() {
    let mut driver = Driver::new();
    let listener = net::UnixListener::bind(driver.folder.path().join("vsock_52")).unwrap();
    let answer = driver.rig.send(TO_GUEST, &[], 4096);
    driver.send(Op::Request, HOST_PORT, &[]);
    assert_eq!(driver.wait(answer), (Op::Response, HOST_PORT, Vec::new()));
    let (mut host, _) = listener.accept().unwrap();
    driver.send(Op::ReadWrite, HOST_PORT, b"a log line\n");
    let mut line = [0; 11];
    host.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"a log line\n");
    let answer = driver.rig.send(TO_GUEST, &[], 4096);
    host.write_all(b"thanks").unwrap();
    assert_eq!(
        driver.wait(answer),
        (Op::ReadWrite, HOST_PORT, b"thanks".to_vec())
    );
}

#[test]
fn a_host_program_waits_for_the_guests_answer() {
    let mut driver = Driver::new();
    let request = driver.rig.send(TO_GUEST, &[], 4096);
    let mut host = net::UnixStream::connect(driver.folder.path().join("vsock")).unwrap();
    host.write_all(b"CONNECT 1000\n").unwrap();
    let (op, port, _) = driver.wait(request);
    assert_eq!(op, Op::Request);
    driver.send(Op::Response, port, &[]);
    let expected = format!("OK {port}\n");
    let mut line = vec![0; expected.len()];
    host.read_exact(&mut line).unwrap();
    assert_eq!(line, expected.as_bytes());
}

#[test]
fn refusals_wait_for_buffers_and_none_is_lost() {
    let mut driver = Driver::new();
    // More than may wait, so the device stops listening until the guest takes some.
    let count = 200;
    let mut sent = 0;
    let mut got = 0;
    let mut pending = Vec::new();
    let mut answers = Vec::new();
    while got < count {
        while sent < count && pending.len() < 8 {
            pending.push(driver.send(Op::CreditRequest, sent, &[]));
            sent += 1;
        }
        while answers.len() < 4 {
            answers.push(driver.rig.send(TO_GUEST, &[], 128));
        }
        pending.retain(|request| driver.rig.take(*request).is_none());
        let answer = driver.wait(answers.remove(0));
        assert_eq!(answer, (Op::Reset, got, Vec::new()));
        got += 1;
    }
}

#[test]
fn a_reset_of_the_device_ends_connections() {
    let mut driver = Driver::new();
    let listener = net::UnixListener::bind(driver.folder.path().join("vsock_52")).unwrap();
    driver.send(Op::Request, HOST_PORT, &[]);
    let (mut host, _) = listener.accept().unwrap();
    driver.rig.restart(FEATURE_STREAM);
    assert_eq!(host.read(&mut [0]).unwrap(), 0);
    let answer = driver.rig.send(TO_GUEST, &[], 4096);
    driver.send(Op::Request, HOST_PORT, &[]);
    assert_eq!(driver.wait(answer).0, Op::Response);
}

#[test]
fn broken_packets_break_the_device_and_a_reset_mends_it() {
    let mut driver = Driver::new();
    let header = [0xff; HEADER_SIZE];
    for packet in [&header[..20], &header[..]] {
        driver.rig.send(FROM_GUEST, packet, 0);
        driver.rig.wait_for_needs_reset();
        driver.rig.restart(FEATURE_STREAM);
    }
    // A buffer without room for a byte behind the header.
    driver.rig.send(TO_GUEST, &[], HEADER_SIZE);
    driver.send(Op::CreditRequest, HOST_PORT, &[]);
    driver.rig.wait_for_needs_reset();
}
