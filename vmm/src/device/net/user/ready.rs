//! Which of many sources have something to do.
//!
//! Each source has a [`Waker`] of its own, so one task serves all sockets and looks only at
//! those that are ready.

use crate::sync::lock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Names a source of the engine. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// A TCP connection.
    Tcp(u64),
    /// A UDP flow.
    Udp(u64),
    /// A forwarded port, by its index.
    Listener(usize),
}

#[derive(Debug, Default)]
struct State {
    sources: VecDeque<Arc<Source>>,
    waiter: Option<Waker>,
}

#[derive(Debug)]
struct Source {
    token: Token,
    is_queued: AtomicBool,
    list: Arc<Mutex<State>>,
}

impl Wake for Source {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, SeqCst) {
            return;
        }
        let mut state = lock(&self.list);
        state.sources.push_back(Arc::clone(self));
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

/// The sources that are ready, in the order in which they became so, each once.
#[derive(Debug, Default)]
pub struct ReadyList {
    state: Arc<Mutex<State>>,
}

impl ReadyList {
    /// A waker that puts `token` on the list.
    pub fn waker(&self, token: Token) -> Waker {
        Waker::from(Arc::new(Source {
            token,
            is_queued: AtomicBool::new(false),
            list: Arc::clone(&self.state),
        }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.state).sources.len()
    }

    /// Takes the first.
    pub fn take(&self) -> Option<Token> {
        let source = lock(&self.state).sources.pop_front()?;
        source.is_queued.store(false, SeqCst);
        Some(source.token)
    }

    /// Ready when there is one; else `context` is woken by the next.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if !state.sources.is_empty() {
            return Poll::Ready(());
        }
        state.waiter = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_listed_once_until_it_is_taken() {
        let list = ReadyList::default();
        let first = list.waker(Token::Tcp(1));
        let second = list.waker(Token::Udp(2));
        first.wake_by_ref();
        second.wake_by_ref();
        first.wake_by_ref();
        assert_eq!(list.len(), 2);
        assert_eq!(list.take(), Some(Token::Tcp(1)));
        first.wake_by_ref();
        assert_eq!(list.take(), Some(Token::Udp(2)));
        assert_eq!(list.take(), Some(Token::Tcp(1)));
        assert_eq!(list.take(), None);
    }

    #[test]
    fn who_waits_is_woken_by_the_first_source() {
        let list = ReadyList::default();
        let waiting = list.waker(Token::Tcp(0));
        let outer = ReadyList::default();
        let outer_waker = outer.waker(Token::Listener(7));
        let mut context = Context::from_waker(&outer_waker);
        assert!(list.poll(&mut context).is_pending());
        assert_eq!(outer.take(), None);
        waiting.wake_by_ref();
        assert_eq!(outer.take(), Some(Token::Listener(7)));
        assert!(list.poll(&mut context).is_ready());
    }
}
