//! Drivers that break rules, with packets as a sound one sends them among theirs.

use super::super::options::VsockOptions;
use super::super::packet::{HEADER_SIZE, SHUTDOWN_BOTH};
use super::*;
use crate::device::spec::DeviceOptions;
use crate::device::tests::fuzz::{Part, any_request, fuzz};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use zerocopy::IntoBytes;

fn packet() -> impl Strategy<Value = Vec<Part>> {
    let host = prop_oneof![Just(HOST_PORT), any::<u32>()];
    let address = (1..9u16, host, 1000..1003u32, 0..=SHUTDOWN_BOTH);
    let credit = prop_oneof![Just(1u32 << 16), any::<u32>()];
    (address, credit, 0..3000usize, 0..20u32).prop_map(|(address, credit, size, extra)| {
        let (op, host, guest, flags) = address;
        let header = Header {
            src_cid: u64::from(CID).into(),
            dst_cid: HOST_CID.into(),
            src_port: guest.into(),
            dst_port: host.into(),
            len: (size as u32 + extra / 19).into(),
            kind: TYPE_STREAM.into(),
            op: op.into(),
            flags: flags.into(),
            buf_alloc: credit.into(),
            ..Header::default()
        };
        vec![
            Part::Bytes(header.as_bytes().to_vec()),
            Part::Bytes(pattern(size)),
        ]
    })
}

#[test]
fn drivers() {
    let folder = tempfile::tempdir().unwrap();
    let count = AtomicU32::new(0);
    let make = || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let path = folder.path().join(number.to_string());
        let text = format!("cid={CID},uds={}", path.display());
        VsockOptions::parse(&text).unwrap().open().unwrap()
    };
    let room = (0..4000u32).prop_map(|size| vec![Part::Room(HEADER_SIZE as u32 + size)]);
    let request = prop_oneof![4 => packet(), 2 => room, 1 => any_request()];
    fuzz(make, request.boxed());
}
