//! Tasks: what they can do, what they cannot, and how they come back.

#![allow(unsafe_code)]

mod program;

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
use paravane_sdk::abi::Features;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::event::Priority;
use paravane_sdk::space::{AddressSpace, Rights, TASK_AREA};
use paravane_sdk::task::{Exit, Fault, MemoryError, Task, TaskMemory, elf};
use paravane_sdk::thread::{self, Config};
use paravane_sdk::time::{Instant, Timer};
use paravane_sdk::trap::Vector;
use paravane_sdk::{heap, start_info, upcall, vcpu};
use program::{CODE, DATA, PAGES, Process, STACK_TOP, programs};

pub const GROUP: Group = Group {
    name: "tasks",
    tests: tests![
        a_system_call_comes_back,
        registers_are_its_own,
        vector_registers_are_its_own,
        faults_come_back,
        privileged_instructions_fault,
        the_kernels_memory_is_not_there,
        no_call_from_a_task,
        rights_are_kept,
        hostile_registers,
        single_steps,
        pages_on_demand,
        a_stack_that_grows,
        the_kernel_reads_and_writes,
        two_memories_at_one_address,
        copies_on_write,
        a_fork_of_a_fork,
        an_event_interrupts_a_task,
        in_threads,
        programs_that_are_none,
        memory_comes_back,
    ],
};

fn available() -> bool {
    let needed = Features::TASKS
        .union(Features::ADDRESS_SPACES)
        .union(Features::SYSCALL_ENTRY)
        .union(Features::EVENTS);
    start_info::get().features().contains(needed)
}

programs! {
    /// System calls with RAX = 1, 2, 3, ..., each with what the one before returned in RDI.
    fn counting {
        "xor ebx, ebx"
        "2: inc rbx"
        "mov rdi, rax"
        "mov rax, rbx"
        "syscall"
        "jmp 2b"
    }
    /// Puts a value into each register, makes a system call, and then one with RAX = 1 if all
    /// have kept theirs.
    fn registers {
        "mov rbx, 0x1111111111111111"
        "mov rbp, 0x2222222222222222"
        "mov rsi, 0x3333333333333333"
        "mov rdi, 0x4444444444444444"
        "mov rdx, 0x5555555555555555"
        "mov r8, 0x8888888888888888"
        "mov r9, 0x9999999999999999"
        "mov r10, 0xaaaaaaaaaaaaaaaa"
        "mov r12, 0xcccccccccccccccc"
        "mov r13, 0xdddddddddddddddd"
        "mov r14, 0xeeeeeeeeeeeeeeee"
        "mov r15, 0xffffffffffffffff"
        "mov eax, 77"
        "syscall"
        "add rbx, r14" // -1
        "add rbp, r13" // -1
        "add rsi, r12" // -1
        "add rdi, r10"
        "add rdi, 0x11111111"
        "add rdx, r10" // -1
        "add r8, 1"
        "mov rcx, 0x8888888888888889"
        "sub r8, rcx"  // 0
        "mov rcx, 0x9999999999999999"
        "sub r9, rcx"  // 0
        "and rbx, rbp"
        "and rbx, rsi"
        "and rbx, rdx"
        "and rbx, r15"
        "or r8, r9"
        "inc rbx"
        "or rbx, r8"
        "mov eax, 1"
        "mov rdi, rbx"
        "syscall"
        "ud2"
    }
    /// Puts RDI into vector registers, and from then on makes system calls with RAX = 1 if they
    /// have kept it, 2 if not.
    fn vectors {
        "movq xmm0, rdi"
        "movq xmm15, rdi"
        "push rdi"
        "fninit"
        "fild qword ptr [rsp]"
        "2: mov eax, 3"
        "syscall"
        "movq rax, xmm0"
        "movq rcx, xmm15"
        "fld st(0)"
        "fistp qword ptr [rsp]"
        "cmp rax, [rsp]"
        "jne 3f"
        "cmp rcx, [rsp]"
        "jne 3f"
        "mov eax, 1"
        "jmp 4f"
        "3: mov eax, 2"
        "4: mov rdi, [rsp]"
        "syscall"
        "jmp 2b"
    }
    /// Writes RSI to [RDI], and makes a system call with what is there then in RDI.
    fn store {
        "2: mov [rdi], rsi"
        "mov rdi, [rdi]"
        "mov eax, 1"
        "syscall"
        "jmp 2b"
    }
    /// Makes a system call with what is at [RDI] in RDI.
    fn load {
        "2: mov rdi, [rdi]"
        "mov eax, 1"
        "syscall"
        "jmp 2b"
    }
    /// Jumps to RDI.
    fn jump {
        "jmp rdi"
    }
    /// Adds up the bytes of RSI pages from RDI on, adding 1 to the first one of each.
    fn touch {
        "xor eax, eax"
        "2: movzx ecx, byte ptr [rdi]"
        "add eax, ecx"
        "inc byte ptr [rdi]"
        "add rdi, 4096"
        "dec rsi"
        "jnz 2b"
        "mov edi, eax"
        "mov eax, 1"
        "syscall"
        "ud2"
    }
    /// Pushes RSI words, each with its number, and pops and adds them up.
    fn push_and_pop {
        "mov rcx, rsi"
        "2: push rcx"
        "dec rcx"
        "jnz 2b"
        "xor edi, edi"
        "3: pop rcx"
        "add rdi, rcx"
        "dec rsi"
        "jnz 3b"
        "mov eax, 1"
        "syscall"
        "ud2"
    }
    /// Does nothing, for ever.
    fn spin {
        "2: jmp 2b"
    }
    /// Makes a system call, and then adds 1 to RAX, to be single-stepped out of it.
    fn steps {
        "syscall"
        "inc rax"
        "inc rax"
        "inc rax"
        "mov ebx, 1"
    }
}

fn process(code: &[u8]) -> Result<Process, String> {
    Process::new(code)
}

fn a_system_call_comes_back() -> Outcome {
    if !available() {
        return Ok(());
    }
    let mut process = process(counting())?;
    process.task.registers_mut().rax = 100;
    for number in 1..=50 {
        let (rax, rdi) = process.run_to_syscall()?;
        ensure_eq!(rax, number, "RAX of a system call");
        ensure_eq!(rdi, 99 + number, "what the one before returned");
        process.task.registers_mut().rax = 100 + number;
    }
    Ok(())
}

fn registers_are_its_own() -> Outcome {
    if !available() {
        return Ok(());
    }
    let mut process = process(registers())?;
    process.run_to_syscall()?;
    let seen = *process.task.registers();
    ensure_eq!(seen.rax, 77, "RAX");
    ensure_eq!(seen.rbx, 0x1111_1111_1111_1111, "RBX");
    ensure_eq!(seen.r15, u64::MAX, "R15");
    ensure_eq!(seen.r10, 0xaaaa_aaaa_aaaa_aaaa, "R10");
    ensure_eq!(seen.rsp, STACK_TOP, "RSP");
    ensure_eq!(seen.rcx, seen.rip, "RCX, which SYSCALL writes, and RIP");
    let (rax, wrong) = process.run_to_syscall()?;
    ensure_eq!((rax, wrong & !(0xf << 60)), (1, 0), "what has changed");
    Ok(())
}

fn vector_registers_are_its_own() -> Outcome {
    if !available() {
        return Ok(());
    }
    let values = [0x0123_4567_89ab_cdef, 0x0fed_cba9_8765_4321];
    let mut processes = Vec::new();
    for value in values {
        let mut process = process(vectors())?;
        process.task.registers_mut().rdi = value;
        processes.push(process);
    }
    for _ in 0..3 {
        for process in &mut processes {
            ensure_eq!(process.run_to_syscall()?.0, 3, "RAX");
        }
        for (process, value) in processes.iter_mut().zip(values) {
            // What the kernel computes between two runs.
            let kernels = core::hint::black_box(value as f64) * 0.5;
            ensure_eq!(process.run_to_syscall()?, (1, value), "RAX and RDI");
            ensure_eq!(kernels * 2.0, value as f64, "what the kernel computed");
        }
    }
    Ok(())
}

/// What a program that consists of these bytes faults with.
fn fault_of(code: &[u8]) -> Result<Fault, String> {
    match process(code)?.run()? {
        Exit::Fault(fault) => Ok(fault),
        exit => Err(format!("{exit:x?} instead of a fault, of {code:x?}")),
    }
}

fn faults_come_back() -> Outcome {
    if !available() {
        return Ok(());
    }
    ensure_eq!(fault_of(&[0x0f, 0x0b])?.vector, Vector::UD, "UD2");
    ensure_eq!(fault_of(&[0xcc])?.vector, Vector::BP, "INT3");
    // xor ecx, ecx; div ecx
    ensure_eq!(
        fault_of(&[0x31, 0xc9, 0xf7, 0xf1])?.vector,
        Vector::DE,
        "a division by 0"
    );
    // mov rax, [0x10]
    let null = fault_of(&[0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0])?;
    let fault = null.page_fault().ok_or("a null pointer gave no #PF")?;
    ensure_eq!(fault.address, 0x10, "the address of a null pointer");
    ensure!(fault.user && !fault.present && !fault.write, "{fault:?}");
    Ok(())
}

fn privileged_instructions_fault() -> Outcome {
    if !available() {
        return Ok(());
    }
    let instructions: [(&str, &[u8]); 11] = [
        ("HLT", &[0xf4]),
        ("CLI", &[0xfa]),
        ("STI", &[0xfb]),
        ("MOV RAX, CR3", &[0x0f, 0x20, 0xd8]),
        ("MOV CR3, RAX", &[0x0f, 0x22, 0xd8]),
        ("WRMSR", &[0x0f, 0x30]),
        ("RDMSR", &[0x0f, 0x32]),
        ("LGDT [RSP - 8]", &[0x0f, 0x01, 0x54, 0x24, 0xf8]),
        ("INVLPG [RSP - 8]", &[0x0f, 0x01, 0x7c, 0x24, 0xf8]),
        ("OUT 0x50, AL", &[0xe6, 0x50]),
        ("IN EAX, 0x50", &[0xe5, 0x50]),
    ];
    for (name, code) in instructions {
        let fault = fault_of(code).map_err(|error| format!("{name}: {error}"))?;
        ensure_eq!(fault.vector, Vector::GP, "the vector of {name}");
    }
    Ok(())
}

/// What accessing an address gives.
fn fault_at(code: &[u8], address: u64) -> Result<Fault, String> {
    let mut process = process(code)?;
    process.task.registers_mut().rdi = address;
    match process.run()? {
        Exit::Fault(fault) => Ok(fault),
        exit => Err(format!("{exit:x?} instead of a fault at {address:#x}")),
    }
}

fn the_kernels_memory_is_not_there() -> Outcome {
    if !available() {
        return Ok(());
    }
    let info = start_info::get().page();
    let kernels = 0_u64;
    let addresses = [
        &raw const kernels as u64,
        fault_at as *const () as u64,
        info.linear_map,
        info.vcpu_pages,
        info.event_page,
        core::ptr::from_ref(info) as u64,
        vcpu::trap_stack().start,
        paravane_sdk::abi::address_space::MONITOR_BASE,
    ];
    for address in addresses {
        for (what, code) in [("loading", load()), ("storing", store())] {
            let fault = fault_at(code, address)?;
            ensure_eq!(fault.vector, Vector::PF, "{what} at {address:#x}");
            ensure_eq!(fault.address, address, "the address of {what}");
        }
    }
    ensure_eq!(core::hint::black_box(kernels), 0, "the kernel's variable");
    Ok(())
}

fn no_call_from_a_task() -> Outcome {
    if !available() {
        return Ok(());
    }
    let page = start_info::get().page().hypercall_page;
    for offset in [0, 0x80, 0xc0] {
        let fault = fault_at(jump(), page + offset)?;
        ensure_eq!(fault.vector, Vector::PF, "a jump to the hypercall page");
        ensure_eq!(fault.address, page + offset, "its address");
    }
    Ok(())
}

fn rights_are_kept() -> Outcome {
    if !available() {
        return Ok(());
    }
    let written = fault_at(store(), CODE)?
        .page_fault()
        .ok_or("no #PF for writing code")?;
    ensure!(written.present && written.write, "{written:?}");
    let executed = fault_at(jump(), DATA)?
        .page_fault()
        .ok_or("no #PF for executing data")?;
    ensure_eq!(executed.address, DATA, "the address that was executed");
    // Nothing is there at first; then there is a page that may not be executed.
    let mut process = process(jump())?;
    process
        .memory
        .write(DATA, &[0x0f, 0x05])
        .map_err(|error| format!("write: {error}"))?;
    process.task.registers_mut().rdi = DATA;
    let Exit::Fault(fault) = process.run()? else {
        return Err(String::from("data were executed"));
    };
    let fault = fault.page_fault().ok_or("no #PF for executing data")?;
    ensure!(fault.present && fault.address == DATA, "{fault:?}");
    Ok(())
}

/// Registers that no program has: the guest goes on, whatever happens to the task.
fn hostile_registers() -> Outcome {
    if !available() {
        return Ok(());
    }
    let addresses = [
        0,
        u64::MAX,
        0x8000_0000_0000,
        0xffff_8000_0000_0000,
        0x7fff_ffff_ffff,
        1 << 63,
    ];
    for address in addresses {
        let mut process = process(spin())?;
        process.task.registers_mut().rip = address;
        let exit = process.run()?;
        ensure!(
            matches!(
                exit,
                Exit::Fault(Fault {
                    vector: Vector::PF | Vector::GP,
                    ..
                })
            ),
            "{exit:x?} with RIP {address:#x}"
        );
        // A stack that is not there: the system call does not need it.
        let mut process = Process::new(counting())?;
        process.task.registers_mut().rsp = address;
        ensure_eq!(process.run_to_syscall()?.0, 1, "RAX with RSP {address:#x}");
        ensure_eq!(process.task.registers().rsp, address, "RSP");
    }
    // All flags: those that are not a task's to set are ignored. TF would stop it at once.
    let mut process = process(counting())?;
    process.task.registers_mut().rflags = !0x100;
    ensure_eq!(process.run_to_syscall()?.0, 1, "RAX with all flags");
    Ok(())
}

fn single_steps() -> Outcome {
    if !available() {
        return Ok(());
    }
    const TF: u64 = 0x100;
    let mut process = process(steps())?;
    // Once its page is there for good: when the first fetch from it makes Bochs leave the guest, it
    // takes the step for done.
    process.run_to_syscall()?;
    process.task.registers_mut().rax = 0;
    for step in 1..=3 {
        process.task.registers_mut().rflags |= TF;
        let exit = process.run()?;
        ensure!(
            matches!(
                exit,
                Exit::Fault(Fault {
                    vector: Vector::DB,
                    ..
                })
            ),
            "{exit:x?} instead of #DB"
        );
        ensure_eq!(process.task.registers().rax, step, "RAX");
    }
    Ok(())
}

fn pages_on_demand() -> Outcome {
    if !available() {
        return Ok(());
    }
    let mut process = process(touch())?;
    let before = process.memory.pages();
    let registers = process.task.registers_mut();
    (registers.rdi, registers.rsi) = (DATA, PAGES);
    let mut faults = 0;
    loop {
        match process.task.run() {
            Exit::Fault(fault) => {
                let address = fault.page_fault().ok_or("no #PF")?.address;
                ensure_eq!(address, DATA + faults * PAGE_SIZE, "where it faulted");
                let resolved = process.memory.resolve(fault);
                ensure_eq!(resolved, Ok(true), "resolve");
                faults += 1;
            }
            Exit::Interrupted => {}
            Exit::Syscall => break,
        }
    }
    ensure_eq!(faults, PAGES, "the number of faults");
    let pages = process.memory.pages() - before;
    ensure_eq!(pages as u64, PAGES, "the number of pages");
    ensure_eq!(process.task.registers().rdi, 0, "the sum of new pages");
    Ok(())
}

fn a_stack_that_grows() -> Outcome {
    if !available() {
        return Ok(());
    }
    let words = PAGES * PAGE_SIZE / 8;
    let mut fits = process(push_and_pop())?;
    fits.task.registers_mut().rsi = words;
    ensure_eq!(
        fits.run_to_syscall()?.1,
        words * (words + 1) / 2,
        "the sum of what was pushed"
    );
    let mut overflows = process(push_and_pop())?;
    overflows.task.registers_mut().rsi = words + 1;
    let Exit::Fault(fault) = overflows.run()? else {
        return Err(String::from("a stack took more than there is"));
    };
    ensure_eq!(
        fault.address,
        STACK_TOP - PAGES * PAGE_SIZE - 8,
        "the address behind the stack"
    );
    Ok(())
}

fn the_kernel_reads_and_writes() -> Outcome {
    if !available() {
        return Ok(());
    }
    let mut process = process(load())?;
    // Across the border of two pages that the task has not used yet.
    let address = DATA + PAGE_SIZE - 4;
    let bytes = 0x1122_3344_5566_7788_u64.to_le_bytes();
    let written = process.memory.write(address, &bytes);
    ensure_eq!(written, Ok(()), "write");
    process.task.registers_mut().rdi = address;
    ensure_eq!(
        process.run_to_syscall()?.1,
        0x1122_3344_5566_7788,
        "what the task reads"
    );
    let mut back = [0; 8];
    ensure_eq!(process.memory.read(address, &mut back), Ok(()), "read");
    ensure_eq!(back, bytes, "what the kernel reads");
    let memory = &mut process.memory;
    ensure_eq!(
        memory.write(CODE, &[0]),
        Err(MemoryError::NoRight),
        "writing code"
    );
    for address in [0, DATA - 1, DATA + PAGES * PAGE_SIZE - 4, u64::MAX - 3] {
        let read = memory.read(address, &mut back);
        ensure_eq!(read, Err(MemoryError::NotThere), "reading {address:#x}");
    }
    Ok(())
}

fn two_memories_at_one_address() -> Outcome {
    if !available() {
        return Ok(());
    }
    let mut processes = [process(store())?, process(store())?];
    for round in 0..4 {
        for (index, process) in (0..).zip(&mut processes) {
            // What the task of this memory has written in the round before.
            let mut before = [0; 8];
            let read = process.memory.read(DATA, &mut before);
            ensure_eq!(read, Ok(()), "read");
            let expected = if round == 0 { 0 } else { round * 10 + index };
            ensure_eq!(u64::from_le_bytes(before), expected, "the word in memory");
            let value = (round + 1) * 10 + index;
            let registers = process.task.registers_mut();
            (registers.rdi, registers.rsi) = (DATA, value);
            ensure_eq!(process.run_to_syscall()?.1, value, "what it reads back");
        }
    }
    Ok(())
}

/// The word at the beginning of a process's data.
fn word(process: &mut Process) -> Result<u64, String> {
    let mut bytes = [0; 8];
    process
        .memory
        .read(DATA, &mut bytes)
        .map_err(|error| format!("read: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Has a process of [`store`] write a word there.
fn store_word(process: &mut Process, value: u64) -> Outcome {
    let registers = process.task.registers_mut();
    (registers.rip, registers.rdi, registers.rsi) = (CODE, DATA, value);
    ensure_eq!(process.run_to_syscall()?.1, value, "what it reads back");
    Ok(())
}

fn copies_on_write() -> Outcome {
    if !available() {
        return Ok(());
    }
    let blocks = heap::usage().blocks;
    let mut parent = process(store())?;
    store_word(&mut parent, 1)?;
    let mut child = parent.fork()?;
    ensure_eq!(word(&mut child)?, 1, "the child's word");
    store_word(&mut child, 2)?;
    ensure_eq!(
        word(&mut parent)?,
        1,
        "the parent's word, the child's written"
    );
    store_word(&mut parent, 3)?;
    ensure_eq!(
        word(&mut child)?,
        2,
        "the child's word, the parent's written"
    );
    // One that ends leaves the other what it has.
    drop(parent);
    store_word(&mut child, 4)?;
    ensure_eq!(word(&mut child)?, 4, "the child's word, the parent gone");
    drop(child);
    ensure_eq!(heap::usage().blocks, blocks, "the blocks of the heap");
    Ok(())
}

fn a_fork_of_a_fork() -> Outcome {
    if !available() {
        return Ok(());
    }
    let mut first = process(store())?;
    store_word(&mut first, 1)?;
    let mut family = Vec::new();
    for _ in 0..4 {
        let last = family.last_mut().unwrap_or(&mut first);
        let next = last.fork()?;
        family.push(next);
    }
    // The kernel's writes are copies too.
    for (index, process) in (0..).zip(&mut family) {
        let value: u64 = 100 + index;
        let written = process.memory.write(DATA, &value.to_le_bytes());
        ensure_eq!(written, Ok(()), "write");
    }
    ensure_eq!(word(&mut first)?, 1, "the first one's word");
    for (index, process) in (0..).zip(&mut family) {
        ensure_eq!(word(process)?, 100 + index, "the word of fork {index}");
        store_word(process, 200 + index)?;
    }
    ensure_eq!(word(&mut first)?, 1, "the first one's word");
    Ok(())
}

fn an_event_interrupts_a_task() -> Outcome {
    if !available() || !start_info::get().features().contains(thread::REQUIRED) {
        return Ok(());
    }
    static TICKS: AtomicU32 = AtomicU32::new(0);
    TICKS.store(0, Ordering::SeqCst);
    let mut process = process(spin())?;
    upcall::enable();
    let timer =
        Timer::new(vcpu::id(), Priority::default()).map_err(|error| format!("a timer: {error}"))?;
    upcall::set_handler(timer.port().number(), |_| {
        TICKS.fetch_add(1, Ordering::SeqCst);
    });
    let period = Duration::from_millis(1);
    let set = timer.set_periodic(Instant::now() + period, period);
    ensure_eq!(set, Ok(()), "time_periodic");
    let mut outcome = Ok(());
    let mut exits = 0;
    while exits < 5 && outcome.is_ok() {
        let before = TICKS.load(Ordering::SeqCst);
        match process.task.run() {
            Exit::Interrupted if TICKS.load(Ordering::SeqCst) > before => exits += 1,
            // The event was another's, or came before the task was entered.
            Exit::Interrupted => {}
            exit => outcome = Err(format!("{exit:x?} of a task that does nothing")),
        }
    }
    timer.cancel();
    upcall::clear_handler(timer.port().number());
    upcall::disable();
    outcome?;
    let rip = process.task.registers().rip;
    ensure_eq!(rip, CODE, "RIP of the interrupted task");
    Ok(())
}

/// More tasks than vCPUs, each run by a thread, each spinning now and then until others had
/// their turn.
fn in_threads() -> Outcome {
    if !available() || !start_info::get().features().contains(thread::REQUIRED) {
        return Ok(());
    }
    const TASKS: u64 = 4;
    let results: Vec<_> = Config::new().slice(Duration::from_millis(1)).run(|| {
        let threads: Vec<_> = (0..TASKS)
            .map(|number| {
                thread::spawn(move || -> Result<u64, String> {
                    let mut process = Process::new(counting())?;
                    process.task.registers_mut().rax = number;
                    let mut sum = 0;
                    for _ in 0..10 {
                        let (count, passed) = process.run_to_syscall()?;
                        sum += count;
                        if passed != number {
                            return Err(format!("{passed} came back instead of {number}"));
                        }
                        process.task.registers_mut().rax = number;
                        thread::yield_now();
                    }
                    let mut spinning = Process::new(spin())?;
                    match spinning.task.run() {
                        Exit::Interrupted => Ok(sum),
                        exit => Err(format!("{exit:x?} of a task that does nothing")),
                    }
                })
            })
            .collect();
        // As long as threads wait for a vCPU, every vCPU ticks.
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..vcpu::count() {
            let stopped = Arc::clone(&stop);
            thread::spawn(move || {
                while !stopped.load(Ordering::SeqCst) {
                    core::hint::spin_loop();
                }
            });
        }
        let results = threads.into_iter().map(|thread| thread.join()).collect();
        stop.store(true, Ordering::SeqCst);
        results
    });
    for result in results {
        ensure_eq!(result, Ok(55), "the sum of 1 to 10");
    }
    Ok(())
}

fn programs_that_are_none() -> Outcome {
    if !available() {
        return Ok(());
    }
    let mut memory = TaskMemory::new().map_err(|error| format!("as_create: {error}"))?;
    for file in [&[][..], b"#!/bin/sh\n", b"\x7fELF", &[0; 4096]] {
        let loaded = elf::load(&mut memory, file);
        ensure_eq!(
            loaded,
            Err(elf::LoadError::NotElf),
            "loading {} bytes",
            file.len()
        );
    }
    let size = PAGE_SIZE;
    let bad = [
        0..size,
        TASK_AREA.start - size..TASK_AREA.start,
        TASK_AREA.end..TASK_AREA.end + size,
        TASK_AREA.start + 1..TASK_AREA.start + size,
        TASK_AREA.start..TASK_AREA.start,
        TASK_AREA.start..!(size - 1),
    ];
    for range in bad {
        let reserved = memory.reserve(range.clone(), Rights::READ);
        ensure_eq!(reserved, Err(MemoryError::BadRange), "reserving {range:x?}");
    }
    let there = DATA..DATA + 2 * size;
    ensure_eq!(memory.reserve(there, Rights::READ), Ok(()), "reserving");
    for first in [DATA - size, DATA, DATA + size] {
        let overlap = memory.reserve(first..first + 2 * size, Rights::READ);
        ensure_eq!(overlap, Err(MemoryError::BadRange), "reserving it again");
    }
    Ok(())
}

/// Neither memory nor address spaces are used up.
fn memory_comes_back() -> Outcome {
    if !available() {
        return Ok(());
    }
    let number = || AddressSpace::new().map(|space| space.number());
    let first = number().map_err(|error| format!("as_create: {error}"))?;
    let blocks = heap::usage().blocks;
    for _ in 0..5 {
        let mut process = process(touch())?;
        let registers = process.task.registers_mut();
        (registers.rdi, registers.rsi) = (DATA, PAGES);
        process.run_to_syscall()?;
    }
    // Two that share an address space, whatever ends first.
    let process = process(counting())?;
    let mut second = Task::new(&Arc::clone(process.memory.space()), CODE, STACK_TOP);
    ensure_eq!(second.run(), Exit::Syscall, "a second task");
    drop(process);
    let exit = second.run();
    ensure!(
        matches!(
            exit,
            Exit::Fault(Fault {
                vector: Vector::PF,
                ..
            })
        ),
        "{exit:x?} of a task without memory"
    );
    drop(second);
    ensure_eq!(heap::usage().blocks, blocks, "the blocks of the heap");
    let last = number().map_err(|error| format!("as_create: {error}"))?;
    ensure_eq!(last, first, "the number of the next address space");
    Ok(())
}
