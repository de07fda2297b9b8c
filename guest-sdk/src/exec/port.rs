//! Events of ports, as futures.

use crate::event::Port;
use crate::sync::SpinLock;
use crate::upcall;
use alloc::sync::Arc;
use core::future::poll_fn;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};

/// A port whose events tasks wait for.
#[derive(Debug)]
pub struct AsyncPort {
    port: Port,
    state: Arc<State>,
}

/// Whether an event has come, and who is to be told.
#[derive(Debug, Default)]
struct State {
    come: AtomicBool,
    waker: SpinLock<Option<Waker>>,
}

impl AsyncPort {
    /// Takes the events of a port from now on, one that is pending included.
    pub fn new(port: Port) -> Self {
        let state = Arc::new(State::default());
        let its = Arc::clone(&state);
        upcall::set_handler(port.number(), move |_| {
            its.come.store(true, Ordering::Release);
            let waker = its.waker.lock().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        Self { port, state }
    }

    /// Waits for an event. Events that nobody waited for are one. One task at a time waits.
    pub async fn wait(&self) {
        poll_fn(|context| {
            // The waker first: an event from then on finds it.
            let waker = context.waker().clone();
            let before = self.state.waker.lock().replace(waker);
            drop(before);
            if self.state.come.swap(false, Ordering::Acquire) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Deref for AsyncPort {
    type Target = Port;

    fn deref(&self) -> &Port {
        &self.port
    }
}

impl Drop for AsyncPort {
    fn drop(&mut self) {
        upcall::clear_handler(self.port.number());
    }
}
