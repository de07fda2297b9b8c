//! Deferred calls: those that a guest has left in its vCPU page, to be carried out before its next
//! call.

use super::{CallContext, lookup, to_register};
use pv_abi::Errno;
use pv_abi::stats::BatchEntry;
use pv_abi::vcpu_page::{DEFERRED_CALLS, VcpuPage};
use std::mem::{offset_of, size_of};

/// Carries out the deferred calls of the vCPU, in their order, and writes each result into its
/// element. What may not be in a batch may not be deferred; a count above [`DEFERRED_CALLS`] means
/// so many.
#[cold]
pub(crate) fn drain_deferred(context: &mut CallContext<'_>) {
    let monitor = context.monitor;
    let Ok(count) = monitor.read_page::<u32>(offset_of!(VcpuPage, deferred_count)) else {
        return;
    };
    for index in 0..(count as usize).min(DEFERRED_CALLS) {
        let offset = offset_of!(VcpuPage, deferred) + index * size_of::<BatchEntry>();
        let Ok(entry) = monitor.read_page::<BatchEntry>(offset) else {
            return;
        };
        let result = match lookup(entry.word) {
            Ok(call) if !call.batchable => Err(Errno::EPERM),
            Ok(call) => (call.run)(context, &entry.arguments),
            Err(errno) => Err(errno),
        };
        context.stats.batched.add(1);
        // The page is the VMM's own; a write to it does not fail.
        let _ = monitor.write_page(
            offset + offset_of!(BatchEntry, result),
            &to_register(result),
        );
    }
    let _ = monitor.write_page(offset_of!(VcpuPage, deferred_count), &0u32);
}
