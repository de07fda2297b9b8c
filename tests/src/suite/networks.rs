//! Networks, as those see them who run guests.

use super::Once;
use crate::guests::example;
use crate::program::{Running, end, paravane, refused};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[
    (
        "a_server_in_a_guest_is_reached",
        a_server_in_a_guest_is_reached,
    ),
    ("a_guest_reaches_the_host", a_guest_reaches_the_host),
    ("guests_meet_at_a_switch", guests_meet_at_a_switch),
    (
        "a_network_that_cannot_be_had_is_told_in_a_sentence",
        a_network_that_cannot_be_had_is_told_in_a_sentence,
    ),
];

/// An example with a network.
pub(super) fn program(name: &str, net: &str, command_line: &str) -> Command {
    let mut command = paravane(["run", "--timeout", "120s", "--net", net]);
    command.args(["--cmdline", command_line]).arg(example(name));
    command
}

/// A connection to a server of HTTP.
pub(super) struct Client(BufReader<TcpStream>);

impl Client {
    pub(super) fn connect(address: Ipv4Addr, port: u16) -> Self {
        let stream = TcpStream::connect((address, port));
        Self(BufReader::new(stream.expect("the server is reached")))
    }

    /// The connection.
    pub(super) fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// The status and the body of an answer.
    pub(super) fn get(&mut self, path: &str) -> (String, Vec<u8>) {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: guest\r\n\r\n"), &[])
    }

    /// The status and the body of the answer to a request with a body.
    pub(super) fn post(&mut self, body: &[u8]) -> (String, Vec<u8>) {
        let size = body.len();
        let head = format!("POST / HTTP/1.1\r\nHost: guest\r\nContent-Length: {size}\r\n\r\n");
        self.request(&head, body)
    }

    fn request(&mut self, head: &str, body: &[u8]) -> (String, Vec<u8>) {
        let stream = self.0.get_mut();
        stream.write_all(head.as_bytes()).expect("it is read");
        stream.write_all(body).expect("it is read");
        let status = self.line();
        let mut size = 0;
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                size = value.parse().expect("a number");
            }
        }
        let mut body = vec![0; size];
        self.0.read_exact(&mut body).expect("so much is sent");
        (status, body)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it is text");
        line.trim_end().to_owned()
    }
}

/// The port that the VMM has taken, which it says.
fn port_taken(guest: &mut Running) -> u16 {
    let mut said = String::new();
    let stderr = guest.stderr.as_mut().expect("a pipe");
    // A byte at a time: nothing behind the line is taken.
    while !said.ends_with('\n') {
        let mut byte = [0];
        stderr.read_exact(&mut byte).expect("it says so");
        said.push(byte[0].into());
    }
    let port = said
        .split_once(" leads to the guest's port 80")
        .and_then(|(before, _)| before.rsplit_once(':'))
        .and_then(|(_, port)| port.parse().ok());
    port.unwrap_or_else(|| panic!("no port in {said:?}"))
}

pub(super) fn report(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("the report is there");
    serde_json::from_str(&text).expect("the report is JSON")
}

fn a_server_in_a_guest_is_reached() {
    const MEGABYTE: usize = 1 << 20;
    let folder = TempDir::new().expect("a temporary folder");
    let report_path = folder.path().join("report.json");
    let net = "user,hostfwd=tcp:127.0.0.1:0-80,id=lan";
    let mut command = program("http-server", net, "");
    command.stderr(Stdio::piped());
    command.arg("--report").arg(&report_path);
    let mut server = Running::start(&mut command);
    assert_eq!(server.line(), "http-server: http://10.0.2.15:80/\n");
    let port = port_taken(&mut server);

    let mut client = Client::connect(Ipv4Addr::LOCALHOST, port);
    let ok = "HTTP/1.1 200 OK";
    let (status, body) = client.get("/");
    assert_eq!(status, ok);
    assert!(body.starts_with(b"A server in a Paravane guest.\n"));
    // The same connection, and another one beside it.
    let mut other = Client::connect(Ipv4Addr::LOCALHOST, port);
    for _ in 0..3 {
        let hello = (ok.to_owned(), b"Hello from the guest\n".to_vec());
        assert_eq!(client.get("/hello"), hello);
        assert_eq!(other.get("/hello"), hello);
    }
    assert_eq!(client.get("/none").0, "HTTP/1.1 404 Not Found");
    let (status, body) = client.get(&format!("/bytes/{MEGABYTE}"));
    assert_eq!(status, ok);
    assert!(body.len() == MEGABYTE && body.iter().all(|&byte| byte == b'x'));

    let taken = format!("user,hostfwd=tcp:127.0.0.1:{port}-80");
    refused(&["--net", &taken]).says("the port is in use; choose another, or 0 for any");

    server.ask_to_end();
    let (code, rest) = server.end();
    assert_eq!(code, Some(0), "{rest}");
    let report = report(&report_path);
    let device = &report["devices"][0];
    assert_eq!(device["id"], "lan");
    let number = |queue: usize, name: &str| {
        let queue = &device["queues"][queue];
        queue[name].as_u64().unwrap_or_else(|| panic!("{device}"))
    };
    let [receive, transmit] = [0, 1];
    assert!(number(transmit, "bytes_from_guest") > MEGABYTE as u64);
    assert!(number(receive, "bytes_to_guest") > 0);
    assert!(number(receive, "requests") > 0 && number(transmit, "doorbells") > 0);
}

fn a_guest_reaches_the_host() {
    const BYTES: usize = 300_000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it has one").port();
    let host = thread::spawn(move || {
        let accept = || listener.accept().expect("the guest connects").0;
        let mut received = Vec::new();
        accept().read_to_end(&mut received).expect("it is sent");
        // The guest is told of the end by the end of the connection.
        let sent = accept().write_all(&received);
        sent.expect("the guest reads it");
        let mut echo = accept();
        let mut question = [0; 64];
        while echo.read_exact(&mut question).is_ok() {
            echo.write_all(&question).expect("the guest waits for it");
        }
        received.len()
    });
    let target = format!("10.0.2.2 {port}");
    let what = format!(
        "send {target} bytes={BYTES}; receive {target} bytes=1000000; \
         request {target} count=20 size=64"
    );
    end(&mut program("net-bench", "user", &what))
        .exits(0)
        .prints(&format!("\"operation\":\"send\",\"bytes\":{BYTES},"))
        .prints(&format!("\"operation\":\"receive\",\"bytes\":{BYTES},"))
        .prints("\"operation\":\"request\",\"requests\":20,");
    assert_eq!(host.join().expect("it ends"), BYTES);
}

fn guests_meet_at_a_switch() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("switch");
    let mut command = paravane([Path::new("switch"), &path]);
    let mut switch = Running::start(command.stderr(Stdio::piped()));
    let mut said = String::new();
    let stderr = switch.stderr.take().expect("a pipe");
    BufReader::new(stderr).read_line(&mut said).expect("text");
    assert!(said.contains("the switch is at "), "{said}");

    let net = format!("switch={}", path.display());
    let mut server = Running::start(&mut program("net-bench", &net, "serve ip=192.168.7.1/24"));
    assert!(server.line().contains("\"operation\":\"serve\""));
    let client = "request 192.168.7.1 5003 count=10 connections=2 size=100 ip=192.168.7.2/24 ; \
                  send 192.168.7.1 5001 bytes=200000";
    end(&mut program("net-bench", &net, client))
        .exits(0)
        .prints("\"operation\":\"request\",\"requests\":10,")
        .prints("\"operation\":\"send\",\"bytes\":200000,");
    server.kill();
    switch.interrupt();
    assert_eq!(switch.end().0, Some(130));
    refused(&["--net", &net]).says("there is no switch at ");
}

fn a_network_that_cannot_be_had_is_told_in_a_sentence() {
    let refused = |text: &str| refused(&["--net", text]);
    refused("id=lan").says("one of user, tap=NAME and switch=PATH is needed");
    refused("user,nat").says("\"nat\" is no setting here; there are user, tap=NAME");
    refused("user,mac=02:00:00:00:00").says("is no Ethernet address; one is six bytes");
    refused("user,mac=01:00:5e:00:00:01").says("is the address of a group");
    refused("user,mtu=20").says("mtu=20 is not a number from 68 to 65535");
    refused("user,hostfwd=tcp:80").says("is no port to forward: a forward is tcp:");
    refused("user,hostfwd=tcp:192.0.2.1:0-80").says("this host does not have the address");
    refused("tap=tap0,hostfwd=tcp:0-80").says("hostfwd= is for the network user only");
    refused("switch=/nonexistent/switch")
        .says("there is no switch at /nonexistent/switch; start one by paravane switch");
}
