//! The `trap` calls when nothing is wrong with them. Where a trap goes is told by the monitor's
//! pages.

use super::World;
use super::world::{FRAME, RAM_SIZE, TABLE, modes};
use crate::hypercall::Action;
use crate::monitor::code::{self, Entry};
use crate::monitor::data::BOUNCE_SYSCALL;
use pv_abi::Errno::EINVAL;
use pv_abi::address_space::LOWER_HALF_END;
use pv_abi::calls::number;
use pv_abi::trap::{TRAP_VECTORS, TrapFrame, TrapHandler, VECTOR_DF, VECTOR_PF};
use std::mem::size_of;

/// The addresses in the table that every world has.
fn registered() -> Vec<u64> {
    (0..TRAP_VECTORS as u64)
        .map(|vector| 0x40_0000 + vector * 0x100)
        .collect()
}

/// The handlers of the exceptions alone.
fn of_exceptions(world: &World) -> Vec<u64> {
    world.handlers()[..TRAP_VECTORS].to_vec()
}

fn put_table(world: &World, gpa: u64, handlers: &[u64]) {
    for (index, &handler) in (0..).zip(handlers) {
        let at = gpa + index * size_of::<TrapHandler>() as u64;
        world.put(at, &TrapHandler { handler, flags: 0 });
    }
}

#[test]
fn a_table_registers_a_handler_for_each_vector() {
    let mut world = World::new();
    assert_eq!(of_exceptions(&world), [0; TRAP_VECTORS]);
    assert_eq!(world.call(number::trap_set_table, &[TABLE, 32]), Ok(0));
    assert_eq!(of_exceptions(&world), registered());
    assert_eq!(world.handlers()[BOUNCE_SYSCALL], 0);
}

#[test]
fn a_vector_past_the_table_or_with_handler_0_has_none() {
    let mut world = World::new();
    world.call(number::trap_set_table, &[TABLE, 32]).unwrap();
    put_table(&world, TABLE, &[0x1000, 0, 0x3000]);
    assert_eq!(world.call(number::trap_set_table, &[TABLE, 3]), Ok(0));
    let mut expected = vec![0x1000, 0, 0x3000];
    expected.resize(TRAP_VECTORS, 0);
    assert_eq!(of_exceptions(&world), expected);
    assert_eq!(world.call(number::trap_set_table, &[0, 0]), Ok(0));
    assert_eq!(of_exceptions(&world), [0; TRAP_VECTORS]);
}

#[test]
fn in_every_mode_a_gate_leads_to_the_handler_exactly_where_there_is_one() {
    for mode in modes() {
        let mut world = World::in_mode(mode);
        let before = world.gates();
        put_table(
            &world,
            TABLE,
            &[
                0x1000, 0, 0, 0, 0, 0, 0x1000, 0, 0x1000, 0, 0, 0, 0, 0, 0x1000,
            ],
        );
        world.call(number::trap_set_table, &[TABLE, 15]).unwrap();
        for (vector, gate) in world.gates().into_iter().enumerate() {
            let expected = match vector as u32 {
                VECTOR_DF => Some(code::offset(Entry::DoubleFault)),
                VECTOR_PF if mode.syscall_faults => Some(code::offset(Entry::FaultOrSyscall)),
                0 | 6 | VECTOR_PF => code::trap_entry(vector),
                _ => code::unhandled_entry(vector),
            };
            assert_eq!(Some(gate), expected, "{mode:?}, vector {vector}");
        }
        world.call(number::trap_set_table, &[TABLE, 0]).unwrap();
        assert_eq!(world.gates(), before);
    }
}

#[test]
fn the_table_is_copied() {
    let mut world = World::new();
    world.call(number::trap_set_table, &[TABLE, 32]).unwrap();
    put_table(&world, TABLE, &[u64::MAX; TRAP_VECTORS]);
    assert_eq!(of_exceptions(&world), registered());
}

#[test]
fn one_bad_entry_spoils_the_whole_table() {
    let mut world = World::new();
    world.call(number::trap_set_table, &[TABLE, 32]).unwrap();
    let mut handlers = vec![0x7000; TRAP_VECTORS];
    handlers[TRAP_VECTORS - 1] = LOWER_HALF_END;
    put_table(&world, TABLE, &handlers);
    assert_eq!(
        world.call(number::trap_set_table, &[TABLE, 32]),
        Err(EINVAL)
    );
    assert_eq!(of_exceptions(&world), registered());
    // What lies behind the table does not matter.
    assert_eq!(world.call(number::trap_set_table, &[TABLE, 31]), Ok(0));
    assert_eq!(of_exceptions(&world)[..31], [0x7000; 31]);
}

#[test]
fn a_table_may_end_where_ram_ends_and_a_handler_where_the_lower_half_does() {
    let mut world = World::new();
    let table = RAM_SIZE - 2 * size_of::<TrapHandler>() as u64;
    put_table(&world, table, &[1, LOWER_HALF_END - 1]);
    assert_eq!(world.call(number::trap_set_table, &[table, 2]), Ok(0));
    assert_eq!(of_exceptions(&world)[..2], [1, LOWER_HALF_END - 1]);
}

#[test]
fn handlers_are_the_calling_vcpus_own() {
    let mut world = World::new();
    let others = world.private_but_handlers();
    world.call(number::trap_set_table, &[TABLE, 32]).unwrap();
    world.call(number::trap_set_syscall, &[0x1000]).unwrap();
    assert!(world.private_but_handlers() == others);
}

#[test]
fn syscall_has_a_handler_of_its_own() {
    let mut world = World::new();
    for handler in [0x1000, LOWER_HALF_END - 1, 0] {
        assert_eq!(world.call(number::trap_set_syscall, &[handler]), Ok(0));
        assert_eq!(world.handlers()[BOUNCE_SYSCALL], handler);
    }
    world.call(number::trap_set_syscall, &[0x2000]).unwrap();
    world.call(number::trap_set_table, &[TABLE, 32]).unwrap();
    assert_eq!(world.handlers()[BOUNCE_SYSCALL], 0x2000);
    world.call(number::trap_set_table, &[0, 0]).unwrap();
    assert_eq!(world.handlers()[BOUNCE_SYSCALL], 0x2000);
}

#[test]
fn a_thread_pointer_is_any_address_in_the_lower_half() {
    let mut world = World::new();
    for base in [0, 1, 0x50_0000, LOWER_HALF_END - 1] {
        assert_eq!(world.call(number::trap_set_tls, &[base]), Ok(0));
        assert!(matches!(world.action, Some(Action::SetTls(wanted)) if wanted == base));
    }
}

#[test]
fn a_return_resumes_with_the_registers_of_the_frame() {
    let mut world = World::new();
    let mut frame: TrapFrame = world.take(FRAME);
    // Those that the reference says are ignored may have any value.
    (frame.vector, frame.error, frame.cr2) = (u64::MAX, u64::MAX, u64::MAX);
    (frame.cs, frame.ss, frame.rflags) = (u64::MAX, u64::MAX, u64::MAX);
    let last = RAM_SIZE - size_of::<TrapFrame>() as u64;
    for gpa in [FRAME, last] {
        world.put(gpa, &frame);
        assert_eq!(world.call(number::trap_return, &[gpa]), Ok(0));
        match &world.action {
            Some(Action::Resume(wanted)) => {
                assert_eq!(format!("{wanted:?}"), format!("{frame:?}"));
            }
            other => panic!("{other:?}"),
        }
    }
}
