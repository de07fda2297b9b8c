//! The boot stack.

use super::{Group, Outcome, ensure, ensure_eq, tests};
use core::hint::black_box;
use paravane_sdk::vcpu;

pub const GROUP: Group = Group {
    name: "stack",
    tests: tests![is_where_it_is_said_to_be, deep_recursion],
};

fn is_where_it_is_said_to_be() -> Outcome {
    let local = black_box(0_u8);
    let address = &raw const local as u64;
    let stack = vcpu::boot_stack();
    ensure!(
        stack.contains(&address),
        "a local variable is at {address:#x}, the stack at {stack:#x?}"
    );
    let trap_stack = vcpu::trap_stack();
    ensure!(
        trap_stack.end <= stack.start || stack.end <= trap_stack.start,
        "the trap stack at {trap_stack:#x?} overlaps the boot stack at {stack:#x?}"
    );
    ensure_eq!(stack.end % 16, 0, "the top of the stack, modulo 16");
    Ok(())
}

/// Fills three quarters of the stack, and finds each frame as it was.
fn deep_recursion() -> Outcome {
    let stack = vcpu::boot_stack();
    let lowest = stack.end - (stack.end - stack.start) / 4 * 3;
    let intact = recurse(lowest, 0);
    ensure!(intact, "a frame of a deep recursion was overwritten");
    Ok(())
}

fn recurse(lowest: u64, depth: u64) -> bool {
    let frame = black_box([depth; 64]);
    let deeper = &raw const frame as u64 > lowest;
    (!deeper || recurse(lowest, depth + 1)) && black_box(&frame).iter().all(|&word| word == depth)
}
