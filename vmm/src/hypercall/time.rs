//! Handlers of the `time` group: timers, and the time of day.

use super::CallContext;
use pv_abi::event::TIMER_PERIOD_MIN;
use pv_abi::time::Wallclock;
use pv_abi::{Errno, Features, Gpa};
use std::time::{SystemTime, UNIX_EPOCH};

/// A host whose TSC is of no use has no clock to offer, and no timers.
pub(super) fn require(context: &CallContext<'_>, feature: Features) -> Result<(), Errno> {
    if context.services.features.contains(feature) {
        Ok(())
    } else {
        Err(Errno::ENOSYS)
    }
}

pub(super) fn time_oneshot(
    context: &mut CallContext<'_>,
    port: u32,
    deadline: u64,
) -> Result<u32, Errno> {
    set(context, port, deadline, 0)
}

pub(super) fn time_periodic(
    context: &mut CallContext<'_>,
    port: u32,
    first: u64,
    period: u64,
) -> Result<u32, Errno> {
    if period < TIMER_PERIOD_MIN {
        return Err(Errno::EINVAL);
    }
    set(context, port, first, period)
}

fn set(context: &mut CallContext<'_>, port: u32, deadline: u64, period: u64) -> Result<u32, Errno> {
    require(context, Features::TIMERS)?;
    let services = context.services;
    let set = services
        .timers
        .set(&services.events, port, deadline, period)?;
    set.news.tell(&services.vcpus, Some(context.vcpu));
    if set.is_next && set.vcpu != context.vcpu {
        services.vcpus.wake(set.vcpu);
    }
    Ok(0)
}

pub(super) fn time_cancel(context: &mut CallContext<'_>, port: u32) -> Result<u32, Errno> {
    require(context, Features::TIMERS)?;
    let services = context.services;
    let was_set = services.timers.cancel(&services.events, port)?;
    Ok(was_set.into())
}

pub(super) fn time_wallclock(context: &mut CallContext<'_>, out: Gpa) -> Result<u32, Errno> {
    require(context, Features::CLOCK)?;
    let clock = &context.services.clock;
    let before = clock.now();
    // A host whose time of day is before 1970 has none.
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let took = clock.now().saturating_sub(before);
    let wallclock = Wallclock {
        seconds: since_epoch.as_secs(),
        nanoseconds: since_epoch.subsec_nanos(),
        reserved: 0,
        clock: before + took / 2,
    };
    context.services.ram.write_struct(out, &wallclock)?;
    Ok(0)
}
