//! Handlers of the `vcpu` group: starting and stopping vCPUs.

use super::{Action, CallContext};
use crate::vcpu::affinity;
use crate::vcpu::shared::StartAt;
use pv_abi::address_space::LOWER_HALF_END;
use pv_abi::set::{SET_ALL, SET_SPARSE, Set};
use pv_abi::{Errno, Gpa};
use std::mem::size_of;

/// A vCPU that there is.
pub(super) fn check_vcpu(context: &CallContext<'_>, vcpu: u32) -> Result<(), Errno> {
    if vcpu < context.services.vcpus.count() {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

pub(super) fn vcpu_start(
    context: &mut CallContext<'_>,
    vcpu: u32,
    entry: u64,
    stack: u64,
    argument: u64,
) -> Result<u32, Errno> {
    check_vcpu(context, vcpu)?;
    if entry >= LOWER_HALF_END || stack >= LOWER_HALF_END {
        return Err(Errno::EINVAL);
    }
    let at = StartAt {
        entry,
        stack,
        argument,
    };
    if context.services.vcpus.start(vcpu, at) {
        Ok(0)
    } else {
        Err(Errno::EBUSY)
    }
}

pub(super) fn vcpu_stop(context: &mut CallContext<'_>, vcpu: u32) -> Result<u32, Errno> {
    check_vcpu(context, vcpu)?;
    if vcpu == context.vcpu {
        context.action = Some(Action::StopVcpu);
        return Ok(0);
    }
    match context.services.vcpus.stop(context.vcpu, vcpu) {
        Ok(()) => Ok(0),
        Err(_) => Err(Errno::EBUSY),
    }
}

pub(super) fn vcpu_state(context: &mut CallContext<'_>, vcpu: u32) -> Result<u32, Errno> {
    let shared = context.services.vcpus.get(vcpu).ok_or(Errno::EINVAL)?;
    Ok(shared.state())
}

pub(super) fn vcpu_set_affinity_hint(
    context: &mut CallContext<'_>,
    vcpu: u32,
    set: Gpa,
) -> Result<u32, Errno> {
    check_vcpu(context, vcpu)?;
    let ram = &context.services.ram;
    let head: Set = ram.read_struct(set)?;
    if head.reserved != 0 {
        return Err(Errno::EINVAL);
    }
    let mut wanted = affinity::Processors::default();
    match head.format {
        SET_ALL if head.bank_mask == 0 => wanted = affinity::Processors::all(),
        SET_SPARSE => {
            let banks = (0..64).filter(|bank| head.bank_mask & 1 << bank != 0);
            let mut gpa = set.0 + size_of::<Set>() as u64;
            for bank in banks {
                wanted.add_bank(bank, ram.read_struct(Gpa(gpa))?);
                gpa += size_of::<u64>() as u64;
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    let Some(shared) = context.services.vcpus.get(vcpu) else {
        return Err(Errno::EINVAL);
    };
    Ok(shared.run_on(&wanted))
}
