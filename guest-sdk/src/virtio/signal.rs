//! Tells a task that a driver has something to do.

use super::{Changes, Device};
use crate::event::{Port, Priority};
#[cfg(any(feature = "console", feature = "vsock"))]
use crate::exec;
use crate::sync::SpinLock;
use crate::time::{Instant, sleep_until};
use crate::{upcall, vcpu};
use alloc::sync::Arc;
#[cfg(any(feature = "console", feature = "vsock"))]
use alloc::sync::Weak;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use pv_abi::Errno;

/// A flag for which one task waits. Handlers of events may raise it.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    raised: AtomicBool,
    stopped: AtomicBool,
    waker: SpinLock<Option<Waker>>,
}

impl Signal {
    /// Raises it, if it is not raised.
    pub fn raise(&self) {
        // Who raised it before wakes the task, if that has not looked since.
        if !self.raised.swap(true, Ordering::AcqRel) {
            let waker = self.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether it is raised.
    #[cfg(feature = "net")]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Has it raised when the device stops, and remembers that.
    ///
    /// # Errors
    ///
    /// Those of [`Device::on_change`].
    pub fn watch(self: &Arc<Self>, device: &Device) -> Result<(), Errno> {
        let this = Arc::clone(self);
        device.on_change(move |change| {
            if change == Changes::Stopped {
                this.stopped.store(true, Ordering::Release);
                this.raise();
            }
        })
    }

    /// Whether the device that is watched has stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Lowers it when it is raised; otherwise the task is woken when it is.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.raised.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        // The waker first: who raises it from then on finds it.
        let before = self.waker.lock().replace(context.waker().clone());
        drop(before);
        match self.raised.swap(false, Ordering::AcqRel) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Waits until it is raised, and lowers it, or until a time.
    pub async fn wait(&self, deadline: Option<Instant>) {
        let mut timer = deadline.map(sleep_until);
        poll_fn(|context| {
            if self.poll(context).is_ready() {
                return Poll::Ready(());
            }
            match &mut timer {
                Some(timer) => Pin::new(timer).poll(context),
                None => Poll::Pending,
            }
        })
        .await;
    }
}

/// Has a driver do its work whenever there may be some, until nobody has the device any more: who drops
/// it last raises the signal. `work` is told whether the device has stopped, and says whether there is
/// more to do.
#[cfg(any(feature = "console", feature = "vsock"))]
pub(crate) async fn serve<T>(
    device: Weak<T>,
    signal: Arc<Signal>,
    work: impl Fn(&T, bool) -> bool,
) {
    loop {
        let Some(device) = device.upgrade() else {
            return;
        };
        let more = work(&device, signal.is_stopped());
        drop(device);
        match more {
            true => exec::yield_now().await,
            false => signal.wait(None).await,
        }
    }
}

/// The events of a queue, which raise a signal.
#[derive(Debug)]
pub(crate) struct QueueEvents {
    port: Port,
}

impl QueueEvents {
    /// Has the running vCPU told of the events.
    ///
    /// # Errors
    ///
    /// Those of [`Port::for_source`].
    pub fn new(device: &Device, queue: u16, signal: &Arc<Signal>) -> Result<Self, Errno> {
        let source = device.queue_source(queue);
        let port = Port::for_source(source, vcpu::id(), Priority::default())?;
        let signal = Arc::clone(signal);
        upcall::set_handler(port.number(), move |_| signal.raise());
        Ok(Self { port })
    }
}

impl Drop for QueueEvents {
    fn drop(&mut self) {
        upcall::clear_handler(self.port.number());
    }
}
