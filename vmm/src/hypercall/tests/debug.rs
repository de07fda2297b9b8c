//! The `debug` calls when nothing is wrong with them.

use super::World;
use super::world::{FRAME, MESSAGE, MESSAGE_GPA, RAM_SIZE, REPORT};
use crate::hypercall::GuestReport;
use crate::sync::lock;
use pv_abi::Errno::{E2BIG, EFAULT, EINVAL};
use pv_abi::calls::number;
use pv_abi::crash::{CRASH_MESSAGE_MAX, CRASH_PANIC, CRASH_TRAP, CrashReport};
use pv_abi::trap::TrapFrame;
use std::io::{Read, Seek};
use std::sync::Arc;

fn report(world: &World) -> GuestReport {
    lock(&world.services.crash_report).clone().unwrap()
}

/// A panic whose message is `size` bytes at `gpa`.
fn panic_with(gpa: u64, size: usize) -> CrashReport {
    CrashReport {
        kind: CRASH_PANIC,
        message_size: size as u32,
        message_gpa: gpa,
        ..Default::default()
    }
}

#[test]
fn print_takes_its_bytes_from_registers_the_lowest_first() {
    let text = b"The quick brown fox jumps over the lazy.";
    let words: Vec<_> = text
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
        .collect();
    for size in 0..=text.len() {
        let mut world = World::new();
        let arguments = [&[size as u64], words.as_slice()].concat();
        assert_eq!(world.call(number::debug_print, &arguments), Ok(size as u32));
        assert_eq!(world.output(), text[..size]);
    }
}

#[test]
fn a_crash_report_is_kept_with_its_message_and_registers() {
    let mut world = World::new();
    assert_eq!(world.call(number::debug_crash_report, &[REPORT]), Ok(0));
    let kept = report(&world);
    assert_eq!(kept.message.as_bytes(), MESSAGE);
    assert_eq!((kept.report.kind, kept.report.frame_valid), (CRASH_TRAP, 1));
    assert_eq!(kept.report.frame.rip, world.take::<TrapFrame>(FRAME).rip);
    assert!(
        world.action.is_none(),
        "the guest goes on until sched_crash"
    );
}

#[test]
fn the_last_good_report_is_the_one_that_is_kept() {
    let mut world = World::new();
    world.call(number::debug_crash_report, &[REPORT]).unwrap();
    world.put(REPORT, &panic_with(MESSAGE_GPA, 3));
    world.call(number::debug_crash_report, &[REPORT]).unwrap();
    assert_eq!(report(&world).message, "out");
    for (bad, errno) in [
        (panic_with(RAM_SIZE - 1, 2), EFAULT),
        (panic_with(MESSAGE_GPA, 1025), E2BIG),
        (CrashReport::default(), EINVAL),
    ] {
        world.put(REPORT, &bad);
        assert_eq!(
            world.call(number::debug_crash_report, &[REPORT]),
            Err(errno)
        );
        assert_eq!(report(&world).message, "out");
    }
}

#[test]
fn a_message_can_be_empty_or_long_or_no_text_at_all() {
    let mut world = World::new();
    world.put(REPORT, &panic_with(u64::MAX, 0));
    assert_eq!(world.call(number::debug_crash_report, &[REPORT]), Ok(0));
    assert_eq!(report(&world).message, "");

    let longest = CRASH_MESSAGE_MAX as usize;
    let end_of_ram = RAM_SIZE - u64::from(CRASH_MESSAGE_MAX);
    world.put(end_of_ram, vec![b'x'; longest].as_slice());
    world.put(REPORT, &panic_with(end_of_ram, longest));
    assert_eq!(world.call(number::debug_crash_report, &[REPORT]), Ok(0));
    assert_eq!(report(&world).message, "x".repeat(longest));

    world.put(MESSAGE_GPA, b"\xffok\xc3");
    world.put(REPORT, &panic_with(MESSAGE_GPA, 4));
    assert_eq!(world.call(number::debug_crash_report, &[REPORT]), Ok(0));
    assert_eq!(report(&world).message, "\u{fffd}ok\u{fffd}");
}

#[test]
fn echo_weighs_each_argument_and_keeps_31_bits() {
    let mut world = World::new();
    let mut echo = |arguments| world.call(number::debug_echo, arguments);
    assert_eq!(echo(&[1, 10, 100, 1000, 10_000, 100_000]), Ok(654_321));
    assert_eq!(echo(&[0x7fff_ffff, 0, 0, 0, 0, 0]), Ok(0x7fff_ffff));
    assert_eq!(echo(&[0x8000_0000, 0, 0, 0, 0, 0]), Ok(0));
    // -(1 + 2 + 3 + 4 + 5 + 6), modulo 2^31.
    assert_eq!(echo(&[u64::MAX; 6]), Ok(0x8000_0000 - 21));
}

#[test]
fn a_flood_of_marks_succeeds_and_is_logged_in_part() {
    let log = Arc::new(tempfile::tempfile().unwrap());
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Arc::clone(&log))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut world = World::new();
        for mark in 0..2000 {
            assert_eq!(
                world.call(number::debug_trace_mark, &[mark, u64::MAX]),
                Ok(0)
            );
        }
    });
    let mut text = String::new();
    log.as_ref().rewind().unwrap();
    log.as_ref().read_to_string(&mut text).unwrap();
    assert!(text.contains("guest mark"), "{text}");
    // A hundred in a second, and the test may run across the border of one.
    assert!(
        text.lines().count() <= 200,
        "{} lines",
        text.lines().count()
    );
}
