//! The log of a VM.

use crate::lines::Lines;
use crate::operation::VM_LOGS;
use crate::{Client, ClientError};
use paravane_api::log::{LogLine, LogSource};
use std::sync::Arc;

/// What is asked for of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only so many lines from its end.
    pub tail: Option<u64>,
    /// What comes later too, as it comes.
    pub follow: bool,
    /// Only lines from there.
    pub source: Option<LogSource>,
}

/// The lines of a log.
#[derive(Debug)]
pub struct Logs {
    lines: Lines,
}

impl Client {
    /// Reads the log of a VM.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn logs(&self, vm: &str, query: &LogQuery) -> Result<Logs, ClientError> {
        let source = query.source.map(|source| match source {
            LogSource::Console => "console",
            LogSource::Vmm => "vmm",
            LogSource::Daemon => "daemon",
        });
        let call = self
            .call(VM_LOGS, &[vm])
            .query_if("tail", query.tail)
            .query_if("follow", query.follow.then_some(true))
            .query_if("source", source);
        let response = call.send().await?;
        Ok(Logs {
            lines: Lines::new(response, Arc::clone(&self.endpoint)),
        })
    }
}

impl Logs {
    /// The next line; `None` at the end, which a log that is followed has when the VM is deleted.
    ///
    /// # Errors
    ///
    /// The connection was lost, or what comes is no line of a log.
    pub async fn next(&mut self) -> Result<Option<LogLine>, ClientError> {
        while let Some(line) = self.lines.next().await? {
            if line.is_empty() {
                continue;
            }
            let parsed = serde_json::from_str(&line);
            return parsed.map(Some).map_err(|error| ClientError::Answer {
                operation: format!("{} {}", VM_LOGS.method, VM_LOGS.path),
                why: error.to_string(),
            });
        }
        Ok(None)
    }
}
