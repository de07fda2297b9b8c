//! Trap and emulate: what a VMM does for a kernel that was not changed and runs at CPL 3. Each
//! sensitive instruction faults, is decoded and is carried out on a CPU that exists only here.
//!
//! This is the classic way (Popek and Goldberg, 1974), as good as it gets on KVM: one exit for a
//! trap, the registers in the run page, nothing looked up twice.

mod cpu;
mod operand;

pub use cpu::VirtualCpu;

use super::raw::layout::{HANDLER, MEMORY};
use super::raw::run::{Emulate, TrapFrame, vector_name};
use super::raw::vm::Memory;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use kvm_bindings::kvm_regs;
use operand::{register, register_mut};

/// The longest instruction (Intel SDM, vol. 2, 2.3.11).
const LONGEST: usize = 15;

const UD: u64 = 6;
const GP: u64 = 13;
const PF: u64 = 14;
const TF: u64 = 1 << 8;
const IF: u64 = 1 << 9;

/// The VMM of a deprivileged kernel, whose trap handlers are all at [`HANDLER`].
#[derive(Debug)]
pub struct Emulator {
    /// The CPU that the kernel believes it has.
    pub cpu: VirtualCpu,
    has_handler: bool,
}

impl Emulate for Emulator {
    fn trap(
        &mut self,
        frame: &mut TrapFrame,
        registers: &mut kvm_regs,
        memory: &Memory,
    ) -> Result<bool, String> {
        // A software KVM forgets it in frames, and the kernel's own is the virtual one.
        frame.rflags |= IF;
        match frame.vector {
            UD | GP => self.instruction(frame, registers, memory),
            vector => {
                self.reflect(vector, frame, memory)?;
                Ok(false)
            }
        }
    }
}

impl Emulator {
    /// That of a kernel which has such a handler, or has none.
    pub fn new(has_handler: bool) -> Self {
        Self {
            cpu: VirtualCpu::default(),
            has_handler,
        }
    }

    /// Carries out the instruction at RIP, or tells the kernel of its fault.
    fn instruction(
        &mut self,
        frame: &mut TrapFrame,
        registers: &mut kvm_regs,
        memory: &Memory,
    ) -> Result<bool, String> {
        let mut bytes = [0; LONGEST];
        // Code near the end of memory is shorter.
        let length = MEMORY.saturating_sub(frame.rip).min(LONGEST as u64) as usize;
        memory.get(frame.rip, bytes.get_mut(..length).unwrap_or_default())?;
        let instruction = Decoder::with_ip(64, &bytes, frame.rip, DecoderOptions::NONE).decode();
        // The vCPU's own is that of the gate's code; the instruction's is in the frame.
        let gate_rsp = std::mem::replace(&mut registers.rsp, frame.rsp);
        let next = instruction.next_ip();
        let done = self.carry_out(&instruction, frame, registers, memory)?;
        frame.rsp = std::mem::replace(&mut registers.rsp, gate_rsp);
        match done {
            Done::Next => frame.rip = next,
            Done::Jumped => {}
            Done::Fault => self.reflect(frame.vector, frame, memory)?,
            Done::Interrupt(vector) => {
                frame.rip = next;
                self.reflect(vector, frame, memory)?;
            }
        }
        Ok(true)
    }

    fn carry_out(
        &mut self,
        instruction: &Instruction,
        frame: &mut TrapFrame,
        registers: &mut kvm_regs,
        memory: &Memory,
    ) -> Result<Done, String> {
        let cpu = &mut self.cpu;
        match instruction.mnemonic() {
            Mnemonic::Cli => cpu.interrupts = false,
            Mnemonic::Sti => cpu.interrupts = true,
            // There is always something to wake it. Memory is coherent, and translations are
            // made anew whenever they are used.
            Mnemonic::Hlt
            | Mnemonic::Monitor
            | Mnemonic::Mwait
            | Mnemonic::Invd
            | Mnemonic::Wbinvd
            | Mnemonic::Invlpg
            | Mnemonic::Invpcid => {}
            Mnemonic::Clts => cpu.cr[0] &= !8,
            Mnemonic::Lmsw => {
                let value = operand::read(instruction, 0, 2, registers, memory)?;
                // LMSW cannot clear PE.
                cpu.cr[0] = cpu.cr[0] & !0xe | value & 0xf;
            }
            Mnemonic::Mov => return self.move_system(instruction, registers),
            Mnemonic::Lgdt => {
                cpu.gdtr = operand::pseudo_descriptor(instruction, registers, memory)?
            }
            Mnemonic::Lidt => {
                cpu.idtr = operand::pseudo_descriptor(instruction, registers, memory)?
            }
            Mnemonic::Lldt => {
                cpu.ldtr = operand::read(instruction, 0, 2, registers, memory)? as u16
            }
            Mnemonic::Ltr => cpu.tr = operand::read(instruction, 0, 2, registers, memory)? as u16,
            // Where the CPU's UMIP makes them fault.
            Mnemonic::Smsw => operand::write(instruction, 2, cpu.cr[0], registers, memory)?,
            Mnemonic::Sldt => operand::write(instruction, 2, cpu.ldtr.into(), registers, memory)?,
            Mnemonic::Str => operand::write(instruction, 2, cpu.tr.into(), registers, memory)?,
            Mnemonic::Rdmsr => {
                let value = cpu.read_msr(registers.rcx as u32);
                (registers.rax, registers.rdx) = (value & 0xffff_ffff, value >> 32);
            }
            Mnemonic::Wrmsr => {
                let value = registers.rdx << 32 | registers.rax & 0xffff_ffff;
                cpu.write_msr(registers.rcx as u32, value);
            }
            Mnemonic::Rdpmc | Mnemonic::Xgetbv => (registers.rax, registers.rdx) = (0, 0),
            Mnemonic::Xsetbv => cpu.xcr0 = registers.rdx << 32 | registers.rax & 0xffff_ffff,
            Mnemonic::Xsaves | Mnemonic::Xsaves64 => {
                let address = operand::address(instruction, registers)?;
                // The legacy region and the header of an area in its initial state.
                memory.put(address, &[0; 576])?;
            }
            Mnemonic::Swapgs => cpu.swap_gs(),
            Mnemonic::Cpuid => {
                registers.rax &= 0xffff_ffff;
                (registers.rbx, registers.rcx, registers.rdx) = (0, 0, 0);
            }
            // KVM's answer to a call that it does not know, -KVM_ENOSYS.
            Mnemonic::Vmcall | Mnemonic::Vmmcall => registers.rax = (-1000_i64) as u64,
            Mnemonic::In => {
                let size = instruction.op0_register().size();
                let accumulator = registers.rax & !operand::mask(size);
                registers.rax = accumulator | cpu.read_port() & operand::mask(size);
            }
            Mnemonic::Out => cpu.write_port(registers.rax),
            Mnemonic::Outsb => {
                let count = if instruction.has_rep_prefix() {
                    registers.rcx
                } else {
                    1
                };
                let mut bytes = vec![0; count.min(4096) as usize];
                memory.get(registers.rsi, &mut bytes)?;
                for &byte in &bytes {
                    cpu.write_port(byte.into());
                }
                registers.rsi = registers.rsi.wrapping_add(bytes.len() as u64);
                if instruction.has_rep_prefix() {
                    registers.rcx -= bytes.len() as u64;
                }
            }
            Mnemonic::Syscall => {
                registers.rcx = instruction.next_ip();
                registers.r11 = frame.rflags;
                frame.rip = HANDLER;
                return Ok(Done::Jumped);
            }
            Mnemonic::Sysretq | Mnemonic::Sysret => {
                frame.rip = registers.rcx;
                frame.rflags = registers.r11 | IF;
                return Ok(Done::Jumped);
            }
            Mnemonic::Int => {
                return Ok(Done::Interrupt(instruction.immediate8().into()));
            }
            _ => return Ok(Done::Fault),
        }
        Ok(Done::Next)
    }

    /// MOV to or from a control or debug register.
    fn move_system(
        &mut self,
        instruction: &Instruction,
        registers: &mut kvm_regs,
    ) -> Result<Done, String> {
        if instruction.op0_kind() != OpKind::Register || instruction.op1_kind() != OpKind::Register
        {
            return Ok(Done::Fault);
        }
        let (to, from) = (instruction.op0_register(), instruction.op1_register());
        if let Some(system) = self.cpu.system_register(to) {
            *system = register(registers, from)?;
        } else if let Some(system) = self.cpu.system_register(from) {
            *register_mut(registers, to)? = *system;
        } else {
            return Ok(Done::Fault);
        }
        Ok(Done::Next)
    }

    /// Enters the kernel's handler of a vector as a CPU does that has no more privileged stack.
    fn reflect(
        &mut self,
        vector: u64,
        frame: &mut TrapFrame,
        memory: &Memory,
    ) -> Result<(), String> {
        if !self.has_handler {
            return Err(format!("it is {} here", vector_name(vector)));
        }
        // 64-bit mode aligns the stack, and the red zone is the code's own.
        let top = frame.rsp.wrapping_sub(128) & !15;
        let mut words = vec![frame.rip, frame.cs, frame.rflags, frame.rsp, frame.ss];
        if matches!(vector, GP | PF) {
            words.insert(0, frame.error_code);
        }
        frame.rsp = top.wrapping_sub(8 * words.len() as u64);
        memory.put_words(frame.rsp, &words)?;
        frame.rip = HANDLER;
        // A handler is not stepped through.
        frame.rflags &= !TF;
        Ok(())
    }
}

/// What became of an instruction.
enum Done {
    /// The next one follows.
    Next,
    /// RIP is set.
    Jumped,
    /// It is the kernel's fault.
    Fault,
    /// It is a software interrupt.
    Interrupt(u64),
}

/// The registers that an instruction may name as a control or debug register.
pub(super) fn is_system(register: Register) -> bool {
    register.is_cr() || register.is_dr()
}

#[cfg(test)]
mod tests;
