//! The task that a queue has of its own.
//!
//! All requests that are made while the executor runs what was ready are one batch: the first of
//! them makes the keeper ready, which so has its turn behind the others, tells the device of them
//! once, and takes what the device has done for all who wait. While looking pays it stays ready.
//! It is a task as others are: it runs wherever tasks run that are ready.

use super::{Operation, Shared};
use crate::exec::{self, Task};
use alloc::sync::{Arc, Weak};
use core::future::poll_fn;
use core::task::{Context, Poll};

/// Starts the keeper of a queue. It ends with the queue, or when the task is dropped.
pub(super) fn start<O: Operation>(shared: &Arc<Shared<O>>) -> Task<()> {
    // It does not keep the queue, so that the device is free as soon as its driver lets go of it.
    let shared = Arc::downgrade(shared);
    exec::spawn(poll_fn(move |context| turn(&shared, context)))
}

/// One turn.
fn turn<O: Operation>(shared: &Weak<Shared<O>>, context: &Context<'_>) -> Poll<()> {
    let Some(shared) = shared.upgrade() else {
        return Poll::Ready(());
    };
    if shared.with(|state, wakers| state.keep(context.waker(), wakers)) {
        context.waker().wake_by_ref();
    }
    Poll::Pending
}
