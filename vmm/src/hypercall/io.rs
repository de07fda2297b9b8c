//! Handlers of the `io` group: the console and devices.

use super::{Action, CallContext, in_pieces};
use crate::console::ConsoleError;
use pv_abi::device::QueueSetup;
use pv_abi::{Errno, Gpa};
use std::time::{Duration, Instant};

/// The most bytes that one call moves.
const CONSOLE_MAX: u32 = 4096;

/// The most bytes of a configuration space that one call reads.
const CONFIG_MAX: u32 = 256;

/// What a failed console operation is to the guest. A VM that is being stopped never sees it.
pub(super) fn console_errno(context: &mut CallContext<'_>, error: ConsoleError) -> Errno {
    match error {
        ConsoleError::Closed => Errno::EPIPE,
        ConsoleError::TimedOut => Errno::EAGAIN,
        ConsoleError::Stopping => {
            context.action = Some(Action::Interrupted);
            Errno::EAGAIN
        }
        // Who reads says how the call is to be repeated.
        ConsoleError::Pausing => Errno::EAGAIN,
    }
}

pub(super) fn io_console_write(
    context: &mut CallContext<'_>,
    buffer: Gpa,
    size: u32,
) -> Result<u32, Errno> {
    let services = context.services;
    services.ram.check_range(buffer, size.into())?;
    let size = size.min(CONSOLE_MAX);
    in_pieces(buffer, size, |gpa, piece| {
        services.ram.read(gpa, piece)?;
        services
            .console
            .write(piece)
            .map_err(|error| console_errno(context, error))
    })?;
    Ok(size)
}

pub(super) fn io_console_read(
    context: &mut CallContext<'_>,
    buffer: Gpa,
    size: u32,
    timeout: u64,
) -> Result<u32, Errno> {
    let services = context.services;
    services.ram.check_writable(buffer, size.into())?;
    if size == 0 {
        return Ok(0);
    }
    let timeout = (timeout != u64::MAX).then(|| Duration::from_nanos(timeout));
    let mut bytes = [0; CONSOLE_MAX as usize];
    let wanted = bytes.len().min(size as usize);
    let begun = Instant::now();
    let read = services.console.read(&mut bytes[..wanted], timeout);
    if read == Err(ConsoleError::Pausing) {
        let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        let timeout = left.map_or(u64::MAX, |left| left.as_nanos() as u64);
        context.action = Some(Action::Repeat {
            timeout: Some(timeout),
        });
    }
    let count = read.map_err(|error| console_errno(context, error))?;
    services.ram.write(buffer, &bytes[..count])?;
    Ok(count as u32)
}

pub(super) fn io_device_status(context: &mut CallContext<'_>, device: u32) -> Result<u32, Errno> {
    Ok(context.services.devices.get(device)?.status())
}

pub(super) fn io_device_set_status(
    context: &mut CallContext<'_>,
    device: u32,
    status: u32,
) -> Result<u32, Errno> {
    context.services.devices.get(device)?.set_status(status)?;
    Ok(0)
}

pub(super) fn io_device_set_features(
    context: &mut CallContext<'_>,
    device: u32,
    features: u64,
) -> Result<u32, Errno> {
    context
        .services
        .devices
        .get(device)?
        .set_features(features)?;
    Ok(0)
}

pub(super) fn io_config_read(
    context: &mut CallContext<'_>,
    device: u32,
    offset: u32,
    buffer: Gpa,
    size: u32,
) -> Result<u32, Errno> {
    let services = context.services;
    let device = services.devices.get(device)?;
    if size > CONFIG_MAX {
        return Err(Errno::E2BIG);
    }
    services.ram.check_writable(buffer, size.into())?;
    let mut bytes = [0; CONFIG_MAX as usize];
    let bytes = bytes.get_mut(..size as usize).ok_or(Errno::E2BIG)?;
    let generation = device
        .shared
        .config
        .read(offset, bytes)
        .ok_or(Errno::EINVAL)?;
    services.ram.write(buffer, bytes)?;
    Ok(generation)
}

pub(super) fn io_queue_setup(
    context: &mut CallContext<'_>,
    device: u32,
    queue: u32,
    setup: Gpa,
) -> Result<u32, Errno> {
    let services = context.services;
    let device = services.devices.get(device)?;
    device.check_queue(queue)?;
    let setup: QueueSetup = services.ram.read_struct(setup)?;
    device.setup_queue(queue, &setup)?;
    Ok(0)
}

pub(super) fn io_queue_notify(
    context: &mut CallContext<'_>,
    device: u32,
    queue: u32,
) -> Result<u32, Errno> {
    context.services.devices.get(device)?.notify_queue(queue)?;
    Ok(0)
}
