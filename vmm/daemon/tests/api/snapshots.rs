//! Snapshots.

use crate::place::Place;
use serde_json::json;

#[tokio::test]
async fn a_snapshot_is_taken_restored_and_removed() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", true).await.expect(201);
    let asked = json!({"name": "base"});
    let taken = daemon
        .post_once("k", "/v1/vms/web/snapshots", asked.clone())
        .await;
    let snapshot = taken.expect(201);
    assert_eq!(snapshot["name"], "base");
    assert_eq!(snapshot["spec"]["name"], "web");
    assert!(snapshot["size"].as_u64().unwrap() > 0);
    let again = daemon
        .post_once("k", "/v1/vms/web/snapshots", asked.clone())
        .await;
    assert_eq!(again.expect(201), snapshot);
    daemon
        .post("/v1/vms/web/snapshots", asked)
        .await
        .problem(409, "name-taken");
    assert_eq!(
        daemon.get("/v1/vms/web").await.expect(200)["state"],
        "running"
    );
    let stay = json!({"stay_paused": true});
    daemon.post("/v1/vms/web/snapshots", stay).await.expect(201);
    assert_eq!(
        daemon.get("/v1/vms/web").await.expect(200)["state"],
        "paused"
    );
    assert_eq!(daemon.get("/v1/snapshots/base").await.expect(200), snapshot);
    let all = daemon.get("/v1/snapshots").await.expect(200);
    assert_eq!(all["items"].as_array().unwrap().len(), 2);

    let asked = json!({"name": "clone", "count": 2, "labels": {"a": "b"}});
    let made = daemon
        .post("/v1/snapshots/base/restore", asked.clone())
        .await
        .expect(201);
    let [one, two] = made["items"].as_array().unwrap().as_slice() else {
        panic!("{made}");
    };
    assert_eq!(
        (&one["name"], &two["name"]),
        (&json!("clone-1"), &json!("clone-2"))
    );
    assert_eq!(
        (&one["state"], &one["from_snapshot"]),
        (&json!("running"), &snapshot["id"])
    );
    assert_eq!(one["spec"]["labels"], json!({"a": "b"}));
    let plan = |vm: &serde_json::Value| {
        let folder = place
            .state_dir()
            .join("vms")
            .join(vm["id"].as_str().unwrap());
        let text = std::fs::read(folder.join("plan.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap()
    };
    let folder = plan(one)["restore"].as_str().unwrap().to_string();
    assert_eq!(
        std::fs::read(format!("{folder}/memory")).unwrap(),
        b"memory"
    );
    // All or none.
    let asked = json!({"name": "clone", "count": 3});
    daemon
        .post("/v1/snapshots/base/restore", asked)
        .await
        .problem(409, "name-taken");
    daemon
        .get("/v1/vms/clone-3")
        .await
        .problem(404, "not-found");
    // Its next start boots the image.
    daemon
        .post("/v1/vms/clone-1/reset", json!({}))
        .await
        .expect(200);
    assert_eq!(plan(one)["restore"], json!(null));

    assert_eq!(daemon.delete("/v1/snapshots/base").await.status, 204);
    assert!(!std::fs::exists(folder).unwrap());
    daemon
        .get("/v1/snapshots/base")
        .await
        .problem(404, "not-found");
    for vm in ["web", "clone-1", "clone-2"] {
        daemon.delete(&format!("/v1/vms/{vm}?force=true")).await;
    }
    daemon.end().await;
}

#[tokio::test]
async fn what_cannot_be_taken_or_restored_is_told() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", false).await.expect(201);
    daemon
        .post("/v1/vms/web/snapshots", json!({}))
        .await
        .problem(409, "wrong-state");
    let wrong = json!({"name": "A"});
    daemon
        .post("/v1/vms/web/snapshots", wrong)
        .await
        .problem(422, "invalid");
    daemon
        .post("/v1/snapshots/x/restore", json!({}))
        .await
        .problem(404, "not-found");
    let wrong = json!({"count": 0});
    let problem = daemon
        .post("/v1/snapshots/x/restore", wrong)
        .await
        .problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/count");
    daemon.end().await;
}
