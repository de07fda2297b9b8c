//! The wish that the guest ends.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};
use paravane_sdk::Errno;
use paravane_sdk::event::{Port, Priority, Source};
use paravane_sdk::sync::SpinLock;
use paravane_sdk::{upcall, vcpu};

/// Whether the guest is to end, for any number of tasks to wait for.
pub struct Shutdown {
    wish: Arc<Wish>,
    _port: Port,
}

#[derive(Default)]
struct Wish {
    asked: AtomicBool,
    waiting: SpinLock<(u64, BTreeMap<u64, Waker>)>,
}

impl Shutdown {
    /// Has this vCPU told.
    pub fn new() -> Result<Self, Errno> {
        let port = Port::for_source(Source::Shutdown, vcpu::id(), Priority::default())?;
        let wish = Arc::new(Wish::default());
        let its = Arc::clone(&wish);
        upcall::set_handler(port.number(), move |_| {
            its.asked.store(true, Ordering::Release);
            let waiting = core::mem::take(&mut its.waiting.lock().1);
            waiting.into_values().for_each(Waker::wake);
        });
        Ok(Self { wish, _port: port })
    }

    /// Whether the guest is to end.
    pub fn is_asked(&self) -> bool {
        self.wish.asked.load(Ordering::Acquire)
    }

    /// What a future gives; `None` when the guest is to end before.
    pub async fn unless_asked<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let number = {
            let mut waiting = self.wish.waiting.lock();
            waiting.0 += 1;
            waiting.0
        };
        let result = poll_fn(|context| {
            if self.is_asked() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            let waker = context.waker().clone();
            let before = self.wish.waiting.lock().1.insert(number, waker);
            drop(before);
            match self.is_asked() {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await;
        let before = self.wish.waiting.lock().1.remove(&number);
        drop(before);
        result
    }
}
