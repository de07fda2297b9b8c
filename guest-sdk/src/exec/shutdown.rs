//! The wish that the guest ends, as a future.

use crate::event::{Port, Priority, Source};
use crate::sync::SpinLock;
use crate::{upcall, vcpu};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};
use pv_abi::Errno;

/// Whether somebody asks the guest to shut down, for any number of tasks to wait for. There is one
/// at a time.
pub struct Shutdown {
    wish: Arc<Wish>,
    port: Port,
}

#[derive(Default)]
struct Wish {
    asked: AtomicBool,
    waiting: SpinLock<Waiting>,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Shutdown {
    /// Has this vCPU told.
    ///
    /// # Errors
    ///
    /// Those of [`Port::for_source`]; [`Errno::EBUSY`] while there is another.
    pub fn new() -> Result<Self, Errno> {
        let port = Port::for_source(Source::Shutdown, vcpu::id(), Priority::default())?;
        let wish = Arc::new(Wish::default());
        let its = Arc::clone(&wish);
        upcall::set_handler(port.number(), move |_| {
            its.asked.store(true, Ordering::Release);
            let wakers = core::mem::take(&mut its.waiting.lock().wakers);
            wakers.into_values().for_each(Waker::wake);
        });
        Ok(Self { wish, port })
    }

    /// Whether somebody has asked.
    pub fn is_asked(&self) -> bool {
        self.wish.asked.load(Ordering::Acquire)
    }

    /// Waits until somebody asks.
    pub async fn wait(&self) {
        self.or(core::future::pending::<()>()).await;
    }

    /// What a future gives; `None` when somebody asks before that.
    pub async fn or<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let place = Place::new(&self.wish.waiting);
        poll_fn(|context| {
            if self.is_asked() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            // The waker first: who asks from then on finds it.
            place.set(context.waker());
            match self.is_asked() {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        upcall::clear_handler(self.port.number());
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("asked", &self.is_asked())
            .finish_non_exhaustive()
    }
}

/// The place of one that waits.
struct Place<'a> {
    waiting: &'a SpinLock<Waiting>,
    number: u64,
}

impl<'a> Place<'a> {
    fn new(waiting: &'a SpinLock<Waiting>) -> Self {
        let mut guard = waiting.lock();
        guard.last += 1;
        let number = guard.last;
        drop(guard);
        Self { waiting, number }
    }

    fn set(&self, waker: &Waker) {
        let waker = waker.clone();
        let before = self.waiting.lock().wakers.insert(self.number, waker);
        drop(before);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let before = self.waiting.lock().wakers.remove(&self.number);
        drop(before);
    }
}
