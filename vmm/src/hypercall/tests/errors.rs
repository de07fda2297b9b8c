//! Every error that the ABI's definitions give a reason for can be provoked, and a call that
//! fails has done nothing.

use super::World;
use super::devices;
use super::world::{
    ATTACHED, BATCH, BUFFER, DEBUG, FRAME, GIVEN, GRANT_PORT, IPI_PORT, MAPPED_PAGES, OFFERED,
    PEER, POLLED, PROCESSORS, RAM_SIZE, RANGE_COUNT, RANGES, REPORT, SENT_PORT, SHARED_PAGE, TABLE,
    TIMER_PORT, answer, good_arguments, good_word, registers,
};
use crate::console::output::Output;
use crate::device::features;
use crate::grant::{GrantedRange, Seat};
use pv_abi::address_space::{LOWER_HALF_END, MONITOR_BASE, PAGE_SIZE};
use pv_abi::calls::{CALLS, by_number, number};
use pv_abi::crash::CrashReport;
use pv_abi::device::QueueSetup;
use pv_abi::event::{EVENT_SOURCE_DEVICE, EVENT_SOURCE_GRANT, EVENT_SOURCE_QUEUE, TIMERS_MAX};
use pv_abi::grant::{Attachment, GRANTS, Offer};
use pv_abi::mapping::Range;
use pv_abi::set::Set;
use pv_abi::start_info::RIGHT_READ;
use pv_abi::stats::{BatchEntry, Stats};
use pv_abi::time::Wallclock;
use pv_abi::trap::{DebugRegisters, TrapFrame, TrapHandler};
use pv_abi::{Errno, Errno::*, Features};
use std::fs::File;
use std::mem::{offset_of, size_of};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A world in which a call fails, and the arguments with which it does.
pub(super) type Provocation = (World, Vec<u64>);

/// Each way to make a call fail with an error.
fn provocations(call: u16, errno: Errno) -> Vec<Provocation> {
    match (call, errno) {
        (number::core_features, EFAULT) => bad_structs(8, |gpa| vec![gpa]),

        (number::core_batch, EFAULT) => [
            bad_structs(size_of::<BatchEntry>(), |gpa| vec![gpa, 1, 0]),
            bad_structs(512 * size_of::<BatchEntry>(), |gpa| vec![gpa, 512, 0]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (number::core_batch, E2BIG) => fresh(&[&[BATCH, 513, 0], &[BATCH, u32::MAX.into(), 0]]),
        (number::core_batch, EINVAL) => {
            fresh(&[&[BATCH, 0, 0], &[BATCH, 1, 2], &[BATCH, 1, 1 << 31]])
        }

        (number::core_entropy, EFAULT) => [
            bad_buffers(256, |gpa| vec![gpa, 256]),
            // An empty buffer has an address too.
            fresh(&[&[RAM_SIZE + 1, 0], &[u64::MAX, 0]]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (number::core_entropy, E2BIG) => fresh(&[&[BUFFER, 257], &[BUFFER, u32::MAX.into()]]),
        (number::core_entropy, EIO) => {
            let mut provocations = fresh(&[&[BUFFER, 16]]);
            provocations[0].0.has_entropy = false;
            provocations
        }

        (number::core_stats, EFAULT) => bad_structs(size_of::<Stats>(), |gpa| vec![gpa, 32]),
        (number::core_stats, EINVAL) => fresh(&[&[BUFFER, 31], &[BUFFER, 0]]),

        (number::trap_set_table, EFAULT) => [
            bad_structs(size_of::<TrapHandler>(), |gpa| vec![gpa, 1]),
            bad_structs(32 * size_of::<TrapHandler>(), |gpa| vec![gpa, 32]),
            // An empty table has an address too.
            fresh(&[&[TABLE + 1, 0], &[RAM_SIZE + 8, 0]]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (number::trap_set_table, E2BIG) => fresh(&[&[TABLE, 33], &[TABLE, u32::MAX.into()]]),
        (number::trap_set_table, EINVAL) => {
            let last = TABLE + 31 * size_of::<TrapHandler>() as u64;
            let flags = last + offset_of!(TrapHandler, flags) as u64;
            let bad_handlers = NOT_LOWER_HALF.map(|address| (last, address));
            let bad_flags = [1, 1 << 63].map(|bit| (flags, bit));
            [&bad_handlers[..], &bad_flags]
                .concat()
                .into_iter()
                .map(|(gpa, value)| poked(gpa, value, &[TABLE, 32]))
                .collect()
        }

        (number::trap_set_syscall | number::trap_set_tls, EINVAL) => NOT_LOWER_HALF
            .map(|address| (World::new(), vec![address]))
            .into(),

        (number::trap_return, EFAULT) => bad_structs(size_of::<TrapFrame>(), |gpa| vec![gpa]),
        (number::trap_return, EINVAL) => [offset_of!(TrapFrame, rip), offset_of!(TrapFrame, rsp)]
            .into_iter()
            .flat_map(|field| NOT_LOWER_HALF.map(|address| (FRAME + field as u64, address)))
            .map(|(gpa, value)| poked(gpa, value, &[FRAME]))
            .collect(),

        (number::sched_shutdown, EINVAL) => fresh(&[&[120], &[256], &[u32::MAX.into()]]),

        (number::io_device_status, ENOENT) => no_device(|device| vec![device]),
        (number::io_device_set_status | number::io_device_set_features, ENOENT) => {
            no_device(|device| vec![device, 1])
        }
        (number::io_device_set_status, EINVAL) => fresh(&[
            &[devices::FRESH, 1 | 16],
            &[devices::FRESH, 1 | 1 << 31],
            // Not the driver's to set.
            &[devices::DRIVEN, 1 | 2 | 64],
            &[devices::DRIVEN, 1],
            &[devices::FRESH, 2],
            &[devices::DRIVEN, 1 | 2 | 8],
            &[devices::DRIVEN, 1 | 2 | 4],
        ]),
        (number::io_device_set_status, EIO) => {
            fresh(&[&[devices::BROKEN, 1], &[devices::BROKEN, 64 | 1]])
        }
        (number::io_device_set_features, EINVAL) => fresh(&[
            &[devices::DRIVEN, 0],
            &[devices::DRIVEN, 1],
            &[devices::DRIVEN, features::VERSION_1 | 2],
            &[devices::DRIVEN, u64::MAX],
        ]),
        (number::io_device_set_features, EBUSY) => fresh(&[
            &[devices::FRESH, features::VERSION_1],
            &[devices::SET_UP, features::VERSION_1],
        ]),
        (number::io_config_read, ENOENT) => no_device(|device| vec![device, 0, BUFFER, 4]),
        (number::io_config_read, EFAULT) => bad_buffers(devices::CONFIG_SIZE, |gpa| {
            vec![devices::FRESH, 0, gpa, devices::CONFIG_SIZE]
        }),
        (number::io_config_read, EINVAL) => fresh(&[
            &[devices::FRESH, 0, BUFFER, devices::CONFIG_SIZE + 1],
            &[devices::FRESH, devices::CONFIG_SIZE, BUFFER, 1],
            &[devices::FRESH, u32::MAX.into(), BUFFER, 2],
        ]),
        (number::io_config_read, E2BIG) => fresh(&[
            &[devices::FRESH, 0, BUFFER, 257],
            &[devices::FRESH, 0, BUFFER, u32::MAX.into()],
        ]),
        (number::io_queue_setup, ENOENT) => [
            no_device(|device| vec![device, 0, devices::SETUP]),
            fresh(&[
                &[devices::SET_UP, 2, devices::SETUP],
                &[devices::SET_UP, u32::MAX.into(), devices::SETUP],
            ]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (number::io_queue_setup, EFAULT) => {
            let structs = bad_structs(size_of::<QueueSetup>(), |gpa| vec![devices::SET_UP, 0, gpa]);
            let places = [
                (offset_of!(QueueSetup, descriptors), 16 * 8, 8),
                (offset_of!(QueueSetup, driver), 6 + 2 * 8, 1),
                (offset_of!(QueueSetup, device), 6 + 8 * 8, 2),
            ];
            let rings = places.into_iter().flat_map(|(field, size, unaligned)| {
                let outside = [
                    RAM_SIZE - size + 2,
                    RAM_SIZE,
                    1 << 32,
                    u64::MAX - 15,
                    BUFFER + unaligned,
                ];
                outside.map(|gpa| {
                    let field = devices::SETUP + field as u64;
                    poked(field, gpa, &[devices::SET_UP, 0, devices::SETUP])
                })
            });
            let sealed = {
                let field = devices::SETUP + offset_of!(QueueSetup, device) as u64;
                let world = World::new();
                let page = 0x3_8000;
                world
                    .services
                    .ram
                    .seal(|| std::iter::once(page..page + PAGE_SIZE))
                    .unwrap();
                world.put(field, &page);
                (world, vec![devices::SET_UP, 0, devices::SETUP])
            };
            structs.into_iter().chain(rings).chain([sealed]).collect()
        }
        (number::io_queue_setup, EINVAL) => {
            let sizes = [
                0,
                3,
                devices::QUEUE_SIZE * 2,
                1 << 16 | devices::QUEUE_SIZE,
                u32::MAX,
            ]
            .map(|size| (offset_of!(QueueSetup, size), size));
            let reserved = [(offset_of!(QueueSetup, reserved), 1)];
            let fields = sizes.into_iter().chain(reserved);
            let arguments = [devices::SET_UP, 0, devices::SETUP];
            fields
                .map(|(field, value)| poked(devices::SETUP + field as u64, value, &arguments))
                .collect()
        }
        (number::io_queue_setup, EBUSY) => fresh(&[
            &[devices::FRESH, 0, devices::SETUP],
            &[devices::DRIVEN, 0, devices::SETUP],
            &[devices::SET_UP, 1, devices::SETUP],
        ]),
        (number::io_queue_notify, ENOENT) => [
            no_device(|device| vec![device, 0]),
            fresh(&[&[devices::FRESH, 2], &[devices::FRESH, u32::MAX.into()]]),
        ]
        .into_iter()
        .flatten()
        .collect(),

        (number::mem_populate | number::mem_release | number::mem_hint, EFAULT) => {
            let size = size_of::<Range>() * usize::from(RANGE_COUNT);
            let arrays = bad_structs(size, |gpa| vec![gpa]);
            let ranges = [
                (RAM_SIZE, PAGE_SIZE),
                (RAM_SIZE - PAGE_SIZE, 2 * PAGE_SIZE),
                (1 << 32, PAGE_SIZE),
                (PAGE_SIZE.wrapping_neg(), PAGE_SIZE),
                (PAGE_SIZE.wrapping_neg(), 2 * PAGE_SIZE),
            ];
            arrays.into_iter().chain(ranges.map(bad_range)).collect()
        }
        (number::mem_populate | number::mem_release | number::mem_hint, EINVAL) => {
            NOT_PAGES.map(bad_range).into()
        }
        (number::mem_populate | number::mem_release | number::mem_hint, E2BIG) => {
            TOO_MANY_PAGES.map(|size| bad_range((0, size))).into()
        }
        (number::mem_populate, ENOMEM) => {
            let mut provocations = fresh(&[&[RANGES]]);
            provocations[0].0.has_memory = false;
            provocations
        }
        (number::mem_release | number::mem_hint, EPERM) => {
            vec![bad_range((SHARED_PAGE, PAGE_SIZE))]
        }

        (number::mem_share, ENOENT) => [0, 3, 4, u32::MAX.into()]
            .map(|guest| share_with(guest, 0x3_8000, PAGE_SIZE, 1))
            .into(),
        (number::mem_share, EFAULT) => [
            (RAM_SIZE, PAGE_SIZE),
            (RAM_SIZE - PAGE_SIZE, 2 * PAGE_SIZE),
            (1 << 63, PAGE_SIZE),
            (PAGE_SIZE.wrapping_neg(), 2 * PAGE_SIZE),
        ]
        .map(|(gpa, size)| share_with(PEER.into(), gpa, size, 1))
        .into(),
        (number::mem_share, EINVAL) => {
            let ranges = NOT_PAGES.map(|(gpa, size)| share_with(PEER.into(), gpa, size, 1));
            let rights = [0, 2, 4, 5, 7, 8, 9, 1 << 31]
                .map(|rights| share_with(PEER.into(), 0x3_8000, PAGE_SIZE, rights));
            ranges.into_iter().chain(rights).collect()
        }
        (number::mem_share, E2BIG) => TOO_MANY_PAGES
            .map(|size| share_with(PEER.into(), 0, size, 1))
            .into(),
        (number::mem_share, EPERM) => {
            // Sealed, and to be written.
            let sealed = MAPPED_PAGES + 2 * PAGE_SIZE;
            let (mut world, arguments) = share_with(PEER.into(), sealed, PAGE_SIZE, 3);
            let seal = by_number(number::as_seal).unwrap();
            let rax = world.dispatch(good_word(seal), &good_arguments(seal));
            answer(rax).unwrap();
            world.live = Default::default();
            vec![(world, arguments)]
        }
        (number::mem_share, ENOSPC) => {
            let (mut world, arguments) = share_with(PEER.into(), 0x3_8000, PAGE_SIZE, 1);
            // One is given already.
            for _ in 1..GRANTS {
                world.call(number::mem_share, &arguments).unwrap();
            }
            world.live = Default::default();
            vec![(world, arguments)]
        }

        (number::mem_unshare, ENOENT) => fresh(&[
            // The next one to be given, those of other generations, and any.
            &[u64::from(GIVEN) + 1],
            &[u64::from(GIVEN) + GRANTS as u64],
            &[1 << 31],
            &[u32::MAX.into()],
        ]),

        (number::mem_attach, ENOENT) => no_grants(|guest, grant| vec![guest, grant, BUFFER]),
        (number::mem_attach, EFAULT) => bad_structs(size_of::<Attachment>(), |gpa| {
            vec![PEER.into(), OFFERED.into(), gpa]
        }),
        (number::mem_attach, EBUSY) => fresh(&[&[PEER.into(), ATTACHED.into(), BUFFER]]),
        (number::mem_attach, ENOSPC) => vec![all_attached()],
        (number::mem_attach, EIO) => {
            let provocations = fresh(&[&[PEER.into(), OFFERED.into(), BUFFER]]);
            provocations[0].0.slots.refuse(true);
            provocations
        }

        (number::mem_detach, ENOENT) => {
            let mut provocations = no_grants(|guest, grant| vec![guest, grant]);
            // It is offered, but not attached.
            provocations.extend(fresh(&[&[PEER.into(), OFFERED.into()]]));
            provocations
        }

        (number::mem_offers, EFAULT) => [
            bad_structs(size_of::<Offer>(), |gpa| vec![gpa, 1]),
            bad_structs(64 * size_of::<Offer>(), |gpa| vec![gpa, 64]),
            // An empty array has an address too.
            fresh(&[&[BUFFER + 1, 0], &[RAM_SIZE + 8, 0]]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (number::mem_offers, E2BIG) => fresh(&[&[BUFFER, 65], &[BUFFER, u32::MAX.into()]]),

        (number::io_console_write, EFAULT) => [
            bad_buffers(1, |gpa| vec![gpa, 1]),
            bad_buffers(5000, |gpa| vec![gpa, 5000]),
            // All of the buffer counts, not only what would be written.
            fresh(&[&[BUFFER, u32::MAX.into()], &[RAM_SIZE + 1, 0]]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (number::io_console_write, EPIPE) => vec![(unread(), vec![BUFFER, 1])],

        (number::io_console_read, EFAULT) => [
            bad_buffers(1, |gpa| vec![gpa, 1, 0]),
            bad_buffers(5000, |gpa| vec![gpa, 5000, 0]),
            fresh(&[&[BUFFER, u32::MAX.into(), 0], &[RAM_SIZE + 1, 0, 0]]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (number::io_console_read, EAGAIN) => [0, 1, 1_000_000]
            .map(|timeout| (all_read(), vec![BUFFER, 10, timeout]))
            .into(),
        (number::io_console_read, EPIPE) => [0, 1, u64::MAX]
            .map(|timeout| {
                let world = all_read();
                world.input.close();
                (world, vec![BUFFER, 10, timeout])
            })
            .into(),

        (number::debug_print, E2BIG) => {
            fresh(&[&[41, 0, 0, 0, 0, 0], &[u32::MAX.into(), 0, 0, 0, 0, 0]])
        }
        (number::debug_print, EPIPE) => vec![(unread(), vec![1, 0x41, 0, 0, 0, 0])],

        (number::debug_crash_report, EFAULT) => {
            let message = REPORT + offset_of!(CrashReport, message_gpa) as u64;
            let bad_messages = [RAM_SIZE - 1, RAM_SIZE, 1 << 32, u64::MAX];
            let mut provocations = bad_structs(size_of::<CrashReport>(), |gpa| vec![gpa]);
            provocations.extend(bad_messages.map(|gpa| poked(message, gpa, &[REPORT])));
            provocations
        }
        (number::debug_crash_report, EINVAL) => [
            (offset_of!(CrashReport, kind), 0),
            (offset_of!(CrashReport, kind), 3),
            (offset_of!(CrashReport, frame_valid), 2),
            (offset_of!(CrashReport, reserved), 1),
        ]
        .map(|(field, value)| poked(REPORT + field as u64, value, &[REPORT]))
        .into(),
        (number::debug_crash_report, E2BIG) => {
            let size = REPORT + offset_of!(CrashReport, message_size) as u64;
            [1025, u32::MAX]
                .map(|value| poked(size, value, &[REPORT]))
                .into()
        }

        (number::event_alloc | number::event_bind_timer | number::event_bind_ipi, EINVAL) => {
            fresh(&[
                &[3, 0],
                &[u32::MAX.into(), 0],
                &[0, 4],
                &[0, u32::MAX.into()],
            ])
        }
        (number::event_alloc | number::event_bind_ipi, ENOSPC) => {
            vec![(without_ports(), vec![0, 1])]
        }
        (number::event_bind_timer, ENOSPC) => {
            vec![
                (without_ports(), vec![0, 1]),
                (without_timers(), vec![0, 3]),
            ]
        }
        (number::event_bind_source, EINVAL) => {
            let device = u64::from(EVENT_SOURCE_DEVICE) + devices::COUNT;
            let queue = u64::from(EVENT_SOURCE_QUEUE) + 2 * devices::COUNT;
            fresh(&[
                &[0, 0, 0],
                &[5, 0, 0],
                &[2, 3, 0],
                &[2, 0, 4],
                &[device, 0, 0],
                &[queue, 0, 0],
            ])
        }
        (number::event_bind_source, EBUSY) => fresh(&[
            &[EVENT_SOURCE_GRANT.into(), 0, 0],
            &[EVENT_SOURCE_GRANT.into(), 2, 3],
        ]),
        (number::event_bind_source, ENOSPC) => vec![(without_ports(), vec![1, 0, 1])],
        (number::event_bind_vcpu, ENOENT) => fresh(&[&[0, 0], &[5, 0], &[4095, 2]]),
        (number::event_bind_vcpu, EINVAL) => {
            fresh(&[&[4096, 0], &[u32::MAX.into(), 0], &[SENT_PORT, 3]])
        }
        (number::event_bind_vcpu, EPERM) => fresh(&[&[IPI_PORT, 0], &[IPI_PORT, 1]]),
        (number::event_send, EPERM) => fresh(&[&[TIMER_PORT], &[GRANT_PORT]]),
        (
            number::event_send | number::event_mask | number::event_unmask | number::event_close,
            ENOENT,
        ) => fresh(&[&[0], &[5], &[4095]]),
        (
            number::event_send | number::event_mask | number::event_unmask | number::event_close,
            EINVAL,
        ) => fresh(&[&[4096], &[u32::MAX.into()]]),
        (number::time_oneshot, ENOENT) => fresh(&[&[0, 0], &[5, 0], &[4095, u64::MAX]]),
        (number::time_oneshot, EINVAL) => fresh(&[
            &[4096, 0],
            &[SENT_PORT, 0],
            &[IPI_PORT, 0],
            &[GRANT_PORT, u64::MAX],
        ]),
        (number::time_periodic, ENOENT) => fresh(&[&[0, 0, 50_000], &[5, 0, u64::MAX]]),
        (number::time_periodic, EINVAL) => fresh(&[
            &[4096, 0, 50_000],
            &[SENT_PORT, 0, 50_000],
            &[TIMER_PORT, 0, 49_999],
            &[TIMER_PORT, u64::MAX, 0],
        ]),
        (number::time_cancel, ENOENT) => fresh(&[&[0], &[5], &[4095]]),
        (number::time_cancel, EINVAL) => fresh(&[&[4096], &[SENT_PORT], &[IPI_PORT]]),
        (number::time_wallclock, EFAULT) => bad_structs(size_of::<Wallclock>(), |gpa| vec![gpa]),

        (number::trap_set_upcall, EINVAL) => NOT_LOWER_HALF
            .map(|address| (World::new(), vec![address]))
            .into(),
        (number::trap_set_debug, EFAULT) => {
            bad_structs(size_of::<DebugRegisters>(), |gpa| vec![gpa])
        }
        (number::trap_set_debug, EINVAL) => {
            let address = DEBUG + offset_of!(DebugRegisters, address) as u64 + 24;
            let control = DEBUG + offset_of!(DebugRegisters, control) as u64;
            let reserved = DEBUG + offset_of!(DebugRegisters, reserved) as u64 + 16;
            [
                (address, LOWER_HALF_END),
                (address, u64::MAX),
                (address, MONITOR_BASE),
                (control, 2),
                (control, 1 << 13),
                (control, 1 << 32),
                (reserved, 1),
            ]
            .map(|(gpa, value)| poked(gpa, value, &[DEBUG]))
            .into()
        }
        (number::trap_set_debug, ENOSYS) => {
            vec![(World::without(Features::DEBUG_REGISTERS), vec![DEBUG])]
        }
        (number::sched_yield_to | number::sched_kick | number::vcpu_state, EINVAL) => {
            fresh(&[&[3], &[u32::MAX.into()]])
        }
        (number::sched_poll, EFAULT) => [
            bad_structs(64 * size_of::<u32>(), |gpa| vec![gpa, 64, 0]),
            // An empty list has an address too.
            fresh(&[&[POLLED + 4, 0, 0], &[RAM_SIZE + 8, 0, 0]]),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (number::sched_poll, E2BIG) => fresh(&[&[POLLED, 65, 0], &[POLLED, u32::MAX.into(), 0]]),
        (number::sched_poll, EINVAL) => [4096, u32::MAX]
            .map(|port| poked(POLLED, port, &[POLLED, 2, u64::MAX]))
            .into(),
        (number::sched_poll, ENOENT) => [0u32, 5]
            .map(|port| poked(POLLED, port, &[POLLED, 2, u64::MAX]))
            .into(),
        (number::sched_poll, EAGAIN) => [0, 2]
            .map(|count| {
                let world = World::new();
                world.kick_caller();
                (world, vec![POLLED, count, u64::MAX])
            })
            .into(),
        (number::sched_poll, ETIMEDOUT) => fresh(&[&[POLLED, 2, 0], &[POLLED, 0, 1]]),
        (number::vcpu_start, EINVAL) => fresh(&[
            &[3, 0, 0, 0],
            &[2, LOWER_HALF_END, 0, 0],
            &[2, 0, u64::MAX, 0],
        ]),
        (number::vcpu_start, EBUSY) => vec![(started(), vec![2, 0, 0, 0])],
        (number::vcpu_stop, EINVAL) => fresh(&[&[3], &[u32::MAX.into()]]),
        // Nobody runs it, so it does not stop.
        (number::vcpu_stop, EBUSY) => vec![(started(), vec![2])],
        (number::vcpu_set_affinity_hint, EFAULT) => {
            bad_structs(size_of::<Set>(), |gpa| vec![2, gpa])
        }
        (number::vcpu_set_affinity_hint, EINVAL) => {
            let format = PROCESSORS + offset_of!(Set, format) as u64;
            let reserved = PROCESSORS + offset_of!(Set, reserved) as u64;
            vec![
                (World::new(), vec![3, PROCESSORS]),
                poked(format, 2u32, &[2, PROCESSORS]),
                poked(reserved, 1u32, &[2, PROCESSORS]),
            ]
        }

        _ => super::spaces::provocations(call, errno),
    }
}

#[test]
fn every_documented_error_can_be_provoked_and_does_nothing() {
    for call in CALLS {
        for &(errno, reason) in call.errors {
            let what = format!("{} with {}: {reason}", call.name, errno.name());
            let provocations = provocations(call.number, errno);
            assert!(!provocations.is_empty(), "say here how to provoke {what}");
            for (mut world, arguments) in provocations {
                assert_eq!(arguments.len(), call.arguments.len(), "{what}");
                let what = format!("{what}, by {arguments:x?}");
                let before = world.snapshot();
                let rax = world.dispatch(good_word(call), &registers(&arguments));
                assert_eq!(answer(rax), Err(errno), "{what}");
                assert!(world.snapshot() == before, "{what}");
                assert_eq!((world.stats().hypercalls(), world.stats().failed), (1, 1));
            }
        }
    }
}

#[test]
fn every_error_that_can_be_provoked_is_documented() {
    for call in CALLS {
        for &errno in Errno::ALL {
            let documented = call.errors.iter().any(|&(other, _)| other == errno);
            let provoked = !provocations(call.number, errno).is_empty();
            assert!(
                documented || !provoked,
                "{} with {}",
                call.name,
                errno.name()
            );
        }
    }
}

const NOT_LOWER_HALF: [u64; 4] = [LOWER_HALF_END, 1 << 63, 0xffff_8000_0000_0000, u64::MAX];

/// Arguments that are wrong whatever there is in memory.
pub(super) fn fresh(arguments: &[&[u64]]) -> Vec<Provocation> {
    arguments
        .iter()
        .map(|arguments| (World::new(), arguments.to_vec()))
        .collect()
}

/// Addresses at which there is no structure of `size` bytes.
pub(super) fn bad_structs(size: usize, arguments: impl Fn(u64) -> Vec<u64>) -> Vec<Provocation> {
    let unaligned = [1, 4, BUFFER + 7];
    let aligned_in_ram = |gpa: &u64| gpa.is_multiple_of(8) && *gpa <= RAM_SIZE - size as u64;
    let mut addresses = bad_addresses(size as u64);
    addresses.push(RAM_SIZE - size as u64 + 8);
    addresses.extend(unaligned);
    assert!(!addresses.iter().any(aligned_in_ram));
    addresses
        .into_iter()
        .map(|gpa| (World::new(), arguments(gpa)))
        .collect()
}

/// Numbers of no device.
fn no_device(arguments: impl Fn(u64) -> Vec<u64>) -> Vec<Provocation> {
    [devices::COUNT, 32, u32::MAX.into()]
        .map(|device| (World::new(), arguments(device)))
        .into()
}

/// Addresses at which there is no buffer of `size` bytes.
fn bad_buffers(size: u64, arguments: impl Fn(u64) -> Vec<u64>) -> Vec<Provocation> {
    let addresses = bad_addresses(size).into_iter();
    addresses
        .map(|gpa| (World::new(), arguments(gpa)))
        .collect()
}

/// Across the end of RAM, behind it, where 32 bits would wrap to 0, and where 64 bits do.
fn bad_addresses(size: u64) -> Vec<u64> {
    vec![
        RAM_SIZE - size + 1,
        RAM_SIZE,
        RAM_SIZE + 8,
        1 << 32,
        1 << 63,
        size.wrapping_neg(),
        u64::MAX - 7,
        u64::MAX,
    ]
}

/// A world with one value in RAM that should not be there.
pub(super) fn poked<T>(gpa: u64, value: T, arguments: &[u64]) -> Provocation
where
    T: zerocopy::IntoBytes + zerocopy::Immutable,
{
    let world = World::new();
    world.put(gpa, &value);
    (world, arguments.to_vec())
}

/// Starts and sizes that make no range of pages.
const NOT_PAGES: [(u64, u64); 5] = [
    (0x3_4000, 0),
    (0x3_4000, 1),
    (0x3_4000, PAGE_SIZE - 1),
    (0x3_4001, PAGE_SIZE),
    (u64::MAX, PAGE_SIZE),
];

/// Sizes above 2 MiB.
const TOO_MANY_PAGES: [u64; 2] = [(2 << 20) + PAGE_SIZE, PAGE_SIZE.wrapping_neg()];

/// A world whose first `pv_range` is this one.
fn bad_range((start, size): (u64, u64)) -> Provocation {
    poked(RANGES, Range { start, size }, &[RANGES])
}

fn share_with(guest: u64, gpa: u64, size: u64, rights: u64) -> Provocation {
    (World::new(), vec![guest, gpa, size, rights])
}

/// Guests and grants that there are not, or not for this guest.
fn no_grants(arguments: impl Fn(u64, u64) -> Vec<u64>) -> Vec<Provocation> {
    let (peer, offered) = (u64::from(PEER), u64::from(OFFERED));
    [
        (peer, u64::from(ATTACHED) + 1),
        (peer, offered + GRANTS as u64),
        (peer, 1 << 31),
        // Its own, one that does not run, one that there is not.
        (0, GIVEN.into()),
        (2, offered),
        (3, offered),
        (u32::MAX.into(), offered),
    ]
    .into_iter()
    .map(|(guest, grant)| (World::new(), arguments(guest, grant)))
    .collect()
}

/// A world in which this guest has attached as many grants as it can, and is offered another.
fn all_attached() -> Provocation {
    let world = World::new();
    let seat = |guest| Seat {
        domains: Arc::clone(&world.domains),
        guest,
    };
    let third = World::in_seat(seat(2));
    let range = GrantedRange {
        gpa: 0,
        size: PAGE_SIZE,
        rights: RIGHT_READ,
    };
    // One is attached already.
    for _ in 1..GRANTS {
        let grant = third.services.grants.share(0, range).unwrap();
        world.services.grants.attach(2, grant).unwrap();
    }
    // So that it stays.
    let mut world = world;
    world.others.push(third);
    (world, vec![PEER.into(), OFFERED.into(), BUFFER])
}

/// A world in which vCPU 2 has been started.
fn started() -> World {
    let mut world = World::new();
    world.call(number::vcpu_start, &[2, 0, 0, 0]).unwrap();
    world.live = Default::default();
    world
}

/// A world whose console nobody reads.
fn unread() -> World {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    World::with_output(Output::File(File::from(OwnedFd::from(writer))))
}

/// A world without a free port of priority 1.
fn without_ports() -> World {
    full_of(number::event_alloc, 1, 1024)
}

/// A world in which one timer was bound before, and so many more that it has all.
fn without_timers() -> World {
    full_of(number::event_bind_timer, 2, TIMERS_MAX as u64 - 1)
}

fn full_of(call: u16, priority: u64, count: u64) -> World {
    let mut world = World::new();
    for _ in 0..count {
        world.call(call, &[0, priority]).unwrap();
    }
    world.live = Default::default();
    world
}

/// A world in which everything that was typed has been read.
fn all_read() -> World {
    let mut world = World::new();
    world
        .call(number::io_console_read, &[BUFFER, 100, 0])
        .unwrap();
    world.live = Default::default();
    world
}
