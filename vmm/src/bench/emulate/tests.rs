use super::*;
use crate::bench::raw::layout::{CODE, DATA, STACK};

/// A trap of the instruction at CODE, and what the emulator makes of it.
struct Trapped {
    emulator: Emulator,
    frame: TrapFrame,
    registers: kvm_regs,
    memory: Memory,
}

impl Trapped {
    fn at(code: &[u8]) -> Self {
        let memory = Memory::new().unwrap();
        memory.put(CODE, code).unwrap();
        Self {
            emulator: Emulator::new(false),
            frame: TrapFrame {
                vector: GP,
                rip: CODE,
                cs: 0x33,
                rflags: IF | TF,
                rsp: STACK,
                ss: 0x2b,
                ..Default::default()
            },
            registers: kvm_regs {
                rsp: 0x9000,
                r14: DATA,
                ..Default::default()
            },
            memory,
        }
    }

    fn emulate(&mut self) -> Result<bool, String> {
        self.emulator
            .trap(&mut self.frame, &mut self.registers, &self.memory)
    }

    /// Emulates it, and expects the next instruction to follow.
    #[track_caller]
    fn next(mut self, length: u64) -> Self {
        assert_eq!(self.emulate(), Ok(true));
        assert_eq!(self.frame.rip, CODE + length);
        assert_eq!(self.frame.rsp, STACK);
        // It is the gate's own.
        assert_eq!(self.registers.rsp, 0x9000);
        self
    }
}

#[test]
fn flags_and_control_registers_are_the_virtual_ones() {
    let trapped = Trapped::at(&[0xfb]).next(1); // sti
    assert!(trapped.emulator.cpu.interrupts);
    let mut trapped = Trapped::at(&[0x0f, 0x22, 0xd8]); // mov cr3, rax
    trapped.registers.rax = 0x1234_5000;
    assert_eq!(trapped.next(3).emulator.cpu.cr[3], 0x1234_5000);
    let trapped = Trapped::at(&[0x0f, 0x20, 0xc3]).next(3); // mov rbx, cr0
    assert_eq!(trapped.registers.rbx, VirtualCpu::default().cr[0]);
    let trapped = Trapped::at(&[0x0f, 0x06]).next(2); // clts
    assert_eq!(trapped.emulator.cpu.cr[0] & 8, 0);
    let mut trapped = Trapped::at(&[0x44, 0x0f, 0x22, 0xc3]); // mov cr8, rbx
    trapped.registers.rbx = 5;
    assert_eq!(trapped.next(4).emulator.cpu.cr[8], 5);
    let mut trapped = Trapped::at(&[0x0f, 0x23, 0xf8]); // mov dr7, rax
    trapped.registers.rax = 0x400;
    assert_eq!(trapped.next(3).emulator.cpu.dr[7], 0x400);
}

#[test]
fn tables_are_read_from_the_kernels_memory() {
    let trapped = Trapped::at(&[0x41, 0x0f, 0x01, 0x16]); // lgdt [r14]
    let bytes = [0x7f, 0, 0, 0x10, 0, 0, 0, 0x80, 0xff, 0xff];
    trapped.memory.put(DATA, &bytes).unwrap();
    let trapped = trapped.next(4);
    assert_eq!(trapped.emulator.cpu.gdtr, (0x7f, 0xffff_8000_0000_1000));
    let mut trapped = Trapped::at(&[0x0f, 0x00, 0xd8]); // ltr ax
    trapped.registers.rax = 0x28;
    assert_eq!(trapped.next(3).emulator.cpu.tr, 0x28);
}

#[test]
fn an_msr_is_what_was_written_to_it() {
    let mut trapped = Trapped::at(&[0x0f, 0x30, 0x0f, 0x32]); // wrmsr; rdmsr
    trapped.registers.rcx = 0x3b;
    (trapped.registers.rdx, trapped.registers.rax) = (1, 2);
    let mut trapped = trapped.next(2);
    (trapped.registers.rdx, trapped.registers.rax) = (9, 9);
    assert_eq!(trapped.emulate(), Ok(true));
    assert_eq!((trapped.registers.rdx, trapped.registers.rax), (1, 2));
}

#[test]
fn a_kernel_cannot_make_the_vmm_keep_more_than_so_many_msrs() {
    let mut cpu = VirtualCpu::default();
    for index in 0..10_000 {
        cpu.write_msr(index, 1);
    }
    assert_eq!(cpu.read_msr(0), 1);
    assert_eq!(cpu.read_msr(9_999), 0);
}

#[test]
fn string_output_goes_as_far_as_memory_does() {
    let mut trapped = Trapped::at(&[0xf3, 0x6e]); // rep outsb
    (trapped.registers.rsi, trapped.registers.rcx) = (DATA, 64);
    let trapped = trapped.next(2);
    assert_eq!(trapped.registers.rsi, DATA + 64);
    assert_eq!(trapped.registers.rcx, 0);
    let mut trapped = Trapped::at(&[0xf3, 0x6e]);
    (trapped.registers.rsi, trapped.registers.rcx) = (u64::MAX - 3, u64::MAX);
    assert!(trapped.emulate().is_err());
}

#[test]
fn a_fault_of_the_kernels_own_goes_to_its_handler() {
    let mut trapped = Trapped::at(&[0x0f, 0x0b]); // ud2
    trapped.frame.vector = UD;
    assert_eq!(trapped.emulate(), Err("it is #UD here".into()));

    trapped.emulator.has_handler = true;
    assert_eq!(trapped.emulate(), Ok(true));
    assert_eq!(trapped.frame.rip, HANDLER);
    assert_eq!(trapped.frame.rflags & TF, 0);
    // RIP, CS, RFLAGS, RSP and SS, below the red zone.
    let pushed = trapped.memory.words(trapped.frame.rsp, 5).unwrap();
    assert_eq!(pushed, [CODE, 0x33, IF | TF, STACK, 0x2b]);
    assert!(trapped.frame.rsp + 40 <= STACK - 128);
}

#[test]
fn a_page_fault_has_its_error_code() {
    let mut trapped = Trapped::at(&[0x90]);
    trapped.emulator.has_handler = true;
    (trapped.frame.vector, trapped.frame.error_code) = (PF, 6);
    assert_eq!(trapped.emulate(), Ok(false));
    assert_eq!(trapped.memory.word(trapped.frame.rsp), Ok(6));
    assert_eq!(trapped.memory.word(trapped.frame.rsp + 8), Ok(CODE));
}

#[test]
fn syscall_and_sysret_are_each_others_way_back() {
    let mut trapped = Trapped::at(&[0x0f, 0x05]); // syscall
    trapped.frame.vector = UD;
    assert_eq!(trapped.emulate(), Ok(true));
    assert_eq!(
        (trapped.frame.rip, trapped.registers.rcx),
        (HANDLER, CODE + 2)
    );
    trapped.memory.put(HANDLER, &[0x48, 0x0f, 0x07]).unwrap(); // sysretq
    trapped.frame.vector = GP;
    assert_eq!(trapped.emulate(), Ok(true));
    assert_eq!(trapped.frame.rip, CODE + 2);
}

#[test]
fn no_code_and_no_registers_harm_the_vmm() {
    use proptest::prelude::*;
    let memory = Memory::new().unwrap();
    proptest!(ProptestConfig::with_cases(2000), |(
        code in proptest::collection::vec(any::<u8>(), 15),
        words in proptest::array::uniform8(any::<u64>()),
        vector in prop::sample::select(vec![UD, GP, PF, 1, 0x30]),
        has_handler in any::<bool>(),
        rip in prop::sample::select(vec![CODE, MEMORY - 3, MEMORY, u64::MAX - 2]),
    )| {
        // It may not fit.
        let _ = memory.put(rip, &code);
        let mut emulator = Emulator::new(has_handler);
        let mut frame = TrapFrame { vector, rip, rsp: words[0], ..Default::default() };
        let mut registers = kvm_regs {
            rax: words[1], rbx: words[2], rcx: words[3], rdx: words[4],
            rsi: words[5], rdi: words[6], r14: words[7],
            ..Default::default()
        };
        // An answer or a reason, and no panic.
        let _ = emulator.trap(&mut frame, &mut registers, &memory);
    });
}
