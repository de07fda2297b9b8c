//! `paravane vm apply`.

use super::fake::Fake;
use super::{BAD_CONFIGURATION, fails, prints, say};
use serde_json::json;
use std::fs;

const SHOP: &str = r#"
labels = {app = "shop"}
[[vm]]
name = "web"
command_line = "old"
resources = {memory = "64M"}
[[vm]]
name = "db"
"#;

fn write(fake: &Fake, text: &str) -> String {
    let path = fake.folder().join("vms.toml");
    fs::write(&path, text).unwrap();
    format!("vm apply -f {}", path.display())
}

#[test]
fn applying_twice_changes_nothing() {
    let fake = Fake::start();
    let apply = write(&fake, SHOP);
    let would = "web: to be created, to be started\ndb: to be created, to be started\n";
    prints(&fake, &format!("{apply} --dry-run"), would);
    assert!(fake.states().is_empty());
    prints(
        &fake,
        &apply,
        "web: created, started\ndb: created, started\n",
    );
    let web = fake.vm("web");
    assert_eq!(web["spec"]["resources"]["memory"], 64 << 20);
    assert_eq!(web["spec"]["labels"], json!({"app": "shop"}));
    prints(&fake, &apply, "web: unchanged\ndb: unchanged\n");
    fake.set("db", "state", json!("failed"));
    prints(&fake, &apply, "web: unchanged\ndb: started\n");
}

#[test]
fn what_differs_is_changed_and_what_is_gone_removed() {
    let fake = Fake::start();
    say(&fake, &write(&fake, SHOP));
    fake.add("other", "running");
    let apply = write(&fake, &SHOP.replace("old", "new").replace("db", "cache"));
    let said = say(&fake, &apply);
    assert_eq!(said.stdout, "web: updated\ncache: created, started\n");
    assert_eq!(
        said.stderr,
        "paravane: web goes on as it is; what has changed holds from its next start on \
         (--restart)\n"
    );
    assert_eq!(fake.vm("web")["spec"]["command_line"], "new");
    let pruned = "web: unchanged\ncache: unchanged\ndb: removed\n";
    prints(&fake, &format!("{apply} --prune"), pruned);
    let names: Vec<_> = fake.states().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["web", "other", "cache"]);
    let said = say(&fake, &format!("{apply} --json"));
    assert_eq!(
        said.json()[0],
        json!({"name": "web", "actions": [], "done": true})
    );
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    let fake = Fake::start();
    let apply = write(
        &fake,
        "[[vm]]\nname = \"a\"\n[[vm]]\nname = \"b\"\nresources = {memory = \"1\"}",
    );
    let path = fake.folder().join("vms.toml");
    let sentence = format!(
        "{}: the VM b: memory = \"1\": a VM's memory is a multiple of 4096 bytes",
        path.display()
    );
    fails(&fake, &apply, BAD_CONFIGURATION, &sentence);
    let apply = write(&fake, "[[vm]]\nname = \"a\"");
    let sentence = format!(
        "--prune deletes VMs by the labels of the file, and {} has none; write some at its top, \
         as in labels = {{app = \"shop\"}}",
        path.display()
    );
    fails(
        &fake,
        &format!("{apply} --prune"),
        BAD_CONFIGURATION,
        &sentence,
    );
    assert!(fake.states().is_empty());
}
