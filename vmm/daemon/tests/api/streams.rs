//! Logs and consoles.

use crate::place::{Daemon, Place};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

fn line(source: &str, message: &str) -> String {
    let line = json!({"time": "t", "source": source, "level": "info", "message": message});
    format!("{line}\n")
}

fn log_of(place: &Place, vm: &Value) -> PathBuf {
    let folder = place
        .state_dir()
        .join("vms")
        .join(vm["id"].as_str().unwrap());
    folder.join("log.jsonl")
}

fn write(path: &PathBuf, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn messages(text: &str) -> Vec<String> {
    let message = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["message"].as_str().unwrap().to_string()
    };
    text.lines().map(message).collect()
}

#[tokio::test]
async fn a_log_is_read_as_a_whole_its_end_or_a_source() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let vm = daemon.vm("web", "exit=0", true).await.expect(201);
    daemon.wait("web", "stopped").await;
    let path = log_of(&place, &vm);
    std::fs::rename(&path, path.with_file_name("log.1.jsonl")).unwrap();
    let text: String = (1..=3).map(|n| line("vmm", &format!("line {n}"))).collect();
    write(&path, &text);
    write(&path, "no line of a log\n");
    write(&path, &line("console", "bye"));
    write(&path, "{\"time\": \"no end");
    let read = async |query: &str| {
        let answer = daemon.get(&format!("/v1/vms/web/logs{query}")).await;
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");
        messages(&answer.text)
    };
    assert_eq!(
        read("").await,
        ["hello", "line 1", "line 2", "line 3", "bye"]
    );
    assert_eq!(read("?tail=2").await, ["line 3", "bye"]);
    assert_eq!(read("?tail=0").await, [] as [&str; 0]);
    assert_eq!(
        read("?tail=9").await,
        ["hello", "line 1", "line 2", "line 3", "bye"]
    );
    assert_eq!(read("?source=console").await, ["hello", "bye"]);
    assert_eq!(read("?source=vmm&tail=1").await, ["line 3"]);
    daemon
        .get("/v1/vms/web/logs?source=x")
        .await
        .problem(400, "bad-request");
    daemon.end().await;
}

#[tokio::test]
async fn a_log_is_followed_also_when_it_is_rotated() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let vm = daemon.vm("web", "", true).await.expect(201);
    let path = log_of(&place, &vm);
    let mut lines = daemon
        .lines("/v1/vms/web/logs?follow=true&tail=0", &[])
        .await;
    for number in 0..20 {
        write(&path, &line("vmm", &number.to_string()));
        if number % 3 == 0 {
            std::fs::rename(&path, path.with_file_name("log.1.jsonl")).unwrap();
        }
        let got = lines.line().await.unwrap();
        assert_eq!(messages(&got), [number.to_string()]);
    }
    // It ends with the VM.
    daemon.delete("/v1/vms/web?force=true").await;
    assert_eq!(lines.line().await, None);
    daemon.end().await;
}

async fn console(daemon: &Daemon, query: &str) -> WebSocketStream<UnixStream> {
    let stream = UnixStream::connect(&daemon.socket).await.unwrap();
    let url = format!("ws://localhost/v1/vms/web/console{query}");
    client_async(url, stream).await.unwrap().0
}

#[tokio::test]
async fn a_console_carries_bytes_each_way_and_says_why_it_ends() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", true).await.expect(201);
    let mut reader = console(&daemon, "").await;
    let mut writer = console(&daemon, "?write=true").await;
    for one in [&mut reader, &mut writer] {
        let hello = one.next().await.unwrap().unwrap();
        assert_eq!(hello, Message::binary(b"hello".to_vec()));
    }
    writer
        .send(Message::binary(vec![0, 255, 10]))
        .await
        .unwrap();
    assert_eq!(
        writer.next().await.unwrap().unwrap(),
        Message::binary(vec![0, 255, 10])
    );
    daemon
        .post("/v1/vms/web/stop", json!({"force": true}))
        .await
        .expect(200);
    for mut one in [reader, writer] {
        let last = one.next().await.unwrap().unwrap();
        assert_eq!(last, Message::text("{\"closed\":\"the VM has ended\"}"));
        assert!(matches!(one.next().await, Some(Ok(Message::Close(_)))));
    }
    let refused = daemon.get("/v1/vms/web/console").await;
    refused.problem(400, "bad-request");
    daemon.end().await;
}

#[tokio::test]
async fn streams_end_with_the_daemon() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let vm = daemon.vm("web", "", true).await.expect(201);
    let mut lines = daemon.lines("/v1/vms/web/logs?follow=true", &[]).await;
    lines.line().await.unwrap();
    let mut socket = console(&daemon, "").await;
    socket.next().await.unwrap().unwrap();
    daemon.end().await;
    assert_eq!(lines.line().await, None);
    let last = socket.next().await.unwrap().unwrap();
    assert_eq!(last, Message::text("{\"closed\":\"the daemon ends\"}"));
    place.kill(&vm);
}
