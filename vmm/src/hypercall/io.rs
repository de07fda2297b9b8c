//! Handlers of the `io` group: the console.

use super::{Action, CallContext, in_pieces};
use crate::console::ConsoleError;
use pv_abi::{Errno, Gpa};
use std::time::Duration;

/// The most bytes that one call moves.
const CONSOLE_MAX: u32 = 4096;

/// What a failed console operation is to the guest. A VM that is being stopped never sees it.
pub(super) fn console_errno(context: &mut CallContext<'_>, error: ConsoleError) -> Errno {
    match error {
        ConsoleError::Closed => Errno::EPIPE,
        ConsoleError::TimedOut => Errno::EAGAIN,
        ConsoleError::Stopping => {
            context.action = Some(Action::Interrupted);
            Errno::EAGAIN
        }
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
    let count = services
        .console
        .read(&mut bytes[..wanted], timeout)
        .map_err(|error| console_errno(context, error))?;
    services.ram.write(buffer, &bytes[..count])?;
    Ok(count as u32)
}
