//! Handlers of the `trap` group: who handles a trap, and the way back from one.

use super::{Action, CallContext};
use pv_abi::address_space::LOWER_HALF_END;
use pv_abi::trap::{TRAP_VECTORS, TrapFrame, TrapHandler};
use pv_abi::{Errno, Gpa};
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

pub(super) fn trap_set_upcall(_context: &mut CallContext<'_>, _handler: u64) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn trap_set_debug(
    _context: &mut CallContext<'_>,
    _registers: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}
