//! The store of images.

use crate::place::{Answer, Daemon, Place};
use hyper::Method;
use serde_json::json;
use std::fs;

/// The SHA-256 of `abc` (FIPS 180-2, appendix B.1).
const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

async fn add(daemon: &Daemon, name: &str, bytes: &str) -> Answer {
    let headers = [("Content-Type", "application/octet-stream")];
    let path = format!("/v1/images?name={name}");
    daemon.send(Method::POST, &path, &headers, bytes).await
}

#[tokio::test]
async fn an_image_is_added_found_used_and_removed() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let added = add(&daemon, "kernel", "abc").await;
    let image = added.expect(201);
    assert_eq!((&image["digest"], &image["size"]), (&json!(ABC), &json!(3)));
    assert_eq!(added.headers["location"], format!("/v1/images/{ABC}"));
    assert_eq!(daemon.get("/v1/images/kernel").await.expect(200), image);
    assert_eq!(
        daemon
            .get(&format!("/v1/images/{ABC}?verify=true"))
            .await
            .expect(200),
        image
    );
    assert_eq!(
        daemon.get("/v1/images").await.expect(200)["items"],
        json!([image])
    );

    let spec = json!({"name": "web", "image": "store:kernel"});
    let vm = daemon
        .post("/v1/vms", json!({"spec": spec, "start": true}))
        .await
        .expect(201);
    assert_eq!(vm["spec"]["image"], ABC);
    let id = vm["id"].as_str().unwrap();
    let plan = fs::read(place.state_dir().join("vms").join(id).join("plan.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan).unwrap();
    let file = plan["spec"]["image"].as_str().unwrap();
    assert_eq!(fs::read(file).unwrap(), b"abc");

    // The name leads elsewhere, the VM's image stays.
    add(&daemon, "kernel", "other").await.expect(201);
    assert_eq!(
        daemon.get(&format!("/v1/images/{ABC}")).await.expect(200)["names"],
        json!([])
    );
    let problem = daemon
        .delete(&format!("/v1/images/{ABC}"))
        .await
        .problem(409, "in-use");
    assert!(
        problem["detail"].as_str().unwrap().contains("the VM web"),
        "{problem}"
    );
    daemon.delete("/v1/vms/web?force=true").await;
    assert_eq!(
        daemon.delete(&format!("/v1/images/{ABC}")).await.status,
        204
    );
    assert!(!fs::exists(file).unwrap());
    daemon
        .get(&format!("/v1/images/{ABC}"))
        .await
        .problem(404, "not-found");
    daemon.end().await;
    let daemon = place.daemon().await;
    assert_eq!(daemon.get("/v1/images/kernel").await.expect(200)["size"], 5);
    daemon.end().await;
}

#[tokio::test]
async fn an_image_that_is_damaged_is_not_used() {
    let place = Place::new();
    let daemon = place.daemon().await;
    add(&daemon, "kernel", "abc").await.expect(201);
    let file = place
        .state_dir()
        .join("images")
        .join(&ABC["sha256:".len()..]);
    fs::remove_file(&file).unwrap();
    fs::write(&file, "abd").unwrap();
    let problem = daemon.get("/v1/images/kernel?verify=true").await;
    let problem = problem.problem(422, "operation-failed");
    assert!(
        problem["detail"].as_str().unwrap().contains("is damaged"),
        "{problem}"
    );
    let spec = json!({"image": "store:kernel"});
    let failed = daemon
        .post("/v1/vms", json!({"spec": spec, "start": true}))
        .await;
    let problem = failed.problem(422, "start-failed");
    assert!(
        problem["detail"].as_str().unwrap().contains("is damaged"),
        "{problem}"
    );
    // The same image again is whole again.
    add(&daemon, "kernel", "abc").await.expect(201);
    daemon
        .get("/v1/images/kernel?verify=true")
        .await
        .expect(200);
    daemon.end().await;
}

#[tokio::test]
async fn what_is_no_image_is_told() {
    let place = Place::new();
    let config = place.config("[images]\nmax_size = 10");
    let daemon = place.daemon_with(config).await.unwrap();
    add(&daemon, "big", "12345678901")
        .await
        .problem(413, "too-large");
    add(&daemon, ".x", "abc").await.problem(400, "bad-request");
    add(&daemon, "empty", "").await.problem(400, "bad-request");
    let left = fs::read_dir(place.state_dir().join("images"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
    let spec = json!({"image": "store:none"});
    let problem = daemon
        .post("/v1/vms", json!({"spec": spec}))
        .await
        .problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/spec/image");
    daemon.end().await;
}
