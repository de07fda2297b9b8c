//! The console: what the guest writes goes to all, and one may type.

use super::routes::problem;
use super::state::Daemon;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

/// What a console shows first.
const REPLAY: &[u8] = b"\x1b[32mguest\x1b[0m is ready\r\n> ";

#[derive(Deserialize)]
pub struct Wish {
    #[serde(default)]
    write: bool,
    #[serde(default)]
    steal: bool,
}

pub async fn console(
    State(daemon): State<Daemon>,
    Query(wish): Query<Wish>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let me = {
        let mut state = daemon.state();
        state.consoles += 1;
        let me = state.consoles;
        if wish.write {
            if state.writer.is_some() && !wish.steal {
                return problem(409, "Console busy", "Another one types.");
            }
            state.writer = Some(me);
            let _ = state.taken_over.send(me);
        }
        me
    };
    upgrade.on_upgrade(move |socket| attend(daemon, socket, me, wish.write))
}

async fn attend(daemon: Daemon, mut socket: WebSocket, me: u64, writes: bool) {
    let (mut output, mut taken_over) = {
        let state = daemon.state();
        (state.output.subscribe(), state.taken_over.subscribe())
    };
    let _ = socket.send(Message::Binary(REPLAY.into())).await;
    loop {
        tokio::select! {
            bytes = output.recv() => {
                let message = Message::Binary(bytes.unwrap_or_default().into());
                if socket.send(message).await.is_err() {
                    break;
                }
            },
            writer = taken_over.recv() => if writes && writer != Ok(me) {
                let text = r#"{"closed":"another one took over"}"#;
                let _ = socket.send(Message::Text(text.into())).await;
                break;
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) if writes => {
                    daemon.state().typed.extend_from_slice(&bytes);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    let mut state = daemon.state();
    if state.writer == Some(me) {
        state.writer = None;
    }
}
