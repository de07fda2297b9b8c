//! The `core` calls when nothing is wrong with them.

use super::World;
use super::world::{BATCH, BATCH_COUNT, BUFFER, RAM_SIZE, good_arguments};
use crate::vm::FEATURES;
use pv_abi::Errno::{self, EINVAL, ENOSYS, EPERM};
use pv_abi::calls::{CALLS, number};
use pv_abi::stats::{BATCH_MAX, BATCH_STOP_ON_ERROR, BatchEntry, Stats};
use std::mem::{offset_of, size_of};

const ENTRY: u64 = size_of::<BatchEntry>() as u64;
const GO_ON: u64 = 0;
const STOP: u64 = BATCH_STOP_ON_ERROR as u64;

/// The parts of RAM that a call has changed, as addresses.
fn changed(before: &[u8], after: &[u8]) -> Vec<u64> {
    let bytes = (0..).zip(before.iter().zip(after));
    bytes
        .filter(|(_, (old, new))| old != new)
        .map(|(gpa, _)| gpa)
        .collect()
}

#[test]
fn the_version_is_1_3() {
    assert_eq!(World::new().call(number::core_version, &[]), Ok(0x1_0003));
}

#[test]
fn features_go_to_memory_as_one_word() {
    let mut world = World::new();
    world.put(BUFFER - 8, &[u64::MAX; 3]);
    assert_eq!(world.call(number::core_features, &[BUFFER]), Ok(0));
    assert_eq!(
        world.take::<[u64; 3]>(BUFFER - 8),
        [u64::MAX, FEATURES.0, u64::MAX]
    );
    // The last word of RAM is as good as any.
    assert_eq!(world.call(number::core_features, &[RAM_SIZE - 8]), Ok(0));
    assert_eq!(world.take::<u64>(RAM_SIZE - 8), FEATURES.0);
}

#[test]
fn entropy_fills_the_buffer_and_nothing_else() {
    let mut world = World::new();
    for (gpa, size) in [(BUFFER, 256), (BUFFER + 3, 16), (RAM_SIZE - 64, 64)] {
        let before = world.ram();
        assert_eq!(
            world.call(number::core_entropy, &[gpa, size]),
            Ok(size as u32)
        );
        let changed = changed(&before, &world.ram());
        assert!(changed.iter().all(|byte| (gpa..gpa + size).contains(byte)));
        // Of 16 random bytes, 8 are what they were before in one case of 2^50.
        assert!(changed.len() as u64 >= size / 2);
    }
    let before = world.ram();
    for gpa in [BUFFER, RAM_SIZE] {
        assert_eq!(world.call(number::core_entropy, &[gpa, 0]), Ok(0));
    }
    assert!(world.ram() == before);
}

#[test]
fn stats_count_what_was_done_before() {
    let mut world = World::new();
    world.call(number::core_noop, &[]).unwrap();
    world.call(number::core_features, &[1]).unwrap_err();
    world.dispatch(0xffff, &[0; 6]);
    world
        .call(number::core_batch, &[BATCH, BATCH_COUNT, GO_ON])
        .unwrap();
    assert_eq!(world.call(number::core_stats, &[BUFFER, 32]), Ok(32));
    let stats: Stats = world.take(BUFFER);
    // core_stats does not count itself: it is not done yet.
    assert_eq!((stats.exits, stats.hypercalls), (4, 4));
    assert_eq!(
        (stats.failed_hypercalls, stats.batched_calls),
        (2, BATCH_COUNT)
    );
}

#[test]
fn stats_of_a_newer_guest_are_written_as_far_as_they_are_known() {
    for size in [32, 33, 4096, u64::from(u32::MAX)] {
        let mut world = World::new();
        world.put(BUFFER, &[u64::MAX; 5]);
        assert_eq!(world.call(number::core_stats, &[BUFFER, size]), Ok(32));
        assert_eq!(world.take::<[u64; 5]>(BUFFER), [0, 0, 0, 0, u64::MAX]);
    }
}

#[test]
fn a_batch_is_carried_out_in_order() {
    let mut world = World::new();
    let print = |text: &[u8; 8]| [8, u64::from_le_bytes(*text), 0, 0, 0, 0];
    let (first, second, third) = (print(b"one two "), print(b"three fo"), print(b"ur five\n"));
    let calls: [(u16, &[u64]); 3] = [
        (number::debug_print, &first),
        (number::debug_print, &second),
        (number::debug_print, &third),
    ];
    world.put_batch(BATCH, &calls);
    assert_eq!(world.call(number::core_batch, &[BATCH, 3, GO_ON]), Ok(3));
    assert_eq!(world.batch_results(BATCH, 3), [Some(Ok(8)); 3]);
    assert_eq!(world.output(), b"one two three four five\n");
}

/// Elements that fail in each way in which an element can, between others.
const TROUBLE: [(u16, &[u64]); 6] = [
    (number::core_version, &[]),
    (0x1ff, &[]),
    (number::core_noop, &[]),
    (number::core_batch, &[BATCH, 1, 0]),
    (number::core_stats, &[BUFFER, 31]),
    (number::debug_echo, &[1, 0, 0, 0, 0, 0]),
];

#[test]
fn a_batch_goes_on_behind_an_element_that_fails() {
    let mut world = World::new();
    world.put_batch(BATCH, &TROUBLE);
    assert_eq!(world.call(number::core_batch, &[BATCH, 6, GO_ON]), Ok(6));
    let expected = [
        Ok(0x1_0003),
        Err(ENOSYS),
        Ok(0),
        Err(EPERM),
        Err(EINVAL),
        Ok(1),
    ];
    assert_eq!(world.batch_results(BATCH, 6), expected.map(Some));
    // The batch itself has not failed.
    assert_eq!((world.stats().hypercalls(), world.stats().failed), (1, 0));
    assert_eq!((world.stats().batched, world.stats().unknown), (6, 0));
}

#[test]
fn a_batch_stops_behind_an_element_that_fails_if_it_is_told_to() {
    let mut world = World::new();
    world.put_batch(BATCH, &TROUBLE);
    assert_eq!(world.call(number::core_batch, &[BATCH, 6, STOP]), Ok(2));
    let expected = [
        Some(Ok(0x1_0003)),
        Some(Err(ENOSYS)),
        None,
        None,
        None,
        None,
    ];
    assert_eq!(world.batch_results(BATCH, 6), expected);
    assert_eq!(world.stats().batched, 2);
}

#[test]
fn a_batch_without_a_failure_is_carried_out_to_its_end() {
    let mut world = World::new();
    assert_eq!(
        world.call(number::core_batch, &[BATCH, BATCH_COUNT, STOP]),
        Ok(3)
    );
    assert_eq!(world.batch_results(BATCH, BATCH_COUNT), [Some(Ok(0)); 3]);
}

#[test]
fn a_batch_has_up_to_512_elements() {
    let mut world = World::new();
    let count = u64::from(BATCH_MAX);
    // At the very end of RAM.
    let batch = RAM_SIZE - count * ENTRY;
    world.put_batch(
        batch,
        &[(number::debug_echo, [7, 0, 0, 0, 0, 0].as_slice()); 512],
    );
    assert_eq!(
        world.call(number::core_batch, &[batch, count, GO_ON]),
        Ok(BATCH_MAX)
    );
    assert_eq!(world.batch_results(batch, count), vec![Some(Ok(7)); 512]);
    assert_eq!(world.stats().batched, count);
}

#[test]
fn a_batch_writes_nothing_of_an_element_but_its_result() {
    let mut world = World::new();
    world.put_batch(BATCH, &TROUBLE);
    let before = world.ram();
    world.call(number::core_batch, &[BATCH, 6, GO_ON]).unwrap();
    let result = offset_of!(BatchEntry, result) as u64;
    for gpa in changed(&before, &world.ram()) {
        assert!(
            (gpa - BATCH) % ENTRY >= result && gpa < BATCH + 6 * ENTRY,
            "{gpa:#x}"
        );
    }
}

#[test]
fn an_element_can_prepare_a_later_one() {
    let mut world = World::new();
    let argument = BATCH + ENTRY + offset_of!(BatchEntry, arguments) as u64;
    let calls: [(u16, &[u64]); 2] = [
        (number::core_features, &[argument]),
        (number::debug_echo, &[0; 6]),
    ];
    world.put_batch(BATCH, &calls);
    assert_eq!(world.call(number::core_batch, &[BATCH, 2, GO_ON]), Ok(2));
    let features = Ok::<_, Errno>(FEATURES.0 as u32);
    assert_eq!(world.batch_results(BATCH, 2), [Some(Ok(0)), Some(features)]);
}

#[test]
fn a_call_does_the_same_in_a_batch_as_alone() {
    // Random bytes and the time are never the same, and counters count the batch.
    let differs = [
        number::core_entropy,
        number::core_stats,
        number::time_wallclock,
    ];
    for call in CALLS
        .iter()
        .filter(|call| call.batchable && !differs.contains(&call.number))
    {
        let (mut alone, mut batched) = (World::new(), World::new());
        for world in [&alone, &batched] {
            world.put_batch(BATCH, &[(call.number, &good_arguments(call))]);
        }
        let result = alone.call(call.number, &good_arguments(call));
        batched
            .call(number::core_batch, &[BATCH, 1, GO_ON])
            .unwrap();
        assert_eq!(
            batched.batch_results(BATCH, 1),
            [Some(result)],
            "{}",
            call.name
        );
        // But for the result field, there is no difference afterwards.
        alone.put(
            BATCH + offset_of!(BatchEntry, result) as u64,
            &i64::from(result.unwrap()),
        );
        let differences = alone.snapshot().differences(&batched.snapshot());
        assert!(differences.is_empty(), "{}: {differences:?}", call.name);
    }
}

#[test]
fn doing_nothing_changes_nothing() {
    let mut world = World::new();
    let before = world.snapshot();
    assert_eq!(world.call(number::core_noop, &[u64::MAX; 6]), Ok(0));
    assert!(world.snapshot() == before);
}
