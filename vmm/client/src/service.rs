//! The daemon itself.

use crate::operation::{HEALTH, INFO, METRICS, OPENAPI, READY};
use crate::{Client, ClientError};
use paravane_api::info::DaemonInfo;
use serde_json::Value;

impl Client {
    /// Whether the daemon lives: it answers.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn health(&self) -> Result<(), ClientError> {
        self.call(HEALTH, &[]).text().await.map(|_| ())
    }

    /// Whether the daemon can serve.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.call(READY, &[]).text().await.map(|_| ())
    }

    /// What the daemon is and has.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn info(&self) -> Result<DaemonInfo, ClientError> {
        self.call(INFO, &[]).answer().await
    }

    /// The daemon's figures, in the text format of Prometheus.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.call(METRICS, &[]).text().await
    }

    /// The OpenAPI document.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn openapi(&self) -> Result<Value, ClientError> {
        self.call(OPENAPI, &[]).answer().await
    }
}
