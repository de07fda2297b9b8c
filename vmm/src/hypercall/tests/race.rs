//! A guest whose other vCPUs change memory while a call reads it: what was checked is what is
//! used.

use super::world::{
    BATCH, DEBUG, FRAME, MAPPED, POLLED, RAM_SIZE, REPORT, SPACE, TABLE, TO_MAP, UNMAPPED_PAGE,
    VCPUS, World, answer, registers,
};
use crate::hypercall::Action;
use crate::sync::lock;
use pv_abi::address_space::{LOWER_HALF_END, MONITOR_BASE, PAGE_SIZE};
use pv_abi::calls::{by_number, number};
use pv_abi::crash::{CRASH_MESSAGE_MAX, CRASH_PANIC, CrashReport};
use pv_abi::mapping::{Mapping, Range};
use pv_abi::stats::BatchEntry;
use pv_abi::trap::{DebugRegisters, TrapFrame, TrapHandler};
use pv_abi::{CallWord, Errno, Gpa};
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Ends the other thread when it is dropped.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes a call again and again while another thread keeps changing the eight bytes at `gpa`,
/// and has the world checked after each. `check` says which of both values the call has seen.
fn race(
    call: u16,
    arguments: &[u64],
    gpa: u64,
    values: [u64; 2],
    check: impl Fn(&World, Result<u32, Errno>) -> bool,
) {
    let mut world = World::new();
    world.put(gpa, &values[0]);
    let word = CallWord {
        // One element, where it takes several.
        count: by_number(call).unwrap().repeated.into(),
        ..CallWord::single(call)
    };
    let monitors = (0..VCPUS).map(|vcpu| world.monitor_pages(vcpu));
    let monitors: Vec<_> = monitors.collect();
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
        // Until both have often run at the same time, for which they may have to wait.
        let deadline = Instant::now() + Duration::from_millis(500);
        let (mut seen, mut changes) = (false, 0);
        while changes < 1000 && Instant::now() < deadline {
            let rax = world.dispatch(word.encode(), &registers(arguments));
            let sees = check(&world, answer(rax));
            changes += u32::from(sees != seen);
            seen = sees;
        }
    });
    for (vcpu, pages) in (0..).zip(monitors) {
        assert_eq!(world.monitor_pages(vcpu), pages);
    }
}

#[test]
fn no_handler_gets_out_of_the_lower_half() {
    let first = TABLE + offset_of!(TrapHandler, handler) as u64;
    let addresses = [0x1000, 0xffff_ffff_8000_0000];
    race(
        number::trap_set_table,
        &[TABLE, 1],
        first,
        addresses,
        |world, answer| {
            assert!(world.handlers()[0] < LOWER_HALF_END);
            answer.is_ok()
        },
    );
}

#[test]
fn no_return_leads_out_of_the_lower_half() {
    let rip = FRAME + offset_of!(TrapFrame, rip) as u64;
    let addresses = [0x1000, 0xffff_ffff_8000_0000];
    race(
        number::trap_return,
        &[FRAME],
        rip,
        addresses,
        |world, answer| {
            if let Some(Action::Resume(frame)) = &world.action {
                assert!(frame.rip < LOWER_HALF_END);
            }
            answer.is_ok()
        },
    );
}

#[test]
fn no_message_is_longer_than_a_message_may_be() {
    const { assert!(offset_of!(CrashReport, message_size) == 4) };
    let sizes = [16, CRASH_MESSAGE_MAX + 1];
    let heads = sizes.map(|size| u64::from(CRASH_PANIC) | u64::from(size) << 32);
    race(
        number::debug_crash_report,
        &[REPORT],
        REPORT,
        heads,
        |world, answer| {
            if let Some(kept) = &*lock(&world.services.crash_report) {
                assert_eq!(kept.report.message_size, 16);
                assert!(kept.message.chars().count() <= 16);
            }
            answer.is_ok()
        },
    );
}

#[test]
fn no_call_gets_into_a_batch_that_may_not_be_there() {
    let word = BATCH + offset_of!(BatchEntry, word) as u64;
    let calls = [number::core_noop, number::sched_crash].map(u64::from);
    race(
        number::core_batch,
        &[BATCH, 1, 0],
        word,
        calls,
        |world, answer| {
            assert_eq!(answer, Ok(1));
            assert!(world.action.is_none());
            world.batch_results(BATCH, 1) == [Some(Err(Errno::EPERM))]
        },
    );
}

#[test]
fn no_mapping_leads_out_of_ram() {
    let gpa = TO_MAP + offset_of!(Mapping, gpa) as u64;
    let range = Range {
        start: MAPPED + 0x10_0000,
        size: PAGE_SIZE,
    };
    race(
        number::as_map,
        &[SPACE.into(), TO_MAP],
        gpa,
        [UNMAPPED_PAGE, RAM_SIZE],
        |world, answer| {
            let spaces = &world.services.spaces;
            let found = spaces.query(SPACE, range.start).map(|found| found.gpa);
            match answer {
                Ok(1) => assert_eq!(found, Ok(UNMAPPED_PAGE)),
                _ => assert_eq!((answer, found), (Err(Errno::EFAULT), Err(Errno::ENOENT))),
            }
            world.space_call(|state| match found {
                Ok(_) => state.unmap(SPACE, &range),
                Err(_) => Ok(()),
            });
            found.is_ok()
        },
    );
}

#[test]
fn no_breakpoint_is_in_the_monitor() {
    let first = DEBUG + offset_of!(DebugRegisters, address) as u64;
    race(
        number::trap_set_debug,
        &[DEBUG],
        first,
        [0x1000, MONITOR_BASE],
        |world, answer| {
            if let Some(Action::SetDebug(registers)) = &world.action {
                assert_eq!(registers.address[0], 0x1000);
            }
            answer.is_ok()
        },
    );
}

#[test]
fn no_port_is_waited_for_that_there_is_not() {
    let ports = [[2u32, 1], [1 << 31, 1]].map(|[first, second]| {
        // Port 2 is a timer that is not set, port 1 is not pending.
        u64::from(first) | u64::from(second) << 32
    });
    race(
        number::sched_poll,
        &[POLLED, 2, 1],
        POLLED,
        ports,
        |_, answer| {
            assert!(
                matches!(answer, Err(Errno::ETIMEDOUT | Errno::EINVAL)),
                "{answer:?}"
            );
            answer == Err(Errno::ETIMEDOUT)
        },
    );
}
