//! The console of a VM, over a WebSocket.

use super::query::Query;
use crate::app::{App, Shared};
use crate::problem::{Error, Kind, Result};
use crate::vm;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use paravane_api::Problem;
use paravane_control::console::{Frame, MAX_PAYLOAD};
use serde_json::json;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// How long the process may take to give a console, and a client to take the last word.
const LIMIT: Duration = Duration::from_secs(5);

type FromProcess = BufReader<OwnedReadHalf>;

/// The console of a VM as a WebSocket: binary messages are bytes each way, and the last 64 KiB
/// that the guest wrote come first. Text messages come from the server only: `{"lost": N}` says
/// that so many bytes were lost because this client was slow, `{"closed": "why"}` comes last.
#[utoipa::path(get, path = "/v1/vms/{vm}/console", tag = "console", operation_id = "vm_console",
    params(
        ("vm" = String, Path, description = "Its id or name"),
        ("write" = Option<bool>, Query, description = "Type too; one client at a time may"),
        ("steal" = Option<bool>, Query, description = "Take the right to type from who has it"),
    ),
    responses(
        (status = 101, description = "The connection is a WebSocket"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn console(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    mut query: Query,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let write = query.flag("write")?;
    let steal = query.flag("steal")?;
    query.finish()?;
    let handle = app.registry.find(&vm)?;
    let upgrade = upgrade.map_err(|error| Error::new(Kind::BadRequest, error.body_text()))?;
    let seen = handle.now().vm;
    if !seen.state.has_process() {
        let detail = format!(
            "the VM {} is {} and has no console; start it first",
            seen.name,
            seen.state.name()
        );
        return Err(Error::new(Kind::WrongState, detail));
    }
    let control = app.context.folder(handle.id).control();
    let opened = tokio::time::timeout(LIMIT, vm::open_console(&control, write, steal));
    let (from_process, to_process) = opened
        .await
        .map_err(|_| Error::new(Kind::NotResponding, "the VM's process gives no console"))??;
    Ok(upgrade
        .max_message_size(MAX_PAYLOAD)
        .max_frame_size(MAX_PAYLOAD)
        .on_upgrade(move |socket| async move {
            bridge(&app, socket, from_process, to_process, write).await;
        }))
}

async fn bridge(
    app: &App,
    socket: WebSocket,
    from_process: FromProcess,
    to_process: OwnedWriteHalf,
    write: bool,
) {
    let (mut to_client, from_client) = socket.split();
    let why = tokio::select! {
        why = show(from_process, &mut to_client) => why,
        () = type_in(from_client, to_process, write) => None,
        () = app.ends() => Some("the daemon ends"),
    };
    let last = async {
        if let Some(why) = why {
            let text = json!({ "closed": why }).to_string();
            to_client.send(Message::Text(text.into())).await?;
        }
        to_client.close().await
    };
    // A client that is gone misses nothing.
    let _ = tokio::time::timeout(LIMIT, last).await;
}

/// What the guest writes. Ends with why there is no more, or with nothing if the client is gone.
async fn show(
    mut from: FromProcess,
    to: &mut SplitSink<WebSocket, Message>,
) -> Option<&'static str> {
    loop {
        let message = match Frame::read(&mut from).await {
            Ok(Some(Frame::Data(bytes))) => Message::Binary(bytes.into()),
            Ok(Some(Frame::Lost(lost))) => {
                Message::Text(json!({ "lost": lost }).to_string().into())
            }
            Ok(None) => return Some("the VM has ended"),
            Err(_) => return Some("the connection to the VM's process failed"),
        };
        to.send(message).await.ok()?;
    }
}

/// What the client types. Ends when the client is gone, or the process is, which `show` tells.
async fn type_in(mut from: SplitStream<WebSocket>, mut to: OwnedWriteHalf, write: bool) {
    while let Some(Ok(message)) = from.next().await {
        match message {
            Message::Binary(bytes) if write => {
                let sent = Frame::Data(bytes.into()).write(&mut to).await;
                if sent.is_err() {
                    return std::future::pending().await;
                }
            }
            Message::Close(_) => return,
            _ => {}
        }
    }
}
