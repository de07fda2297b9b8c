//! Starting the VM.

use super::confinement::Confiner;
use crate::cli::exit_code::Failure;
use crate::cli::session::{Event, Plan, Session};
use paravane::process::state::Live;
use paravane_api::vm::SandboxReport;
use tokio::sync::{mpsc, oneshot};

/// A VM that is about to run.
pub struct Built {
    /// What is done with it.
    pub live: Live,
    /// What confines its process.
    pub sandbox: SandboxReport,
}

/// A VM that is being built.
pub struct Starting {
    /// Its thread.
    pub session: Session,
    /// Comes when it is built, if it is.
    pub built: oneshot::Receiver<Built>,
    /// What its thread tells.
    pub events: mpsc::UnboundedReceiver<Event>,
}

impl Starting {
    /// Starts its thread.
    pub fn begin(plan: Plan, confiner: Confiner) -> Result<Self, Failure> {
        let (sender, built) = oneshot::channel();
        let (events_sender, events) = mpsc::unbounded_channel();
        let session = Session::start(plan, events_sender, move |vm| {
            // All that the process needs is open, and there is no guest yet.
            let sandbox = confiner.enter()?;
            // If nobody waits for it any more, the VM has been told to stop.
            let _ = sender.send(Built {
                live: Live::of(vm),
                sandbox,
            });
            Ok(())
        })?;
        Ok(Self {
            session,
            built,
            events,
        })
    }
}
