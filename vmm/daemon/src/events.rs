//! What happens to VMs, for those who want to know.

use crate::store::{Change, Store};
use crate::time;
use paravane_api::event::{Event, EventKind};
use paravane_api::vm::VmState;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;
use uuid::Uuid;

/// How many events are kept for those who come back.
const KEPT: usize = 1024;

/// So many numbers are reserved in the store at a time: after a crash the rest is skipped, so
/// that no number is used twice.
const RESERVED: u64 = 1 << 16;

/// The events.
#[derive(Debug)]
pub struct Events {
    state: Mutex<State>,
    new: broadcast::Sender<Arc<Event>>,
    store: Store,
}

#[derive(Debug)]
struct State {
    kept: VecDeque<Arc<Event>>,
    next: u64,
    reserved: u64,
}

impl Events {
    /// Events whose numbers begin at `next`.
    pub fn new(store: Store, next: u64) -> Self {
        let state = State {
            kept: VecDeque::new(),
            next,
            reserved: next,
        };
        Self {
            state: Mutex::new(state),
            new: broadcast::Sender::new(KEPT),
            store,
        }
    }

    /// Tells of an event.
    pub fn tell(
        &self,
        kind: EventKind,
        vm: Uuid,
        name: &str,
        state: VmState,
        message: Option<String>,
    ) {
        let mut known = self.lock();
        if known.next >= known.reserved {
            known.reserved = known.next + RESERVED;
            // A number is never an error.
            if let Ok(change) = Change::meta("next_event", &known.reserved) {
                self.store.commit_later(vec![change]);
            }
        }
        let event = Arc::new(Event {
            id: known.next,
            time: time::now(),
            kind,
            vm: vm.to_string(),
            name: name.to_string(),
            state,
            message,
        });
        known.next += 1;
        if known.kept.len() == KEPT {
            known.kept.pop_front();
        }
        known.kept.push_back(Arc::clone(&event));
        // In the lock, so that they come in the order of their numbers. Nobody may be listening.
        let _ = self.new.send(event);
    }

    /// Those that were kept after number `last`, and those to come.
    pub fn follow(&self, last: Option<u64>) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let known = self.lock();
        let kept = known
            .kept
            .iter()
            .filter(|event| last.is_some_and(|last| event.id > last))
            .cloned()
            .collect();
        (kept, self.new.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
