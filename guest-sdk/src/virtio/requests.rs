//! Requests on a queue as futures.

#![allow(unsafe_code)]

mod keeper;
mod scratch;
mod state;
mod wakers;

pub use scratch::Scratch;

use super::{Device, Error, Queue, QueueOptions};
use crate::event::{Port, Priority};
use crate::exec::{self, Task};
use crate::sync::SpinLock;
use crate::{upcall, vcpu};
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::ops::AddAssign;
use core::pin::Pin;
use core::task::{Context, Poll};
use pv_abi::Errno;
use state::State;
use wakers::Wakers;

/// What a request asks for.
///
/// # Safety
///
/// The memory of the segments that [`Operation::prepare`] names belongs to the value or outlives
/// it, stays where it is when the value is moved, and is not accessed until `finish`.
pub unsafe trait Operation: Send + 'static {
    /// What comes of it.
    type Output;

    /// Says what the device reads, and then what it writes.
    fn prepare(&mut self, scratch: &mut Scratch<'_>);

    /// Makes the result of what the device has done. `Err` when it has not, and never will.
    fn finish(self, done: Result<Done<'_>, Error>) -> Self::Output;
}

/// A request that the device has done.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// The request's part of the scratch memory.
    pub scratch: &'a [u8],
    /// How many bytes the device says that it wrote.
    pub written: u32,
}

/// What requests took, counted since the queue was set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// Requests that were made.
    pub requests: u64,
    /// How often the device was told of them: exits that reach the host's kernel only.
    pub doorbells: u64,
    /// How often an event told of what the device had done.
    pub events: u64,
}

impl AddAssign for Costs {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.doorbells += other.doorbells;
        self.events += other.events;
    }
}

/// A queue of which tasks ask things.
///
/// A task of its own looks for what the device has done, for all who wait. Only when there is nothing
/// for a while an event tells of it, one for many requests.
pub struct Requests<O: Operation> {
    shared: Arc<Shared<O>>,
    port: Port,
    /// Ended when this is dropped.
    _keeper: Task<()>,
}

/// What tasks and the handler of the queue's event share.
pub(super) struct Shared<O: Operation>(SpinLock<State<O>>);

impl<O: Operation> Requests<O> {
    /// Sets up a queue of a device that has not been started, whose events come to the running vCPU.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::new`] and [`Port::for_source`].
    pub fn new(device: &Arc<Device>, index: u16, options: QueueOptions) -> Result<Self, Error> {
        let queue = Queue::new(device, index, options)?;
        let source = device.queue_source(index);
        let port = Port::for_source(source, vcpu::id(), Priority::default())?;
        let shared = Arc::new(Shared(SpinLock::new(State::new(queue)?)));
        let its = Arc::clone(&shared);
        upcall::set_handler(port.number(), move |_| its.told());
        let keeper = keeper::start(&shared);
        Ok(Self {
            shared,
            port,
            _keeper: keeper,
        })
    }

    /// Asks for something. Nothing happens until the future is polled.
    ///
    /// A request whose future is dropped is done all the same, and its result forgotten.
    pub fn request(&self, operation: O) -> Request<'_, O> {
        Request {
            shared: &self.shared,
            stage: Stage::New(operation),
        }
    }

    /// Has another vCPU told of its events.
    ///
    /// # Errors
    ///
    /// Those of [`Port::bind_vcpu`].
    pub fn bind_vcpu(&self, vcpu: u32) -> Result<(), Errno> {
        self.port.bind_vcpu(vcpu)
    }

    /// What its requests took so far.
    pub fn costs(&self) -> Costs {
        self.shared.0.lock().costs()
    }

    /// Something that ends all requests with [`Error::Stopped`], for a handler of
    /// [`Device::on_change`].
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.with(State::stop)
    }
}

impl<O: Operation> Drop for Requests<O> {
    fn drop(&mut self) {
        upcall::clear_handler(self.port.number());
        self.shared.0.lock().reset();
    }
}

impl<O: Operation> fmt::Debug for Requests<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl<O: Operation> Shared<O> {
    /// Does something under the lock, and then wakes whom it says.
    fn with<R>(&self, body: impl FnOnce(&mut State<O>, &mut Wakers) -> R) -> R {
        let mut wakers = Wakers::new();
        let result = body(&mut self.0.lock(), &mut wakers);
        drop(wakers);
        result
    }

    /// The handler of the queue's event.
    fn told(&self) {
        self.with(|state, wakers| {
            state.polling.told();
            state.events += 1;
            state.settle(wakers);
        });
    }
}

/// A request, see [`Requests::request`].
#[must_use = "a request is made when it is polled"]
pub struct Request<'a, O: Operation> {
    shared: &'a Shared<O>,
    stage: Stage<O>,
}

enum Stage<O> {
    New(O),
    Made(u16),
    Over,
}

// Nothing is pinned in it: what the device accesses belongs to the operation.
impl<O: Operation> Unpin for Request<'_, O> {}

impl<O: Operation> Future for Request<'_, O> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O::Output> {
        match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::New(operation) => self.make(operation, context),
            Stage::Made(slot) => self.look(slot, context),
            Stage::Over => panic!("a Request is polled that is over"),
        }
    }
}

impl<O: Operation> Request<'_, O> {
    fn make(&mut self, operation: O, context: &mut Context<'_>) -> Poll<O::Output> {
        let elsewhere = !exec::polls_by(context.waker());
        let mut operation = Some(operation);
        let (made, keeper) = self.shared.with(|state, wakers| {
            state.elsewhere |= elsewhere;
            let mut made = state.make(&mut operation, context.waker());
            if matches!(made, Ok(None)) {
                state.queue.notify();
                // Some of them may be free by now.
                state.settle(wakers);
                made = state.make(&mut operation, context.waker());
            }
            (made, state.call_keeper())
        });
        if let Some(keeper) = keeper {
            keeper.wake();
        }
        match (made, operation) {
            (Ok(Some(slot)), _) => {
                self.stage = Stage::Made(slot);
                if elsewhere {
                    // Others that are ready add theirs before the device is told. Here it cannot be
                    // left to the keeper: nobody says that it will have a turn.
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
            (Err(error), Some(operation)) => Poll::Ready(operation.finish(Err(error))),
            (_, operation) => {
                // Whoever frees a slot wakes this task.
                self.stage = operation.map_or(Stage::Over, Stage::New);
                Poll::Pending
            }
        }
    }

    fn look(&mut self, slot: u16, context: &mut Context<'_>) -> Poll<O::Output> {
        let elsewhere = !exec::polls_by(context.waker());
        let (ended, look_again) = self.shared.with(|state, wakers| {
            if elsewhere {
                state.elsewhere = true;
                state.drain(wakers);
            }
            if let Some(ended) = state.end(slot, wakers) {
                return (Some(ended), false);
            }
            state.set_waker(slot, context.waker());
            let mut told = true;
            if elsewhere {
                told = state.tell();
                // If this request is done meanwhile, the task is woken as others are.
                state.settle(wakers);
            }
            (None, !told)
        });
        if let Some(ended) = ended {
            return Poll::Ready(ended.finish());
        }
        self.stage = Stage::Made(slot);
        if look_again {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<O: Operation> Drop for Request<'_, O> {
    fn drop(&mut self) {
        let Stage::Made(slot) = core::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        let operation = self.shared.with(|state, wakers| {
            state.queue.notify();
            let operation = state.abandon(slot, wakers);
            state.settle(wakers);
            operation
        });
        // What it owns is given back where the lock is not held.
        drop(operation);
    }
}

impl<O: Operation> fmt::Debug for Request<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}
