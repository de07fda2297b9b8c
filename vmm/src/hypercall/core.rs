//! Handlers of the `core` group: the ABI itself, and many calls in one.

use super::{CallContext, in_pieces, lookup, to_register};
use pv_abi::stats::{BATCH_MAX, BATCH_STOP_ON_ERROR, BatchEntry, Stats};
use pv_abi::{ABI_MAJOR, ABI_MINOR, Errno, Gpa};
use std::mem::{offset_of, size_of};
use zerocopy::IntoBytes;

/// The most bytes of entropy that one call gives.
const ENTROPY_MAX: u32 = 256;

pub(super) fn core_version(_context: &mut CallContext<'_>) -> Result<u32, Errno> {
    Ok(u32::from(ABI_MAJOR) << 16 | u32::from(ABI_MINOR))
}

pub(super) fn core_features(context: &mut CallContext<'_>, out: Gpa) -> Result<u32, Errno> {
    context
        .services
        .ram
        .write_struct(out, &context.services.features.0)?;
    Ok(0)
}

pub(super) fn core_batch(
    context: &mut CallContext<'_>,
    entries: Gpa,
    count: u32,
    flags: u32,
) -> Result<u32, Errno> {
    if count > BATCH_MAX {
        return Err(Errno::E2BIG);
    }
    if count == 0 || flags & !BATCH_STOP_ON_ERROR != 0 {
        return Err(Errno::EINVAL);
    }
    let ram = &context.services.ram;
    ram.check_writable_array::<BatchEntry>(entries, count)?;
    for index in 0..count {
        let gpa = Gpa(entries.0 + u64::from(index) * size_of::<BatchEntry>() as u64);
        let entry: BatchEntry = ram.read_struct(gpa)?;
        let result = match lookup(entry.word) {
            Ok(call) if !call.batchable => Err(Errno::EPERM),
            Ok(call) => (call.run)(context, &entry.arguments),
            Err(errno) => Err(errno),
        };
        context.stats.batched.add(1);
        let result_gpa = Gpa(gpa.0 + offset_of!(BatchEntry, result) as u64);
        ram.write_struct(result_gpa, &to_register(result))?;
        if result.is_err() && flags & BATCH_STOP_ON_ERROR != 0 {
            return Ok(index + 1);
        }
    }
    Ok(count)
}

pub(super) fn core_noop(_context: &mut CallContext<'_>) -> Result<u32, Errno> {
    Ok(0)
}

pub(super) fn core_entropy(
    context: &mut CallContext<'_>,
    buffer: Gpa,
    size: u32,
) -> Result<u32, Errno> {
    if size > ENTROPY_MAX {
        return Err(Errno::E2BIG);
    }
    let ram = &context.services.ram;
    ram.check_writable(buffer, size.into())?;
    in_pieces(buffer, size, |gpa, piece| {
        crate::entropy::fill(piece).map_err(|_| Errno::EIO)?;
        ram.write(gpa, piece)
    })?;
    Ok(size)
}

pub(super) fn core_stats(context: &mut CallContext<'_>, out: Gpa, size: u32) -> Result<u32, Errno> {
    let stats = Stats {
        exits: context.stats.exits(),
        hypercalls: context.stats.hypercalls(),
        failed_hypercalls: context.stats.failed.get(),
        batched_calls: context.stats.batched.get(),
    };
    let bytes = stats.as_bytes();
    if (size as usize) < bytes.len() {
        return Err(Errno::EINVAL);
    }
    context.services.ram.write_struct(out, &stats)?;
    Ok(bytes.len() as u32)
}
