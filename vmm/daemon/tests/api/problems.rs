//! Requests that are not right.

use crate::place::Place;
use hyper::Method;
use serde_json::json;

#[tokio::test]
async fn each_is_told_with_the_field() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let cases = [
        (
            json!({"spec": {"memory": 1}}),
            422,
            "invalid",
            "/spec/memory",
        ),
        (
            json!({"spec": {"resources": {"vcpus": "x"}}}),
            422,
            "invalid",
            "/spec/resources/vcpus",
        ),
        (
            json!({"spec": {"resources": {"vcpus": 65}}}),
            422,
            "invalid",
            "/spec/resources/vcpus",
        ),
        (json!({"spec": {"name": "A"}}), 422, "invalid", "/spec/name"),
        (json!({"start": 1}), 422, "invalid", "/start"),
        (json!([{}, true]), 422, "invalid", ""),
        (json!({"spec": []}), 422, "invalid", "/spec"),
        (
            json!({"spec": {"devices": {"disks": [["disk.img"]]}}}),
            422,
            "invalid",
            "/spec/devices/disks/0",
        ),
    ];
    for (body, status, code, field) in cases {
        let problem = daemon
            .post("/v1/vms", body.clone())
            .await
            .problem(status, code);
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    let limit = daemon
        .get("/v1/vms?limit=0")
        .await
        .problem(400, "bad-request");
    assert_eq!(limit["errors"][0]["field"], "limit");
    for path in [
        "/v1/vms?cursor=x",
        "/v1/vms?state=gone",
        "/v1/vms?colour=red",
        "/v1/vms?name=a&name=b",
        "/v1/events?x=1",
    ] {
        daemon.get(path).await.problem(400, "bad-request");
    }
    daemon.end().await;
}

#[tokio::test]
async fn what_is_no_request_of_the_api_is_told() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.get("/v2/vms").await.problem(404, "not-found");
    let wrong = daemon.send(Method::PUT, "/v1/vms", &[], "").await;
    wrong.problem(405, "method-not-allowed");
    let text = [("Content-Type", "text/plain")];
    let wrong = daemon.send(Method::POST, "/v1/vms", &text, "{}").await;
    wrong.problem(415, "unsupported-media-type");
    let wrong = daemon.send(Method::POST, "/v1/vms", &[], "{").await;
    wrong.problem(400, "bad-request");
    let wrong = daemon.send(Method::POST, "/v1/vms", &[], "{} {}").await;
    wrong.problem(400, "bad-request");
    let twice = r#"{"start": true, "start": false}"#;
    let wrong = daemon.send(Method::POST, "/v1/vms", &[], twice).await;
    let problem = wrong.problem(422, "invalid");
    let detail = problem["errors"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("duplicate field `start`"), "{problem}");
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    let wrong = daemon.send(Method::POST, "/v1/vms", &[], &long).await;
    wrong.problem(413, "too-large");
    daemon.end().await;
}

#[tokio::test]
async fn what_a_vm_is_not_ready_for_is_told() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", false).await.expect(201);
    for action in ["pause", "resume", "reset"] {
        let path = format!("/v1/vms/web/{action}");
        let problem = daemon
            .post(&path, json!({}))
            .await
            .problem(409, "wrong-state");
        assert!(
            problem["detail"].as_str().unwrap().contains("is stopped"),
            "{problem}"
        );
    }
    daemon.post("/v1/vms/web/stop", json!({})).await.expect(200);
    let path = "/v1/vms/web/wait?state=running&timeout_ms=1";
    daemon.get(path).await.problem(408, "timed-out");
    daemon
        .get("/v1/vms/web/wait")
        .await
        .problem(400, "bad-request");
    for path in [
        "",
        "/start",
        "/stop",
        "/pause",
        "/resume",
        "/reset",
        "/snapshots",
    ] {
        let path = format!("/v1/vms/none{path}");
        let method = if path.ends_with("none") {
            Method::GET
        } else {
            Method::POST
        };
        daemon
            .send(method, &path, &[], "")
            .await
            .problem(404, "not-found");
    }
    daemon.end().await;
}

#[tokio::test]
async fn there_are_not_more_vms_than_there_may_be() {
    let place = Place::new();
    let config = place.config("[limits]\nvms = 1\nvcpus = 2");
    let daemon = place.daemon_with(config).await.unwrap();
    let many = json!({"spec": {"resources": {"vcpus": 3}}});
    let problem = daemon.post("/v1/vms", many).await.problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/spec/resources/vcpus");
    daemon.vm("a", "", false).await.expect(201);
    daemon
        .vm("b", "", false)
        .await
        .problem(409, "limit-reached");
    daemon.delete("/v1/vms/a").await;
    daemon.vm("b", "", false).await.expect(201);
    daemon.end().await;
}

#[tokio::test]
async fn limits_that_cannot_be_had_are_told() {
    let place = Place::new();
    // The configuration of tests has no control groups.
    let daemon = place.daemon().await;
    let spec = json!({"resources": {"cpu_weight": 50, "memory_overhead": 33_554_432}});
    let problem = daemon
        .post("/v1/vms", json!({"spec": spec}))
        .await
        .problem(422, "invalid");
    let fields: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["field"])
        .collect();
    assert_eq!(
        fields,
        [
            "/spec/resources/cpu_weight",
            "/spec/resources/memory_overhead"
        ]
    );
    daemon.end().await;
}
