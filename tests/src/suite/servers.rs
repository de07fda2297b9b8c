//! The examples that serve: over the network and over sockets of the host, with clients of the
//! host's own.

use super::Once;
use crate::guests::example;
use crate::program::{Running, paravane};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    ("an_http_server_serves_and_ends", an_http_server),
    ("a_key_value_store_survives_sigkill", a_key_value_store),
    ("a_log_shipper_goes_on_where_it_was", a_log_shipper),
];

fn start(name: &str, options: &[&str]) -> Running {
    Running::start(
        paravane(["run", "--timeout", "120s"])
            .args(options)
            .arg(example(name)),
    )
}

/// A port of the host that nobody has.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

fn an_http_server() {
    let port = free_port();
    let net = format!("user,hostfwd=tcp:127.0.0.1:{port}-80");
    let mut server = start("http-server", &["--net", &net]);
    assert_eq!(server.line(), "http-server: http://10.0.2.15:80/\n");

    // Requests that do not wait for answers, and the last of which ends the connection.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port is forwarded");
    let requests = "GET /hello HTTP/1.1\r\n\r\n\
        POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\
        GET /bytes/300000 HTTP/1.1\r\nConnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).expect("it is read");
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).expect("it is answered");
    let text = String::from_utf8_lossy(&answers);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text:.200}");
    assert!(text.contains("\r\n\r\nHello from the guest\nHTTP/1.1 405 "));
    let body = text.rsplit("\r\n\r\n").next().unwrap_or_default();
    assert_eq!(body, "x".repeat(300_000));

    // One that is idle does not keep the server.
    let mut idle = TcpStream::connect(("127.0.0.1", port)).expect("the port is forwarded");
    idle.write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("it is read");
    let mut first = [0; 12];
    idle.read_exact(&mut first).expect("it is answered");
    assert_eq!(&first, b"HTTP/1.1 200");
    server.ask_to_end();
    let (code, rest) = server.end();
    assert_eq!(code, Some(0));
    assert_eq!(rest, "http-server: 4 requests; good-bye\n");
}

/// A client of the store, by its socket.
pub(super) struct Client(BufReader<UnixStream>);

impl Client {
    pub(super) fn connect(path: &Path) -> Self {
        let mut stream = UnixStream::connect(path).expect("the VMM listens");
        stream.write_all(b"CONNECT 6379\n").expect("it is read");
        let mut client = Self(BufReader::new(stream));
        let answer = client.line().expect("there is an answer");
        assert!(answer.starts_with("OK "), "{answer}");
        client
    }

    pub(super) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        (read.is_ok() && line.ends_with('\n')).then_some(line)
    }

    pub(super) fn send(&mut self, text: &str) {
        // Whoever is dead does not read it.
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }

    pub(super) fn get(&mut self, key: &str) -> Option<String> {
        self.send(&format!("GET {key}\r\n"));
        let size = self.line().expect("there is an answer");
        (size != "$-1\r\n").then(|| self.line().expect("and a value").trim_end().to_owned())
    }
}

/// What was acknowledged is there again, over several compactions of a log on a small disk.
fn a_key_value_store() {
    /// Keys, each with its number of changes.
    const KEYS: u32 = 64;
    /// Changes before the VMM is killed, with a few under way.
    const CHANGES: [u32; 4] = [100, 2500, 900, 2900];

    let folder = TempDir::new().expect("a temporary folder");
    let (image, socket) = (folder.path().join("data.img"), folder.path().join("sock"));
    let file = File::create(&image).expect("there is room");
    file.set_len(9 << 20).expect("there is room");
    let disk = format!("path={}", image.display());
    let vsock = format!("cid=3,uds={}", socket.display());

    let mut acknowledged: BTreeMap<String, u32> = BTreeMap::new();
    let mut last = 0;
    for changes in CHANGES {
        let mut server = start(
            "key-value",
            &["--mem", "64M", "--disk", &disk, "--vsock", &vsock],
        );
        let summary = server.line();
        assert_eq!(
            server.line(),
            "key-value: port 6379 of CID 3\n",
            "{summary}"
        );
        let mut client = Client::connect(&socket);
        for (key, &change) in &acknowledged {
            let value = client.get(key).expect("what was acknowledged is there");
            let found: u32 = value.trim_matches('.').parse().expect("a number");
            // One that was under way may have been made, but none before is back.
            assert!(found >= change, "{key} is {found}, and was {change}");
        }
        let first = last + 1;
        for change in first..first + changes {
            let key = change % KEYS;
            client.send(&format!("SET key{key} {change:.<1000}\r\n"));
            last = change;
        }
        for change in first..first + changes - 5 {
            assert_eq!(client.line().as_deref(), Some("+OK\r\n"));
            acknowledged.insert(format!("key{}", change % KEYS), change);
        }
        server.kill();
    }
    assert_eq!(acknowledged.len(), KEYS as usize);
}

/// The receiver of the log goes away twice, in the middle of things: no line is lost or there twice.
fn a_log_shipper() {
    let folder = TempDir::new().expect("a temporary folder");
    let socket = folder.path().join("sock");
    let listener = UnixListener::bind(folder.path().join("sock_5000")).expect("a socket");
    let vsock = format!("cid=3,uds={}", socket.display());
    let options = ["--vsock", &vsock, "--cmdline", "lines=500 tasks=3 rest=200"];
    let shipper = start("log-shipper", &options);
    let mut kept = Vec::new();
    // After so many batches the receiver has kept the next one, and does not say so any more.
    for batches in [2, 3, u32::MAX] {
        let (stream, _) = listener.accept().expect("the guest connects");
        receive(stream, &mut kept, batches);
    }
    let (code, report) = shipper.end();
    assert_eq!(code, Some(0), "{report}");
    for task in 0..3 {
        let prefix = format!("task {task}: ");
        let lines: Vec<_> = kept
            .iter()
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect();
        let expected: Vec<_> = (1..=500).map(|line| format!("line {line}")).collect();
        assert_eq!(lines, expected);
    }
    assert_eq!(kept.len(), 1500);
}

/// Keeps the lines of a connection, and acknowledges so many batches.
fn receive(stream: UnixStream, kept: &mut Vec<String>, mut batches: u32) {
    let mut reader = BufReader::new(stream);
    let acknowledge = |reader: &mut BufReader<UnixStream>, count: usize| {
        let text = format!("ACK {count}\n");
        // The guest may have ended.
        let _ = reader.get_mut().write_all(text.as_bytes());
    };
    acknowledge(&mut reader, kept.len());
    let mut header = String::new();
    while reader.read_line(&mut header).is_ok_and(|size| size > 0) {
        let mut words = header.split_whitespace().skip(1).map(str::parse::<usize>);
        let mut number = || words.next().and_then(Result::ok).expect("a number");
        let (first, count) = (number(), number());
        for index in first..first + count {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            if index == kept.len() + 1 {
                kept.push(line.trim_end().to_owned());
            }
        }
        if batches == 0 {
            return;
        }
        batches -= 1;
        acknowledge(&mut reader, kept.len());
        header.clear();
    }
}
