//! Snapshots that go from one daemon to another.

use crate::place::{Answer, Daemon, Place};
use hyper::Method;
use serde_json::json;
use std::fs;

async fn import(daemon: &Daemon, query: &str, archive: &[u8]) -> Answer {
    let headers = [("Content-Type", "application/octet-stream")];
    let path = format!("/v1/snapshots{query}");
    daemon.send(Method::POST, &path, &headers, archive).await
}

/// A daemon with a snapshot `base` of the VM `web`.
async fn with_snapshot(place: &Place, spec: serde_json::Value) -> Daemon {
    let daemon = place.daemon().await;
    let asked = json!({"spec": spec, "start": true});
    daemon.post("/v1/vms", asked).await.expect(201);
    let asked = json!({"name": "base"});
    daemon
        .post("/v1/vms/web/snapshots", asked)
        .await
        .expect(201);
    daemon
}

/// What is in the folder of snapshots.
fn folders(place: &Place) -> usize {
    fs::read_dir(place.state_dir().join("snapshots"))
        .unwrap()
        .count()
}

#[tokio::test]
async fn a_snapshot_goes_to_another_daemon() {
    let (here, there) = (Place::new(), Place::new());
    let daemon = with_snapshot(&here, json!({"name": "web"})).await;
    let exported = daemon.get("/v1/snapshots/base").await.expect(200);
    let archive = daemon.bytes("/v1/snapshots/base/archive").await;
    // A name belongs to one snapshot, here too.
    import(&daemon, "", &archive)
        .await
        .problem(409, "name-taken");
    let again = import(&daemon, "?name=again", &archive).await.expect(201);
    assert_ne!(again["id"], exported["id"]);
    daemon.delete("/v1/vms/web?force=true").await;
    daemon.end().await;

    let daemon = there.daemon().await;
    let answer = import(&daemon, "", &archive).await;
    let imported = answer.expect(201);
    let id = imported["id"].as_str().unwrap();
    assert_eq!(answer.headers["location"], format!("/v1/snapshots/{id}"));
    for field in ["name", "vm", "spec", "created_at", "size"] {
        assert_eq!(imported[field], exported[field], "{field}");
    }
    let listed = daemon.get("/v1/snapshots").await.expect(200);
    assert_eq!(listed["items"], json!([imported]));
    daemon.end().await;
    // It is there when the daemon is started again.
    let daemon = there.daemon().await;
    let devices = json!({"rng": {}});
    let asked = json!({"name": "clone", "devices": devices});
    let made = daemon
        .post("/v1/snapshots/base/restore", asked)
        .await
        .expect(201);
    let vm = &made["items"][0];
    assert_eq!(vm["spec"]["devices"], devices);
    let plan = there
        .state_dir()
        .join("vms")
        .join(vm["id"].as_str().unwrap());
    let plan = fs::read(plan.join("plan.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan).unwrap();
    let folder = plan["restore"].as_str().unwrap();
    assert_eq!(fs::read(format!("{folder}/memory")).unwrap(), b"memory");
    daemon.delete("/v1/vms/clone?force=true").await;
    daemon.end().await;
}

#[tokio::test]
async fn what_cannot_be_imported_is_told_and_leaves_nothing() {
    let (here, there) = (Place::new(), Place::new());
    let daemon = here.daemon().await;
    let headers = [("Content-Type", "application/octet-stream")];
    daemon
        .send(Method::POST, "/v1/images?name=kernel", &headers, "abc")
        .await
        .expect(201);
    daemon.end().await;
    let spec = json!({"name": "web", "image": "store:kernel"});
    let daemon = with_snapshot(&here, spec).await;
    let archive = daemon.bytes("/v1/snapshots/base/archive").await;
    daemon
        .get("/v1/snapshots/none/archive")
        .await
        .problem(404, "not-found");
    daemon.delete("/v1/vms/web?force=true").await;
    daemon.end().await;

    let limit = archive.len() + 100;
    let config = format!("[snapshots]\nmax_size = {limit}\n");
    let daemon = there.daemon_with(there.config(&config)).await.unwrap();
    import(&daemon, "", b"").await.problem(400, "bad-request");
    import(&daemon, "?name=A", &archive)
        .await
        .problem(400, "bad-request");
    let problem = import(&daemon, "", b"what is this?").await;
    let problem = problem.problem(422, "invalid");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("the archive is none of a snapshot: "));
    import(&daemon, "", &archive[..archive.len() - 1])
        .await
        .problem(422, "invalid");
    let longer = [&archive[..], &[0; 101]].concat();
    import(&daemon, "", &longer).await.problem(413, "too-large");
    // Its image is not here.
    let problem = import(&daemon, "", &archive).await.problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/spec/image");
    // They are removed beside everything else.
    while folders(&there) > 0 {
        tokio::task::yield_now().await;
    }
    daemon
        .send(Method::POST, "/v1/images", &headers, "abc")
        .await
        .expect(201);
    import(&daemon, "", &archive).await.expect(201);
    assert_eq!(folders(&there), 1);

    let wrong = json!({"devices": {"vsock": {"cid": 1}}});
    let problem = daemon.post("/v1/snapshots/base/restore", wrong).await;
    let problem = problem.problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/devices/vsock/cid");
    let wrong = json!({"devices": {"disks": [{"source": "store:none", "read_only": true}]}});
    let problem = daemon.post("/v1/snapshots/base/restore", wrong).await;
    let problem = problem.problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/devices/disks/0/source");
    daemon.end().await;
}
