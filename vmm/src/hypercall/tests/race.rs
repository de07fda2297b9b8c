//! A guest whose other vCPUs change memory while a call reads it: what was checked is what is
//! used.

use super::world::{BATCH, FRAME, REPORT, TABLE, World, answer, registers};
use crate::hypercall::Action;
use crate::sync::lock;
use pv_abi::Gpa;
use pv_abi::address_space::LOWER_HALF_END;
use pv_abi::calls::number;
use pv_abi::crash::{CRASH_MESSAGE_MAX, CRASH_PANIC, CrashReport};
use pv_abi::stats::BatchEntry;
use pv_abi::trap::{TrapFrame, TrapHandler};
use std::mem::{offset_of, size_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Ends the other thread when it is dropped.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes a call many times while another thread keeps changing the eight bytes at `gpa`, and
/// looks at the world after each.
fn race(call: u16, arguments: &[u64], gpa: u64, values: [u64; 2], check: impl Fn(&World)) {
    let mut world = World::new();
    let private = world.private_but_handlers();
    let services = Arc::clone(&world.services);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for value in values {
                    services.ram.write(Gpa(gpa), &value.to_le_bytes()).unwrap();
                }
            }
        });
        // Also when a check fails, or the other thread would never end.
        let _done = Done(&done);
        for _ in 0..3000 {
            let rax = world.dispatch(call.into(), &registers(arguments));
            // Either answer is right, as either value was there.
            let _ = answer(rax);
            check(&world);
        }
    });
    assert!(world.private_but_handlers() == private);
}

#[test]
fn no_handler_gets_out_of_the_lower_half() {
    let last = TABLE + 31 * size_of::<TrapHandler>() as u64;
    race(
        number::trap_set_table,
        &[TABLE, 32],
        last,
        [0x1000, u64::MAX],
        |world| {
            assert!(
                world
                    .handlers()
                    .into_iter()
                    .all(|handler| handler < LOWER_HALF_END)
            );
        },
    );
}

#[test]
fn no_return_leads_out_of_the_lower_half() {
    let rip = FRAME + offset_of!(TrapFrame, rip) as u64;
    race(
        number::trap_return,
        &[FRAME],
        rip,
        [0x1000, u64::MAX],
        |world| {
            if let Some(Action::Resume(frame)) = &world.action {
                assert!(frame.rip < LOWER_HALF_END);
            }
        },
    );
}

#[test]
fn no_message_is_longer_than_a_message_may_be() {
    const { assert!(offset_of!(CrashReport, message_size) == 4) };
    let sizes =
        [16, CRASH_MESSAGE_MAX + 1].map(|size| u64::from(CRASH_PANIC) | u64::from(size) << 32);
    race(
        number::debug_crash_report,
        &[REPORT],
        REPORT,
        sizes,
        |world| {
            if let Some(kept) = &*lock(&world.services.crash_report) {
                let size = kept.report.message_size;
                assert!(size <= CRASH_MESSAGE_MAX && kept.message.chars().count() <= size as usize);
            }
        },
    );
}

#[test]
fn no_call_gets_into_a_batch_that_may_not_be_there() {
    let word = BATCH + size_of::<BatchEntry>() as u64 + offset_of!(BatchEntry, word) as u64;
    let calls = [number::core_noop, number::sched_crash].map(u64::from);
    race(number::core_batch, &[BATCH, 3, 0], word, calls, |world| {
        assert!(world.action.is_none());
        assert!(
            world
                .batch_results(BATCH, 3)
                .into_iter()
                .all(|result| result.is_some())
        );
    });
}
