//! Who exports and imports snapshots: threads of their own, a few, as each may take long and what the
//! daemon does otherwise must not wait for it. They are not waited for when the daemon ends.

use crate::problem::{Error, Kind, Result};
use std::sync::Arc;
use std::thread::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How many snapshots are exported and imported at a time.
const MOST: usize = 4;

/// The turns.
#[derive(Debug)]
pub struct Transfers(Arc<Semaphore>);

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Transfer {
    permit: OwnedSemaphorePermit,
}

impl Default for Transfers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Transfers {
    /// Takes a turn.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn begin(&self) -> Result<Transfer> {
        match Arc::clone(&self.0).try_acquire_owned() {
            Ok(permit) => Ok(Transfer { permit }),
            Err(_) => {
                let detail = format!(
                    "{MOST} snapshots are being exported or imported; ask again when one is done"
                );
                Err(Error::new(Kind::Unavailable, detail))
            }
        }
    }
}

impl Transfer {
    /// Does something on a thread, until whose end the turn is taken. What it gives comes when it has
    /// ended; nothing if it panics.
    ///
    /// # Errors
    ///
    /// There can be no thread.
    pub fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>> {
        let (done, result) = oneshot::channel();
        let run = move || {
            // Who asked may have gone.
            let _ = done.send(work());
            drop(self.permit);
        };
        let started = Builder::new().name("transfer".to_string()).spawn(run);
        started.map_err(|error| Error::new(Kind::Unavailable, error.to_string()))?;
        Ok(result)
    }
}
