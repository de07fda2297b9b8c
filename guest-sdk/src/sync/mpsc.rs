//! Channels: from many senders to one receiver.

use super::SpinLock;
use super::queue::{self, WaitQueue};
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

/// A channel without a limit. A handler of an event may send, as that never waits.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    with_capacity(usize::MAX)
}

/// A channel that holds so many values at most, at least one. Who sends more waits.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    with_capacity(capacity.max(1))
}

fn with_capacity<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        capacity,
        state: SpinLock::new(State {
            values: VecDeque::new(),
            senders: 1,
            receiver: true,
            sending: WaitQueue::new(),
            receiving: WaitQueue::new(),
        }),
    });
    (Sender(Arc::clone(&channel)), Receiver(channel, PhantomData))
}

struct Channel<T> {
    capacity: usize,
    state: SpinLock<State<T>>,
}

struct State<T> {
    values: VecDeque<T>,
    senders: usize,
    /// Whether the receiver is still there.
    receiver: bool,
    sending: WaitQueue,
    receiving: WaitQueue,
}

/// The receiver is gone; the value that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why a value was not sent, and the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The channel is full.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

/// All senders are gone, and all that they sent was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There was nothing, or nothing in time.
    Empty,
    /// All senders are gone, and all that they sent was received.
    Closed,
}

/// The sending side of a channel.
pub struct Sender<T>(Arc<Channel<T>>);

impl<T> Sender<T> {
    /// Sends a value, and waits while the channel is full.
    ///
    /// # Errors
    ///
    /// When the receiver is gone.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut value = value;
        loop {
            match self.push(value) {
                Ok(()) => return Ok(()),
                Err((TrySendError::Closed(value), _)) => return Err(SendError(value)),
                Err((TrySendError::Full(back), state)) => {
                    value = back;
                    let lock = &self.0.state;
                    queue::wait(lock, state, |state| &mut state.sending, None, || {});
                }
            }
        }
    }

    /// Sends a value, if the channel is not full.
    ///
    /// # Errors
    ///
    /// When it is full, and when the receiver is gone.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.push(value).map_err(|(error, _)| error)
    }

    fn push(&self, value: T) -> Result<(), (TrySendError<T>, super::Guard<'_, State<T>>)> {
        let mut state = self.0.state.lock();
        if !state.receiver {
            return Err((TrySendError::Closed(value), state));
        }
        if state.values.len() >= self.0.capacity {
            return Err((TrySendError::Full(value), state));
        }
        state.values.push_back(value);
        let receiver = state.receiving.call_first();
        drop(state);
        if let Some(waiter) = receiver {
            waiter.wake();
        }
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.senders -= 1;
        let receiver = match state.senders {
            0 => state.receiving.call_first(),
            _ => None,
        };
        drop(state);
        if let Some(waiter) = receiver {
            waiter.wake();
        }
    }
}

/// The receiving side of a channel.
pub struct Receiver<T>(
    Arc<Channel<T>>,
    /// One thread at a time receives.
    PhantomData<core::cell::Cell<()>>,
);

impl<T> Receiver<T> {
    /// Receives a value, and waits for one.
    ///
    /// # Errors
    ///
    /// When all senders are gone, and all that they sent was received.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(None).map_err(|_| RecvError)
    }

    /// As [`Receiver::recv`], but waits no longer than this.
    ///
    /// # Errors
    ///
    /// When nothing came in time, and when nothing will come.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, TryRecvError> {
        self.recv_until(Some(Instant::now() + timeout))
    }

    /// Receives a value if there is one.
    ///
    /// # Errors
    ///
    /// When there is none, and when none will come.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.pop().map_err(|(error, _)| error)
    }

    /// The values, until all senders are gone.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        core::iter::from_fn(|| self.recv().ok())
    }

    #[track_caller]
    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, TryRecvError> {
        loop {
            let state = match self.pop() {
                Ok(value) => return Ok(value),
                Err((TryRecvError::Closed, _)) => return Err(TryRecvError::Closed),
                Err((TryRecvError::Empty, state)) => state,
            };
            let lock = &self.0.state;
            if !queue::wait(lock, state, |state| &mut state.receiving, deadline, || {}) {
                return self.try_recv();
            }
        }
    }

    fn pop(&self) -> Result<T, (TryRecvError, super::Guard<'_, State<T>>)> {
        let mut state = self.0.state.lock();
        match state.values.pop_front() {
            Some(value) => {
                let sender = state.sending.call_first();
                drop(state);
                if let Some(waiter) = sender {
                    waiter.wake();
                }
                Ok(value)
            }
            None if state.senders == 0 => Err((TryRecvError::Closed, state)),
            None => Err((TryRecvError::Empty, state)),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.receiver = false;
        let values = core::mem::take(&mut state.values);
        let senders = state.sending.call_all();
        drop(state);
        drop(values);
        for waiter in senders {
            waiter.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
