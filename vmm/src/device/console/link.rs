//! What the two ends of a port know of each other.

use std::cell::Cell;
use std::rc::Rc;
use tokio::sync::{Notify, watch};

/// A port, between the control queues and whoever carries its bytes.
#[derive(Debug)]
pub struct Link {
    name: String,
    is_host_open: Cell<bool>,
    /// The host's end was closed, whether or not it is open again.
    has_ended: Cell<bool>,
    is_guest_open: watch::Sender<bool>,
    changed: Rc<Notify>,
}

impl Link {
    /// Of a port of this name, with both ends closed; `changed` hears of the host's end.
    pub fn new(name: String, changed: &Rc<Notify>) -> Self {
        Self {
            name,
            is_host_open: Cell::new(false),
            has_ended: Cell::new(false),
            is_guest_open: watch::Sender::new(false),
            changed: Rc::clone(changed),
        }
    }

    /// The name of the port.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the host's end is open.
    pub fn is_host_open(&self) -> bool {
        self.is_host_open.get()
    }

    /// The host's end has opened or closed.
    pub fn set_host_open(&self, open: bool) {
        let was_open = self.is_host_open.replace(open);
        if was_open && !open {
            self.has_ended.set(true);
        }
        self.changed.notify_one();
    }

    /// The host's end was closed before this one opened, as that of a device in another process.
    pub fn set_ended(&self) {
        self.has_ended.set(true);
    }

    /// Whether the host's end was closed since the last [`Link::take_end`].
    pub fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    /// As [`Link::has_ended`], once.
    pub fn take_end(&self) -> bool {
        self.has_ended.take()
    }

    /// Whether the guest's end is open.
    pub fn is_guest_open(&self) -> bool {
        *self.is_guest_open.borrow()
    }

    /// The guest's end has opened or closed.
    pub fn set_guest_open(&self, open: bool) {
        self.is_guest_open.send_replace(open);
    }

    /// Waits until the guest's end is open.
    pub async fn guest_open(&self) {
        // The sender is here, so there is no error.
        let _ = self.is_guest_open.subscribe().wait_for(|open| *open).await;
    }
}
