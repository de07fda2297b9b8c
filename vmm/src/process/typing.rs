//! The right to type on the console, which one connection has at a time.

use crate::sync::lock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Who may type.
#[derive(Debug, Default)]
pub(super) struct Typing(Mutex<Option<Arc<Holder>>>);

#[derive(Debug, Default)]
struct Holder {
    /// Another one has the right now.
    lost: Notify,
    /// Its client is gone, though not all that it typed has been passed on.
    abandoned: AtomicBool,
}

/// The right to type, until it is dropped or taken away.
#[derive(Debug)]
pub(super) struct Grant {
    typing: Arc<Typing>,
    holder: Arc<Holder>,
}

impl Typing {
    /// Takes the right, from the one that has it if `steal` says so. `None`: another one has it.
    pub(super) fn take(self: &Arc<Self>, steal: bool) -> Option<Grant> {
        let mut place = lock(&self.0);
        if let Some(holder) = &*place {
            if !steal && !holder.abandoned.load(Ordering::Relaxed) {
                return None;
            }
            holder.lost.notify_one();
        }
        let holder = Arc::<Holder>::default();
        *place = Some(Arc::clone(&holder));
        Some(Grant {
            typing: Arc::clone(self),
            holder,
        })
    }
}

impl Grant {
    /// Waits until another one has taken the right.
    pub(super) async fn lost(&self) {
        self.holder.lost.notified().await;
    }

    /// Lets another one take the right without a word.
    pub(super) fn abandon(&self) {
        self.holder.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut place = lock(&self.typing.0);
        if place
            .as_ref()
            .is_some_and(|holder| Arc::ptr_eq(holder, &self.holder))
        {
            *place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_types_until_it_goes_or_another_takes_over() {
        let typing = Arc::<Typing>::default();
        let first = typing.take(false).unwrap();
        assert!(typing.take(false).is_none());
        let second = typing.take(true).unwrap();
        first.lost().await;
        // It does not take the right from the second one.
        drop(first);
        assert!(typing.take(false).is_none());
        drop(second);
        let third = typing.take(false).unwrap();
        third.abandon();
        typing.take(false).unwrap();
        third.lost().await;
    }
}
