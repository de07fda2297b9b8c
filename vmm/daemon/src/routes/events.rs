//! What happens, as server-sent events.

use super::query::Query;
use crate::app::Shared;
use crate::problem::{Error, Result};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use paravane_api::Problem;
use paravane_api::event::{Event, EventKind};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;

/// An event as it is sent, for the description.
#[derive(utoipa::ToSchema)]
#[expect(
    dead_code,
    reason = "the fields are there for what is derived from them"
)]
struct SentEvent {
    /// Its number.
    id: String,
    /// Its kind.
    event: EventKind,
    /// The event, an `Event` in JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// What happens to VMs from now on, as server-sent events: `id` is the event's number, `event`
/// its kind, `data` the event in JSON. A client that comes back with `Last-Event-ID` gets what it
/// missed, as far as it is among the last 1024; 0 asks for all of them. One that reads too slowly
/// is disconnected.
#[utoipa::path(get, path = "/v1/events", tag = "events", operation_id = "events",
    params(
        ("vm" = Option<String>, Query, description = "Only of this VM, by id or name"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The last event that came"),
    ),
    responses(
        (status = 200, body = SentEvent, content_type = "text/event-stream",
            description = "Events"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn events(
    State(app): State<Shared>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<impl IntoResponse> {
    let vm = query.text("vm")?;
    query.finish()?;
    let vm = match vm {
        Some(vm) => Some(app.registry.find(&vm)?.id.to_string()),
        None => None,
    };
    let last = match headers.get("Last-Event-ID") {
        Some(value) => {
            let number = value
                .to_str()
                .ok()
                .and_then(|text| text.parse::<u64>().ok());
            let wrong = || Error::parameter("Last-Event-ID", "it is no number of an event");
            Some(number.ok_or_else(wrong)?)
        }
        None => None,
    };
    let (kept, new) = app.context.events.follow(last);
    let wanted = move |event: &Arc<Event>| vm.as_ref().is_none_or(|vm| event.vm == *vm);
    let all = stream::iter(kept)
        .chain(follow(new))
        .filter_map(move |event| {
            let event = wanted(&event).then(|| of(&event));
            async move { event }
        });
    let all = all.map(Ok::<_, Infallible>);
    let ends = async move { app.ends().await };
    Ok(Sse::new(all.take_until(Box::pin(ends))).keep_alive(KeepAlive::default()))
}

/// Events until the reader has fallen behind more than there are kept.
fn follow(new: Receiver<Arc<Event>>) -> impl Stream<Item = Arc<Event>> {
    stream::unfold(new, |mut new| async move {
        let event = new.recv().await.ok()?;
        Some((event, new))
    })
}

fn of(event: &Event) -> SseEvent {
    let kind = serde_json::to_value(event.kind).ok();
    let kind = kind
        .as_ref()
        .and_then(|kind| kind.as_str())
        .unwrap_or("event");
    // An event can always be written.
    let data = serde_json::to_string(event).unwrap_or_default();
    SseEvent::default()
        .id(event.id.to_string())
        .event(kind)
        .data(data)
}
