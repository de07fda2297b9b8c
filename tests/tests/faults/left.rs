//! What is left in the state folder and on the host.

use paravane_api::Vm;
use paravane_api::snapshot::Snapshot;
use paravane_client::Client;
use paravane_daemon::cgroup::Hierarchy;
use paravane_tests::daemon::Place;
use paravane_tests::program;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a group may stay whose process has ended, and which a daemon has left that was killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What may be in a VM's folder, besides its log.
const FILES: [&str; 3] = ["control.sock", "exit.json", "plan.json"];

fn names(folder: &Path) -> BTreeSet<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect()
}

/// The folders are those of these VMs and snapshots, with nothing in them that nobody needs.
pub async fn check(place: &Place, vms: &[Vm], snapshots: &[Snapshot], client: &Client) {
    let known: BTreeSet<_> = client
        .all_snapshots()
        .await
        .unwrap()
        .into_iter()
        .map(|snapshot| snapshot.id)
        .collect();
    let expected: BTreeSet<_> = snapshots.iter().map(|one| one.id.clone()).collect();
    assert_eq!(known, expected);
    let state = place.state_dir();
    assert_eq!(names(&state.join("snapshots")), expected);
    assert_eq!(names(&state.join("images")), BTreeSet::new());
    let ids: BTreeSet<_> = vms.iter().map(|vm| vm.id.clone()).collect();
    for folder in names(&state.join("vms")) {
        assert!(ids.contains(&folder), "{folder} is of no VM");
        for file in names(&place.vm_folder(&folder)) {
            let fits = FILES.contains(&file.as_str())
                || file.starts_with("log") && file.ends_with(".jsonl");
            assert!(fits, "{file} is left of {folder}");
        }
    }
    check_top(place);
    // A group without processes is nobody's, and gone once the kernel is done with those.
    let begun = Instant::now();
    while let Some(group) = left_group() {
        assert!(begun.elapsed() < PATIENCE, "{group} is left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A control group that no process is in, if there is one.
fn left_group() -> Option<String> {
    // Where the daemon, which was started in the group of this process, makes them.
    let hierarchy = Hierarchy::find().ok()?;
    let names = hierarchy.names().into_iter().map(|(name, _)| name);
    let mut paths = names
        .filter(|name| name.starts_with("vm-"))
        .map(|name| hierarchy.own().join(name));
    let left = paths.find(|path| {
        // One that cannot be read has gone meanwhile.
        fs::read_to_string(path.join("cgroup.procs")).is_ok_and(|processes| processes.is_empty())
    })?;
    Some(left.display().to_string())
}

fn check_top(place: &Place) {
    let all = ["images", "lock", "snapshots", "state.redb", "vms"];
    assert_eq!(names(&place.state_dir()), all.map(str::to_string).into());
}

/// The database is sound and knows so many VMs.
pub fn check_database(place: &Place, vms: usize) {
    let mut command = place.command();
    program::end(command.arg("--check"))
        .exits(0)
        .says(&format!("the database is sound; it knows {vms} VMs"));
}

/// Nothing is left of VMs, images and snapshots.
pub fn check_empty(place: &Place) {
    for folder in ["images", "snapshots", "vms"] {
        assert_eq!(names(&place.state_dir().join(folder)), BTreeSet::new());
    }
    check_top(place);
    assert_eq!(place.vm_processes(), []);
}
