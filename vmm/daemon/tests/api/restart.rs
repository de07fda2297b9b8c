//! A daemon that is started again knows what the one before did.

use crate::place::Place;
use serde_json::{Value, json};

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|vm| vm["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn its_vms_run_on_and_are_managed_again() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let before = daemon.vm("web", "", true).await.expect(201);
    daemon.vm("idle", "", false).await.expect(201);
    daemon.vm("resting", "", true).await.expect(201);
    daemon
        .post("/v1/vms/resting/pause", json!({}))
        .await
        .expect(200);
    daemon.end().await;
    let daemon = place.daemon().await;
    daemon.ready().await;
    let after = daemon.get("/v1/vms/web").await.expect(200);
    assert_eq!(after["state"], "running");
    assert_eq!(
        (&after["pid"], &after["starts"]),
        (&before["pid"], &json!(1))
    );
    assert_eq!(
        names(&daemon.get("/v1/vms").await.expect(200)),
        ["web", "idle", "resting"]
    );
    let resting = daemon.get("/v1/vms/resting").await.expect(200);
    assert_eq!(
        (&resting["state"], resting["pid"].is_u64()),
        (&json!("paused"), true)
    );
    for vm in ["web", "resting"] {
        let stopped = daemon.post(&format!("/v1/vms/{vm}/stop"), json!({})).await;
        assert_eq!(stopped.expect(200)["state"], "stopped");
    }
    daemon.end().await;
}

#[tokio::test]
async fn what_ended_meanwhile_is_found_out() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let exits = daemon
        .vm("exits", "exit=3 after=300", true)
        .await
        .expect(201);
    let killed = daemon.vm("killed", "", true).await.expect(201);
    daemon.end().await;
    place.kill(&killed);
    place.gone(&killed).await;
    place.gone(&exits).await;
    let daemon = place.daemon().await;
    let exits = daemon.wait("exits", "failed").await;
    assert_eq!(exits["ended"]["kind"], "shutdown");
    assert_eq!(exits["ended"]["exit_code"], 3);
    let killed = daemon.wait("killed", "failed").await;
    assert_eq!(killed["ended"]["kind"], "killed");
    daemon.end().await;
}

#[tokio::test]
async fn a_start_that_was_accepted_is_carried_out() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", false).await.expect(201);
    daemon.end().await;
    // As a daemon leaves it that is killed between the commit and the spawn.
    place.edit("web", |record| {
        record["state"] = json!("starting");
        record["starts"] = json!(1);
    });
    let daemon = place.daemon().await;
    let vm = daemon.wait("web", "running").await;
    assert_eq!(vm["starts"], 1);
    daemon.post("/v1/vms/web/stop", json!({})).await.expect(200);
    daemon.end().await;
}

#[tokio::test]
async fn a_stop_that_was_accepted_is_carried_out() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", true).await.expect(201);
    daemon.vm("old", "", true).await.expect(201);
    daemon.end().await;
    place.edit("web", |record| {
        record["state"] = json!("stopping");
        record["pending"] = json!({"stop": {"grace_ms": 1000}});
    });
    place.edit("old", |record| {
        record["state"] = json!("stopping");
        record["pending"] = json!("delete");
    });
    let daemon = place.daemon().await;
    let vm = daemon.wait("web", "stopped").await;
    assert_eq!(vm["ended"]["kind"], "shutdown");
    daemon.until_gone("old").await;
    daemon.end().await;
}

#[tokio::test]
async fn a_host_that_was_down_leaves_vms_lost_and_their_policy_applies() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", false).await.expect(201);
    let policy = json!({"policy": "on-failure", "backoff_ms": 10});
    let spec = json!({"name": "shop", "restart": policy});
    daemon
        .post("/v1/vms", json!({"spec": spec}))
        .await
        .expect(201);
    daemon.end().await;
    for name in ["web", "shop"] {
        place.edit(name, |record| {
            record["state"] = json!("running");
            record["starts"] = json!(1);
        });
    }
    place.edit_meta("boot", "another boot");
    let daemon = place.daemon().await;
    let vm = daemon.wait("web", "lost").await;
    assert_eq!(vm["ended"]["kind"], "lost");
    let vm = daemon.wait("shop", "running").await;
    assert_eq!((&vm["starts"], &vm["failures"]), (&json!(2), &json!(1)));
    daemon
        .post("/v1/vms/shop/stop", json!({}))
        .await
        .expect(200);
    daemon.end().await;
    // The host is the same since.
    let daemon = place.daemon().await;
    assert_eq!(daemon.wait("web", "lost").await["starts"], 1);
    daemon.end().await;
}

#[tokio::test]
async fn vms_end_with_a_daemon_that_is_told_so() {
    let place = Place::new();
    let mut config = place.config("");
    config.stop_vms = true;
    let daemon = place.daemon_with(config).await.unwrap();
    let vm = daemon.vm("web", "", true).await.expect(201);
    daemon.end().await;
    place.gone(&vm).await;
    let daemon = place.daemon().await;
    assert_eq!(
        daemon.get("/v1/vms/web").await.expect(200)["state"],
        "stopped"
    );
    daemon.end().await;
}

#[tokio::test]
async fn what_a_daemon_left_half_done_is_ended() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let saved = daemon.vm("saved", "", true).await.expect(201);
    daemon.vm("paused", "", true).await.expect(201);
    let deleted = daemon.vm("deleted", "exit=0", true).await.expect(201);
    daemon.wait("deleted", "stopped").await;
    for vm in ["saved", "paused"] {
        let path = format!("/v1/vms/{vm}/pause");
        daemon.post(&path, json!({})).await.expect(200);
    }
    daemon.end().await;
    let folder = |vm: &Value| {
        let vms = place.state_dir().join("vms");
        vms.join(vm["id"].as_str().unwrap())
    };
    // As a daemon leaves them that is killed while it takes a snapshot of a VM, and before it has
    // removed the folder of another.
    place.edit("saved", |record| record["goes_on"] = json!(true));
    std::fs::create_dir(folder(&saved).join("snapshot")).unwrap();
    std::fs::write(folder(&saved).join("snapshot/memory"), "half").unwrap();
    place.edit("deleted", |record| record["pending"] = json!("delete"));
    assert!(folder(&deleted).exists());

    let daemon = place.daemon().await;
    daemon.ready().await;
    let vms = daemon.get("/v1/vms").await.expect(200);
    assert_eq!(names(&vms), ["saved", "paused"]);
    assert!(!folder(&deleted).exists());
    assert!(!folder(&saved).join("snapshot").exists());
    let vm = daemon.get("/v1/vms/saved").await.expect(200);
    assert_eq!(
        (&vm["state"], &vm["pid"]),
        (&json!("running"), &saved["pid"])
    );
    // What a client has paused stays so.
    let vm = daemon.get("/v1/vms/paused").await.expect(200);
    assert_eq!(vm["state"], "paused");
    for vm in ["saved", "paused"] {
        daemon.delete(&format!("/v1/vms/{vm}?force=true")).await;
    }
    daemon.end().await;
}
