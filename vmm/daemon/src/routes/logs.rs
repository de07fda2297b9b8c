//! Logs of VMs.

use super::query::Query;
use crate::app::Shared;
use crate::await_state;
use crate::logs::{Wanted, follow};
use crate::problem::{Error, Kind, Result};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use futures_util::StreamExt;
use paravane_api::Problem;
use paravane_api::log::{LogLine, LogSource};

/// The log of a VM, a line of JSON for each of its lines: all that is kept of it, or its last
/// lines, and with `follow` also what is written from now on, until the VM is deleted.
#[utoipa::path(get, path = "/v1/vms/{vm}/logs", tag = "logs", operation_id = "vm_logs",
    params(
        ("vm" = String, Path, description = "Its id or name"),
        ("tail" = Option<u32>, Query, description = "So many of the last lines"),
        ("follow" = Option<bool>, Query, description = "Also what is written from now on"),
        ("source" = Option<LogSource>, Query, description = "Only of this source"),
    ),
    responses(
        (status = 200, body = LogLine, content_type = "application/x-ndjson",
            description = "Lines"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn logs(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    mut query: Query,
) -> Result<impl IntoResponse> {
    let tail = query.value::<u32>("tail", "a number of lines")?;
    let wanted = Wanted {
        tail: tail.map(|tail| tail as usize),
        source: source(query.text("source")?.as_deref())?,
        follow: query.flag("follow")?,
    };
    query.finish()?;
    let handle = app.registry.find(&vm)?;
    let folder = app.context.folder(handle.id);
    let lines = follow(&app.watches, folder, wanted)
        .await
        .map_err(|error| Error::new(Kind::Internal, format!("the log cannot be read: {error}")))?;
    // The folder's own end is not told as long as a file of it is open.
    let ends = async move {
        tokio::select! {
            () = app.ends() => {}
            () = await_state::gone(&handle) => {}
        }
    };
    let body = Body::from_stream(lines.take_until(Box::pin(ends)));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body))
}

fn source(text: Option<&str>) -> Result<Option<LogSource>> {
    match text {
        None => Ok(None),
        Some("console") => Ok(Some(LogSource::Console)),
        Some("vmm") => Ok(Some(LogSource::Vmm)),
        Some("daemon") => Ok(Some(LogSource::Daemon)),
        Some(other) => {
            let detail = format!("{other:?} is no source; there are console, vmm and daemon");
            Err(Error::parameter("source", detail))
        }
    }
}
