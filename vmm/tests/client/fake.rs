//! A server that answers as a daemon does, without running anything.

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime;

/// For how long the guest of the VM `slow` is silent: longer than a console stays after the end
/// of its input.
const SLOW: Duration = Duration::from_millis(600);

/// The VMs, in the order of their creation.
type Vms = Arc<Mutex<Vec<Value>>>;

/// The server, at a socket of its own.
pub struct Fake {
    folder: TempDir,
    vms: Vms,
}

impl Fake {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vms = Vms::default();
        let listener = std::os::unix::net::UnixListener::bind(folder.path().join("socket"));
        let listener = listener.unwrap();
        listener.set_nonblocking(true).unwrap();
        let router = router(Arc::clone(&vms));
        // It ends with the test's process.
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = UnixListener::from_std(listener).unwrap();
                axum::serve(listener, router).await
            })
        });
        Self { folder, vms }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A folder for files of the test.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Adds a VM.
    pub fn add(&self, name: &str, state: &str) {
        let spec = json!({"name": name});
        self.vms.lock().unwrap().push(vm(name, state, spec));
    }

    /// The VMs' names and states.
    pub fn states(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let vms = self.vms.lock().unwrap();
        let states = vms.iter().map(|vm| (text(&vm["name"]), text(&vm["state"])));
        states.collect()
    }

    /// Changes a VM.
    pub fn set(&self, name: &str, field: &str, value: Value) {
        let mut vms = self.vms.lock().unwrap();
        let vm = vms.iter_mut().find(|vm| vm["name"] == name).unwrap();
        vm[field] = value;
    }

    /// A VM as it is.
    pub fn vm(&self, name: &str) -> Value {
        let vms = self.vms.lock().unwrap();
        vms.iter().find(|vm| vm["name"] == name).unwrap().clone()
    }
}

fn vm(name: &str, state: &str, spec: Value) -> Value {
    json!({
        "id": format!("id-{name}"), "name": name, "spec": spec, "state": state,
        "created_at": "2026-01-01T00:00:00Z", "starts": 1, "failures": 0,
    })
}

fn router(vms: Vms) -> Router {
    Router::new()
        .route("/v1/vms", get(list).post(create))
        .route("/v1/vms/{vm}", get(show).patch(update).delete(remove))
        .route("/v1/vms/{vm}/{verb}", post(change))
        .route("/v1/vms/{vm}/wait", get(wait))
        .route("/v1/vms/{vm}/logs", get(logs))
        .route("/v1/vms/{vm}/console", get(console))
        .route("/v1/stats", get(stats))
        .with_state(vms)
}

fn problem(status: StatusCode, detail: String) -> Response {
    let problem = json!({
        "type": "urn:paravane:problem:some", "title": "Some", "status": status.as_u16(),
        "detail": detail,
    });
    let media_type = [("content-type", "application/problem+json")];
    (status, media_type, problem.to_string()).into_response()
}

fn no_such_vm(name: &str) -> Response {
    problem(StatusCode::NOT_FOUND, format!("there is no VM {name}"))
}

async fn list(State(vms): State<Vms>) -> Json<Value> {
    Json(json!({"items": *vms.lock().unwrap()}))
}

async fn create(State(vms): State<Vms>, Json(request): Json<Value>) -> Response {
    let name = request["spec"]["name"].as_str().unwrap_or("anonymous");
    let mut vms = vms.lock().unwrap();
    if vms.iter().any(|vm| vm["name"] == name) {
        return problem(StatusCode::CONFLICT, format!("there is a VM {name}"));
    }
    let state = match request["start"] == true {
        true => "running",
        false => "stopped",
    };
    let created = vm(name, state, request["spec"].clone());
    vms.push(created.clone());
    (StatusCode::CREATED, Json(created)).into_response()
}

/// Answers with a VM, changed.
fn with_vm(vms: &Vms, name: &str, change: impl FnOnce(&mut Value)) -> Response {
    let mut vms = vms.lock().unwrap();
    let vm = vms
        .iter_mut()
        .find(|vm| vm["name"] == name || vm["id"] == name);
    let Some(vm) = vm else {
        return no_such_vm(name);
    };
    change(vm);
    Json(vm.clone()).into_response()
}

async fn show(State(vms): State<Vms>, Path(name): Path<String>) -> Response {
    with_vm(&vms, &name, |_| {})
}

async fn update(
    State(vms): State<Vms>,
    Path(name): Path<String>,
    Json(request): Json<Value>,
) -> Response {
    with_vm(&vms, &name, |vm| vm["spec"] = request["spec"].clone())
}

async fn remove(State(vms): State<Vms>, Path(name): Path<String>) -> Response {
    let mut vms = vms.lock().unwrap();
    let before = vms.len();
    vms.retain(|vm| vm["name"] != name.as_str() && vm["id"] != name.as_str());
    match vms.len() < before {
        true => StatusCode::NO_CONTENT.into_response(),
        false => no_such_vm(&name),
    }
}

async fn change(State(vms): State<Vms>, Path((name, verb)): Path<(String, String)>) -> Response {
    let state = match verb.as_str() {
        "start" | "resume" | "reset" => "running",
        "stop" => "stopped",
        "pause" => "paused",
        verb => panic!("{verb}"),
    };
    with_vm(&vms, &name, |vm| vm["state"] = state.into())
}

async fn wait(
    State(vms): State<Vms>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let vms = vms.lock().unwrap();
    let Some(vm) = vms.iter().find(|vm| vm["name"] == name.as_str()) else {
        return no_such_vm(&name);
    };
    match query["state"].split(',').any(|state| vm["state"] == state) {
        true => Json(vm.clone()).into_response(),
        false => problem(StatusCode::REQUEST_TIMEOUT, "it is not".to_string()),
    }
}

async fn logs() -> String {
    let line = |message: &str| {
        let line = json!({"time": "T", "source": "console", "level": "info", "message": message});
        format!("{line}\n")
    };
    line("one") + &line("two\u{1b}[2J")
}

async fn stats(State(vms): State<Vms>) -> Json<Value> {
    let vms = vms.lock().unwrap();
    let entry = |vm: &Value| json!({"id": vm["id"], "name": vm["name"], "state": vm["state"]});
    let items: Vec<_> = vms.iter().map(entry).collect();
    Json(json!({ "items": items }))
}

/// A console that says what it is told, and ends at Ctrl-D or with its connection.
async fn console(
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if name == "busy" && !query.contains_key("steal") && query.contains_key("write") {
        return problem(StatusCode::CONFLICT, "somebody types".to_string());
    }
    upgrade.on_upgrade(|mut socket| async move {
        let send = Message::Binary(Bytes::from_static(b"replay\n"));
        if socket.send(send).await.is_err() {
            return;
        }
        if name == "slow" {
            tokio::time::sleep(SLOW).await;
            let text = Message::Binary(Bytes::from_static(b"later\n"));
            let _ = socket.send(text).await;
            let end = r#"{"closed": "the VM has ended"}"#.into();
            let _ = socket.send(Message::Text(end)).await;
            return;
        }
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Binary(bytes) = message {
                if bytes.contains(&0x04) {
                    let end = r#"{"closed": "the VM has ended"}"#.into();
                    // It may have been enough for the other end.
                    let _ = socket.send(Message::Text(end)).await;
                    return;
                }
                let echo = [b"<", bytes.as_ref(), b">"].concat();
                if socket.send(Message::Binary(echo.into())).await.is_err() {
                    return;
                }
            }
        }
    })
}
