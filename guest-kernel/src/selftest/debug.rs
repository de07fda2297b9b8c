//! Breakpoints by the debug registers, and single steps.

#![allow(unsafe_code)]

use super::catch::Handlers;
use super::{Group, Outcome, ensure_eq, tests};
use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::abi::trap::DebugRegisters;
use paravane_sdk::hypercall::raw;
use paravane_sdk::trap::{Resume, TrapFrame, Vector};
use paravane_sdk::{Errno, Features, address, start_info};

pub const GROUP: Group = Group {
    name: "debug",
    tests: tests![
        a_write_is_caught,
        an_instruction_is_caught,
        without_breakpoints_nothing_is_caught,
        single_steps,
        bad_registers_are_refused,
    ],
};

/// RFLAGS.TF.
const TRAP_FLAG: u64 = 1 << 8;
/// RFLAGS.RF.
const RESUME_FLAG: u64 = 1 << 16;
/// DR7: L0.
const L0: u64 = 1;
/// DR7: breakpoint 0 is a write of 8 bytes.
const WRITE_8: u64 = 1 << 16 | 2 << 18;
/// DR6: B0.
const B0: u64 = 1;
/// DR6: BS.
const BS: u64 = 1 << 14;

static WATCHED: AtomicU64 = AtomicU64::new(0);
static HITS: AtomicU64 = AtomicU64::new(0);
static STATUS: AtomicU64 = AtomicU64::new(0);

/// Whether there are debug registers. Single steps there are always.
fn is_there() -> bool {
    start_info::get()
        .features()
        .contains(Features::DEBUG_REGISTERS)
}

fn set(registers: DebugRegisters) -> Result<u32, Errno> {
    // SAFETY: what the breakpoints catch, this group handles.
    unsafe { raw::trap_set_debug(address::of(&registers)) }
}

fn hit(frame: &mut TrapFrame) -> Resume {
    HITS.fetch_add(1, Ordering::SeqCst);
    STATUS.store(frame.cr2, Ordering::SeqCst);
    // SAFETY: an instruction's breakpoint comes before it; with RF it is executed once.
    unsafe { frame.registers_mut() }.rflags |= RESUME_FLAG;
    Resume::Resume
}

fn hits(body: impl FnOnce()) -> u64 {
    let _handlers = Handlers::set(&[(Vector::DB, hit)]);
    HITS.store(0, Ordering::SeqCst);
    body();
    HITS.load(Ordering::SeqCst)
}

fn watch() -> DebugRegisters {
    let mut registers = DebugRegisters {
        control: L0 | WRITE_8,
        ..DebugRegisters::default()
    };
    registers.address[0] = WATCHED.as_ptr() as u64;
    registers
}

fn a_write_is_caught() -> Outcome {
    if !is_there() {
        ensure_eq!(set(watch()), Err(Errno::ENOSYS), "trap_set_debug");
        return Ok(());
    }
    ensure_eq!(set(watch()), Ok(0), "trap_set_debug");
    let hits = hits(|| WATCHED.store(7, Ordering::SeqCst));
    ensure_eq!(set(DebugRegisters::default()), Ok(0), "trap_set_debug");
    ensure_eq!(hits, 1, "how often it was caught");
    ensure_eq!(STATUS.load(Ordering::SeqCst) & (0xf | BS), B0, "DR6");
    ensure_eq!(WATCHED.load(Ordering::SeqCst), 7, "what was written");
    Ok(())
}

#[unsafe(naked)]
extern "C" fn nothing() {
    naked_asm!("nop", "ret")
}

fn an_instruction_is_caught() -> Outcome {
    if !is_there() {
        ensure_eq!(set(watch()), Err(Errno::ENOSYS), "trap_set_debug");
        return Ok(());
    }
    let mut registers = DebugRegisters {
        control: L0,
        ..DebugRegisters::default()
    };
    registers.address[0] = nothing as *const () as u64;
    ensure_eq!(set(registers), Ok(0), "trap_set_debug");
    let hits = hits(|| {
        nothing();
        nothing();
    });
    ensure_eq!(set(DebugRegisters::default()), Ok(0), "trap_set_debug");
    ensure_eq!(hits, 2, "how often it was caught");
    Ok(())
}

fn without_breakpoints_nothing_is_caught() -> Outcome {
    if !is_there() {
        ensure_eq!(set(watch()), Err(Errno::ENOSYS), "trap_set_debug");
        return Ok(());
    }
    ensure_eq!(set(watch()), Ok(0), "trap_set_debug");
    ensure_eq!(set(DebugRegisters::default()), Ok(0), "trap_set_debug");
    let hits = hits(|| WATCHED.store(8, Ordering::SeqCst));
    ensure_eq!(hits, 0, "how often it was caught");
    Ok(())
}

static STEPS: AtomicU64 = AtomicU64::new(0);

/// INT3 begins the steps, and the third #DB ends them.
fn begin(frame: &mut TrapFrame) -> Resume {
    // SAFETY: the code goes on where it was, with a #DB behind each instruction.
    unsafe { frame.registers_mut() }.rflags |= TRAP_FLAG;
    Resume::Resume
}

fn step(frame: &mut TrapFrame) -> Resume {
    if STEPS.fetch_add(1, Ordering::SeqCst) == 2 {
        // SAFETY: the code goes on where it was.
        unsafe { frame.registers_mut() }.rflags &= !TRAP_FLAG;
    }
    STATUS.store(frame.cr2, Ordering::SeqCst);
    Resume::Resume
}

fn single_steps() -> Outcome {
    let _handlers = Handlers::set(&[(Vector::BP, begin), (Vector::DB, step)]);
    STEPS.store(0, Ordering::SeqCst);
    // SAFETY: the traps come back here.
    unsafe { asm!("int3", "nop", "nop", "nop", "nop", "nop") };
    ensure_eq!(STEPS.load(Ordering::SeqCst), 3, "the number of steps");
    ensure_eq!(STATUS.load(Ordering::SeqCst) & (0xf | BS), BS, "DR6");
    Ok(())
}

fn bad_registers_are_refused() -> Outcome {
    if !is_there() {
        ensure_eq!(set(watch()), Err(Errno::ENOSYS), "trap_set_debug");
        return Ok(());
    }
    let good = watch();
    let mut in_monitor = good;
    in_monitor.address[3] = 0x7e00_0000_0000;
    let mut not_canonical = good;
    not_canonical.address[1] = 1 << 63;
    // GD, and G0.
    for control in [1 << 13, 2] {
        let bad = DebugRegisters { control, ..good };
        ensure_eq!(set(bad), Err(Errno::EINVAL), "DR7 {control:#x}");
    }
    let reserved = DebugRegisters {
        reserved: [0, 1, 0],
        ..good
    };
    for (what, bad) in [
        ("the monitor", in_monitor),
        ("the upper half", not_canonical),
        ("a reserved field", reserved),
    ] {
        ensure_eq!(set(bad), Err(Errno::EINVAL), "{what}");
    }
    Ok(())
}
