//! What all requests use.

use crate::config::Config;
use crate::host::Host;
use crate::idempotency::Idempotency;
use crate::logs::Watches;
use crate::metrics::RequestFigures;
use crate::registry::Registry;
use crate::vm::Context;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tokio::sync::watch;

/// What all requests use.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The VMs.
    pub registry: Arc<Registry>,
    /// What VMs' tasks use.
    pub context: Arc<Context>,
    /// Requests that came with a key.
    pub idempotency: Idempotency,
    /// What the VMM's library knows.
    pub host: Arc<dyn Host>,
    /// Logs that are followed.
    pub watches: Arc<Watches>,
    /// Figures of the daemon's own.
    pub requests: RequestFigures,
    /// When the daemon started.
    pub started: Instant,
    /// All VMs that ran are managed again.
    pub ready: AtomicBool,
    /// True once the daemon ends.
    pub ending: watch::Receiver<bool>,
}

/// It, as requests have it.
pub type Shared = Arc<App>;

impl App {
    /// Waits until the daemon ends.
    pub async fn ends(&self) {
        let mut ending = self.ending.clone();
        // Without a sender there is no daemon any more.
        let _ = ending.wait_for(|ending| *ending).await;
    }
}
