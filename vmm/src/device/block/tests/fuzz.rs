//! Drivers that give a disk anything.

use super::*;
use crate::device::block::BlockOptions;
use crate::device::block::request::{Header, Segment};
use crate::device::spec::DeviceOptions;
use crate::device::tests::fuzz::{Part, any_request, fuzz_and_serve};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use zerocopy::IntoBytes;

const SECTORS: u64 = SIZE as u64 / SECTOR;

/// Every type of request, and some that there are not.
fn kind() -> impl Strategy<Value = u32> {
    let known = vec![
        IN,
        OUT,
        FLUSH,
        spec::VIRTIO_BLK_T_GET_ID,
        spec::VIRTIO_BLK_T_DISCARD,
        spec::VIRTIO_BLK_T_WRITE_ZEROES,
        spec::VIRTIO_BLK_T_SECURE_ERASE,
    ];
    prop_oneof![8 => select(known), 1 => any::<u32>()]
}

/// Sectors on the disk, about its end, and anywhere.
fn sector() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..SECTORS,
        2 => SECTORS - 4..SECTORS + 4,
        1 => select(vec![1 << 55, u64::MAX >> 9, u64::MAX]),
        1 => any::<u64>(),
    ]
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    let reserved = prop_oneof![3 => Just(0), 1 => any::<u32>()];
    (kind(), reserved, sector()).prop_map(|(kind, reserved, sector)| {
        let header = Header {
            kind: kind.into(),
            reserved: reserved.into(),
            sector: sector.into(),
        };
        header.as_bytes().to_vec()
    })
}

/// Ranges to discard or to fill with zeros.
fn segments() -> impl Strategy<Value = Vec<u8>> {
    let sectors = prop_oneof![6 => 0_u32..300, 1 => any::<u32>()];
    let flags = prop_oneof![3 => Just(0), 2 => Just(1), 1 => any::<u32>()];
    let segment = (sector(), sectors, flags).prop_map(|(sector, sectors, flags)| Segment {
        sector: sector.into(),
        sectors: sectors.into(),
        flags: flags.into(),
    });
    vec(segment, 0..6).prop_map(|segments| segments.as_bytes().to_vec())
}

/// Data in whole sectors, and nearly.
fn size() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => (0_u32..20).prop_map(|sectors| sectors * 512),
        1 => 0_u32..10_000,
    ]
}

/// A header, data in several pieces, and room for a status: any of them may be cut short.
fn request() -> BoxedStrategy<Vec<Part>> {
    let readable = prop_oneof![
        segments(),
        size().prop_map(|size| vec![0x5a; size as usize]),
        vec(any::<u8>(), 0..40),
    ];
    let readable = vec(readable.prop_map(Part::Bytes), 0..3);
    let writable = vec(size().prop_map(Part::Room), 0..3);
    let headers = prop_oneof![
        8 => header().prop_map(|header| vec![Part::Bytes(header)]),
        // It need not be in one piece.
        1 => (header(), 0_usize..16).prop_map(|(header, at)| {
            let (first, second) = header.split_at(at);
            vec![Part::Bytes(first.to_vec()), Part::Bytes(second.to_vec())]
        }),
        1 => vec(any::<u8>(), 0..16).prop_map(|bytes| vec![Part::Bytes(bytes)]),
    ];
    let status = prop_oneof![8 => Just(1_u32), 1 => 0_u32..4].prop_map(Part::Room);
    let whole = (headers, readable, writable, status).prop_map(
        |(mut parts, readable, writable, status)| {
            parts.extend(readable);
            parts.extend(writable);
            parts.push(status);
            parts
        },
    );
    prop_oneof![6 => whole, 1 => any_request()].boxed()
}

/// Whatever it is given, the device serves the next driver, and the image keeps its size.
fn drivers_of(more: &str) {
    let file = NamedTempFile::new().unwrap();
    file.as_file().set_len(SIZE as u64).unwrap();
    let options = BlockOptions::parse(&format!("path={}{more}", file.path().display()));
    let options = options.unwrap();
    let header = Header {
        kind: IN.into(),
        ..Header::default()
    };
    fuzz_and_serve(
        || DeviceOptions::open(&options).unwrap(),
        request(),
        |rig| {
            let used = rig.request(0, &[header.as_bytes()], &[512, 1]);
            assert_eq!((used.written, used.bytes.last()), (513, Some(&OK)));
            assert_eq!(file.as_file().metadata().unwrap().len(), SIZE as u64);
        },
    );
}

#[test]
fn drivers_of_a_disk() {
    drivers_of(",queues=2");
}

#[test]
fn drivers_of_a_disk_past_the_page_cache() {
    drivers_of(",direct");
}

#[test]
fn drivers_of_a_disk_to_read() {
    drivers_of(",ro,format=raw");
}
