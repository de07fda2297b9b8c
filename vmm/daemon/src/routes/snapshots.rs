//! Snapshots: taken, listed, removed, and VMs made from them.

use super::carry_out::{carry_out, created, json};
use super::extract::{Body, OptionalBody};
use super::params::{KeyParam, PageParams};
use super::query::Query;
use super::vms::{begin, command, default_name};
use crate::app::{App, Shared};
use crate::await_state;
use crate::idempotency::Turn;
use crate::problem::{Error, Kind, Result};
use crate::snapshots::keep;
use crate::store::{Change, VmRecord};
use crate::time;
use crate::vm::{self, Command, Handle};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use futures_util::future::join_all;
use paravane_api::page::Page;
use paravane_api::snapshot::{RestoreSnapshot, Snapshot, TakeSnapshot};
use paravane_api::vm::{Vm, VmState};
use paravane_api::{Problem, check};
use std::sync::Arc;
use uuid::Uuid;

/// The most VMs that are made at once.
const MAX_COUNT: u32 = 1000;

/// Takes a snapshot of a VM that runs or is paused. A body is not needed.
#[utoipa::path(post, path = "/v1/vms/{vm}/snapshots", tag = "snapshots",
    operation_id = "take_snapshot",
    params(
        ("vm" = String, Path, description = "Its id or name"),
        KeyParam,
    ),
    request_body = Option<TakeSnapshot>,
    responses(
        (status = 201, body = Snapshot, description = "The snapshot",
            headers(("Location" = String, description = "Where it is"))),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn take(
    State(app): State<Shared>,
    Path(vm): Path<String>,
    query: Query,
    OptionalBody(body): OptionalBody<TakeSnapshot>,
) -> Result<Response<axum::body::Body>> {
    query.finish()?;
    let asked = body.value;
    if let Some(wrong) = asked.name.as_deref().and_then(check::name) {
        return Err(Error::field("/name", wrong));
    }
    Ok(carry_out(app, body.key, move |app, turn| async move {
        let snapshot = match turn.made().first() {
            Some(id) => app.context.snapshots.find(id)?,
            None => {
                let handle = app.registry.find(&vm)?;
                take_of(&app, &handle, asked, &turn).await?
            }
        };
        created(&format!("/v1/snapshots/{}", snapshot.id), &snapshot)
    })
    .await)
}

async fn take_of(app: &App, handle: &Handle, asked: TakeSnapshot, turn: &Turn) -> Result<Snapshot> {
    let snapshots = &app.context.snapshots;
    let id = Uuid::now_v7();
    let name = snapshots.reserve(asked.name.unwrap_or_else(|| default_name("snapshot", id)))?;
    // One at a time of a VM: there is one place for it in its folder.
    let Ok(_alone) = handle.snapshot.try_lock() else {
        let detail = "a snapshot of the VM is being taken already";
        return Err(Error::new(Kind::InUse, detail));
    };
    let was_running = handle.now().vm.state == VmState::Running;
    let stay = asked.stay_paused;
    command(handle, |answer| Command::Rest { stay, answer }).await?;
    let view = handle.now();
    let taken = write(app, handle, id).await;
    let resumed = match stay {
        false => command(handle, Command::GoOn).await,
        true if was_running && taken.is_err() => command(handle, Command::Resume).await,
        true => Ok(()),
    };
    if let Err(error) = resumed {
        tracing::warn!(vm = %handle.id, "it is not resumed: {}", error.problem().detail);
    }
    let snapshot = Snapshot {
        id: id.to_string(),
        name: name.name.clone(),
        vm: handle.id.to_string(),
        spec: view
            .started_spec
            .map_or_else(|| view.vm.spec.clone(), |spec| (*spec).clone()),
        created_at: time::now(),
        size: taken?,
    };
    let mut changes = vec![Change::snapshot(&snapshot)?];
    changes.extend(turn.claim(std::slice::from_ref(&snapshot.id))?);
    app.context.store.commit(changes).await?;
    snapshots.insert(snapshot.clone());
    let told = Command::Snapshotted(snapshot.name.clone());
    // A VM that is gone meanwhile has no events.
    let _ = handle.commands.send(told).await;
    Ok(snapshot)
}

/// Has the snapshot written and moved to its place. Gives its size.
async fn write(app: &App, handle: &Handle, id: Uuid) -> Result<u64> {
    let folder = app.context.folder(handle.id);
    vm::take_snapshot(&folder).await?;
    let to = app.context.snapshots.path(&id.to_string());
    let kept = tokio::task::spawn_blocking(move || keep(&folder.snapshot(), &to)).await;
    kept.map_err(|error| Error::new(Kind::Internal, error.to_string()))?
        .map_err(|error| {
            let detail = format!("the snapshot cannot be kept: {error}");
            Error::new(Kind::OperationFailed, detail)
        })
}

/// All snapshots, in the order of their creation.
#[utoipa::path(get, path = "/v1/snapshots", tag = "snapshots", operation_id = "list_snapshots",
    params(PageParams),
    responses(
        (status = 200, body = Page<Snapshot>, description = "A page of snapshots"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn list(State(app): State<Shared>, mut query: Query) -> Result<Json<Page<Snapshot>>> {
    let limit = query.limit()?;
    let cursor = query.cursor()?.map(|cursor| cursor.to_string());
    query.finish()?;
    let mut items = app.context.snapshots.all();
    items.retain(|one| cursor.as_ref().is_none_or(|cursor| one.id > *cursor));
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Page { items, next_cursor }))
}

/// A snapshot.
#[utoipa::path(get, path = "/v1/snapshots/{snapshot}", tag = "snapshots",
    operation_id = "show_snapshot",
    params(("snapshot" = String, Path, description = "Its id or name")),
    responses(
        (status = 200, body = Snapshot, description = "The snapshot"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn show(
    State(app): State<Shared>,
    Path(snapshot): Path<String>,
    query: Query,
) -> Result<Json<Snapshot>> {
    query.finish()?;
    Ok(Json(app.context.snapshots.find(&snapshot)?))
}

/// Removes a snapshot. VMs that run and were made from it go on.
#[utoipa::path(delete, path = "/v1/snapshots/{snapshot}", tag = "snapshots",
    operation_id = "remove_snapshot",
    params(("snapshot" = String, Path, description = "Its id or name")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn remove(
    State(app): State<Shared>,
    Path(snapshot): Path<String>,
    query: Query,
) -> Result<StatusCode> {
    query.finish()?;
    let id = app.context.snapshots.find(&snapshot)?.id;
    let starting = |handle: &Arc<Handle>| {
        let vm = handle.now().vm;
        // Only its first start goes on from it.
        let is_made = vm.state == VmState::Starting && vm.starts == 1;
        is_made && vm.from_snapshot.as_ref() == Some(&id)
    };
    if app.registry.after(None).iter().any(starting) {
        let detail = format!("a VM is being made from the snapshot {snapshot}");
        return Err(Error::new(Kind::InUse, detail));
    }
    app.context.snapshots.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes VMs that go on where the snapshot was taken; the answer comes when all of them run.
#[utoipa::path(post, path = "/v1/snapshots/{snapshot}/restore", tag = "snapshots",
    operation_id = "restore_snapshot",
    params(
        ("snapshot" = String, Path, description = "Its id or name"),
        KeyParam,
    ),
    request_body = RestoreSnapshot,
    responses(
        (status = 201, body = Page<Vm>, description = "The VMs"),
        (status = "default", body = Problem, content_type = "application/problem+json",
            description = "What is wrong"),
    ))]
pub async fn restore(
    State(app): State<Shared>,
    Path(snapshot): Path<String>,
    query: Query,
    body: Body<RestoreSnapshot>,
) -> Result<Response<axum::body::Body>> {
    query.finish()?;
    check_restore(&body.value)?;
    let asked = body.value;
    Ok(carry_out(app, body.key, move |app, turn| async move {
        let made = turn.made();
        let handles = if made.is_empty() {
            make(&app, &snapshot, asked, &turn).await?
        } else {
            let found = made.iter().map(|id| app.registry.find(id));
            found.collect::<Result<_>>()?
        };
        let mut items = Vec::new();
        for started in join_all(handles.iter().map(|one| await_state::started(one, 1))).await {
            items.push(started?);
        }
        let next_cursor = None;
        json(StatusCode::CREATED, &Page { items, next_cursor })
    })
    .await)
}

fn check_restore(asked: &RestoreSnapshot) -> Result<()> {
    let mut errors = check::labels(&asked.labels, "/labels");
    if let Some(devices) = &asked.devices {
        errors.extend(check::devices(devices, "/devices"));
    }
    // The last name has the longest number.
    let longest = asked
        .name
        .as_ref()
        .map(|name| name_of(name, asked.count, asked.count));
    let wrong = longest.as_deref().and_then(check::name);
    errors.extend(wrong.map(|detail| paravane_api::problem::FieldError {
        field: "/name".to_string(),
        detail,
    }));
    if !(1..=MAX_COUNT).contains(&asked.count) {
        errors.push(paravane_api::problem::FieldError {
            field: "/count".to_string(),
            detail: format!("{} is out of range: 1 to {MAX_COUNT}", asked.count),
        });
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(errors))
    }
}

fn name_of(name: &str, count: u32, number: u32) -> String {
    if count == 1 {
        name.to_string()
    } else {
        format!("{name}-{number}")
    }
}

/// Makes the VMs, all or none. When this returns they are in the store.
async fn make(
    app: &App,
    snapshot: &str,
    asked: RestoreSnapshot,
    turn: &Turn,
) -> Result<Vec<Arc<Handle>>> {
    let _kept = app.context.images.in_use().await;
    let mut snapshot = app.context.snapshots.find(snapshot)?;
    if let Some(devices) = &asked.devices {
        snapshot.spec.devices = devices.clone();
        app.context.images.resolve(&mut snapshot.spec, "")?;
    }
    let mut records: Vec<VmRecord> = Vec::new();
    let made = reserve_all(app, &snapshot, &asked, &mut records);
    let result = match made {
        Ok(()) => keep_all(app, &records, turn).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => Ok(records
            .into_iter()
            .map(|record| begin(app, record))
            .collect()),
        Err(error) => {
            for record in records {
                app.registry.remove(record.id);
            }
            Err(error)
        }
    }
}

fn reserve_all(
    app: &App,
    snapshot: &Snapshot,
    asked: &RestoreSnapshot,
    records: &mut Vec<VmRecord>,
) -> Result<()> {
    for number in 1..=asked.count {
        let id = Uuid::now_v7();
        let name = match &asked.name {
            Some(name) => name_of(name, asked.count, number),
            None => default_name("vm", id),
        };
        app.registry
            .reserve(&name, id, app.config.runtime.limits.vms)?;
        let mut spec = snapshot.spec.clone();
        spec.name = Some(name.clone());
        spec.labels = asked.labels.clone();
        let mut record = vm::new_record(id, app.registry.slot(id), name, spec);
        record.from_snapshot = Some(snapshot.id.clone());
        record.state = VmState::Starting;
        record.starts = 1;
        record.started_ms = Some(time::now_ms());
        records.push(record);
    }
    Ok(())
}

async fn keep_all(app: &App, records: &[VmRecord], turn: &Turn) -> Result<()> {
    let changes = records.iter().map(Change::vm);
    let mut changes = changes.collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<String> = records.iter().map(|record| record.id.to_string()).collect();
    changes.extend(turn.claim(&ids)?);
    Ok(app.context.store.commit(changes).await?)
}
