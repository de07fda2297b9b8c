//! The device on its thread, with rings in RAM.

use super::super::options::ShareOptions;
use super::*;
use crate::device::spec::DeviceOptions;
use crate::device::tests::calls::Calls;

const REQUESTS: u16 = 1;

fn rig(tree: &Tree) -> Calls {
    let text = format!("path={},tag=files", tree.shared().display());
    Calls::new(ShareOptions::parse(&text).unwrap().open().unwrap())
}

fn call(rig: &mut Calls, code: u32, inode: u64, body: &[u8]) -> (i32, Vec<u8>) {
    let (header, body) = message(code, inode, body);
    let request = [header.as_bytes(), &body].concat();
    let answer = rig.call(REQUESTS, &request, 8192);
    let (out, rest) = OutHeader::read_from_prefix(&answer).unwrap();
    assert_eq!(out.len as usize, answer.len());
    (out.error, rest.to_vec())
}

fn begin(rig: &mut Calls) {
    let (major, minor) = VERSION;
    let init = InitIn {
        major,
        minor,
        max_readahead: 0,
        flags: 0,
    };
    assert_eq!(call(rig, opcode::INIT, 0, init.as_bytes()).0, 0);
}

#[test]
fn a_file_is_read_through_the_rings() {
    let tree = Tree::new();
    let mut rig = rig(&tree);
    begin(&mut rig);
    let (error, entry) = call(&mut rig, opcode::LOOKUP, ROOT, b"file\0");
    assert_eq!(error, 0);
    let inode = Entry::read_from_bytes(&entry).unwrap().inode;
    let (_, open) = call(&mut rig, opcode::OPEN, inode, &[0; 8]);
    let handle = OpenOut::read_from_bytes(&open).unwrap().handle;
    let read = ReadIn {
        handle,
        size: 4096,
        ..ReadIn::default()
    };
    let (_, bytes) = call(&mut rig, opcode::READ, inode, read.as_bytes());
    assert_eq!(bytes, b"hello, guest");
    // Not answered, and given back all the same.
    let (header, body) = message(opcode::FORGET, inode, &1u64.to_le_bytes());
    let forget = [header.as_bytes(), &body].concat();
    assert!(rig.call(0, &forget, 0).is_empty());
    let (error, _) = call(&mut rig, opcode::GETATTR, inode, &[0; 16]);
    assert_eq!(error, -Errno::STALE.raw_os_error());
}

#[test]
fn a_reset_forgets_everything() {
    let tree = Tree::new();
    let mut rig = rig(&tree);
    begin(&mut rig);
    rig.restart(0);
    let (error, _) = call(&mut rig, opcode::LOOKUP, ROOT, b"file\0");
    assert_eq!(error, -Errno::IO.raw_os_error());
    begin(&mut rig);
    assert_eq!(call(&mut rig, opcode::LOOKUP, ROOT, b"file\0").0, 0);
}

#[test]
fn a_request_without_a_header_breaks_the_device() {
    let tree = Tree::new();
    let mut rig = rig(&tree);
    rig.send(REQUESTS, &[0; 39], 64);
    rig.wait_for_needs_reset();
    rig.restart(0);
    begin(&mut rig);
}
