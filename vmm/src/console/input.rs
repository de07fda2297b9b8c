//! What was typed and not read yet: a bounded buffer, and whether the guest wants more.

use super::ConsoleError;
use crate::sync::lock;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How many bytes may wait. More are taken from the host's side when the guest has read some.
pub const INPUT_CAPACITY: usize = 64 << 10;

/// Who is told when there is something to read.
pub trait InputListener: Debug + Send + Sync {
    /// Whether it wants to be told: then bytes are taken from the host's side though nobody has
    /// asked for them by a read.
    fn is_listening(&self) -> bool;

    /// Bytes have come, or the input has ended.
    fn input_came(&self);
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<u8>,
    // The VM that reads now.
    listener: Option<Weak<dyn InputListener>>,
    // The guest asked when nothing waited; until the next byte.
    wanted: bool,
    closed: bool,
    stopping: bool,
    pausing: bool,
}

/// Bytes on their way to the guest.
#[derive(Debug, Default)]
pub struct InputBuffer {
    state: Mutex<State>,
    changed: Condvar,
    // The buffer was full and is no more: for those that do not block.
    has_room: Notify,
}

impl State {
    fn is_readable(&self) -> bool {
        self.closed || !self.waiting.is_empty()
    }

    /// Whether the guest wants more than there is.
    fn is_wanted(&self) -> bool {
        let listener = self.listener.as_ref().and_then(Weak::upgrade);
        self.wanted || !self.is_readable() && listener.is_some_and(|one| one.is_listening())
    }
}

impl InputBuffer {
    /// Has `listener` told of what comes from now on, in place of the one before.
    pub fn set_listener(&self, listener: Weak<dyn InputListener>) {
        lock(&self.state).listener = Some(listener);
    }

    /// The listener has begun to listen: whether there is something to read already.
    pub fn listener_begins(&self) -> bool {
        let is_readable = lock(&self.state).is_readable();
        self.changed.notify_all();
        is_readable
    }

    /// Tells the listener. Nothing is locked, so that it may do what it likes.
    fn tell_listener(&self) {
        let listener = lock(&self.state).listener.clone();
        if let Some(listener) = listener.as_ref().and_then(Weak::upgrade) {
            listener.input_came();
        }
    }

    /// Appends bytes, waiting while the buffer is full. `false`: the VM is being stopped.
    pub fn push(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            let mut state = lock(&self.state);
            if state.stopping {
                return false;
            }
            let room = INPUT_CAPACITY
                .saturating_sub(state.waiting.len())
                .min(rest.len());
            let (fits, remaining) = rest.split_at(room);
            state.waiting.extend(fits);
            state.wanted &= fits.is_empty();
            rest = remaining;
            self.changed.notify_all();
            if room > 0 {
                drop(state);
                self.tell_listener();
            } else if !rest.is_empty() {
                let _woken = self.changed.wait(state);
            }
            if rest.is_empty() {
                return true;
            }
        }
    }

    /// Appends a byte if there is room: whether there was, or `None` when the VM is being
    /// stopped. It never waits.
    pub fn try_push(&self, byte: u8) -> Option<bool> {
        let mut state = lock(&self.state);
        if state.stopping {
            return None;
        }
        let room = state.waiting.len() < INPUT_CAPACITY;
        if room {
            state.waiting.push_back(byte);
            state.wanted = false;
            self.changed.notify_all();
            drop(state);
            self.tell_listener();
        }
        Some(room)
    }

    /// Appends as many of the bytes as there is room for, without waiting: how many, or `None` when
    /// the VM is being stopped.
    pub fn offer(&self, bytes: &[u8]) -> Option<usize> {
        let mut state = lock(&self.state);
        if state.stopping {
            return None;
        }
        let room = INPUT_CAPACITY.saturating_sub(state.waiting.len());
        let fits = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        if !fits.is_empty() {
            state.waiting.extend(fits);
            state.wanted = false;
            self.changed.notify_all();
            drop(state);
            self.tell_listener();
        }
        Some(fits.len())
    }

    /// Appends all of the bytes, as soon as there is room for them. `false`: the VM is being
    /// stopped. Those that have found room stay when this is dropped.
    pub async fn push_async(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            // Before looking, so that no room made after it is missed.
            let has_room = self.has_room.notified();
            tokio::pin!(has_room);
            has_room.as_mut().enable();
            let Some(count) = self.offer(rest) else {
                return false;
            };
            rest = rest.get(count..).unwrap_or_default();
            if rest.is_empty() {
                return true;
            }
            has_room.await;
        }
    }

    /// Waits until the guest wants to read more than there is. `false`: the VM is being
    /// stopped.
    pub fn wait_until_wanted(&self) -> bool {
        let mut state = lock(&self.state);
        while !state.is_wanted() && !state.stopping {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !state.stopping
    }

    /// Nothing more will be typed.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
        self.tell_listener();
    }

    /// Ends every waiting read and push.
    pub fn stop(&self) {
        lock(&self.state).stopping = true;
        self.changed.notify_all();
        self.has_room.notify_waiters();
    }

    /// Ends every waiting read, and every one that finds nothing, until that is taken back.
    pub fn set_pausing(&self, pausing: bool) {
        lock(&self.state).pausing = pausing;
        self.changed.notify_all();
    }

    /// Takes what waits, waiting for the first byte until the time-out.
    pub fn read(&self, bytes: &mut [u8], timeout: Option<Duration>) -> Result<usize, ConsoleError> {
        // A time-out past what Instant can express is for ever.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = lock(&self.state);
        loop {
            if state.stopping {
                return Err(ConsoleError::Stopping);
            }
            if !state.waiting.is_empty() {
                let was_full = state.waiting.len() >= INPUT_CAPACITY;
                let count = bytes.len().min(state.waiting.len());
                for (byte, waiting) in bytes.iter_mut().zip(state.waiting.drain(..count)) {
                    *byte = waiting;
                }
                self.changed.notify_all();
                if was_full {
                    self.has_room.notify_waiters();
                }
                return Ok(count);
            }
            if state.closed {
                return Err(ConsoleError::Closed);
            }
            if state.pausing {
                return Err(ConsoleError::Pausing);
            }
            if !state.wanted {
                state.wanted = true;
                self.changed.notify_all();
            }
            state = match deadline {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(ConsoleError::TimedOut);
                    }
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
    use std::thread;

    #[derive(Debug, Default)]
    struct Listener {
        listens: AtomicBool,
        told: AtomicU32,
    }

    impl InputListener for Listener {
        fn is_listening(&self) -> bool {
            self.listens.load(SeqCst)
        }

        fn input_came(&self) {
            self.told.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_listener_is_told_of_all_that_comes() {
        let input = InputBuffer::default();
        assert!(input.push(b"nobody listens"));
        let listener = Arc::new(Listener::default());
        let weak: Weak<Listener> = Arc::downgrade(&listener);
        input.set_listener(weak);
        assert!(input.listener_begins());
        assert_eq!(input.read(&mut [0; 100], None), Ok(14));
        assert!(!input.listener_begins());
        let told = || listener.told.load(SeqCst);
        assert!(input.push(b"a"));
        assert_eq!(told(), 1);
        assert_eq!(input.try_push(b'b'), Some(true));
        assert_eq!(told(), 2);
        input.close();
        assert_eq!(told(), 3);
        assert_eq!(input.read(&mut [0; 100], None), Ok(2));
        // Its end can be read too.
        assert!(input.listener_begins());
        // One that is gone is not told, and does not disturb.
        drop(listener);
        assert!(input.push(b"c"));
    }

    #[test]
    fn who_listens_wants_bytes_while_there_are_none() {
        let input = &InputBuffer::default();
        let listener = Arc::new(Listener::default());
        let weak: Weak<Listener> = Arc::downgrade(&listener);
        input.set_listener(weak);
        thread::scope(|scope| {
            let reader = scope.spawn(|| input.wait_until_wanted() && input.push(b"typed"));
            listener.listens.store(true, SeqCst);
            assert!(!input.listener_begins());
            assert!(reader.join().unwrap());
            assert!(!lock(&input.state).is_wanted());
            // A read that takes all of it is enough to want more.
            let reader = scope.spawn(|| input.wait_until_wanted());
            assert_eq!(input.read(&mut [0; 5], None), Ok(5));
            assert!(reader.join().unwrap());
        });
    }

    #[test]
    fn what_is_pushed_is_read_in_order_and_then_comes_the_end() {
        let input = InputBuffer::default();
        assert!(input.push(b"hello"));
        input.close();
        let mut bytes = [0; 3];
        assert_eq!(input.read(&mut bytes, None), Ok(3));
        assert_eq!(&bytes, b"hel");
        assert_eq!(input.read(&mut bytes, None), Ok(2));
        assert_eq!(&bytes[..2], b"lo");
        assert_eq!(input.read(&mut bytes, None), Err(ConsoleError::Closed));
    }

    #[test]
    fn an_empty_buffer_times_out() {
        let input = InputBuffer::default();
        let result = input.read(&mut [0], Some(Duration::ZERO));
        assert_eq!(result, Err(ConsoleError::TimedOut));
    }

    #[test]
    fn a_push_larger_than_the_buffer_waits_for_the_reader() {
        let input = InputBuffer::default();
        let sent = vec![7; INPUT_CAPACITY * 3];
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(input.push(&sent));
                input.close();
            });
            let mut received = 0;
            let mut bytes = [0; 1000];
            while let Ok(count) = input.read(&mut bytes, None) {
                assert!(lock(&input.state).waiting.len() <= INPUT_CAPACITY);
                received += count;
            }
            assert_eq!(received, sent.len());
        });
    }

    #[test]
    fn input_is_wanted_from_a_read_that_finds_nothing_until_the_next_byte() {
        let input = InputBuffer::default();
        assert!(input.push(b"a"));
        assert_eq!(input.read(&mut [0], None), Ok(1));
        assert!(!lock(&input.state).wanted);
        let result = input.read(&mut [0], Some(Duration::ZERO));
        assert_eq!(result, Err(ConsoleError::TimedOut));
        assert!(input.wait_until_wanted());
        assert!(input.push(b"b"));
        assert!(!lock(&input.state).wanted);
        input.stop();
        assert!(!input.wait_until_wanted());
    }

    #[test]
    fn a_byte_for_which_there_is_no_room_is_refused() {
        let input = InputBuffer::default();
        for _ in 0..INPUT_CAPACITY {
            assert_eq!(input.try_push(7), Some(true));
        }
        assert_eq!(input.try_push(7), Some(false));
        input.stop();
        assert_eq!(input.try_push(7), None);
    }

    #[test]
    fn a_pause_ends_a_waiting_reader_until_it_is_over() {
        let input = InputBuffer::default();
        thread::scope(|scope| {
            let reader = scope.spawn(|| input.read(&mut [0], None));
            input.set_pausing(true);
            assert_eq!(reader.join().unwrap(), Err(ConsoleError::Pausing));
        });
        assert!(input.push(b"a"));
        assert_eq!(input.read(&mut [0], None), Ok(1));
        input.set_pausing(false);
        let result = input.read(&mut [0], Some(Duration::ZERO));
        assert_eq!(result, Err(ConsoleError::TimedOut));
    }

    #[test]
    fn stop_ends_a_waiting_reader() {
        let input = InputBuffer::default();
        thread::scope(|scope| {
            let reader = scope.spawn(|| input.read(&mut [0], None));
            input.stop();
            assert_eq!(reader.join().unwrap(), Err(ConsoleError::Stopping));
        });
    }
}
