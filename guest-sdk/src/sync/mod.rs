//! Synchronization: between vCPUs by spinning, and between threads by waiting.
//!
//! [`SpinLock`] is for short sections, and for what an event's handler uses too. With all others
//! a thread that has to wait makes way for other threads. Where there are no threads (see
//! [`thread`](crate::thread)) it is the vCPU that waits, in `sched_block`, and handlers of
//! events run meanwhile.

mod barrier;
mod condvar;
mod mpsc;
mod mutex;
mod once;
mod queue;
mod semaphore;
mod spin;

pub use barrier::Barrier;
pub use condvar::Condvar;
pub use mpsc::{
    Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError, bounded, channel,
};
pub use mutex::{Mutex, MutexGuard};
pub use once::{LazyLock, OnceLock};
pub use semaphore::Semaphore;
pub use spin::{Guard, SpinLock};
