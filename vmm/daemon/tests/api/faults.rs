//! Processes that do not do what they should.

use crate::place::Place;
use serde_json::json;

#[tokio::test]
async fn a_process_that_ignores_that_it_should_end_is_killed() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let vm = daemon.vm("web", "ignore-stop", true).await.expect(201);
    let asked = json!({"grace_ms": 10});
    let stopped = daemon.post("/v1/vms/web/stop", asked).await.expect(200);
    assert_eq!(stopped["state"], "stopped");
    let message = stopped["ended"]["message"].as_str().unwrap();
    assert!(message.contains("did not end in time"), "{message}");
    place.gone(&vm).await;
    daemon.end().await;
}

#[tokio::test]
async fn a_process_that_does_not_answer_is_killed() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "mute-stop", true).await.expect(201);
    let stopped = daemon
        .post("/v1/vms/web/stop", json!({"grace_ms": 60_000}))
        .await
        .expect(200);
    let message = stopped["ended"]["message"].as_str().unwrap();
    assert!(message.contains("has not answered within"), "{message}");
    daemon.end().await;
}

#[tokio::test]
async fn a_guest_that_does_not_begin_to_run_is_given_up() {
    let place = Place::new();
    let config = place.config("[limits]\nstart_seconds = 1");
    let daemon = place.daemon_with(config).await.unwrap();
    let failed = daemon.vm("web", "hang-at-start", true).await;
    let problem = failed.problem(422, "start-failed");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("did not begin to run in time"), "{detail}");
    daemon.end().await;
}

#[tokio::test]
async fn a_process_that_talks_garbage_takes_nothing_else_with_it() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("other", "", true).await.expect(201);
    let failed = daemon.vm("web", "garbage", true).await;
    failed.problem(422, "start-failed");
    let other = daemon.get("/v1/vms/other").await.expect(200);
    assert_eq!(other["state"], "running");
    daemon
        .post("/v1/vms/other/stop", json!({}))
        .await
        .expect(200);
    daemon.end().await;
}

#[tokio::test]
async fn a_process_that_is_killed_is_told_of() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let vm = daemon.vm("web", "", true).await.expect(201);
    place.kill(&vm);
    let vm = daemon.wait("web", "failed").await;
    assert_eq!(vm["ended"]["kind"], "killed");
    assert_eq!(vm["ended"]["exit_code"], 137);
    assert_eq!(vm["ended"]["message"], "its process was killed by signal 9");
    daemon.end().await;
}

#[tokio::test]
async fn what_a_process_refuses_is_told() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "refuse", true).await.expect(201);
    let refused = daemon.post("/v1/vms/web/pause", json!({})).await;
    let problem = refused.problem(422, "operation-failed");
    assert_eq!(problem["detail"], "it will not");
    daemon
        .post("/v1/vms/web/stop", json!({"force": true}))
        .await
        .expect(200);
    daemon.end().await;
}

#[tokio::test]
async fn stats_that_do_not_come_hold_up_no_others() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("mute", "mute-stats", true).await.expect(201);
    daemon.vm("web", "", true).await.expect(201);
    daemon.vm("idle", "", false).await.expect(201);
    let stats = daemon.get("/v1/stats").await.expect(200);
    let [mute, web, idle] = stats["items"].as_array().unwrap().as_slice() else {
        panic!("{stats}");
    };
    assert_eq!(web["stats"]["uptime_ns"], 1);
    assert_eq!((mute.get("stats"), idle.get("stats")), (None, None));
    let one = daemon.get("/v1/vms/web/stats").await.expect(200);
    assert_eq!(one["uptime_ns"], 1);
    daemon
        .get("/v1/vms/idle/stats")
        .await
        .problem(409, "wrong-state");
    let metrics = daemon.get("/metrics").await.text;
    assert!(
        metrics.contains("paravane_vms{state=\"running\"} 2\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("paravane_vm_uptime_seconds{vm=\"web\""),
        "{metrics}"
    );
    assert!(
        metrics.contains("paravane_http_request_seconds_count{"),
        "{metrics}"
    );
    for vm in ["mute", "web"] {
        let path = format!("/v1/vms/{vm}/stop");
        daemon.post(&path, json!({"force": true})).await.expect(200);
    }
    daemon.end().await;
}
