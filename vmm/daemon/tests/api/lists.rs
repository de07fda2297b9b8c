//! Pages and filters.

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
async fn vms_come_in_pages_in_the_order_of_their_creation() {
    let place = Place::new();
    let daemon = place.daemon().await;
    for name in ["e", "d", "c", "b", "a"] {
        daemon.vm(name, "", false).await.expect(201);
    }
    let first = daemon.get("/v1/vms?limit=2").await.expect(200);
    assert_eq!(names(&first), ["e", "d"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    // A page does not change by what is deleted before it.
    daemon.delete("/v1/vms/d").await;
    let second = daemon
        .get(&format!("/v1/vms?limit=2&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(names(&second), ["c", "b"]);
    let cursor = second["next_cursor"].as_str().unwrap();
    let last = daemon
        .get(&format!("/v1/vms?limit=2&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!((names(&last), last.get("next_cursor")), (vec!["a"], None));
    daemon.end().await;
}

#[tokio::test]
async fn vms_are_found_by_name_state_and_label() {
    let place = Place::new();
    let daemon = place.daemon().await;
    for (name, labels, start) in [
        ("a", json!({"tier": "web", "zone": "1"}), true),
        ("b", json!({"tier": "web"}), false),
        ("c", json!({"tier": "db", "zone": "1"}), false),
    ] {
        let spec = json!({"name": name, "labels": labels});
        let asked = json!({"spec": spec, "start": start});
        daemon.post("/v1/vms", asked).await.expect(201);
    }
    for (query, found) in [
        ("name=b", vec!["b"]),
        ("name=x", vec![]),
        ("state=running", vec!["a"]),
        ("state=stopped,running", vec!["a", "b", "c"]),
        ("state=stopped&state=running", vec!["a", "b", "c"]),
        ("label=zone", vec!["a", "c"]),
        ("label=tier%3Dweb", vec!["a", "b"]),
        ("label=tier=web&label=zone=1", vec!["a"]),
        ("label=tier=web&state=stopped", vec!["b"]),
    ] {
        let page = daemon.get(&format!("/v1/vms?{query}")).await.expect(200);
        assert_eq!(names(&page), found, "{query}");
    }
    daemon.post("/v1/vms/a/stop", json!({})).await.expect(200);
    daemon.end().await;
}
