//! The task that moves frames.

use super::Shared;
use super::stack::Next;
use crate::exec;
use crate::virtio::linger::Linger;
use crate::virtio::net::{RECEIVE, TRANSMIT};
use crate::virtio::signal::{QueueEvents, Signal};
use crate::virtio::{Device, Error};
use alloc::sync::{Arc, Weak};

/// What the task waits for. The device is asked for events only while it waits.
#[derive(Debug)]
pub(super) struct Events {
    work: Arc<Signal>,
    _receive: QueueEvents,
    _transmit: QueueEvents,
}

impl Events {
    /// Has the device's events raise the signal.
    pub fn new(device: &Device, work: &Arc<Signal>) -> Result<Self, Error> {
        work.watch(device)?;
        Ok(Self {
            work: Arc::clone(work),
            _receive: QueueEvents::new(device, RECEIVE, work)?,
            _transmit: QueueEvents::new(device, TRANSMIT, work)?,
        })
    }
}

/// Moves frames until nobody has the network any more.
pub(super) async fn run(shared: Weak<Shared>, events: Events) {
    let mut linger = Linger::new();
    loop {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let next = shared.stack.lock().poll(events.work.is_stopped());
        match next {
            Next::Now => {
                drop(shared);
                exec::yield_now().await;
            }
            Next::Wait(deadline) => {
                let come = || events.work.is_raised() || shared.stack.lock().has_come();
                let brisk = shared.stack.lock().is_brisk();
                let more = brisk && linger.look(come) || shared.stack.lock().arm();
                drop(shared);
                match more {
                    true => exec::yield_now().await,
                    false => {
                        events.work.wait(deadline).await;
                        linger.told();
                    }
                }
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The task ends, as there is no network any more.
        self.work.raise();
    }
}
