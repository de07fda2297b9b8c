//! Handlers of the `sched` group: the processor, and the end of the VM.

use super::vcpu::check_vcpu;
use super::{Action, CallContext};
use crate::vcpu::steal;
use pv_abi::vcpu_page::{RUN_STATE_BLOCKED, RUN_STATE_RUNNING, VcpuPage};
use pv_abi::{Errno, Gpa};
use std::mem::offset_of;
use std::time::Duration;
use zerocopy::IntoBytes;

/// The largest exit code of a guest; those above are the VMM's own.
pub const GUEST_EXIT_CODE_MAX: u32 = 119;

pub(super) fn sched_yield(_context: &mut CallContext<'_>) -> Result<u32, Errno> {
    std::thread::yield_now();
    Ok(0)
}

pub(super) fn sched_shutdown(context: &mut CallContext<'_>, code: u32) -> Result<u32, Errno> {
    if code > GUEST_EXIT_CODE_MAX {
        return Err(Errno::EINVAL);
    }
    context.action = Some(Action::Shutdown(code as u8));
    Ok(0)
}

pub(super) fn sched_reboot(context: &mut CallContext<'_>) -> Result<u32, Errno> {
    context.action = Some(Action::Reboot);
    Ok(0)
}

pub(super) fn sched_crash(context: &mut CallContext<'_>) -> Result<u32, Errno> {
    context.action = Some(Action::Crash);
    Ok(0)
}

pub(super) fn sched_yield_to(context: &mut CallContext<'_>, vcpu: u32) -> Result<u32, Errno> {
    check_vcpu(context, vcpu)?;
    // Linux gives a thread's time to whoever waits for the processor, not to one of its choice;
    // with the processor free, the vCPU that waits for one gets it.
    std::thread::yield_now();
    Ok(0)
}

pub(super) fn sched_spin(_context: &mut CallContext<'_>, _spins: u32) -> Result<u32, Errno> {
    std::thread::yield_now();
    Ok(0)
}

pub(super) fn sched_kick(context: &mut CallContext<'_>, vcpu: u32) -> Result<u32, Errno> {
    check_vcpu(context, vcpu)?;
    context.services.vcpus.kick(vcpu);
    Ok(0)
}

pub(super) fn sched_block(context: &mut CallContext<'_>) -> Result<u32, Errno> {
    const EVENT: u32 = 0;
    const KICK: u32 = 1;
    const DEADLINE: u32 = 2;
    let services = context.services;
    let vcpu = context.vcpu;
    let deadline: u64 = context
        .monitor
        .read_page(offset_of!(VcpuPage, deadline))
        .map_err(|_| Errno::EIO)?;
    let deadline = if deadline == 0 { NEVER } else { deadline };
    wait(context, deadline, |kicked, late| {
        if services.events.upcall_pending(vcpu) {
            Some(Ok(EVENT))
        } else if kicked {
            Some(Ok(KICK))
        } else {
            late.then_some(Ok(DEADLINE))
        }
    })
}

/// The most ports that `sched_poll` takes.
const POLL_MAX: usize = 64;

pub(super) fn sched_poll(
    context: &mut CallContext<'_>,
    ports: Gpa,
    count: u32,
    deadline: u64,
) -> Result<u32, Errno> {
    if count as usize > POLL_MAX {
        return Err(Errno::E2BIG);
    }
    let services = context.services;
    services.ram.check_array::<u32>(ports, count)?;
    // All are read once, so that what is checked is what is waited for.
    let mut list = [0u32; POLL_MAX];
    let list = list.get_mut(..count as usize).ok_or(Errno::E2BIG)?;
    services.ram.read(ports, list.as_mut_bytes())?;
    for &port in list.iter() {
        services.events.check_port(port)?;
    }
    let list = &*list;
    let _polling = services.vcpus.polling(context.vcpu);
    wait(context, deadline, |kicked, late| {
        let pending = list
            .iter()
            .position(|&port| services.events.is_pending(port));
        if let Some(index) = pending {
            Some(Ok(index as u32))
        } else if kicked {
            Some(Err(Errno::EAGAIN))
        } else {
            late.then_some(Err(Errno::ETIMEDOUT))
        }
    })
}

/// A deadline that never comes.
const NEVER: u64 = u64::MAX;

/// Waits until `done` says so, which is asked with whether the vCPU was kicked and whether the
/// deadline has come. Ends early when the vCPU or the VM is to stop.
fn wait(
    context: &mut CallContext<'_>,
    deadline: u64,
    done: impl Fn(bool, bool) -> Option<Result<u32, Errno>>,
) -> Result<u32, Errno> {
    let services = context.services;
    let vcpu = context.vcpu;
    let shared = services.vcpus.get(vcpu).ok_or(Errno::EINVAL)?;
    loop {
        if services.vcpus.rest.is_wanted() && !services.vcpus.stopping() {
            context.action = Some(Action::Repeat { timeout: None });
            return Ok(0);
        }
        services.timers.run_due(vcpu, services);
        let now = services.clock.now();
        // A kick that is not needed to end this wait is for the next one.
        if let Some(result) = done(false, false) {
            return result;
        }
        if let Some(result) = done(shared.take_kick(), deadline <= now) {
            return result;
        }
        if services.vcpus.stopping() {
            context.action = Some(Action::Interrupted);
            return Ok(0);
        }
        if shared.stop_requested() {
            context.action = Some(Action::StopVcpu);
            return Ok(0);
        }
        let next_timer = services.timers.next_deadline(vcpu);
        let until = next_timer.unwrap_or(NEVER).min(deadline);
        let time = (until != NEVER).then(|| Duration::from_nanos(until.saturating_sub(now)));
        let state = |state| {
            shared.set_state(state);
            // The page is the VMM's own; a write to it does not fail.
            let _ = context
                .monitor
                .write_page(offset_of!(VcpuPage, run_state), &state);
        };
        state(RUN_STATE_BLOCKED);
        shared.park(time, || {
            done(shared.is_kicked(), false).is_some()
                || services.vcpus.stopping()
                || shared.stop_requested()
                || services.vcpus.rest.is_wanted()
                || services.timers.next_deadline(vcpu) != next_timer
        });
        state(RUN_STATE_RUNNING);
        steal::update(context.monitor, shared);
    }
}
