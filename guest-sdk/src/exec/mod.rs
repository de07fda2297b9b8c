//! An executor of futures, whose timers and events are futures too.
//!
//! [`block_on`] runs a future, and meanwhile what was [`spawn`]ed. Several vCPUs or threads may
//! do so at once and share the work; [`run`] has all vCPUs do it. Whoever finds nothing to do
//! waits, until an event, a timer or another one wakes it: a vCPU in `sched_block`, with its
//! first timer's time as the deadline, so that a timer costs no call.
//!
//! What combines futures (`join`, `select`, ...) is in crates such as `futures-lite` and
//! `futures-util`, which need no standard library.

mod console;
mod port;
mod shutdown;
mod timer;
mod worker;

pub use async_task::Task;
pub use console::AsyncConsole;
pub use port::AsyncPort;
pub use shutdown::Shutdown;
pub use timer::{Interval, Sleep, interval, sleep, sleep_until};

use crate::sync::SpinLock;
use crate::vcpu;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use async_task::{Runnable, ScheduleInfo, WithInfo};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
pub(crate) use worker::{Worker, polls_by};

/// Tasks that can go on. The lock masks upcalls, so that a handler of an event can wake a task
/// in the middle of anything; a queue without locks would have the handler wait for whom it
/// interrupted.
static READY: SpinLock<VecDeque<Runnable>> = SpinLock::new(VecDeque::new());

/// Starts a future, which whoever is in [`block_on`] or [`run`] runs.
///
/// Dropping the task cancels it; [`Task::detach`] lets it go on alone.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Task<T> {
    let schedule = |runnable, info: ScheduleInfo| {
        READY.lock().push_back(runnable);
        // What was woken while it ran is put back by its worker, which goes on with what is ready.
        if !info.woken_while_running {
            worker::wake_one();
        }
    };
    let (runnable, task) = async_task::spawn(future, WithInfo(schedule));
    runnable.schedule();
    task
}

/// Whether no task is ready to go on.
#[cfg(feature = "net")]
pub(crate) fn is_idle() -> bool {
    READY.lock().is_empty()
}

/// Lets other tasks run that are ready.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a future to its end, and meanwhile what was spawned.
///
/// # Panics
///
/// Where it cannot wait: in a handler, or while a [`SpinLock`] is held.
#[track_caller]
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let worker = Arc::new(Worker::new());
    let waker = Arc::clone(&worker).into();
    let mut context = Context::from_waker(&waker);
    worker::work(&worker, || {
        if !worker.take_woken() {
            return None;
        }
        let _polled = worker.polls(Arc::as_ptr(&worker).cast());
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    })
}

/// As [`block_on`], with all vCPUs that are stopped sharing the work. They are stopped again at
/// the end; what was spawned and has not ended then waits for another time.
#[track_caller]
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let stop = Arc::new(Stop::default());
    let stopped = Arc::clone(&stop);
    let others = vcpu::start_all(move |_| block_on(stopped.wait()));
    let value = block_on(future);
    stop.stop();
    vcpu::join(&others);
    value
}

/// Tells several that they are to stop.
#[derive(Debug, Default)]
struct Stop {
    stopped: AtomicBool,
    wakers: SpinLock<Vec<Waker>>,
}

impl Stop {
    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let wakers = core::mem::take(&mut *self.wakers.lock());
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn wait(&self) {
        poll_fn(|context| {
            // The waker first: who stops this from then on finds it.
            self.wakers.lock().push(context.waker().clone());
            match self.stopped.load(Ordering::Acquire) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}
