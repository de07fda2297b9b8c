//! Clients that take their time. The clock stands still while anybody has something to do, and
//! goes to what is due next when nobody has.

use crate::place::Place;
use std::fs;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, pause, timeout};

/// Sends a text, and reads until the daemon closes the connection.
async fn exchange(socket: &std::path::Path, text: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let place = Place::new();
    let daemon = place.daemon().await;
    pause();
    for head in [
        "",
        "GET /healthz HTT",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n",
    ] {
        let began = Instant::now();
        let answer = exchange(&daemon.socket, head).await;
        // There is no request that could be answered.
        assert!(!answer.contains("200 OK"), "{answer}");
        let taken = began.elapsed().as_secs();
        assert!((59..62).contains(&taken), "{head:?}: {taken} s");
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_end_is_given_up() {
    let place = Place::new();
    let daemon = place.daemon().await;
    pause();
    for (path, media_type) in [
        ("/v1/vms", "application/json"),
        ("/v1/images", "application/octet-stream"),
    ] {
        let began = Instant::now();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: {media_type}\r\nContent-Length: 100\r\n\r\n{{"
        );
        let answer = exchange(&daemon.socket, &request).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(
            answer.contains("urn:paravane:problem:timed-out"),
            "{answer}"
        );
        let taken = began.elapsed().as_secs();
        assert!((29..32).contains(&taken), "{path}: {taken} s");
    }
    let left = fs::read_dir(place.state_dir().join("images")).unwrap();
    assert_eq!(left.count(), 0);
    daemon.end().await;
}

#[tokio::test]
async fn a_client_too_many_waits_for_another_to_go() {
    let place = Place::new();
    let config = place.config("[limits]\nconnections = 2");
    let daemon = place.daemon_with(config).await.unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = async |stream: &mut UnixStream| {
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    };
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = UnixStream::connect(&daemon.socket).await.unwrap();
        stream.write_all(request).await.unwrap();
        streams.push(stream);
    }
    let mut last = streams.pop().unwrap();
    for stream in &mut streams {
        answer(stream).await;
    }
    pause();
    // Nobody has anything to do: the time is over at once.
    let waited = timeout(Duration::from_secs(1), answer(&mut last)).await;
    assert!(waited.is_err(), "it was answered");
    streams.pop();
    answer(&mut last).await;
    daemon.end().await;
}
