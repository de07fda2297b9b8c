//! The store: the data, and the changes that are on their way to the disk.

use crate::batch::{HEAD, LARGEST};
use crate::data::{Change, Data};
use crate::log::Log;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use paravane_sdk::heap;
use paravane_sdk::sync::Mutex;

/// Heap that is left for other things than data.
const HEAP_RESERVE: usize = 16 << 20;

/// Data and changes. Clients see a change when it is on the disk.
pub struct Store {
    state: Mutex<State>,
    /// Most bytes of data.
    room: usize,
}

struct State {
    data: Data,
    queue: VecDeque<(Change, Arc<Ticket>)>,
    writer: Option<Waker>,
    closed: bool,
    commits: u64,
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room for it, in memory or on the disk.
    Full,
    /// The disk could not do it. It may be there after a restart.
    Disk,
}

/// A change that somebody waits for.
pub struct Ticket(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    result: Option<Result<bool, Refused>>,
    waker: Option<Waker>,
}

impl Ticket {
    /// Waits until the change is made: whether the key was there before.
    pub async fn wait(&self) -> Result<bool, Refused> {
        poll_fn(|context| {
            let mut progress = self.0.lock();
            match progress.result {
                Some(result) => Poll::Ready(result),
                None => {
                    progress.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn complete(&self, result: Result<bool, Refused>) {
        let mut progress = self.0.lock();
        progress.result = Some(result);
        let waker = progress.waker.take();
        drop(progress);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Store {
    /// A store with data that is on the disk, and room for so many bytes.
    pub fn new(data: Data, room: usize) -> Self {
        let state = State {
            data,
            queue: VecDeque::new(),
            writer: None,
            closed: false,
            commits: 0,
        };
        Self {
            state: Mutex::new(state),
            room,
        }
    }

    /// Looks at the data.
    pub fn look<T>(&self, look: impl FnOnce(&Data) -> T) -> T {
        look(&self.state.lock().data)
    }

    /// As [`Data::walk`].
    pub fn walk(&self, behind: Option<u64>, take: impl FnMut(&[u8], &[u8]) -> bool) -> Option<u64> {
        self.look(|data| data.walk(behind, take))
    }

    /// How many batches were written.
    pub fn commits(&self) -> u64 {
        self.state.lock().commits
    }

    /// Has a change made.
    pub fn change(&self, change: Change) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket(Mutex::new(Progress::default())));
        let mut state = self.state.lock();
        state.queue.push_back((change, Arc::clone(&ticket)));
        state.wake_writer();
        ticket
    }

    /// Has the writer end when all changes are made.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.wake_writer();
    }

    /// The changes of the next batch; `None` at the end.
    async fn next(&self) -> Option<(Vec<Change>, Vec<Arc<Ticket>>)> {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if state.queue.is_empty() {
                if state.closed {
                    return Poll::Ready(None);
                }
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Some(state.take_batch(self.room)))
        })
        .await
    }

    fn apply(&self, changes: Vec<Change>, tickets: Vec<Arc<Ticket>>) {
        let mut state = self.state.lock();
        state.commits += 1;
        for (change, ticket) in changes.into_iter().zip(tickets) {
            ticket.complete(Ok(state.data.apply(change)));
        }
    }
}

impl State {
    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    fn take_batch(&mut self, room: usize) -> (Vec<Change>, Vec<Arc<Ticket>>) {
        let (mut changes, mut tickets) = (Vec::new(), Vec::new());
        let available = heap::usage().available.saturating_sub(HEAP_RESERVE);
        let mut added = 0;
        let mut size = HEAD;
        while let Some((change, _)) = self.queue.front() {
            if size + change.size() > LARGEST {
                break;
            }
            let grows = match change {
                Change::Set(..) => change.size(),
                Change::Delete(_) => 0,
            };
            let fits = self.data.size() + added + grows <= room && added + grows <= available;
            size += change.size();
            if let Some((change, ticket)) = self.queue.pop_front() {
                if grows > 0 && !fits {
                    ticket.complete(Err(Refused::Full));
                    continue;
                }
                added += grows;
                changes.push(change);
                tickets.push(ticket);
            }
        }
        (changes, tickets)
    }
}

/// Writes changes, one batch after the other. While one is written, the next ones gather.
pub async fn write(store: Arc<Store>, mut log: Log) {
    while let Some((changes, tickets)) = store.next().await {
        if changes.is_empty() {
            continue;
        }
        match log.commit(&changes, &store).await {
            Ok(()) => store.apply(changes, tickets),
            Err(_) => {
                let refuse = |ticket: Arc<Ticket>| ticket.complete(Err(Refused::Disk));
                tickets.into_iter().for_each(refuse);
            }
        }
    }
}
