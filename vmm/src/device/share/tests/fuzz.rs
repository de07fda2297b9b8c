//! Drivers that break rules, with requests as a sound one sends them among theirs.

use super::super::options::ShareOptions;
use super::random::step;
use super::*;
use crate::device::spec::DeviceOptions;
use crate::device::tests::fuzz::{Part, any_request, fuzz};
use proptest::prelude::*;

#[test]
fn drivers() {
    let tree = Tree::new();
    let text = format!("path={},tag=files", tree.shared().display());
    let options = ShareOptions::parse(&text).unwrap();
    let (major, minor) = VERSION;
    let init = InitIn {
        major,
        minor,
        max_readahead: 0,
        flags: 0,
    };
    let (header, body) = message(opcode::INIT, 0, init.as_bytes());
    let init = vec![
        Part::Bytes([header.as_bytes(), &body].concat()),
        Part::Room(4096),
    ];
    let random = step().prop_map(|step| {
        let (header, body) = message(step.code, step.inode, &step.body);
        let bytes = [header.as_bytes(), &body].concat();
        vec![Part::Bytes(bytes), Part::Room(step.room.min(8192) as u32)]
    });
    let request = prop_oneof![1 => Just(init), 4 => random, 1 => any_request()];
    fuzz(|| options.open().unwrap(), request.boxed());
}
