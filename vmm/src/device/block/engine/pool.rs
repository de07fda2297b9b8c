//! I/O that blocks, on a few threads: what io_uring cannot do, and everything where it is missing.

use super::{Done, Operation};
use crate::device::block::image::Image;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::mpsc;

/// How many operations are under way at a time; the others wait.
const THREADS: usize = 8;

/// A bounded pool, by the blocking threads of the current tokio runtime. They own what they work
/// on, so dropping the pool is safe at any time.
#[derive(Debug)]
pub struct Pool {
    image: Image,
    waiting: VecDeque<(u64, Operation)>,
    active: usize,
    sender: mpsc::UnboundedSender<Done>,
    receiver: mpsc::UnboundedReceiver<Done>,
}

impl Pool {
    /// A pool without threads yet.
    pub fn new(image: Image) -> Self {
        // It holds at most one message for each active operation.
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            image,
            waiting: VecDeque::new(),
            active: 0,
            sender,
            receiver,
        }
    }

    /// Operations that are not over yet.
    pub fn in_flight(&self) -> usize {
        self.waiting.len() + self.active
    }

    /// Starts an operation, or has it wait for a thread.
    pub fn start(&mut self, token: u64, operation: Operation) {
        self.waiting.push_back((token, operation));
        self.start_waiting();
    }

    fn start_waiting(&mut self) {
        while self.active < THREADS {
            let Some((token, mut operation)) = self.waiting.pop_front() else {
                return;
            };
            self.active += 1;
            let image = self.image.clone();
            let sender = self.sender.clone();
            tokio::task::spawn_blocking(move || {
                // A defect in the code for a format must not leave the guest without an answer.
                let result = catch_unwind(AssertUnwindSafe(|| image.execute(&mut operation)))
                    .unwrap_or_else(|_| Err(io::Error::other("a defect of the VMM")));
                // The guest's memory is let go before anybody learns that it is over.
                drop(operation);
                let _ = sender.send(Done { token, result });
            });
        }
    }

    /// An operation that is over.
    pub fn take(&mut self) -> Option<Done> {
        let done = self.receiver.try_recv().ok()?;
        self.ended();
        Some(done)
    }

    /// Waits until an operation is over.
    pub async fn wait(&mut self) -> Done {
        loop {
            // The pool has a sender itself, so the channel never closes.
            if let Some(done) = self.receiver.recv().await {
                self.ended();
                return done;
            }
        }
    }

    fn ended(&mut self) {
        self.active -= 1;
        self.start_waiting();
    }
}
