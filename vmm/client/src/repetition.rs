//! When a request is repeated.

use crate::ClientError;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The HTTP status of a daemon that ends, and may start anew.
const UNAVAILABLE: u16 = 503;

/// The pauses double, from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The repetitions of one request.
#[derive(Debug)]
pub struct Repetition {
    patience: Duration,
    /// Until when; since the connection was lost first.
    until: Option<Instant>,
    pause: Duration,
}

impl Repetition {
    /// For as long as this.
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            until: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Whether the request is to be sent again after this error. It is once its connection was
    /// lost or the daemon has said that it ends, and then also while there is no daemon, which
    /// may be starting anew.
    pub fn is_due(&mut self, error: &ClientError) -> bool {
        let ends = error.status() == Some(UNAVAILABLE);
        if self.until.is_none() && (ends || matches!(error, ClientError::Lost { .. })) {
            self.until = Instant::now().checked_add(self.patience);
        }
        let may_change = ends || error.is_connection();
        may_change && self.until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the request was repeated.
    pub fn has_begun(&self) -> bool {
        self.until.is_some()
    }

    /// Waits until the request is to be sent again.
    pub async fn pause(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
