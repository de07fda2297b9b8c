//! Snapshots that go to other hosts and come from them, as archives.

use super::carry_out::created;
use super::query::Query;
use super::receive::{PART_LIMIT, discard_after, next_part};
use crate::app::{App, Shared};
use crate::problem::{Error, Kind, Result};
use crate::snapshots::archive::{self, ArchiveError, Files};
use crate::snapshots::{Coming, take_over};
use crate::store::Change;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Response, header};
use futures_util::stream;
use paravane_api::snapshot::Snapshot;
use paravane_api::{Problem, check};
use std::io::{self, BufWriter, Write};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;
use uuid::Uuid;

/// The media type of archives (RFC 8878, 7.1).
const MEDIA_TYPE: &str = "application/zstd";

/// How large the parts are in which an archive goes out, in bytes, and how many wait.
const PART: usize = 128 << 10;
const WAITING: usize = 4;

/// A snapshot as an archive for another host: tar, compressed by zstd. The files that its VM uses
/// are not in it.
#[utoipa::path(get, path = "/v1/snapshots/{snapshot}/archive", tag = "snapshots",
    operation_id = "export_snapshot",
    params(("snapshot" = String, Path, description = "Its id or name")),
    responses(
        (status = 200, body = String, content_type = "application/zstd",
            description = "The archive"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn export(
    State(app): State<Shared>,
    Path(snapshot): Path<String>,
    query: Query,
) -> Result<Response<Body>> {
    query.finish()?;
    let snapshot = app.context.snapshots.find(&snapshot)?;
    let folder = app.context.snapshots.path(&snapshot.id);
    let opened = tokio::task::spawn_blocking(move || Files::open(&folder)).await;
    let files = opened.map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
    // It may have been removed just now.
    let files = files.map_err(|error| {
        let detail = format!("the snapshot cannot be read: {error}");
        Error::new(Kind::NotFound, detail)
    })?;
    let (parts, coming) = channel(WAITING);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut to = BufWriter::with_capacity(PART, Parts { parts, runtime });
        if let Err(error) = archive::write(&snapshot, &files, &mut to) {
            tracing::info!("the snapshot {} was not exported: {error}", snapshot.name);
            // The connection ends without the end of the body, so that nobody takes it for whole.
            let _ = to.get_mut().send(Err(error));
        }
    });
    let parts = stream::unfold(coming, async |mut coming| {
        let part = coming.recv().await?;
        Some((part, coming))
    });
    let mut response = Response::new(Body::from_stream(parts));
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// Sends what is written to it to a client.
struct Parts {
    parts: Sender<io::Result<Bytes>>,
    runtime: Handle,
}

impl Parts {
    fn send(&mut self, part: io::Result<Bytes>) -> io::Result<()> {
        let sent = timeout(PART_LIMIT, self.parts.send(part));
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::other("the client has gone")),
            Err(_) => Err(io::Error::other("the client takes nothing")),
        }
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Ok(Bytes::copy_from_slice(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes a snapshot that was exported: the body is the archive. Images of the store that its VM
/// uses have to be there.
#[utoipa::path(post, path = "/v1/snapshots", tag = "snapshots", operation_id = "import_snapshot",
    params(("name" = Option<String>, Query, pattern = "^[a-z][a-z0-9-]{0,62}$",
        description = "A name for it in place of its own")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, body = Snapshot, description = "The snapshot",
            headers(("Location" = String, description = "Where it is"))),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn import(
    State(app): State<Shared>,
    mut query: Query,
    mut body: Body,
) -> Result<Response<Body>> {
    let name = query.text("name")?;
    query.finish()?;
    if let Some(wrong) = name.as_deref().and_then(check::name) {
        return Err(Error::parameter("name", wrong));
    }
    let id = Uuid::now_v7();
    let received = async {
        let mut coming = Coming::begin(&app.context.snapshots, id, app.config.max_snapshot).await?;
        while let Some(part) = next_part(&mut body).await? {
            coming.take(&part).await?;
        }
        Ok(coming)
    };
    let coming = match received.await {
        Ok(coming) => coming,
        Err(error) => {
            discard_after(&error, &mut body).await;
            return Err(error);
        }
    };
    let snapshot = keep(&app, coming, id, name).await?;
    created(&format!("/v1/snapshots/{}", snapshot.id), &snapshot)
}

/// Checks what has come, and keeps it.
async fn keep(app: &App, mut coming: Coming, id: Uuid, name: Option<String>) -> Result<Snapshot> {
    let folder = coming.folder().to_path_buf();
    let archive = coming.finish().await?;
    let host = app.host.clone();
    let unpacked = tokio::task::spawn_blocking(move || -> Result<(Snapshot, u64)> {
        let about = archive::read(archive, &folder).map_err(refusal)?;
        Coming::remove_archive(&folder).map_err(not_kept)?;
        host.check_snapshot(&folder)
            .map_err(|why| Error::new(Kind::Invalid, why))?;
        let size = take_over(&folder).map_err(not_kept)?;
        Ok((about, size))
    });
    let unpacked = unpacked.await;
    let (about, size) =
        unpacked.map_err(|error| Error::new(Kind::Internal, error.to_string()))??;
    let snapshots = &app.context.snapshots;
    let mut snapshot = Snapshot {
        id: id.to_string(),
        size,
        ..about
    };
    let name = snapshots.reserve(name.unwrap_or_else(|| snapshot.name.clone()))?;
    snapshot.name = name.name.clone();
    // Nobody removes its images between here and where the store knows it.
    let _kept = app.context.images.in_use().await;
    app.context.images.resolve(&mut snapshot.spec, "/spec")?;
    app.context
        .store
        .commit(vec![Change::snapshot(&snapshot)?])
        .await?;
    coming.keep();
    snapshots.insert(snapshot.clone());
    Ok(snapshot)
}

fn not_kept(error: io::Error) -> Error {
    Error::not_kept("the snapshot", &error)
}

fn refusal(error: ArchiveError) -> Error {
    match error {
        ArchiveError::Wrong(_) => Error::new(Kind::Invalid, error.to_string()),
        ArchiveError::Values(errors) => Error::invalid(errors),
        ArchiveError::Write(error) => not_kept(error),
    }
}
