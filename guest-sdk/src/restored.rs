//! Going on from a snapshot.
//!
//! A VM can be saved, and go on later, more than once and in several places at the same time. Its
//! memory is then the same in each of them, and with it everything that was to be random, secret
//! or unique: seeds, keys, names, session numbers. Whoever keeps such things listens by
//! [`Restored`] and makes them anew. What [`entropy::fill`](crate::entropy::fill) and
//! [`time::wallclock`](crate::time::wallclock) answer is the host's, and right at any time; the
//! [clock](crate::time::Instant) goes on where it was saved.

#![allow(unsafe_code)]

use crate::event::{Port, Priority, Source};
use crate::sync::SpinLock;
use crate::{upcall, vcpu};
use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Poll, Waker};
use pv_abi::Errno;

/// How often the VM has gone on from a snapshot: 0 until it does, and where the VMM has no
/// [`Features::RESTORED`](pv_abi::Features::RESTORED).
pub fn count() -> u32 {
    let page = vcpu::page();
    // SAFETY: the page is mapped for ever. The VMM changes the word while no vCPU runs.
    unsafe { (&raw const (*page).restored).read_volatile() }
}

/// Tells one task when the VM goes on from a snapshot. There is one at a time.
pub struct Restored {
    waker: Arc<SpinLock<Option<Waker>>>,
    seen: AtomicU32,
    port: Port,
}

impl Restored {
    /// Has this vCPU told.
    ///
    /// # Errors
    ///
    /// Those of [`Port::for_source`]: [`Errno::EBUSY`] while there is another, [`Errno::EINVAL`]
    /// where the VMM has no such source.
    pub fn new() -> Result<Self, Errno> {
        let port = Port::for_source(Source::Restored, vcpu::id(), Priority::default())?;
        let waker = Arc::<SpinLock<Option<Waker>>>::new(SpinLock::new(None));
        let its = Arc::clone(&waker);
        upcall::set_handler(port.number(), move |_| {
            let waker = its.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        Ok(Self {
            waker,
            seen: AtomicU32::new(count()),
            port,
        })
    }

    /// Waits until the VM has gone on from a snapshot since it was asked last: the new [`count`].
    pub async fn wait(&self) -> u32 {
        poll_fn(|context| {
            // The waker first: who is told from then on finds it.
            let before = self.waker.lock().replace(context.waker().clone());
            drop(before);
            let now = count();
            if self.seen.swap(now, Ordering::Relaxed) == now {
                Poll::Pending
            } else {
                Poll::Ready(now)
            }
        })
        .await
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        upcall::clear_handler(self.port.number());
    }
}

impl fmt::Debug for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restored")
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}
