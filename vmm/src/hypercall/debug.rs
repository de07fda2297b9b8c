//! Handlers of the `debug` group: output without memory, crash reports, trace marks, echo.

use super::io::console_errno;
use super::{CallContext, GuestReport};
use crate::sync::lock;
use pv_abi::convention::MAX_RESULT;
use pv_abi::crash::{CRASH_MESSAGE_MAX, CRASH_PANIC, CRASH_TRAP, CrashReport};
use pv_abi::{Errno, Gpa};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How many trace marks of a guest are logged in a second.
const TRACE_MARKS_PER_SECOND: u32 = 100;

#[allow(clippy::too_many_arguments, reason = "one parameter for each register")]
pub(super) fn debug_print(
    context: &mut CallContext<'_>,
    size: u32,
    w0: u64,
    w1: u64,
    w2: u64,
    w3: u64,
    w4: u64,
) -> Result<u32, Errno> {
    let mut bytes = [0; 40];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip([w0, w1, w2, w3, w4]) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    let bytes = bytes.get(..size as usize).ok_or(Errno::E2BIG)?;
    context
        .services
        .console
        .write(bytes)
        .map_err(|error| console_errno(context, error))?;
    Ok(size)
}

pub(super) fn debug_crash_report(context: &mut CallContext<'_>, report: Gpa) -> Result<u32, Errno> {
    let ram = &context.services.ram;
    let report: CrashReport = ram.read_struct(report)?;
    let known = matches!(report.kind, CRASH_PANIC | CRASH_TRAP);
    if !known || report.frame_valid > 1 || report.reserved != 0 {
        return Err(Errno::EINVAL);
    }
    if report.message_size > CRASH_MESSAGE_MAX {
        return Err(Errno::E2BIG);
    }
    let mut message = vec![0; report.message_size as usize];
    if !message.is_empty() {
        ram.read(Gpa(report.message_gpa), &mut message)?;
    }
    let message = String::from_utf8_lossy(&message).into_owned();
    *lock(&context.services.crash_report) = Some(GuestReport { report, message });
    Ok(0)
}

pub(super) fn debug_trace_mark(
    context: &mut CallContext<'_>,
    id: u32,
    value: u64,
) -> Result<u32, Errno> {
    match context.services.trace_limit.take(Instant::now()) {
        Some(0) => tracing::info!(id, value, "guest mark"),
        Some(dropped) => tracing::info!(id, value, dropped, "guest mark"),
        None => {}
    }
    Ok(0)
}

pub(super) fn debug_echo(
    _context: &mut CallContext<'_>,
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
    f: u64,
) -> Result<u32, Errno> {
    let sum = [a, b, c, d, e, f]
        .into_iter()
        .zip(1u64..)
        .fold(0u64, |sum, (argument, weight)| {
            sum.wrapping_add(argument.wrapping_mul(weight))
        });
    Ok(sum as u32 & MAX_RESULT)
}

/// Limits how much a guest can have logged.
#[derive(Debug, Default)]
pub struct TraceLimit {
    state: Mutex<TraceState>,
}

#[derive(Debug, Default)]
struct TraceState {
    second: Option<Instant>,
    logged: u32,
    dropped: u64,
}

impl TraceLimit {
    /// Whether a mark may be logged at `now`: if so, how many were dropped since the last one.
    fn take(&self, now: Instant) -> Option<u64> {
        let mut state = lock(&self.state);
        if state
            .second
            .is_none_or(|start| now.duration_since(start) >= Duration::from_secs(1))
        {
            state.second = Some(now);
            state.logged = 0;
        }
        if state.logged >= TRACE_MARKS_PER_SECOND {
            state.dropped += 1;
            return None;
        }
        state.logged += 1;
        Some(std::mem::take(&mut state.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_above_the_limit_are_counted_and_the_next_second_has_room_again() {
        let limit = TraceLimit::default();
        let start = Instant::now();
        let logged = (0..1000).filter(|_| limit.take(start).is_some()).count();
        assert_eq!(logged, TRACE_MARKS_PER_SECOND as usize);
        assert_eq!(limit.take(start + Duration::from_secs(1)), Some(900));
    }
}
