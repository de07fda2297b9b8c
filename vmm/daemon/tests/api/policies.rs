//! VMs that are started again.

use crate::place::Place;
use serde_json::json;

fn spec(name: &str, words: &str, restart: serde_json::Value) -> serde_json::Value {
    json!({"spec": {"name": name, "command_line": words, "restart": restart}, "start": true})
}

#[tokio::test]
async fn a_vm_that_fails_is_started_again_until_it_is_given_up() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let restart = json!({"policy": "on-failure", "backoff_ms": 10, "max_failures": 3});
    daemon
        .post("/v1/vms", spec("web", "crash=123", restart))
        .await
        .expect(201);
    let vm = daemon.wait("web", "failed").await;
    assert_eq!((&vm["starts"], &vm["failures"]), (&json!(3), &json!(3)));
    assert_eq!(vm["ended"]["kind"], "crash");
    daemon.end().await;
}

#[tokio::test]
async fn a_vm_that_waits_for_its_next_start_is_stopped_at_once() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let restart = json!({"policy": "always", "backoff_ms": 3_600_000, "backoff_max_ms": 3_600_000});
    daemon
        .post("/v1/vms", spec("web", "exit=0", restart))
        .await
        .expect(201);
    let vm = daemon.wait("web", "restarting").await;
    assert!(vm["restart_at"].is_string(), "{vm}");
    let vm = daemon.post("/v1/vms/web/stop", json!({})).await.expect(200);
    assert_eq!(
        (&vm["state"], vm.get("restart_at")),
        (&json!("stopped"), None)
    );
    daemon.end().await;
}

#[tokio::test]
async fn a_vm_that_a_client_stops_stays_so() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let restart = json!({"policy": "always", "backoff_ms": 10});
    daemon
        .post("/v1/vms", spec("web", "", restart))
        .await
        .expect(201);
    let vm = daemon.post("/v1/vms/web/stop", json!({})).await.expect(200);
    assert_eq!(
        (&vm["state"], &vm["starts"]),
        (&json!("stopped"), &json!(1))
    );
    daemon.end().await;
}

#[tokio::test]
async fn a_reboot_of_the_guest_starts_it_again() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let restart = json!({"policy": "never", "backoff_ms": 10});
    let words = "reboot=0 after=100";
    daemon
        .post("/v1/vms", spec("web", words, restart))
        .await
        .expect(201);
    // It reboots for ever.
    while daemon.get("/v1/vms/web").await.expect(200)["starts"].as_u64() < Some(3) {
        daemon.wait("web", "restarting").await;
        daemon.wait("web", "running").await;
    }
    let vm = daemon
        .post("/v1/vms/web/stop", json!({"force": true}))
        .await
        .expect(200);
    assert_eq!(vm["failures"], 0);
    daemon.end().await;
}
