//! What a page must not do.

use crate::page::said;
use chromiumoxide::Page;
use chromiumoxide::cdp::browser_protocol::log::EventEntryAdded;
use chromiumoxide::cdp::browser_protocol::network::{
    EventRequestWillBeSent, EventWebSocketCreated,
};
use chromiumoxide::cdp::js_protocol::runtime::{
    ConsoleApiCalledType, EventConsoleApiCalled, EventExceptionThrown,
};
use chromiumoxide::listeners::EventStream;
use futures_util::{FutureExt, Stream, StreamExt};

/// Remembers what a page does.
pub(crate) struct Watch {
    messages: EventStream<EventConsoleApiCalled>,
    exceptions: EventStream<EventExceptionThrown>,
    entries: EventStream<EventEntryAdded>,
    requests: EventStream<EventRequestWillBeSent>,
    sockets: EventStream<EventWebSocketCreated>,
}

impl Watch {
    /// Begins with a page that has done nothing yet.
    pub(crate) async fn begin(page: &Page) -> Result<Self, String> {
        page.enable_log().await.map_err(said)?;
        page.enable_runtime().await.map_err(said)?;
        Ok(Self {
            messages: page.event_listener().await.map_err(said)?,
            exceptions: page.event_listener().await.map_err(said)?,
            entries: page.event_listener().await.map_err(said)?,
            requests: page.event_listener().await.map_err(said)?,
            sockets: page.event_listener().await.map_err(said)?,
        })
    }

    /// What the page did that no page of `origin` may.
    pub(crate) fn wrong(&mut self, origin: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for message in come(&mut self.messages) {
            if message.r#type == ConsoleApiCalledType::Error {
                wrong.push(format!("an error on the console: {:?}", message.args));
            }
        }
        for exception in come(&mut self.exceptions) {
            wrong.push(format!("an exception: {:?}", exception.exception_details));
        }
        for entry in come(&mut self.entries) {
            let entry = &entry.entry;
            // That of a request which was answered with an error, or refused.
            let answer = entry.source.as_ref() == "network"
                || (entry.source.as_ref() == "javascript" && entry.text.contains("WebSocket"));
            if entry.level.as_ref() == "error" && !answer {
                wrong.push(format!("an error: {} {:?}", entry.text, entry.url));
            }
        }
        let requests: Vec<_> = come(&mut self.requests).collect();
        let requests = requests.iter().map(|event| &event.request.url);
        let sockets: Vec<_> = come(&mut self.sockets).collect();
        let sockets = sockets.iter().map(|event| &event.url);
        let inside = [origin, &origin.replacen("http", "ws", 1)].map(|origin| format!("{origin}/"));
        for url in requests.chain(sockets) {
            if url != "about:blank" && !inside.iter().any(|inside| url.starts_with(inside)) {
                wrong.push(format!("a request to {url}"));
            }
        }
        wrong
    }
}

/// The events that have come so far.
fn come<S: Stream + Unpin>(stream: &mut S) -> impl Iterator<Item = S::Item> {
    std::iter::from_fn(|| stream.next().now_or_never().flatten())
}
