//! vCPUs by the calls themselves: starting, stopping, blocking, deferred calls, the task entry.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure_eq, tests};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use core::arch::naked_asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use paravane_sdk::abi::calls::number;
use paravane_sdk::abi::convention::TASK_ENTRY_OFFSET;
use paravane_sdk::abi::stats::BatchEntry;
use paravane_sdk::abi::trap::SYSCALL_VECTOR;
use paravane_sdk::abi::vcpu_page::{
    RUN_STATE_BLOCKED, RUN_STATE_RUNNING, RUN_STATE_STOPPED, TaskState,
};
use paravane_sdk::abi::{CallWord, Errno};
use paravane_sdk::event::Events;
use paravane_sdk::hypercall::raw;
use paravane_sdk::trap::{self, TrapFrame, VectorState};
use paravane_sdk::{start_info, vcpu};

pub const GROUP: Group = Group {
    name: "vcpus",
    tests: tests![
        the_boot_vcpu_runs,
        there_is_no_vcpu_behind_the_last,
        a_vcpu_starts_and_stops_itself,
        a_vcpu_is_stopped_and_started_again,
        a_blocked_vcpu_is_kicked,
        a_kick_is_not_lost,
        deferred_calls_come_first,
        a_task_comes_back,
    ],
};

/// A vCPU to start, where the VM has more than one.
const OTHER: u32 = 1;

const STACK: usize = 64 << 10;

/// What the other vCPU is to do, and what it has done.
static TURNS: AtomicU64 = AtomicU64::new(0);
static SEEN_VCPU: AtomicU32 = AtomicU32::new(0);

/// The entry of a vCPU: calls the function in RDI.
#[unsafe(naked)]
unsafe extern "C" fn enter() -> ! {
    naked_asm!("xor ebp, ebp", "call rdi", "ud2")
}

/// Starts the other vCPU at a function that never returns, on a stack of its own.
pub(super) fn start(function: extern "C" fn() -> !) -> Result<u32, Errno> {
    let stack = Box::leak(vec![0u8; STACK].into_boxed_slice());
    let top = stack.as_ptr_range().end as u64 & !15;
    // SAFETY: the entry calls the function on a stack that nobody else uses.
    unsafe {
        raw::vcpu_start(
            OTHER,
            enter as *const () as u64,
            top,
            function as *const () as u64,
        )
    }
}

pub(super) fn stop_self() -> ! {
    // SAFETY: nothing of this vCPU is needed any more.
    let result = unsafe { raw::vcpu_stop(vcpu::id()) };
    panic!("vcpu_stop of the own vCPU returned {result:?}");
}

pub(super) fn is_there() -> bool {
    start_info::get().vcpus() > OTHER
}

pub(super) fn wait_for_state(state: u32) {
    while raw::vcpu_state(OTHER) != Ok(state) {
        spin_loop();
    }
}

fn the_boot_vcpu_runs() -> Outcome {
    ensure_eq!(raw::vcpu_state(0), Ok(RUN_STATE_RUNNING), "the state");
    let page = vcpu::page();
    // SAFETY: the page is mapped for as long as the vCPU runs.
    let state = unsafe { (&raw const (*page).run_state).read_volatile() };
    ensure_eq!(state, RUN_STATE_RUNNING, "the state in the vCPU page");
    Ok(())
}

fn there_is_no_vcpu_behind_the_last() -> Outcome {
    let count = start_info::get().vcpus();
    ensure_eq!(raw::vcpu_state(count), Err(Errno::EINVAL), "the state");
    ensure_eq!(raw::sched_kick(count), Err(Errno::EINVAL), "a kick");
    ensure_eq!(raw::sched_yield_to(count), Err(Errno::EINVAL), "a yield");
    // SAFETY: there is nothing to start or to stop.
    unsafe {
        ensure_eq!(
            raw::vcpu_start(count, 0, 0, 0),
            Err(Errno::EINVAL),
            "a start"
        );
        ensure_eq!(raw::vcpu_stop(count), Err(Errno::EINVAL), "a stop");
        ensure_eq!(
            raw::vcpu_start(0, 0, 0, 0),
            Err(Errno::EBUSY),
            "a start of this one"
        );
    }
    Ok(())
}

fn a_vcpu_starts_and_stops_itself() -> Outcome {
    if !is_there() {
        return Ok(());
    }
    extern "C" fn once() -> ! {
        SEEN_VCPU.store(vcpu::id(), Ordering::SeqCst);
        stop_self()
    }
    for _ in 0..20 {
        SEEN_VCPU.store(0, Ordering::SeqCst);
        ensure_eq!(start(once), Ok(0), "vcpu_start");
        wait_for_state(RUN_STATE_STOPPED);
        ensure_eq!(SEEN_VCPU.load(Ordering::SeqCst), OTHER, "the vCPU");
    }
    Ok(())
}

extern "C" fn count() -> ! {
    loop {
        TURNS.fetch_add(1, Ordering::SeqCst);
    }
}

fn a_vcpu_is_stopped_and_started_again() -> Outcome {
    if !is_there() {
        return Ok(());
    }
    for _ in 0..20 {
        ensure_eq!(start(count), Ok(0), "vcpu_start");
        let before = TURNS.load(Ordering::SeqCst);
        while TURNS.load(Ordering::SeqCst) == before {
            spin_loop();
        }
        // SAFETY: its stack is leaked, and what it counts is for this test.
        ensure_eq!(unsafe { raw::vcpu_stop(OTHER) }, Ok(0), "vcpu_stop");
        let stopped = TURNS.load(Ordering::SeqCst);
        for _ in 0..1000 {
            spin_loop();
        }
        ensure_eq!(
            TURNS.load(Ordering::SeqCst),
            stopped,
            "what a stopped vCPU counts"
        );
        ensure_eq!(raw::vcpu_state(OTHER), Ok(RUN_STATE_STOPPED), "its state");
    }
    Ok(())
}

fn a_blocked_vcpu_is_kicked() -> Outcome {
    if !is_there() {
        return Ok(());
    }
    extern "C" fn block() -> ! {
        // An event that came for this vCPU while it was stopped would end each block at once.
        Events::begin().for_each(drop);
        for _ in 0..20 {
            let why = raw::sched_block();
            TURNS.fetch_add(u64::from(why == Ok(1)), Ordering::SeqCst);
        }
        stop_self()
    }
    TURNS.store(0, Ordering::SeqCst);
    ensure_eq!(start(block), Ok(0), "vcpu_start");
    for turn in 0..20 {
        wait_for_state(RUN_STATE_BLOCKED);
        ensure_eq!(raw::sched_kick(OTHER), Ok(0), "sched_kick");
        while TURNS.load(Ordering::SeqCst) == turn {
            spin_loop();
        }
    }
    wait_for_state(RUN_STATE_STOPPED);
    Ok(())
}

fn a_kick_is_not_lost() -> Outcome {
    ensure_eq!(raw::sched_kick(vcpu::id()), Ok(0), "sched_kick");
    ensure_eq!(raw::sched_block(), Ok(1), "sched_block");
    Ok(())
}

fn deferred_calls_come_first() -> Outcome {
    let page = vcpu::page();
    let call = |number, arguments| BatchEntry {
        word: CallWord::single(number).encode(),
        arguments,
        result: -1,
    };
    let calls = [
        call(number::debug_echo, [1, 0, 0, 0, 0, 0]),
        call(number::sched_yield, [0; 6]),
        call(number::debug_echo, [2, 0, 0, 0, 0, 0]),
    ];
    let results = [1, Errno::EPERM.to_result(), 2];
    // SAFETY: the page is mapped for as long as the vCPU runs, and its deferred calls are this
    // test's.
    unsafe {
        for (index, call) in calls.into_iter().enumerate() {
            (&raw mut (*page).deferred[index]).write_volatile(call);
        }
        (&raw mut (*page).deferred_count).write_volatile(calls.len() as u32);
        ensure_eq!(raw::core_noop(), Ok(0), "the next call");
        let count = (&raw const (*page).deferred_count).read_volatile();
        ensure_eq!(count, 0, "the count behind it");
        for (index, expected) in results.into_iter().enumerate() {
            let result = (&raw const (*page).deferred[index].result).read_volatile();
            ensure_eq!(result, expected, "the result of call {index}");
        }
    }
    Ok(())
}

/// What came back from the task: the vector, and RAX.
static TASK_VECTOR: AtomicU64 = AtomicU64::new(0);
static TASK_RAX: AtomicU64 = AtomicU64::new(0);
/// RSP of [`run_task`] while the task runs.
static KERNEL_RSP: AtomicU64 = AtomicU64::new(0);
static TASK_ENTRY: AtomicU64 = AtomicU64::new(0);

/// Enters the task that the vCPU page describes, and returns when [`leave_task`] says so.
#[unsafe(naked)]
unsafe extern "C" fn run_task() {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "mov [rip + {rsp}], rsp",
        "mov eax, 0x1234",
        "jmp qword ptr [rip + {entry}]",
        rsp = sym KERNEL_RSP,
        entry = sym TASK_ENTRY,
    )
}

#[unsafe(naked)]
unsafe extern "C" fn leave_task() -> ! {
    naked_asm!(
        "mov rsp, [rip + {rsp}]",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
        "ret",
        rsp = sym KERNEL_RSP,
    )
}

fn task_trapped(frame: &mut TrapFrame, _: &mut VectorState) -> ! {
    TASK_VECTOR.store(frame.vector, Ordering::SeqCst);
    TASK_RAX.store(frame.rax, Ordering::SeqCst);
    // SAFETY: `run_task` waits for it, on this vCPU.
    unsafe { leave_task() }
}

/// The task: a system call, where it can fetch it.
#[unsafe(naked)]
#[unsafe(export_name = "paravane_deliberate_task")]
unsafe extern "C" fn task() -> ! {
    naked_asm!("add rax, rcx", "add rax, r11", "syscall", "ud2")
}

fn a_task_comes_back() -> Outcome {
    trap::enable_syscall().map_err(|error| format!("enable_syscall: {error}"))?;
    trap::set_task_trap(task_trapped);
    let hypercall_page = start_info::get().page().hypercall_page;
    TASK_ENTRY.store(hypercall_page + TASK_ENTRY_OFFSET, Ordering::SeqCst);
    let page = vcpu::page();
    // What a task has in RSP is nothing to the kernel, be it an address on its trap stack.
    let stack = vcpu::trap_stack();
    let stack_pointers = [0, stack.start, stack.start + 4096, stack.end];
    for round in 0..20 {
        let state = TaskState {
            rip: task as *const () as u64,
            rflags: 0,
            rsp: stack_pointers[round as usize % stack_pointers.len()],
            rcx: 0x10000,
            r11: round << 20,
            ..TaskState::default()
        };
        // SAFETY: the page is mapped for as long as the vCPU runs. The task touches nothing, and
        // comes back by the trap that it ends in.
        unsafe {
            (&raw mut (*page).upcall_mask).write_volatile(1);
            (&raw mut (*page).task).write_volatile(state);
            run_task();
            let mask = (&raw const (*page).upcall_mask).read_volatile();
            ensure_eq!(mask, 1, "the upcall mask behind a task");
        }
        let vector = TASK_VECTOR.load(Ordering::SeqCst);
        let rax = TASK_RAX.load(Ordering::SeqCst);
        if start_info::get().privilege() == start_info::Privilege::Ring0 {
            // The kernel's text is not the task's to execute.
            ensure_eq!(vector, 14, "the vector");
            ensure_eq!(rax, 0x1234, "RAX");
        } else {
            ensure_eq!(vector, u64::from(SYSCALL_VECTOR), "the vector");
            ensure_eq!(rax, 0x1_1234 + (round << 20), "RAX");
        }
    }
    Ok(())
}
