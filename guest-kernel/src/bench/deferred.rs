//! Deferred calls: put into the vCPU page, and carried out before the next call.

#![allow(unsafe_code)]

use super::Operation;
use super::session::{Session, Trouble};
use paravane_sdk::abi::CallWord;
use paravane_sdk::abi::calls::number;
use paravane_sdk::abi::vcpu_page::{DEFERRED_CALLS, VcpuPage};
use paravane_sdk::batch::BatchEntry;
use paravane_sdk::hypercall::raw;
use paravane_sdk::{Features, vcpu};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("deferred_queue", queue).needs(Features::DEFERRED),
    Operation::new("deferred_noop", noop)
        .needs(Features::DEFERRED)
        .sized(DEFERRED_CALLS as u32),
];

/// Defers a no-op as the one with this index. Those before it wait already.
#[inline(always)]
fn defer(page: *mut VcpuPage, index: usize) {
    let call = BatchEntry {
        word: CallWord::single(number::core_noop).encode(),
        ..BatchEntry::default()
    };
    let index = index % DEFERRED_CALLS;
    // SAFETY: the page is mapped for as long as the vCPU runs, nothing moves this code to
    // another one, and nobody else defers calls.
    unsafe {
        (&raw mut (*page).deferred[index]).write_volatile(call);
        (&raw mut (*page).deferred_count).write_volatile(index as u32 + 1);
    }
}

/// Putting a call there alone. The last ones are carried out with the next call behind the loop.
fn queue(session: &Session) -> Result<(), Trouble> {
    let page = vcpu::page();
    let mut index = 0;
    session.many(|| {
        defer(page, index);
        index = index.wrapping_add(1);
    })
}

/// SIZE no-ops, and one more call that has them carried out.
fn noop(session: &Session) -> Result<(), Trouble> {
    let page = vcpu::page();
    let size = session.size();
    session.of_size(size, || {
        for index in 0..size as usize {
            defer(page, index);
        }
        raw::core_noop().map(drop)
    })
}
