//! docs/openapi.json is what the daemon serves.

use crate::place::Place;

#[test]
fn the_document_is_the_one_in_docs() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == paravane_daemon::openapi::document(),
        "docs/openapi.json is not what the code says; write it anew with `cargo run -p \
         paravane-daemon --example openapi > docs/openapi.json`"
    );
}

#[tokio::test]
async fn the_document_is_served() {
    let place = Place::new();
    let daemon = place.daemon().await;
    let served = daemon.get("/openapi.json").await.expect(200);
    let kept = serde_json::from_str::<serde_json::Value>(&paravane_daemon::openapi::document());
    assert_eq!(served, kept.unwrap());
    daemon.end().await;
}
