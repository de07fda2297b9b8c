//! Snapshots that go to other hosts and come from them, as archives.

use super::carry_out::created;
use super::query::Query;
use super::receive::{PART_LIMIT, discard, discard_after, next_part};
use crate::app::Shared;
use crate::problem::{Error, Kind, Result};
use crate::snapshots::archive::{self, ArchiveError, Files};
use crate::snapshots::{Coming, Transfer, take_over};
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
    let snapshots = &app.context.snapshots;
    let snapshot = snapshots.find(&snapshot)?;
    let folder = snapshots.path(&snapshot.id);
    // It may have been removed just now.
    let files = Files::open(&folder).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Internal,
        };
        Error::new(kind, format!("the snapshot cannot be read: {error}"))
    })?;
    let (parts, coming) = channel(WAITING);
    let runtime = Handle::current();
    snapshots.transfers.begin()?.spawn(move || {
        let mut to = BufWriter::with_capacity(PART, Parts { parts, runtime });
        let written = archive::write(&snapshot, &files, &mut to);
        if let Err(error) = written.and_then(|()| to.get_mut().send(Part::End)) {
            tracing::info!("the snapshot {} was not exported: {error}", snapshot.name);
        }
    })?;
    let parts = stream::try_unfold(coming, async |mut coming| match coming.recv().await {
        Some(Part::Bytes(bytes)) => Ok(Some((bytes, coming))),
        Some(Part::End) => Ok(None),
        // The connection ends without the end of the body, so that nobody takes it for whole.
        None => Err(io::Error::other("the archive did not come to its end")),
    });
    let mut response = Response::new(Body::from_stream(parts));
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    Ok(response)
}

/// What of an archive goes to a client.
enum Part {
    Bytes(Bytes),
    /// It was all.
    End,
}

/// Sends what is written to it to a client.
struct Parts {
    parts: Sender<Part>,
    runtime: Handle,
}

impl Parts {
    fn send(&mut self, part: Part) -> io::Result<()> {
        let sent = async { timeout(PART_LIMIT, self.parts.send(part)).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::other("the client has gone")),
            Err(_) => Err(io::Error::other("the client takes nothing")),
        }
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Part::Bytes(Bytes::copy_from_slice(bytes)))?;
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
        discard(&mut body).await;
        return Err(Error::parameter("name", wrong));
    }
    let id = Uuid::now_v7();
    let received = async {
        let transfer = app.context.snapshots.transfers.begin()?;
        let mut coming = Coming::begin(&app.context.snapshots, id, app.config.max_snapshot).await?;
        while let Some(part) = next_part(&mut body).await? {
            coming.take(&part).await?;
        }
        Ok((transfer, coming))
    };
    let (transfer, coming) = match received.await {
        Ok(received) => received,
        Err(error) => {
            discard_after(&error, &mut body).await;
            return Err(error);
        }
    };
    // It comes to its end whether the client waits for that or not.
    let kept = tokio::spawn(keep(app, transfer, coming, id, name)).await;
    let snapshot = kept.map_err(|error| Error::new(Kind::Internal, error.to_string()))??;
    created(&format!("/v1/snapshots/{}", snapshot.id), &snapshot)
}

/// Checks what has come, and keeps it.
async fn keep(
    app: Shared,
    transfer: Transfer,
    mut coming: Coming,
    id: Uuid,
    name: Option<String>,
) -> Result<Snapshot> {
    let folder = coming.folder().to_path_buf();
    let archive = coming.finish().await?;
    let host = app.host.clone();
    let unpacked = transfer.spawn(move || -> Result<(Snapshot, u64)> {
        let facts = |state: &std::path::Path| host.snapshot_facts(state);
        let about = archive::read(archive, &folder, facts).map_err(refusal)?;
        host.check_snapshot(&folder)
            .map_err(|why| Error::new(Kind::Invalid, why))?;
        let size = take_over(&folder).map_err(not_kept)?;
        Ok((about, size))
    })?;
    let unpacked = unpacked.await;
    let (about, size) =
        unpacked.map_err(|_| Error::new(Kind::Internal, "the archive could not be read"))??;
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
