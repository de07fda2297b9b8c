//! What happens to VMs, as server-sent events (HTML Standard, 9.2).

use crate::lines::Lines;
use crate::operation::EVENTS;
use crate::repetition::Repetition;
use crate::{Client, ClientError};
use hyper::header::{HeaderName, HeaderValue};
use paravane_api::event::Event;
use std::sync::Arc;

/// The events as they happen. A connection that is lost is made again, and what happened
/// meanwhile told.
#[derive(Debug)]
pub struct Events {
    client: Client,
    vm: Option<String>,
    last: Option<u64>,
    lines: Option<Lines>,
}

impl Client {
    /// Listens to what happens to a VM, or to all, from now on, or after the event of number
    /// `last`.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn events(&self, vm: Option<&str>, last: Option<u64>) -> Result<Events, ClientError> {
        let mut events = Events {
            client: self.clone(),
            vm: vm.map(str::to_string),
            last,
            lines: None,
        };
        events.connect().await?;
        Ok(events)
    }
}

impl Events {
    async fn connect(&mut self) -> Result<&mut Lines, ClientError> {
        let mut call = self.client.call(EVENTS, &[]);
        call = call.query_if("vm", self.vm.as_deref());
        if let Some(last) = self.last {
            let name = HeaderName::from_static("last-event-id");
            call = call.header(name, HeaderValue::from(last));
        }
        let response = call.send().await?;
        let lines = Lines::new(response, Arc::clone(&self.client.endpoint));
        Ok(self.lines.insert(lines))
    }

    /// The next event.
    ///
    /// # Errors
    ///
    /// The connection was lost and could not be made again, or what comes is no event.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        let mut repetition = Repetition::new(self.client.patience);
        loop {
            match self.next_of_connection().await {
                Err(error) if repetition.is_due(&error) => {
                    self.lines = None;
                    repetition.pause().await;
                }
                Ok(event) => {
                    self.last = Some(event.id);
                    return Ok(event);
                }
                result => return result,
            }
        }
    }

    async fn next_of_connection(&mut self) -> Result<Event, ClientError> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => self.connect().await?,
        };
        let mut data = String::new();
        while let Some(line) = lines.next().await? {
            // An empty line is the end of an event; one that begins with a colon is there to
            // keep the connection.
            if let Some(part) = line.strip_prefix("data:") {
                data.push_str(part);
                data.push('\n');
            } else if line.is_empty() && !data.is_empty() {
                return serde_json::from_str(&data).map_err(|error| ClientError::Answer {
                    operation: format!("{} {}", EVENTS.method, EVENTS.path),
                    why: error.to_string(),
                });
            }
        }
        Err(ClientError::Lost {
            endpoint: self.client.endpoint().clone(),
            why: "the daemon ended it".to_string(),
        })
    }
}
