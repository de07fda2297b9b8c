//! Ctrl-C: the run ends, and what was measured is shown. A second one ends the program.

use crate::cli::exit_code::{Failure, Status};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for signals.
pub struct Interrupt {
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to wait.
    pub fn listen() -> Result<Self, Failure> {
        let failed = |error| Failure::internal(format!("cannot wait for signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (mut interrupt, mut terminate) = {
            let _guard = runtime.enter();
            (
                signal(SignalKind::interrupt()).map_err(failed)?,
                signal(SignalKind::terminate()).map_err(failed)?,
            )
        };
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                runtime.block_on(async {
                    next(&mut interrupt, &mut terminate).await;
                    set.store(true, Ordering::SeqCst);
                    next(&mut interrupt, &mut terminate).await;
                    // Whoever asks twice does not want to wait.
                    std::process::exit(Status::Interrupted.code().into());
                });
            })
            .map_err(failed)?;
        Ok(Self { flag })
    }

    /// What is set when a signal came.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
