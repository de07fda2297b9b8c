//! Drivers that break the rules: the device stops, says so, and serves again after a reset.

use super::rig::{INDIRECT, NEXT, RAM_SIZE, Rig, WRITE};
use crate::device::entropy::EntropyOptions;
use crate::device::features;
use crate::device::spec::DeviceOptions;
use pv_abi::Gpa;
use pv_abi::device::DEVICE_FAILED;

const SIZE: u16 = 64;
const PLACE: u64 = 0x30_0000;

/// Whatever the driver writes: the device needs a reset, and nothing but its rings has changed.
#[track_caller]
fn breaks(break_it: impl FnOnce(&mut Rig)) {
    let options = EntropyOptions::parse("").unwrap();
    let mut rig = Rig::started(options.open().unwrap(), 0);
    rig.request(0, &[], &[4]);
    let elsewhere = |rig: &Rig| {
        let mut bytes = vec![0; (RAM_SIZE - PLACE) as usize];
        rig.ram.read(Gpa(PLACE), &mut bytes).unwrap();
        bytes
    };
    break_it(&mut rig);
    let before = elsewhere(&rig);
    rig.kick(0);
    rig.wait_for(|rig| rig.needs_reset());
    assert!(elsewhere(&rig) == before);
    // What it was in the middle of is over.
    rig.device()
        .set_status(rig.device().status() | DEVICE_FAILED)
        .unwrap();
    rig.reset();
    assert!(!rig.needs_reset());
    rig.start(features::TRANSPORT);
    assert_eq!(rig.request(0, &[], &[4]).written, 4);
}

/// A chain that begins with descriptor 10, the descriptors by their numbers.
#[track_caller]
fn chain_breaks(descriptors: &[(u16, u64, u32, u16, u16)]) {
    breaks(|rig| {
        let queue = &mut rig.queues[0];
        for &(index, gpa, size, flags, next) in descriptors {
            queue.describe(&rig.ram, index, gpa, size, flags, next);
        }
        queue.offer(&rig.ram, 10);
    });
}

#[test]
fn a_loop() {
    chain_breaks(&[(10, PLACE, 4, WRITE | NEXT, 10)]);
    chain_breaks(&[
        (10, PLACE, 4, WRITE | NEXT, 11),
        (11, PLACE, 4, WRITE | NEXT, 10),
    ]);
}

#[test]
fn a_descriptor_that_there_is_not() {
    chain_breaks(&[(10, PLACE, 4, WRITE | NEXT, SIZE)]);
    chain_breaks(&[(10, PLACE, 4, WRITE | NEXT, u16::MAX)]);
    breaks(|rig| rig.queues[0].offer(&rig.ram, SIZE));
    breaks(|rig| rig.queues[0].offer(&rig.ram, u16::MAX));
}

#[test]
fn a_buffer_outside_of_ram() {
    for gpa in [RAM_SIZE, RAM_SIZE - 3, 1 << 40, u64::MAX - 3] {
        chain_breaks(&[(10, gpa, 4, WRITE, 0)]);
        chain_breaks(&[(10, gpa, 4, NEXT, 11), (11, PLACE, 4, WRITE, 0)]);
    }
    chain_breaks(&[(10, PLACE, u32::MAX, WRITE, 0)]);
}

#[test]
fn a_chain_longer_than_32_bits() {
    chain_breaks(&[
        (10, 0, RAM_SIZE as u32, WRITE | NEXT, 11),
        (11, 0, u32::MAX, WRITE, 0),
    ]);
}

#[test]
fn a_readable_buffer_behind_a_writable_one() {
    chain_breaks(&[(10, PLACE, 4, WRITE | NEXT, 11), (11, PLACE, 4, 0, 0)]);
}

#[test]
fn an_indirect_table_that_makes_no_sense() {
    for (gpa, size) in [
        (PLACE, 0),
        (PLACE, 15),
        (PLACE, 17),
        (PLACE, u32::MAX),
        (PLACE, 16 << 16),
        (RAM_SIZE, 16),
        (RAM_SIZE - 8, 16),
        (u64::MAX - 15, 32),
    ] {
        chain_breaks(&[(10, gpa, size, INDIRECT, 0)]);
    }
    breaks(|rig| {
        let (queue, ram) = (&mut rig.queues[0], &rig.ram);
        // The descriptor itself, as the table: a table in a table.
        queue.describe(ram, 10, queue.rings + 160, 16, INDIRECT, 0);
        queue.offer(ram, 10);
    });
}

#[test]
fn an_indirect_table_with_more_buffers_than_a_request_can_have() {
    breaks(|rig| {
        let (queue, ram) = (&mut rig.queues[0], &rig.ram);
        let table = PLACE + 0x1_0000;
        for index in 0..1100u64 {
            let mut bytes = PLACE.to_le_bytes().to_vec();
            bytes.extend(1u32.to_le_bytes());
            bytes.extend((WRITE | NEXT).to_le_bytes());
            bytes.extend((index as u16 + 1).to_le_bytes());
            ram.write(Gpa(table + 16 * index), &bytes).unwrap();
        }
        queue.describe(ram, 10, table, 16 * 1100, INDIRECT, 0);
        queue.offer(ram, 10);
    });
}

#[test]
fn an_index_that_is_too_far_ahead() {
    for index in [1 + SIZE + 1, 0x8000] {
        breaks(|rig| {
            let at = Gpa(rig.queues[0].driver() + 2);
            rig.ram.write(at, &u16::to_le_bytes(index)).unwrap();
        });
    }
}

#[test]
fn a_sealed_buffer() {
    breaks(|rig| {
        let seal = rig.ram.seal(|| std::iter::once(PLACE..PLACE + 4096));
        seal.unwrap();
        rig.queues[0].describe(&rig.ram, 10, PLACE + 4095, 2, WRITE, 0);
        rig.queues[0].offer(&rig.ram, 10);
    });
}

#[test]
fn a_queue_that_is_missing() {
    let options = EntropyOptions::parse("").unwrap();
    let mut rig = Rig::new(options.open().unwrap());
    let queues = std::mem::take(&mut rig.queues);
    rig.start(features::TRANSPORT);
    rig.wait_for(|rig| rig.needs_reset());
    rig.reset();
    rig.queues = queues;
    rig.start(features::TRANSPORT);
    assert_eq!(rig.request(0, &[], &[4]).written, 4);
}
