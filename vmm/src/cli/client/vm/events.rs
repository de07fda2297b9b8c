//! `paravane vm events`.

use crate::cli::client::connection::Common;
use crate::cli::client::human::clean;
use crate::cli::client::stream::{self, Reader};
use crate::cli::exit_code::Failure;
use clap::Args;
use paravane_api::event::Event;
use std::process::ExitCode;

/// Which events are shown.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only those of this VM, by its name or id
    vm: Option<String>,
    /// Begin with what happened after the event with this number
    #[arg(long, value_name = "ID")]
    after: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// Shows events until the program is ended.
pub async fn events(args: &EventsArgs) -> Result<ExitCode, Failure> {
    let client = args.common.client()?;
    let mut events = client.events(args.vm.as_deref(), args.after).await?;
    loop {
        let event = events.next().await?;
        if stream::line(&event, args.common.json, || text(&event))? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn text(event: &Event) -> String {
    let kind = serde_json::to_value(event.kind).unwrap_or_default();
    let kind = kind.as_str().unwrap_or_default();
    let message = event.message.as_ref().map(|message| format!(": {message}"));
    let text = format!(
        "{} {} {kind}, {}{}",
        event.time,
        event.name,
        event.state.name(),
        message.unwrap_or_default()
    );
    clean(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_shown() {
        let event = serde_json::from_value(serde_json::json!({
            "id": 7, "time": "2026-01-01T00:00:00Z", "kind": "ended", "vm": "1", "name": "web",
            "state": "failed", "message": "it crashed",
        }));
        let expected = "2026-01-01T00:00:00Z web ended, failed: it crashed";
        assert_eq!(text(&event.unwrap()), expected);
    }
}
