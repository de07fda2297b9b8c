//! VMs through the API, with processes that only say they run one.

mod common;

use common::Place;
use serde_json::json;

#[tokio::test]
async fn a_vm_is_created_shown_started_stopped_and_deleted() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let created = daemon.vm("web", "", false).await;
    let vm = created.expect(201);
    assert_eq!(vm["state"], "stopped");
    assert_eq!(vm["spec"]["image"], "builtin");
    let id = vm["id"].as_str().unwrap();
    assert_eq!(created.headers["location"], format!("/v1/vms/{id}"));
    assert_eq!(daemon.get("/v1/vms/web").await.expect(200), vm);
    assert_eq!(daemon.get(&format!("/v1/vms/{id}")).await.expect(200), vm);

    let started = daemon
        .post("/v1/vms/web/start", json!({}))
        .await
        .expect(200);
    assert_eq!(started["state"], "running");
    assert_eq!(started["starts"], 1);
    assert_eq!(started["running"]["privilege"], "ring3");
    let pid = started["pid"].as_u64().unwrap();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    let again = daemon
        .post("/v1/vms/web/start", json!({}))
        .await
        .expect(200);
    assert_eq!(again, started);

    let paused = daemon
        .post("/v1/vms/web/pause", json!({}))
        .await
        .expect(200);
    assert_eq!(paused["state"], "paused");
    daemon
        .post("/v1/vms/web/start", json!({}))
        .await
        .problem(409, "wrong-state");
    let resumed = daemon
        .post("/v1/vms/web/resume", json!({}))
        .await
        .expect(200);
    assert_eq!(resumed["state"], "running");
    let reset = daemon
        .post("/v1/vms/web/reset", json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&reset["state"], &reset["starts"]),
        (&json!("running"), &json!(2))
    );
    assert_ne!(reset["pid"], pid);

    daemon
        .delete("/v1/vms/web")
        .await
        .problem(409, "wrong-state");
    let stopped = daemon.post("/v1/vms/web/stop", json!({})).await.expect(200);
    assert_eq!(stopped["state"], "stopped");
    assert_eq!(stopped["ended"]["kind"], "shutdown");
    assert_eq!(stopped.get("pid"), None);
    assert_eq!(daemon.delete("/v1/vms/web").await.status, 204);
    daemon.get("/v1/vms/web").await.problem(404, "not-found");
    assert!(!place.state_dir().join("vms").join(id).exists());
    daemon.end().await;
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_leaves_the_vm() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let failed = daemon.vm("web", "fail-at-start", true).await;
    let problem = failed.problem(422, "start-failed");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("there is no KVM here"), "{detail}");
    let vm = daemon.get("/v1/vms/web").await.expect(200);
    assert_eq!(
        (&vm["state"], &vm["failures"]),
        (&json!("failed"), &json!(1))
    );
    daemon
        .vm("dies", "die-at-start", true)
        .await
        .problem(422, "start-failed");
    let vm = daemon.get("/v1/vms/dies").await.expect(200);
    assert_eq!(vm["ended"]["kind"], "killed");
    assert_eq!(vm["ended"]["exit_code"], 134);
    daemon.end().await;
}

#[tokio::test]
async fn a_restarted_daemon_manages_its_vms_again() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let before = daemon.vm("web", "", true).await.expect(201);
    daemon.vm("idle", "", false).await.expect(201);
    daemon.end().await;
    let daemon = place.daemon().await;
    let after = daemon.wait("web", "running").await;
    assert_eq!(after["pid"], before["pid"]);
    assert_eq!(after["starts"], 1);
    let all = daemon.get("/v1/vms").await.expect(200);
    let names: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vm| &vm["name"])
        .collect();
    assert_eq!(names, ["web", "idle"]);
    daemon
        .post("/v1/vms/web/stop", json!({"force": true}))
        .await
        .expect(200);
    daemon.end().await;
}
