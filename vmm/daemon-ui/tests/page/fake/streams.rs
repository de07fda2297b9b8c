//! Answers that go on: events and logs.

use super::routes::{Answer, find};
use super::state::Daemon;
use axum::body::Body;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event as Message, Sse};
use futures_util::{Stream, StreamExt, stream};
use paravane_api::event::Event;
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;

pub async fn events(
    Shared(daemon): Shared<Daemon>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Message, Infallible>>> {
    let last = headers
        .get("last-event-id")
        .and_then(|last| last.to_str().ok());
    let last: Option<u64> = last.and_then(|last| last.parse().ok());
    let (old, new) = {
        let state = daemon.state();
        let missed = |event: &&Event| last.is_some_and(|last| event.id > last);
        let old: Vec<Event> = state.told.iter().filter(missed).cloned().collect();
        (old, state.events.subscribe())
    };
    let new = stream::unfold(new, async |mut new| Some((new.recv().await.ok()?, new)));
    let messages = stream::iter(old).chain(new).map(|event| {
        let message = Message::default().id(event.id.to_string());
        Ok(message.json_data(event).expect("it is JSON"))
    });
    // A comment, which says that the stream is open.
    Sse::new(stream::once(async { Ok(Message::default().comment("")) }).chain(messages))
}

#[derive(Deserialize)]
pub struct Logs {
    source: Option<String>,
}

pub async fn logs(
    Shared(daemon): Shared<Daemon>,
    Path(vm): Path<String>,
    Query(query): Query<Logs>,
) -> Answer {
    let state = daemon.state();
    let vm = find(&state, &vm)?;
    let new = state.log_lines.subscribe();
    let old = stream::iter(state.logs.clone());
    let new = stream::unfold(new, |mut new| async { Some((new.recv().await.ok()?, new)) });
    let lines = old.chain(new).filter_map(move |(of, line)| {
        let mut text = serde_json::to_string(&line).expect("it is JSON");
        text.push('\n');
        let source = json!(line.source);
        let wanted = query
            .source
            .as_deref()
            .is_none_or(|wanted| source == wanted);
        let line = (wanted && (of == vm.name)).then_some(Ok::<_, Infallible>(text));
        async move { line }
    });
    let media_type = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((media_type, Body::from_stream(lines)).into_response())
}
