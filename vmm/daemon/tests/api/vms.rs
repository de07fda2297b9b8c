//! VMs: made, started, stopped, deleted.

use crate::place::Place;
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
    for (name, words) in [("web", "fail-at-start"), ("slow", "fail-at-start=300")] {
        let failed = daemon.vm(name, words, true).await;
        let problem = failed.problem(422, "start-failed");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("there is no KVM here"), "{detail}");
    }
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
async fn a_guest_that_does_not_shut_down_is_forced_to() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "ignore-shutdown", true).await.expect(201);
    let asked = json!({"grace_ms": 0});
    let stopped = daemon.post("/v1/vms/web/stop", asked).await.expect(200);
    assert_eq!(stopped["ended"]["kind"], "stopped");
    let wrong = json!({"grace_ms": 600_001});
    let problem = daemon
        .post("/v1/vms/web/stop", wrong)
        .await
        .problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/grace_ms");
    daemon.end().await;
}

#[tokio::test]
async fn what_is_changed_counts_for_the_next_start() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", true).await.expect(201);
    daemon.vm("other", "", false).await.expect(201);
    let labels = json!({"labels": {"a": "b"}, "restart": {"policy": "always"}});
    let vm = daemon.patch("/v1/vms/web", labels).await.expect(200);
    assert_eq!(vm["spec"]["labels"], json!({"a": "b"}));
    assert_eq!(vm["spec"]["restart"]["policy"], "always");
    assert_eq!(vm["state"], "running");
    let taken = json!({"spec": {"name": "other"}});
    daemon
        .patch("/v1/vms/web", taken)
        .await
        .problem(409, "name-taken");
    let renamed = json!({"spec": {"name": "shop", "resources": {"vcpus": 2}}});
    let vm = daemon.patch("/v1/vms/web", renamed).await.expect(200);
    assert_eq!(
        (&vm["name"], &vm["spec"]["resources"]["vcpus"]),
        (&json!("shop"), &json!(2))
    );
    daemon.get("/v1/vms/web").await.problem(404, "not-found");
    // Its name is free.
    daemon.vm("web", "", false).await.expect(201);
    let wrong = json!({"labels": {"": "x"}});
    let problem = daemon
        .patch("/v1/vms/shop", wrong)
        .await
        .problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/labels/");
    daemon
        .post("/v1/vms/shop/stop", json!({}))
        .await
        .expect(200);
    daemon.end().await;
}

#[tokio::test]
async fn a_vm_that_runs_is_deleted_by_force() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let vm = daemon.vm("web", "", true).await.expect(201);
    assert_eq!(daemon.delete("/v1/vms/web?force=true").await.status, 204);
    daemon.get("/v1/vms/web").await.problem(404, "not-found");
    let process = format!("/proc/{}/cmdline", vm["pid"]);
    assert_eq!(std::fs::read(process).unwrap_or_default(), b"");
    daemon.vm("web", "", false).await.expect(201);
    daemon.end().await;
}

#[tokio::test]
async fn a_vm_without_a_name_gets_one() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let vm = daemon.post("/v1/vms", json!({})).await.expect(201);
    let name = vm["name"].as_str().unwrap();
    assert_eq!(paravane_api::check::name(name), None, "{name}");
    assert_eq!(daemon.get(&format!("/v1/vms/{name}")).await.expect(200), vm);
    daemon.end().await;
}
