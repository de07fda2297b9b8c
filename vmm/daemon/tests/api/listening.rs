//! Where a daemon listens, and who may use it there.

use crate::place::Place;
use hyper::Method;
use paravane_daemon::config::{Config, Overrides};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

#[tokio::test]
async fn the_socket_is_private_and_removed_in_the_end() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let mode = fs::metadata(place.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    daemon.end().await;
    assert!(!place.socket().exists());
}

#[tokio::test]
async fn a_socket_that_was_left_is_replaced_and_a_live_one_is_not() {
    let place = Place::new();
    drop(UnixListener::bind(place.socket()).unwrap());
    let daemon = place.daemon().await;
    assert_eq!(daemon.get("/healthz").await.text, "ok\n");
    let mut config = place.config("");
    config.state_dir = place.path().join("other");
    let error = place.daemon_with(config).await.err().unwrap().to_string();
    assert!(error.contains("another program listens at"), "{error}");
    daemon.get("/healthz").await;
    daemon.end().await;
    fs::write(place.socket(), "precious").unwrap();
    let error = place
        .daemon_with(place.config(""))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("is no socket"), "{error}");
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "precious");
}

#[tokio::test]
async fn two_daemons_do_not_share_a_state_folder() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let mut config = place.config("");
    config.socket = place.path().join("other.sock");
    let error = place.daemon_with(config).await.err().unwrap().to_string();
    assert!(
        error.contains("another daemon uses the state folder"),
        "{error}"
    );
    daemon.end().await;
    place.daemon().await.end().await;
}

#[tokio::test]
async fn a_tcp_listener_wants_a_token() {
    let place = Place::new();
    let token = place.path().join("token");
    fs::write(&token, "0123456789abcdef\n").unwrap();
    // The port is free when the test listens at it no more.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let config = place.config(&format!(
        "[listen]\naddress = \"{address}\"\ntoken_file = {token:?}"
    ));
    let daemon = place.daemon_with(config).await.unwrap();
    let ask = async |head: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let get = "GET /v1/vms HTTP/1.1";
    for wrong in [
        get.to_string(),
        format!("{get}\r\nAuthorization: Bearer 0123456789abcdee"),
        format!("{get}\r\nAuthorization: Basic 0123456789abcdef"),
        "GET /v1/vms?access_token=0123456789abcdef HTTP/1.1".to_string(),
    ] {
        let answer = ask(&wrong).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{wrong}: {answer}");
        assert!(
            answer.contains("urn:paravane:problem:unauthorized"),
            "{answer}"
        );
        assert!(
            answer.to_lowercase().contains("www-authenticate: bearer"),
            "{answer}"
        );
    }
    let answer = ask(&format!("{get}\r\nAuthorization: Bearer 0123456789abcdef")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The Unix socket wants none.
    daemon.get("/v1/vms").await.expect(200);
    daemon.end().await;
}

#[test]
fn a_listener_without_a_token_is_refused() {
    let place = Place::new();
    let load = |listen: &str| {
        let file = place.path().join("c.toml");
        fs::write(&file, listen).unwrap();
        let overrides = Overrides {
            config: Some(file),
            socket: Some(place.socket()),
            state_dir: Some(place.state_dir()),
            ..Overrides::default()
        };
        Config::load(overrides).err().unwrap().to_string()
    };
    let error = load("[listen]\naddress = \"127.0.0.1:1\"");
    assert!(error.contains("needs a token file"), "{error}");
    let token = place.path().join("token");
    fs::write(&token, "short").unwrap();
    let error = load(&format!(
        "[listen]\naddress = \"127.0.0.1:1\"\ntoken_file = {token:?}"
    ));
    assert!(error.contains("at least 16 printable"), "{error}");
    let error = load("socket = \"/a\"\n\n[limits]\nvmz = 3\n");
    assert!(error.contains("c.toml, line 4: "), "{error}");
    let error = load("[limits]\nvms = 0");
    assert!(error.contains("limits.vms is 0"), "{error}");
}

#[tokio::test]
async fn a_thousand_connections_are_served() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let mut open = Vec::new();
    for _ in 0..1000 {
        open.push(UnixStream::connect(&daemon.socket).await.unwrap());
    }
    for stream in &mut open {
        let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
    }
    for stream in &mut open {
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    }
    daemon
        .send(Method::GET, "/v1/vms", &[], "")
        .await
        .expect(200);
    drop(open);
    daemon.end().await;
}
