//! Starts take turns.
//!
//! When many VMs are started at once, each of their processes would have a share of the
//! processors, and all of them would be late. So as many start at a time as keep the processors
//! busy, in the order in which they were accepted: the last one runs as soon as it would have, and
//! the others before.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How long a turn may be. A start takes a tenth of it, but may have to wait for a disk or for a
/// large image, and then others need not wait for it.
const LONGEST: Duration = Duration::from_millis(50);

/// The turns of a daemon.
#[derive(Debug)]
pub struct Starts(Arc<Semaphore>);

/// A turn of a start, until it is dropped or has been too long.
#[derive(Debug)]
pub struct Starting {
    _end: oneshot::Sender<()>,
}

impl Starts {
    /// As many as there are processors.
    pub fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(processors)))
    }

    /// Waits for a turn.
    pub async fn begin(&self) -> Starting {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        let (end, ended) = oneshot::channel();
        // The semaphore is never closed.
        if let Ok(permit) = permit {
            tokio::spawn(hold(permit, ended));
        }
        Starting { _end: end }
    }
}

async fn hold(permit: OwnedSemaphorePermit, ended: oneshot::Receiver<()>) {
    // Either way it is over.
    let _ = tokio::time::timeout(LONGEST, ended).await;
    drop(permit);
}
