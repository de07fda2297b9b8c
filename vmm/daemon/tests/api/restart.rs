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
