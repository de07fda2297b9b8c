//! Handlers of the `trap` group: who handles a trap, and the way back from one.

use super::{Action, CallContext};
use pv_abi::address_space::{LOWER_HALF_END, MONITOR_BASE};
use pv_abi::trap::{DebugRegisters, TRAP_VECTORS, TrapFrame, TrapHandler};
use pv_abi::{Errno, Features, Gpa};
use std::mem::size_of;

/// An address that code can be entered at: monitor and VMM rely on its being canonical.
fn in_lower_half(address: u64) -> Result<u64, Errno> {
    if address < LOWER_HALF_END {
        Ok(address)
    } else {
        Err(Errno::EINVAL)
    }
}

pub(super) fn trap_set_table(
    context: &mut CallContext<'_>,
    table: Gpa,
    count: u32,
) -> Result<u32, Errno> {
    if count as usize > TRAP_VECTORS {
        return Err(Errno::E2BIG);
    }
    let ram = &context.services.ram;
    ram.check_array::<TrapHandler>(table, count)?;
    // All of it is read and checked before any of it takes effect.
    let mut handlers = [None; TRAP_VECTORS];
    for (vector, handler) in handlers.iter_mut().enumerate().take(count as usize) {
        let offset = (vector * size_of::<TrapHandler>()) as u64;
        let entry: TrapHandler = ram.read_struct(Gpa(table.0 + offset))?;
        if entry.flags != 0 {
            return Err(Errno::EINVAL);
        }
        let address = in_lower_half(entry.handler)?;
        *handler = (address != 0).then_some(address);
    }
    for (vector, handler) in handlers.into_iter().enumerate() {
        context
            .monitor
            .set_handler(context.services.mode, vector, handler)
            .map_err(|_| Errno::EIO)?;
    }
    Ok(0)
}

pub(super) fn trap_set_syscall(context: &mut CallContext<'_>, handler: u64) -> Result<u32, Errno> {
    let address = in_lower_half(handler)?;
    context
        .monitor
        .set_syscall_handler((address != 0).then_some(address))
        .map_err(|_| Errno::EIO)?;
    Ok(0)
}

pub(super) fn trap_set_tls(context: &mut CallContext<'_>, base: u64) -> Result<u32, Errno> {
    context.action = Some(Action::SetTls(in_lower_half(base)?));
    Ok(0)
}

pub(super) fn trap_return(context: &mut CallContext<'_>, frame: Gpa) -> Result<u32, Errno> {
    let frame: TrapFrame = context.services.ram.read_struct(frame)?;
    in_lower_half(frame.rip)?;
    in_lower_half(frame.rsp)?;
    context.action = Some(Action::Resume(Box::new(frame)));
    Ok(0)
}

pub(super) fn trap_set_upcall(context: &mut CallContext<'_>, handler: u64) -> Result<u32, Errno> {
    let address = in_lower_half(handler)?;
    context
        .monitor
        .set_upcall_handler((address != 0).then_some(address))
        .map_err(|_| Errno::EIO)?;
    // Events may have come before there was a handler.
    if let Some(shared) = context.services.vcpus.get(context.vcpu) {
        shared.note_attention();
    }
    Ok(0)
}

/// DR7: L0 to L3, and R/W and LEN of each breakpoint; bit 10 always reads as set (Intel SDM
/// vol. 3B, 18.2.4).
const DEBUG_CONTROL: u64 = 0xffff_0455;

pub(super) fn trap_set_debug(context: &mut CallContext<'_>, registers: Gpa) -> Result<u32, Errno> {
    let services = context.services;
    if !services.features.contains(Features::DEBUG_REGISTERS) {
        return Err(Errno::ENOSYS);
    }
    let registers: DebugRegisters = services.ram.read_struct(registers)?;
    if registers.reserved != [0; 3] || registers.control & !DEBUG_CONTROL != 0 {
        return Err(Errno::EINVAL);
    }
    // The monitor must never meet a breakpoint: it could not deliver the trap.
    if registers
        .address
        .iter()
        .any(|&address| address >= MONITOR_BASE - 8)
    {
        return Err(Errno::EINVAL);
    }
    context.action = Some(Action::SetDebug(registers));
    Ok(0)
}
