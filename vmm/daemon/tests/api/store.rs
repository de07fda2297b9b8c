//! The database: damaged, of another version.

use crate::place::Place;
use paravane_daemon::check;
use std::fs;

#[tokio::test]
async fn a_damaged_database_is_told_and_left_alone() {
    let place = Place::new();
    let daemon = place.daemon().await;
    daemon.vm("web", "", false).await.expect(201);
    daemon.end().await;
    assert_eq!(check(&place.config("")).unwrap(), 1);
    let path = place.state_dir().join("state.redb");
    let whole = fs::read(&path).unwrap();
    let mut begin = whole.clone();
    begin[..64].fill(0xaa);
    let mut all = whole.clone();
    all[4096..].fill(0x55);
    let cut = whole[..whole.len() / 2].to_vec();
    let text = b"this is no database".to_vec();
    for (what, damaged) in [("begin", begin), ("all", all), ("cut", cut), ("text", text)] {
        fs::write(&path, &damaged).unwrap();
        let error = place.daemon_with(place.config("")).await.err();
        let error = error
            .unwrap_or_else(|| panic!("{what}: it is used"))
            .to_string();
        assert!(error.contains("is damaged"), "{what}: {error}");
        assert!(
            fs::read(&path).unwrap() == damaged,
            "{what}: it was changed"
        );
        let error = check(&place.config("")).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{what}: {error}");
    }
    fs::write(&path, whole).unwrap();
    let daemon = place.daemon().await;
    daemon.get("/v1/vms/web").await.expect(200);
    daemon.end().await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_not_used() {
    let place = Place::new();
    place.daemon().await.end().await;
    place.edit_meta("schema", 99);
    let error = place
        .daemon_with(place.config(""))
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("has schema version 99"), "{error}");
}
