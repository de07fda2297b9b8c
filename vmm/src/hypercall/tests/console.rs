//! The `io` calls when nothing is wrong with them.

use super::World;
use super::world::{BATCH, BUFFER, MESSAGE, MESSAGE_GPA, OUTPUT_LIMIT, RAM_SIZE, TYPED};
use crate::console::output::Output;
use crate::hypercall::Action;
use pv_abi::Errno::{EAGAIN, EPIPE};
use pv_abi::calls::number;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

const NOT_AT_ALL: u64 = 0;
const FOR_EVER: u64 = u64::MAX;

/// A console that is a pipe, and its other end.
fn piped() -> (World, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let file = File::from(OwnedFd::from(writer));
    (World::with_output(Output::File(file)), reader)
}

/// Bytes that differ from their neighbours.
fn text(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

#[test]
fn what_is_written_appears() {
    let mut world = World::new();
    let size = MESSAGE.len() as u64;
    let written = world.call(number::io_console_write, &[MESSAGE_GPA, size]);
    assert_eq!(written, Ok(size as u32));
    assert_eq!(world.output(), MESSAGE);
    assert_eq!(world.services.console.written(), size);
}

#[test]
fn a_long_write_is_cut_and_the_rest_can_follow() {
    let mut world = World::new();
    world.put(BUFFER, text(10_000).as_slice());
    let mut parts = Vec::new();
    let mut done = 0;
    while done < 10_000 {
        let part = world
            .call(number::io_console_write, &[BUFFER + done, 10_000 - done])
            .unwrap();
        done += u64::from(part);
        parts.push(part);
    }
    assert_eq!(parts, [4096, 4096, 10_000 - 2 * 4096]);
    assert_eq!(world.output(), text(10_000));
}

#[test]
fn any_part_of_ram_can_be_written() {
    let mut world = World::new();
    let last = RAM_SIZE - 1;
    world.put(last, b"!");
    assert_eq!(world.call(number::io_console_write, &[last, 1]), Ok(1));
    assert_eq!(world.output(), b"!");
    assert_eq!(world.call(number::io_console_write, &[RAM_SIZE, 0]), Ok(0));
    assert_eq!(
        world.call(number::io_console_write, &[0, RAM_SIZE]),
        Ok(4096)
    );
}

#[test]
fn writing_nothing_works_though_nobody_reads() {
    let (mut world, reader) = piped();
    drop(reader);
    assert_eq!(world.call(number::io_console_write, &[BUFFER, 0]), Ok(0));
    assert_eq!(world.call(number::debug_print, &[0; 6]), Ok(0));
    assert_eq!(
        world.call(number::io_console_write, &[BUFFER, 1]),
        Err(EPIPE)
    );
}

#[test]
fn a_flood_takes_no_memory_of_the_host() {
    let mut world = World::new();
    let everything: (u16, &[u64]) = (number::io_console_write, &[0, RAM_SIZE]);
    world.put_batch(BATCH, &[everything; 512]);
    for _ in 0..4 {
        assert_eq!(world.call(number::core_batch, &[BATCH, 512, 0]), Ok(512));
    }
    // One batch does bounded work, however large its elements are.
    assert_eq!(world.services.console.written(), 4 * 512 * 4096);
    assert_eq!(world.output().len(), OUTPUT_LIMIT);
}

#[test]
fn a_write_waits_for_a_slow_reader() {
    let (mut world, mut reader) = piped();
    let size = 64 * 4096;
    let writer = thread::spawn(move || {
        for _ in 0..64 {
            assert_eq!(world.call(number::io_console_write, &[0, 4096]), Ok(4096));
        }
    });
    let mut received = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut received).unwrap();
    writer.join().unwrap();
    assert_eq!(received.len(), size);
}

#[test]
fn a_write_of_a_vm_that_is_being_stopped_gives_up() {
    let (mut world, _reader) = piped();
    world.services.console.stop();
    assert!(world.call(number::io_console_write, &[BUFFER, 1]).is_err());
    assert!(matches!(world.action, Some(Action::Interrupted)));
}

#[test]
fn what_was_typed_is_read_in_parts_and_only_as_much_as_there_is() {
    let mut world = World::new();
    world.put(BUFFER, &[0xffu8; 8]);
    assert_eq!(
        world.call(number::io_console_read, &[BUFFER, 2, FOR_EVER]),
        Ok(2)
    );
    assert_eq!(
        world.take::<[u8; 8]>(BUFFER),
        *b"he\xff\xff\xff\xff\xff\xff"
    );
    assert_eq!(
        world.call(number::io_console_read, &[BUFFER, 4096, NOT_AT_ALL]),
        Ok(3)
    );
    assert_eq!(world.take::<[u8; 8]>(BUFFER), *b"llo\xff\xff\xff\xff\xff");
    assert_eq!(
        world.call(number::io_console_read, &[BUFFER, 1, NOT_AT_ALL]),
        Err(EAGAIN)
    );
}

#[test]
fn the_end_comes_behind_what_was_typed() {
    let mut world = World::new();
    world.input.close();
    let size = TYPED.len() as u32;
    assert_eq!(
        world.call(number::io_console_read, &[BUFFER, 100, FOR_EVER]),
        Ok(size)
    );
    for _ in 0..2 {
        assert_eq!(
            world.call(number::io_console_read, &[BUFFER, 100, FOR_EVER]),
            Err(EPIPE)
        );
    }
    assert_eq!(
        world.call(number::io_console_read, &[BUFFER, 0, FOR_EVER]),
        Ok(0)
    );
}

#[test]
fn one_read_gives_at_most_4096_bytes() {
    let mut world = World::new();
    world
        .call(number::io_console_read, &[BUFFER, 100, NOT_AT_ALL])
        .unwrap();
    world.input.push(&text(5000));
    // The buffer is all of RAM, and still what lies behind the 4096 bytes is left alone.
    let behind: u64 = world.take(4096);
    assert_eq!(
        world.call(number::io_console_read, &[0, RAM_SIZE, NOT_AT_ALL]),
        Ok(4096)
    );
    assert_eq!(world.ram()[..4096], text(5000)[..4096]);
    assert_eq!(world.take::<u64>(4096), behind);
    assert_eq!(
        world.call(number::io_console_read, &[0, RAM_SIZE, NOT_AT_ALL]),
        Ok(904)
    );
    assert_eq!(world.ram()[..904], text(5000)[4096..]);
}

#[test]
fn a_read_can_wait_for_a_key() {
    for patience in [FOR_EVER, FOR_EVER - 1, 3_600_000_000_000] {
        let mut world = World::new();
        world
            .call(number::io_console_read, &[BUFFER, 100, NOT_AT_ALL])
            .unwrap();
        let input = Arc::clone(&world.input);
        let typist = thread::spawn(move || {
            input.wait_until_wanted();
            input.push(b"k");
        });
        assert_eq!(
            world.call(number::io_console_read, &[BUFFER, 100, patience]),
            Ok(1)
        );
        assert_eq!(world.take::<[u8; 1]>(BUFFER), *b"k");
        typist.join().unwrap();
    }
}

#[test]
fn a_read_of_a_vm_that_is_being_stopped_gives_up() {
    let mut world = World::new();
    world.services.console.stop();
    assert!(
        world
            .call(number::io_console_read, &[BUFFER, 1, FOR_EVER])
            .is_err()
    );
    assert!(matches!(world.action, Some(Action::Interrupted)));
}
