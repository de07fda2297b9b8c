//! The client knows the operations of the API's description, and no others.

use paravane_client::operation::ALL;
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn the_operations_are_those_of_the_description() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let text = std::fs::read_to_string(path).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let known: BTreeSet<_> = ALL
        .iter()
        // The description does not describe itself.
        .filter(|operation| operation.path != "/openapi.json")
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .collect();
    assert_eq!(known.len() + 1, ALL.len(), "an operation is there twice");
    assert_eq!(known, described);
}
