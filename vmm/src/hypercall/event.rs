//! Handlers of the `event` group: ports.

use super::CallContext;
use super::time::require;
use crate::event::port::Source;
use pv_abi::{Errno, Features};

pub(super) fn event_alloc(
    context: &mut CallContext<'_>,
    vcpu: u32,
    priority: u32,
) -> Result<u32, Errno> {
    context.services.events.alloc(vcpu, priority)
}

pub(super) fn event_bind_timer(
    context: &mut CallContext<'_>,
    vcpu: u32,
    priority: u32,
) -> Result<u32, Errno> {
    require(context, Features::TIMERS)?;
    let services = context.services;
    services.events.bind_timer(&services.timers, vcpu, priority)
}

pub(super) fn event_bind_ipi(
    context: &mut CallContext<'_>,
    vcpu: u32,
    priority: u32,
) -> Result<u32, Errno> {
    context.services.events.bind_ipi(vcpu, priority)
}

pub(super) fn event_bind_vcpu(
    context: &mut CallContext<'_>,
    port: u32,
    vcpu: u32,
) -> Result<u32, Errno> {
    let services = context.services;
    let news = services.events.bind_vcpu(&services.timers, port, vcpu)?;
    news.tell(&services.vcpus, Some(context.vcpu));
    // Its next deadline may be that of the timer that it has now.
    if vcpu != context.vcpu {
        services.vcpus.wake(vcpu);
    }
    Ok(0)
}

pub(super) fn event_send(context: &mut CallContext<'_>, port: u32) -> Result<u32, Errno> {
    let services = context.services;
    let news = services.events.send(port)?;
    news.tell(&services.vcpus, Some(context.vcpu));
    Ok(news.pending.into())
}

pub(super) fn event_mask(context: &mut CallContext<'_>, port: u32) -> Result<u32, Errno> {
    context.services.events.mask(port)?;
    Ok(0)
}

pub(super) fn event_unmask(context: &mut CallContext<'_>, port: u32) -> Result<u32, Errno> {
    let services = context.services;
    let news = services.events.unmask(port)?;
    news.tell(&services.vcpus, Some(context.vcpu));
    Ok(0)
}

pub(super) fn event_close(context: &mut CallContext<'_>, port: u32) -> Result<u32, Errno> {
    let services = context.services;
    services.events.close(&services.timers, port)?;
    Ok(0)
}

pub(super) fn event_bind_source(
    context: &mut CallContext<'_>,
    source: u32,
    vcpu: u32,
    priority: u32,
) -> Result<u32, Errno> {
    let services = context.services;
    let source = Source::of(source)
        .filter(|&source| services.devices.has_source(source))
        .ok_or(Errno::EINVAL)?;
    let port = services.events.bind_source(source, vcpu, priority)?;
    if source == Source::Console {
        services.begin_to_listen();
    }
    Ok(port)
}
