//! Requests that come more than once.

use crate::place::Place;
use serde_json::json;

#[tokio::test]
async fn a_request_that_comes_again_is_carried_out_once() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let asked = json!({"spec": {"name": "web"}});
    let first = daemon.post_once("k1", "/v1/vms", asked.clone()).await;
    let again = daemon.post_once("k1", "/v1/vms", asked.clone()).await;
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(first.headers["content-type"], again.headers["content-type"]);
    // Without the key it is another request.
    daemon
        .post("/v1/vms", asked)
        .await
        .problem(409, "name-taken");
    let other = daemon
        .post_once("k1", "/v1/vms", json!({"spec": {"name": "db"}}))
        .await;
    other.problem(422, "key-reused");
    let path = daemon.post_once("k1", "/v1/vms/web/start", json!({})).await;
    path.problem(422, "key-reused");
    let wrong = daemon.post_once("a key", "/v1/vms", json!({})).await;
    let problem = wrong.problem(400, "bad-request");
    assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
    daemon.end().await;
}

#[tokio::test]
async fn requests_of_one_key_that_come_together_are_one() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let spec = json!({"command_line": "slow-start=200"});
    let asked = json!({"spec": spec, "start": true});
    let send = || daemon.post_once("k", "/v1/vms", asked.clone());
    let (a, b, c) = tokio::join!(send(), send(), send());
    let id = a.expect(201)["id"].clone();
    assert_eq!((&b.expect(201)["id"], &c.expect(201)["id"]), (&id, &id));
    let all = daemon.get("/v1/vms").await.expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    let path = format!("/v1/vms/{}/stop", id.as_str().unwrap());
    daemon.post(&path, json!({})).await.expect(200);
    daemon.end().await;
}

#[tokio::test]
async fn a_request_is_known_after_a_restart() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let asked = json!({"spec": {"name": "web"}, "start": true});
    let first = daemon
        .post_once("k", "/v1/vms", asked.clone())
        .await
        .expect(201);
    daemon.end().await;
    let daemon = place.daemon().await;
    let again = daemon
        .post_once("k", "/v1/vms", asked.clone())
        .await
        .expect(201);
    assert_eq!(first, again);
    daemon.end().await;
    // As a daemon leaves it that is killed before it has answered.
    place.edit_key("k", |record| record["response"] = json!(null));
    let daemon = place.daemon().await;
    let again = daemon.post_once("k", "/v1/vms", asked).await.expect(201);
    assert_eq!(first["id"], again["id"]);
    assert_eq!(
        (&again["state"], &again["starts"]),
        (&json!("running"), &json!(1))
    );
    daemon.post("/v1/vms/web/stop", json!({})).await.expect(200);
    daemon.end().await;
}

#[tokio::test]
async fn a_start_and_a_reset_are_known_before_they_are_answered() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", false).await.expect(201);
    for (key, action, starts) in [("k1", "start", 1), ("k2", "reset", 2)] {
        let path = format!("/v1/vms/web/{action}");
        let vm = daemon.post_once(key, &path, json!({})).await.expect(200);
        assert_eq!(vm["starts"], starts);
    }
    daemon.post("/v1/vms/web/stop", json!({})).await.expect(200);
    daemon.end().await;
    // As a daemon leaves them that is killed before it has answered.
    for key in ["k1", "k2"] {
        place.edit_key(key, |record| record["response"] = json!(null));
    }
    let daemon = place.daemon().await;
    for (key, action) in [("k1", "start"), ("k2", "reset")] {
        let path = format!("/v1/vms/web/{action}");
        let vm = daemon.post_once(key, &path, json!({})).await.expect(200);
        assert_eq!(
            (&vm["state"], &vm["starts"]),
            (&json!("stopped"), &json!(2)),
            "{action}"
        );
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_end_its_request() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let body = json!({"spec": {"name": "web", "command_line": "slow-start=200"}, "start": true});
    let mut events = daemon.events("/v1/events").await;
    let request = daemon.post("/v1/vms", body);
    tokio::select! {
        _ = request => panic!("the guest takes longer than that"),
        event = events.next() => assert_eq!(event["kind"], "created"),
    }
    let vm = daemon.wait("web", "running").await;
    assert_eq!(vm["starts"], 1);
    daemon.post("/v1/vms/web/stop", json!({})).await.expect(200);
    daemon.end().await;
}
