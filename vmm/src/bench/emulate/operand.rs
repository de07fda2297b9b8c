//! Operands of decoded instructions.

use crate::bench::raw::vm::Memory;
use iced_x86::{Instruction, OpKind, Register};
use kvm_bindings::kvm_regs;

/// The lowest bits, as many as `size` bytes have.
pub fn mask(size: usize) -> u64 {
    match size {
        0..8 => (1 << (8 * size)) - 1,
        _ => u64::MAX,
    }
}

/// The 64-bit register that holds this one.
pub fn register_mut(registers: &mut kvm_regs, register: Register) -> Result<&mut u64, String> {
    Ok(match register.full_register() {
        Register::RAX => &mut registers.rax,
        Register::RBX => &mut registers.rbx,
        Register::RCX => &mut registers.rcx,
        Register::RDX => &mut registers.rdx,
        Register::RSI => &mut registers.rsi,
        Register::RDI => &mut registers.rdi,
        Register::RBP => &mut registers.rbp,
        Register::RSP => &mut registers.rsp,
        Register::R8 => &mut registers.r8,
        Register::R9 => &mut registers.r9,
        Register::R10 => &mut registers.r10,
        Register::R11 => &mut registers.r11,
        Register::R12 => &mut registers.r12,
        Register::R13 => &mut registers.r13,
        Register::R14 => &mut registers.r14,
        Register::R15 => &mut registers.r15,
        other => return Err(format!("{other:?} is no general-purpose register")),
    })
}

/// The value of the 64-bit register that holds this one.
pub fn register(registers: &kvm_regs, register: Register) -> Result<u64, String> {
    let mut copy = *registers;
    register_mut(&mut copy, register).map(|value| *value)
}

/// The address of the memory operand. Segment bases are 0 in these guests.
pub fn address(instruction: &Instruction, registers: &kvm_regs) -> Result<u64, String> {
    if instruction.is_ip_rel_memory_operand() {
        return Ok(instruction.ip_rel_memory_address());
    }
    let part = |name| match name {
        Register::None => Ok(0),
        name => register(registers, name),
    };
    let index = part(instruction.memory_index())?;
    Ok(part(instruction.memory_base())?
        .wrapping_add(index.wrapping_mul(instruction.memory_index_scale().into()))
        .wrapping_add(instruction.memory_displacement64()))
}

/// Reads an operand of so many bytes.
pub fn read(
    instruction: &Instruction,
    operand: u32,
    size: usize,
    registers: &kvm_regs,
    memory: &Memory,
) -> Result<u64, String> {
    match instruction.op_kind(operand) {
        OpKind::Register => Ok(register(registers, instruction.op_register(operand))? & mask(size)),
        OpKind::Memory => Ok(memory.word(address(instruction, registers)?)? & mask(size)),
        kind => Err(format!("an operand of kind {kind:?}")),
    }
}

/// Writes the first operand: a register as wide as it is named, or so many bytes of memory.
pub fn write(
    instruction: &Instruction,
    size: usize,
    value: u64,
    registers: &mut kvm_regs,
    memory: &Memory,
) -> Result<(), String> {
    match instruction.op0_kind() {
        OpKind::Register => {
            let named = instruction.op0_register();
            let mask = mask(named.size());
            let full = register_mut(registers, named)?;
            *full = *full & !mask | value & mask;
            Ok(())
        }
        OpKind::Memory => {
            let bytes = value.to_le_bytes();
            let bytes = bytes.get(..size).unwrap_or(&bytes);
            memory.put(address(instruction, registers)?, bytes)
        }
        kind => Err(format!("an operand of kind {kind:?}")),
    }
}

/// Reads a pseudo-descriptor: two bytes of limit and eight of base (Intel SDM, vol. 3, 3.5.1).
pub fn pseudo_descriptor(
    instruction: &Instruction,
    registers: &kvm_regs,
    memory: &Memory,
) -> Result<(u16, u64), String> {
    let address = address(instruction, registers)?;
    let limit = memory.word(address)? as u16;
    Ok((limit, memory.word(address.wrapping_add(2))?))
}
