//! What happens, as a stream.

use crate::place::Place;
use serde_json::json;

#[tokio::test]
async fn what_happens_to_a_vm_is_told_in_its_order() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let mut events = daemon.events("/v1/events").await;
    daemon.vm("web", "", true).await.expect(201);
    for action in ["pause", "resume", "reset", "stop"] {
        daemon
            .post(&format!("/v1/vms/web/{action}"), json!({}))
            .await
            .expect(200);
    }
    daemon.delete("/v1/vms/web").await;
    let expected = [
        ("created", "stopped"),
        ("starting", "starting"),
        ("started", "running"),
        ("paused", "paused"),
        ("resumed", "running"),
        ("stopping", "stopping"),
        ("ended", "restarting"),
        ("restarting", "restarting"),
        ("starting", "starting"),
        ("started", "running"),
        ("stopping", "stopping"),
        ("ended", "stopped"),
        ("deleted", "stopped"),
    ];
    let mut last = 0;
    for (kind, state) in expected {
        let event = events.next().await;
        assert_eq!(
            (&event["kind"], &event["state"]),
            (&json!(kind), &json!(state))
        );
        assert_eq!(event["name"], "web");
        let id = event["id"].as_u64().unwrap();
        assert!(id > last);
        last = id;
    }
    daemon.end().await;
    // The stream ends with the daemon.
    while events.line().await.is_some() {}
}

#[tokio::test]
async fn a_client_that_comes_back_gets_what_it_missed() {
    let place = Place::new();
    let daemon = place.daemon().await;
    for name in ["a", "b", "c"] {
        daemon.vm(name, "", false).await.expect(201);
    }
    let mut all = daemon.lines("/v1/events", &[("Last-Event-ID", "0")]).await;
    let first = all.next().await;
    assert_eq!(first["name"], "a");
    let id = first["id"].to_string();
    let mut rest = daemon.lines("/v1/events", &[("Last-Event-ID", &id)]).await;
    assert_eq!(rest.next().await["name"], "b");
    assert_eq!(rest.next().await["name"], "c");
    daemon.vm("d", "", false).await.expect(201);
    assert_eq!(rest.next().await["name"], "d");
    let mut one = daemon
        .lines("/v1/events?vm=c", &[("Last-Event-ID", "0")])
        .await;
    assert_eq!(one.next().await["name"], "c");
    let wrong = daemon
        .send(
            hyper::Method::GET,
            "/v1/events",
            &[("Last-Event-ID", "x")],
            "",
        )
        .await;
    wrong.problem(400, "bad-request");
    daemon.end().await;
    // Numbers grow across restarts.
    let daemon = place.daemon().await;
    let mut events = daemon.events("/v1/events").await;
    daemon.vm("e", "", false).await.expect(201);
    assert!(events.next().await["id"].as_u64() > first["id"].as_u64());
    daemon.end().await;
}
