//! Snapshots.

use super::routes::{Answer, Cursor, find, page, parse, problem, take_down};
use super::state::{Daemon, TIME};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use paravane_api::event::EventKind;
use paravane_api::page::Page;
use paravane_api::snapshot::{RestoreSnapshot, Snapshot, TakeSnapshot};
use paravane_api::vm::{Vm, VmState};

pub async fn take(
    Shared(daemon): Shared<Daemon>,
    Path(vm): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let mut state = daemon.state();
    take_down(&mut state, &method, &uri, &headers, &body)?;
    let request: TakeSnapshot = parse(&body)?;
    let vm = find(&state, &vm)?;
    let snapshot = Snapshot {
        id: format!("5{}", state.snapshots.len()),
        name: request.name.unwrap_or_else(|| "unnamed".to_owned()),
        vm: vm.id.clone(),
        spec: vm.spec.clone(),
        created_at: TIME.to_owned(),
        size: 25 << 20,
    };
    state.snapshots.push(snapshot.clone());
    state.tell(&vm, EventKind::Snapshotted, None);
    Ok((StatusCode::CREATED, Json(snapshot)).into_response())
}

pub async fn snapshots(
    Shared(daemon): Shared<Daemon>,
    Query(cursor): Query<Cursor>,
) -> Json<Page<Snapshot>> {
    Json(page(&daemon.state().snapshots, &cursor))
}

pub async fn forget(
    Shared(daemon): Shared<Daemon>,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let mut state = daemon.state();
    take_down(&mut state, &method, &uri, &headers, &[])?;
    state.snapshots.retain(|snapshot| snapshot.id != id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub async fn restore(
    Shared(daemon): Shared<Daemon>,
    Path(id): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let mut state = daemon.state();
    take_down(&mut state, &method, &uri, &headers, &body)?;
    let request: RestoreSnapshot = parse(&body)?;
    let known = state
        .snapshots
        .iter()
        .find(|snapshot| snapshot.id == id)
        .cloned();
    let snapshot = known.ok_or_else(|| problem(404, "No such snapshot", &id))?;
    let vms = (1..=request.count).map(|number| {
        let mut spec = snapshot.spec.clone();
        spec.name = request.name.as_ref().map(|name| format!("{name}-{number}"));
        let vm = state.add(spec, VmState::Running);
        state.tell(&vm, EventKind::Created, None);
        vm
    });
    let items: Vec<Vm> = vms.collect();
    let page = Page {
        items,
        next_cursor: None,
    };
    Ok((StatusCode::CREATED, Json(page)).into_response())
}
