//! The routes of the API that the page uses.

use super::console::console;
use super::snapshots::{forget, restore, snapshots, take};
use super::state::{Daemon, Request, State, TIME, TOKEN};
use super::streams::{events, logs};
use axum::body::Bytes;
use axum::extract::{Path, Query, Request as HttpRequest, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as deleting, get, post};
use axum::{Json, Router};
use paravane_api::event::EventKind;
use paravane_api::page::Page;
use paravane_api::problem::{MEDIA_TYPE, Problem};
use paravane_api::stats::VmStatsEntry;
use paravane_api::vm::{CreateVm, Vm, VmState};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub type Answer = Result<Response, Refused>;

/// An answer that is a problem.
pub struct Refused(Box<Response>);

impl From<Response> for Refused {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// So few things are on a page that the web page has to ask for more.
const PAGE: usize = 2;

pub fn router(daemon: Daemon) -> Router {
    Router::new()
        .route(
            "/v1/info",
            get(async || Json(json!({ "version": "9.9.9", "api": "v1" }))),
        )
        .route("/v1/events", get(events))
        .route("/v1/vms", get(list).post(create))
        .route("/v1/vms/{vm}", get(show).delete(delete))
        .route("/v1/vms/{vm}/stats", get(stats))
        .route("/v1/stats", get(all_stats))
        .route("/v1/vms/{vm}/logs", get(logs))
        .route("/v1/vms/{vm}/console", get(console))
        .route("/v1/vms/{vm}/snapshots", post(take))
        .route("/v1/vms/{vm}/{action}", post(act))
        .route("/v1/snapshots", get(snapshots))
        .route("/v1/snapshots/{snapshot}", deleting(forget))
        .route("/v1/snapshots/{snapshot}/restore", post(restore))
        .route("/v1/images", get(images))
        .layer(middleware::from_fn_with_state(daemon.clone(), admit))
        .with_state(daemon)
}

/// A problem document.
pub fn problem(status: u16, title: &str, detail: &str) -> Response {
    refuse(&Problem {
        kind: "urn:paravane:problem:of-the-test".to_owned(),
        title: title.to_owned(),
        status,
        detail: detail.to_owned(),
        errors: Vec::new(),
    })
}

fn refuse(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).expect("a status");
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], Json(problem)).into_response()
}

/// Wants the token, in the header or for a WebSocket in the query.
async fn admit(Shared(daemon): Shared<Daemon>, request: HttpRequest, next: Next) -> Response {
    let bearer = request.headers().get(header::AUTHORIZATION);
    let sent = bearer.is_some_and(|value| value == format!("Bearer {TOKEN}").as_str());
    let query = request.uri().query().unwrap_or_default();
    let socket = request.headers().contains_key(header::UPGRADE);
    if daemon.state().wants_token
        && !sent
        && !(socket && query.contains(&format!("access_token={TOKEN}")))
    {
        return problem(401, "Unauthorized", "This listener wants a bearer token.");
    }
    next.run(request).await
}

/// Takes down a request that changes something; the refusal, if a test wants one.
pub fn take_down(
    state: &mut State,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(), Refused> {
    let key = headers.get("idempotency-key");
    state.requests.push(Request {
        line: format!("{method} {uri}"),
        body: serde_json::from_slice(body).unwrap_or(Value::Null),
        key: key.map(|key| key.to_str().expect("text").to_owned()),
    });
    state
        .refusal
        .take()
        .map_or(Ok(()), |problem| Err(refuse(&problem).into()))
}

pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body)
        .map_err(|error| problem(400, "Bad body", &error.to_string()).into())
}

pub fn find(state: &State, vm: &str) -> Result<Vm, Refused> {
    let unknown = || Refused::from(problem(404, "No such VM", &format!("There is no VM {vm}.")));
    state.find(vm).ok_or_else(unknown)
}

#[derive(Deserialize)]
pub struct Cursor {
    cursor: Option<usize>,
}

pub fn page<T: Clone>(all: &[T], Cursor { cursor }: &Cursor) -> Page<T> {
    let start = cursor.unwrap_or(0).min(all.len());
    let end = (start + PAGE).min(all.len());
    Page {
        items: all[start..end].to_vec(),
        next_cursor: (end < all.len()).then(|| end.to_string()),
    }
}

async fn list(Shared(daemon): Shared<Daemon>, Query(cursor): Query<Cursor>) -> Json<Page<Vm>> {
    let vms: Vec<Vm> = daemon.state().vms.values().cloned().collect();
    Json(page(&vms, &cursor))
}

async fn all_stats(
    Shared(daemon): Shared<Daemon>,
    Query(cursor): Query<Cursor>,
) -> Json<Page<VmStatsEntry>> {
    let state = daemon.state();
    let entry = |vm: &Vm| VmStatsEntry {
        id: vm.id.clone(),
        name: vm.name.clone(),
        state: vm.state,
        stats: vm.state.has_process().then(|| state.stats()),
    };
    let entries: Vec<VmStatsEntry> = state.vms.values().map(entry).collect();
    Json(page(&entries, &cursor))
}

async fn show(Shared(daemon): Shared<Daemon>, Path(vm): Path<String>) -> Answer {
    Ok(Json(find(&daemon.state(), &vm)?).into_response())
}

async fn stats(Shared(daemon): Shared<Daemon>, Path(vm): Path<String>) -> Answer {
    let state = daemon.state();
    find(&state, &vm)?;
    Ok(Json(state.stats()).into_response())
}

async fn create(
    Shared(daemon): Shared<Daemon>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let mut state = daemon.state();
    take_down(&mut state, &method, &uri, &headers, &body)?;
    let CreateVm { spec, start } = parse(&body)?;
    let vm = state.add(
        spec,
        if start {
            VmState::Running
        } else {
            VmState::Stopped
        },
    );
    state.tell(&vm, EventKind::Created, None);
    Ok((StatusCode::CREATED, Json(vm)).into_response())
}

async fn delete(
    Shared(daemon): Shared<Daemon>,
    Path(vm): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let mut state = daemon.state();
    take_down(&mut state, &method, &uri, &headers, &[])?;
    let vm = find(&state, &vm)?;
    state.vms.remove(&vm.id);
    state.tell(&vm, EventKind::Deleted, None);
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn act(
    Shared(daemon): Shared<Daemon>,
    Path((vm, action)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let mut state = daemon.state();
    take_down(&mut state, &method, &uri, &headers, &body)?;
    let vm = find(&state, &vm)?;
    let (to, kind) = match action.as_str() {
        "start" | "reset" => (VmState::Running, EventKind::Started),
        "resume" => (VmState::Running, EventKind::Resumed),
        "pause" => (VmState::Paused, EventKind::Paused),
        "stop" => (VmState::Stopped, EventKind::Ended),
        _ => return Err(problem(404, "No such action", &action).into()),
    };
    Ok(Json(state.change(&vm.id, to, kind)).into_response())
}

async fn images() -> Json<Value> {
    Json(json!({ "items": [{
        "digest": format!("sha256:{}", "ab".repeat(32)),
        "size": 4096, "names": ["web"], "added_at": TIME, "kind": "guest"
    }] }))
}
