//! The client against a server that answers as the daemon does, or fails as it may.

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Path, Query, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use paravane_api::VmState;
use paravane_api::event::{Event, EventKind};
use paravane_api::vm::StopVm;
use paravane_client::{Client, ClientError, ConsoleMessage, ConsoleMode, Endpoint, LogQuery};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// A server at a socket of its own.
struct Server {
    folder: TempDir,
}

impl Server {
    fn new(router: Router) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { folder }
    }

    fn client(&self) -> Client {
        Client::unix(self.folder.path().join("socket"))
    }
}

fn vm(name: &str, state: &str) -> serde_json::Value {
    serde_json::json!({
        "id": "0190", "name": name, "spec": {}, "state": state,
        "created_at": "2026-01-01T00:00:00Z", "starts": 1, "failures": 0,
    })
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let problem = serde_json::json!({
        "type": "urn:paravane:problem:some", "title": "Some", "status": status.as_u16(),
        "detail": detail, "errors": [{ "field": "/spec/name", "detail": "it is long" }],
    });
    let media_type = [("content-type", "application/problem+json; charset=utf-8")];
    (status, media_type, problem.to_string()).into_response()
}

#[tokio::test]
async fn an_operation_is_answered() {
    let stop = |Path(name): Path<String>, body: String| async move {
        assert_eq!(body, r#"{"force":true}"#);
        Json(vm(&name, "stopped"))
    };
    let server = Server::new(Router::new().route("/v1/vms/{vm}/stop", post(stop)));
    let request = StopVm {
        force: true,
        grace_ms: None,
    };
    let stopped = server.client().stop_vm("a b", &request).await.unwrap();
    assert_eq!(stopped.name, "a b");
    assert_eq!(stopped.state, VmState::Stopped);
}

#[tokio::test]
async fn a_problem_is_told_with_its_fields() {
    let handler = || async { problem(StatusCode::CONFLICT, "there is one") };
    let server = Server::new(Router::new().route("/v1/vms", post(handler)));
    let error = server.client().create_vm(&Default::default()).await;
    let error = error.unwrap_err();
    assert_eq!(error.status(), Some(409));
    assert_eq!(error.to_string(), "there is one; /spec/name: it is long");
}

#[tokio::test]
async fn an_answer_that_is_none_is_told() {
    let router = Router::new()
        .route("/v1/vms/{vm}", get(|| async { "[]" }))
        .route("/healthz", get(|| async { StatusCode::BAD_GATEWAY }));
    let server = Server::new(router);
    let error = server.client().show_vm("a").await.unwrap_err();
    assert!(matches!(error, ClientError::Answer { .. }), "{error}");
    let error = server.client().health().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the answer to GET /healthz is not one of this API: it is 502 Bad Gateway without a \
         problem document"
    );
}

#[tokio::test]
async fn pages_are_put_together() {
    let list = |Query(query): Query<HashMap<String, String>>| async move {
        assert_eq!(query["label"], "app=a&b");
        match query.get("cursor").map(String::as_str) {
            None => Json(serde_json::json!({"items": [vm("a", "running")], "next_cursor": "é"})),
            Some("é") => Json(serde_json::json!({"items": [vm("b", "lost")]})),
            Some(other) => panic!("{other}"),
        }
    };
    let server = Server::new(Router::new().route("/v1/vms", get(list)));
    let filter = paravane_client::VmFilter {
        labels: vec!["app=a&b".to_string()],
        ..Default::default()
    };
    let all = server.client().all_vms(&filter).await.unwrap();
    let names: Vec<_> = all.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn no_daemon_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let client = Client::unix(&path);
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error:?}");
    let expected = format!(
        "no daemon answers at the socket {} (No such file or directory (os error 2)); start one \
         with `paravane daemon`, or say where it is",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    // The file of a daemon that is gone.
    drop(UnixListener::bind(&path).unwrap());
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::NoDaemon { .. }), "{error:?}");
}

/// Reads a request without a body, up to its empty line.
async fn read_head(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

/// Loses the first connections when their requests have come, then answers one; gives the
/// requests.
async fn serve_badly(listener: &UnixListener, losses: usize, answer: &str) -> Vec<String> {
    let mut heads = Vec::new();
    for _ in 0..losses {
        let (mut stream, _) = listener.accept().await.unwrap();
        heads.push(read_head(&mut stream).await);
    }
    let (mut stream, _) = listener.accept().await.unwrap();
    heads.push(read_head(&mut stream).await);
    stream.write_all(answer.as_bytes()).await.unwrap();
    heads
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_lost_request_is_repeated_under_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let client = Client::unix(&path);
    let text = answer(
        "200 OK",
        "application/json",
        &vm("a", "running").to_string(),
    );
    let (started, heads) = tokio::join!(client.start_vm("a"), serve_badly(&listener, 2, &text));
    assert_eq!(started.unwrap().state, VmState::Running);
    let key = |head: &String| {
        let mut lines = head.lines();
        let line = lines.find(|line| line.starts_with("idempotency-key: "));
        line.expect("there is a key").to_string()
    };
    let keys: Vec<_> = heads.iter().map(key).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let client = Client::unix(&path);
    let text = answer(
        "200 OK",
        "application/json",
        &vm("a", "running").to_string(),
    );
    let server = async {
        let cut = &text[..text.len() - 5];
        serve_badly(&listener, 0, cut).await;
        serve_badly(&listener, 0, &text).await;
    };
    let (shown, ()) = tokio::join!(client.show_vm("a"), server);
    assert_eq!(shown.unwrap().name, "a");
}

#[tokio::test]
async fn what_a_lost_deletion_has_deleted_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let client = Client::unix(&path);
    let gone = r#"{"type": "", "title": "", "status": 404, "detail": "no such VM"}"#;
    let text = answer("404 Not Found", "application/problem+json", gone);
    let (deleted, _) = tokio::join!(
        client.delete_vm("a", true),
        serve_badly(&listener, 1, &text)
    );
    deleted.unwrap();
    // But one that was not there to begin with was not.
    let (deleted, _) = tokio::join!(
        client.delete_vm("a", true),
        serve_badly(&listener, 0, &text)
    );
    assert!(deleted.unwrap_err().is_not_found());
}

#[tokio::test]
async fn patience_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let client = Client::unix(&path).with_patience(Duration::ZERO);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
    };
    let (shown, ()) = tokio::join!(client.show_vm("a"), server);
    let error = shown.unwrap_err();
    assert!(matches!(error, ClientError::Lost { .. }), "{error:?}");
}

#[tokio::test]
async fn tcp_is_shown_the_token() {
    let health = |headers: HeaderMap| async move {
        match headers.get("authorization") {
            Some(value) if value == "Bearer secret" => StatusCode::OK.into_response(),
            _ => problem(StatusCode::UNAUTHORIZED, "a token is wanted"),
        }
    };
    let router = Router::new().route("/healthz", get(health));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = Client::new(Endpoint::parse_url(&url).unwrap());
    assert_eq!(client.health().await.unwrap_err().status(), Some(401));
    client.with_token("secret").unwrap().health().await.unwrap();
}

#[tokio::test]
async fn an_image_is_streamed() {
    let contents = (0..1_000_000u32).flat_map(u32::to_le_bytes);
    let contents: Arc<Vec<u8>> = Arc::new(contents.collect());
    let expected = Arc::clone(&contents);
    let add = |Query(query): Query<HashMap<String, String>>, request: Request| async move {
        assert_eq!(query["name"], "disk");
        assert_eq!(request.headers()["content-length"], "4000000");
        let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        assert!(body.unwrap() == *expected);
        Json(serde_json::json!({
            "digest": "sha256:0", "size": 4_000_000, "names": ["disk"],
            "added_at": "2026-01-01T00:00:00Z", "kind": "file",
        }))
    };
    let server = Server::new(Router::new().route("/v1/images", post(add)));
    let contents = std::io::Cursor::new(contents.to_vec());
    let client = server.client();
    let image = client.add_image(Some("disk"), 4_000_000, contents).await;
    assert_eq!(image.unwrap().names, ["disk"]);
}

#[tokio::test]
async fn a_log_is_read_to_its_end() {
    let logs = |Query(query): Query<HashMap<String, String>>| async move {
        assert_eq!(query["tail"], "2");
        assert_eq!(query["source"], "console");
        assert!(!query.contains_key("follow"));
        let line = |message: &str| {
            format!(
                r#"{{"time": "T", "source": "console", "level": "info", "message": "{message}"}}"#
            )
        };
        // Whatever the chunks, lines are whole.
        let text = format!("{}\n{}", line("one"), line("two"));
        let (start, end) = text.split_at(10);
        let chunks =
            [start, end].map(|part| Ok::<_, std::io::Error>(Bytes::from(part.to_string())));
        Body::from_stream(futures_util::stream::iter(chunks))
    };
    let server = Server::new(Router::new().route("/v1/vms/{vm}/logs", get(logs)));
    let query = LogQuery {
        tail: Some(2),
        source: Some(paravane_api::log::LogSource::Console),
        follow: false,
    };
    let mut logs = server.client().logs("a", &query).await.unwrap();
    for expected in ["one", "two"] {
        assert_eq!(logs.next().await.unwrap().unwrap().message, expected);
    }
    assert_eq!(logs.next().await.unwrap(), None);
}

#[tokio::test]
async fn events_go_on_after_a_lost_connection() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let events = move |headers: HeaderMap, Query(query): Query<HashMap<String, String>>| {
        let last = headers
            .get("last-event-id")
            .map(|value| value.to_str().unwrap().to_string());
        assert_eq!(query["vm"], "a");
        let next = last
            .as_ref()
            .map_or(7, |last| last.parse::<u64>().unwrap() + 1);
        seen.lock().unwrap().push(last);
        let event = Event {
            id: next,
            time: "T".to_string(),
            kind: EventKind::Started,
            vm: "0190".to_string(),
            name: "a".to_string(),
            state: VmState::Running,
            message: None,
        };
        let event = serde_json::to_string(&event).unwrap();
        // It ends after one event, as does a daemon that is restarted.
        async move { format!(": hello\n\nid: {next}\nevent: started\ndata: {event}\n\n") }
    };
    let server = Server::new(Router::new().route("/v1/events", get(events)));
    let mut events = server.client().events(Some("a"), None).await.unwrap();
    for expected in 7..10 {
        assert_eq!(events.next().await.unwrap().id, expected);
    }
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked, [None, Some("7".to_string()), Some("8".to_string())]);
}

#[tokio::test]
async fn a_console_replays_echoes_and_says_what_is_lost() {
    let console = |Query(query): Query<HashMap<String, String>>, upgrade: WebSocketUpgrade| async move {
        assert_eq!(query["write"], "true");
        assert!(!query.contains_key("steal"));
        upgrade.on_upgrade(|mut socket| async move {
            let replay = Message::Binary(Bytes::from_static(b"replay"));
            socket.send(replay).await.unwrap();
            socket
                .send(Message::Text(r#"{"lost": 5}"#.into()))
                .await
                .unwrap();
            let typed = socket.recv().await.unwrap().unwrap();
            assert!(matches!(&typed, Message::Binary(bytes) if bytes.as_ref() == b"typed"));
            socket.send(typed).await.unwrap();
            let end = Message::Text(r#"{"closed": "the VM has ended"}"#.into());
            socket.send(end).await.unwrap();
        })
    };
    let server = Server::new(Router::new().route("/v1/vms/{vm}/console", get(console)));
    let console = server.client().console("a", ConsoleMode::Write).await;
    let (mut reader, mut writer) = console.unwrap().split();
    let output = |bytes: &'static [u8]| Some(ConsoleMessage::Output(Bytes::from_static(bytes)));
    assert_eq!(reader.next().await.unwrap(), output(b"replay"));
    assert_eq!(reader.next().await.unwrap(), Some(ConsoleMessage::Lost(5)));
    writer.send(&b"typed"[..]).await.unwrap();
    assert_eq!(reader.next().await.unwrap(), output(b"typed"));
    let closed = ConsoleMessage::Closed("the VM has ended".to_string());
    assert_eq!(reader.next().await.unwrap(), Some(closed));
}

#[tokio::test]
async fn a_console_that_is_refused_says_why() {
    let refuse = || async { problem(StatusCode::CONFLICT, "somebody types") };
    let server = Server::new(Router::new().route("/v1/vms/{vm}/console", get(refuse)));
    let console = server.client().console("a", ConsoleMode::Write).await;
    assert_eq!(console.unwrap_err().status(), Some(409));
}

#[tokio::test]
async fn waiting_may_be_in_vain() {
    let wait = |Query(query): Query<HashMap<String, String>>| async move {
        assert_eq!(query["state"], "stopped,failed");
        assert_eq!(query["timeout_ms"], "50");
        problem(StatusCode::REQUEST_TIMEOUT, "it runs")
    };
    let server = Server::new(Router::new().route("/v1/vms/{vm}/wait", get(wait)));
    let states = [VmState::Stopped, VmState::Failed];
    let timeout = Some(Duration::from_millis(50));
    let waited = server.client().wait_vm("a", &states, timeout).await;
    assert_eq!(waited.unwrap(), None);
}
