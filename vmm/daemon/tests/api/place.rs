//! A daemon in a folder of its own, whose VMs are fake processes, and a client of it.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use paravane_api::image::ImageKind;
use paravane_api::info::HostInfo;
use paravane_api::spec::Resources;
use paravane_daemon::config::{Config, Overrides};
use paravane_daemon::{Host, ServiceError, SnapshotFacts};
use redb::{Database, ReadableTable, TableDefinition};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What a test knows of the host.
#[derive(Debug)]
struct NoHost;

impl Host for NoHost {
    fn image_kind(&self, _: &Path) -> ImageKind {
        ImageKind::File
    }

    fn snapshot_facts(&self, _: &Path) -> Result<SnapshotFacts, String> {
        let resources = Resources::default();
        Ok(SnapshotFacts {
            vcpus: resources.vcpus,
            ram: resources.memory,
            memory: b"memory".len() as u64,
        })
    }

    fn check_snapshot(&self, folder: &Path) -> Result<(), String> {
        match std::fs::read(folder.join("state")) {
            Ok(state) if state == b"state" => Ok(()),
            other => Err(format!("it has the state {other:?}")),
        }
    }

    fn info(&self, kvm: &Path) -> HostInfo {
        HostInfo {
            kvm: kvm.display().to_string(),
            ..HostInfo::default()
        }
    }
}

/// A folder for daemons.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("api.sock")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The configuration of a daemon here, with `text` as its file.
    pub fn config(&self, text: &str) -> Config {
        let file = self.path().join("config.toml");
        let no_users = "[confinement]\nenabled = false\n";
        std::fs::write(&file, format!("{text}\n{no_users}")).unwrap();
        let mut config = Config::load(Overrides {
            config: Some(file),
            socket: Some(self.socket()),
            state_dir: Some(self.state_dir()),
            ..Overrides::default()
        })
        .unwrap();
        config.runtime.program = vec![fake_process().into()];
        // Fake processes do not wait for a VM.
        config.runtime.limits.spare_processes = 0;
        config
    }

    /// Kills the process of a VM.
    pub fn kill(&self, vm: &Value) {
        let pid = i32::try_from(vm["pid"].as_u64().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Waits until the process of a VM has ended.
    pub async fn gone(&self, vm: &Value) {
        let process = format!("/proc/{}/cmdline", vm["pid"]);
        // A process that ended and is not waited for has no command line.
        while std::fs::read(&process).is_ok_and(|line| !line.is_empty()) {
            tokio::task::yield_now().await;
        }
    }

    /// Changes what the store has of a VM. There is no daemon meanwhile.
    pub fn edit(&self, name: &str, change: impl Fn(&mut Value)) {
        self.change("vms", |_, record| {
            if record["name"] == name {
                change(record);
            }
        });
    }

    /// Changes what the store has of an idempotency key.
    pub fn edit_key(&self, key: &str, change: impl Fn(&mut Value)) {
        self.change("keys", |name, record| {
            if name == key {
                change(record);
            }
        });
    }

    /// Changes a fact of the store's.
    pub fn edit_meta(&self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        self.change("meta", |key, old| {
            if key == name {
                *old = value.clone();
            }
        });
    }

    fn change(&self, table: &str, change: impl Fn(&str, &mut Value)) {
        let db = Database::open(self.state_dir().join("state.redb")).unwrap();
        let transaction = db.begin_write().unwrap();
        {
            let definition = TableDefinition::<&str, &[u8]>::new(table);
            let mut table = transaction.open_table(definition).unwrap();
            let all: Vec<(String, Value)> = table
                .iter()
                .unwrap()
                .map(|entry| {
                    let (key, value) = entry.unwrap();
                    let value = serde_json::from_slice(value.value()).unwrap();
                    (key.value().to_string(), value)
                })
                .collect();
            for (key, mut value) in all {
                change(&key, &mut value);
                let text = value.to_string();
                table.insert(key.as_str(), text.as_bytes()).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    pub async fn daemon(&self) -> Daemon {
        self.daemon_with(self.config("")).await.unwrap()
    }

    /// Starts a daemon; it takes requests when this returns.
    pub async fn daemon_with(&self, config: Config) -> Result<Daemon, ServiceError> {
        let (end, ended) = oneshot::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let socket = config.socket.clone();
        let task = tokio::spawn(async move {
            let end = async move {
                // The future is polled first when the daemon serves.
                let _ = begun.send(());
                let _ = ended.await;
            };
            paravane_daemon::run(config, Arc::new(NoHost), end).await
        });
        if begins.await.is_err() {
            return Err(task.await.unwrap().unwrap_err());
        }
        Ok(Daemon {
            socket,
            end: Some(end),
            task,
        })
    }
}

/// The fake process, which cargo builds beside the tests.
pub fn fake_process() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let program = profile.join("examples/fake_vm_process");
    assert!(program.exists(), "{} is not built", program.display());
    program
}

/// A daemon.
pub struct Daemon {
    pub socket: PathBuf,
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServiceError>>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of an answer of this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.json()
    }

    /// The body of a problem of this status and code.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(
            body["type"],
            format!("urn:paravane:problem:{code}"),
            "{self:?}"
        );
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(body["status"], status);
        body
    }
}

impl Daemon {
    /// Ends it; its VMs go on.
    pub async fn end(mut self) {
        drop(self.end.take());
        self.task.await.unwrap().unwrap();
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], &body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, &[], &body.to_string()).await
    }

    /// Posts with an idempotency key.
    pub async fn post_once(&self, key: &str, path: &str, body: Value) -> Answer {
        let headers = [("Idempotency-Key", key)];
        self.send(Method::POST, path, &headers, &body.to_string())
            .await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let response = self.open(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Gets something that is no text.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let response = self.open(Method::GET, path, &[], "").await;
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap();
        body.to_bytes().to_vec()
    }

    /// Sends a request; the body of the answer comes when it is read.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Response<Incoming> {
        let body = body.as_ref();
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("Host", "localhost");
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "Content-Type") {
            request = request.header("Content-Type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(Bytes::copy_from_slice(body));
        sender
            .send_request(request.body(body).unwrap())
            .await
            .unwrap()
    }

    /// Waits until all VMs that ran are managed again.
    pub async fn ready(&self) {
        while self.get("/readyz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a VM is gone.
    pub async fn until_gone(&self, vm: &str) {
        while self.get(&format!("/v1/vms/{vm}")).await.status != 404 {
            tokio::task::yield_now().await;
        }
    }

    /// Follows events.
    pub async fn events(&self, path: &str) -> Lines {
        self.lines(path, &[]).await
    }

    /// Reads an answer by lines.
    pub async fn lines(&self, path: &str, headers: &[(&str, &str)]) -> Lines {
        let response = self.open(Method::GET, path, headers, "").await;
        assert_eq!(response.status(), 200);
        Lines {
            body: response.into_body(),
            rest: Vec::new(),
        }
    }

    /// Creates a VM whose process does what `words` say, and starts it if that is said.
    pub async fn vm(&self, name: &str, words: &str, start: bool) -> Answer {
        let spec = serde_json::json!({"name": name, "command_line": words});
        let body = serde_json::json!({"spec": spec, "start": start});
        self.post("/v1/vms", body).await
    }

    /// Waits until a VM is in one of the states.
    pub async fn wait(&self, vm: &str, states: &str) -> Value {
        let path = format!("/v1/vms/{vm}/wait?state={states}&timeout_ms=20000");
        self.get(&path).await.expect(200)
    }
}

/// An answer that comes by lines: events, or JSON.
pub struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line, without its end; none when the answer has ended.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(String::from_utf8(line).unwrap().trim_end().to_string());
            }
            let frame = self.body.frame().await?.unwrap();
            self.rest.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// The next event.
    pub async fn next(&mut self) -> Value {
        loop {
            let line = self.line().await.expect("there is another event");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}
