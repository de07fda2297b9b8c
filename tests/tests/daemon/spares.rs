//! Processes that wait for VMs.

use crate::vms::{request, run};
use paravane_api::vm::EndKind;
use paravane_api::{Vm, VmState};
use paravane_tests::daemon::{Daemon, Place, VmProcess, signal};
use paravane_tests::program;
use rustix::process::{Pid, Signal, getpriority_process, getsid};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// How long something may take that is waited for. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);

/// A daemon that keeps so many.
fn daemon(place: &Place, spares: u32) -> Daemon {
    let text = format!("[limits]\nspare_processes = {spares}\n");
    let config = place.file("daemon.toml", text);
    let mut command = place.command();
    place
        .start(command.arg("--config").arg(config))
        .expect("a daemon begins")
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what} does not come");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until the daemon keeps so many ready, and gives them.
async fn ready(place: &Place, count: usize) -> Vec<u32> {
    let client = place.client();
    let line = format!("\nparavane_daemon_spare_processes {count}\n");
    let mut found = Vec::new();
    until("the number of spare processes", async || {
        let is_told = client.metrics().await.unwrap().contains(&line);
        // One that has just been made has no command line yet.
        found = place.spare_processes();
        is_told && found.len() == count
    })
    .await;
    found
}

fn lives(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn number(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).unwrap())
}

/// What a VM's process is to others, without what is another's for each VM.
#[derive(Debug, PartialEq)]
struct Seen {
    has_session: bool,
    nice: i32,
    descriptors: BTreeSet<String>,
    variables: BTreeSet<String>,
    status: Vec<String>,
    confined: (bool, String, String),
}

impl Seen {
    fn of(vm: &Vm) -> Self {
        let pid = vm.pid.unwrap();
        let path = |name: &str| format!("/proc/{pid}/{name}");
        let text = |name: &str| fs::read_to_string(path(name)).unwrap();
        let descriptors = fs::read_dir(path("fd")).unwrap().filter_map(|entry| {
            // One that is closed just now is none.
            let target = fs::read_link(entry.unwrap().path()).ok()?;
            let target = target.to_str().unwrap();
            let target = target.replace(&format!("/proc/{pid}/"), "/proc/self/");
            // Each socket has a number of its own, and each VM a log.
            let kind = target.split(":[").next().unwrap();
            (!kind.contains(&vm.id)).then(|| kind.to_string())
        });
        let variables = text("environ");
        let variables = variables
            .split('\0')
            .map(|one| one.split('=').next().unwrap());
        let status = text("status");
        let told = ["Seccomp:", "NoNewPrivs:", "CapEff:", "CapBnd:", "Umask:"];
        let status = status
            .lines()
            .filter(|line| told.iter().any(|name| line.starts_with(name)));
        let sandbox = &vm.running.as_ref().unwrap().sandbox;
        Self {
            has_session: getsid(number(pid)).unwrap() == number(pid).unwrap(),
            nice: getpriority_process(number(pid)).unwrap(),
            descriptors: descriptors.collect(),
            variables: variables.map(str::to_string).collect(),
            status: status.map(str::to_string).collect(),
            confined: (
                sandbox.no_new_privileges,
                format!("{:?}", sandbox.seccomp),
                format!("{:?}", sandbox.landlock),
            ),
        }
    }
}

#[tokio::test]
async fn a_vm_whose_process_waited_runs_as_any_other() {
    if !program::has_local_kvm("a_vm_whose_process_waited_runs_as_any_other") {
        return;
    }
    let place = Place::new();
    let client = place.client();
    // The first has no spare processes.
    let first = daemon(&place, 0);
    let spawned = run(&client, "spawned", "idle").await;
    ready(&place, 0).await;
    assert!(first.end().success());

    let second = daemon(&place, 2);
    let waiting = ready(&place, 2).await;
    let taken = run(&client, "taken", "idle").await;
    let pid = taken.pid.unwrap();
    assert!(waiting.contains(&pid), "{pid} is none of {waiting:?}");
    let shown = VmProcess {
        pid,
        vm: taken.id.clone(),
    };
    let processes = place.vm_processes();
    assert!(processes.contains(&shown), "{processes:?}");
    let seen = Seen::of(&taken);
    assert!(seen.has_session);
    assert_eq!(seen.nice, 10);
    assert_eq!(seen, Seen::of(&spawned));

    // There is another in its place, and more VMs than wait can start at once.
    ready(&place, 2).await;
    let names = ["a", "b", "c", "d"];
    let started = names.map(|name| run(&client, name, "idle"));
    let started = futures_util::future::join_all(started).await;
    assert!(started.iter().all(|vm| vm.state == VmState::Running));
    for vm in started.iter().chain([&spawned, &taken]) {
        client.delete_vm(&vm.id, true).await.unwrap();
    }
    ready(&place, 2).await;
    assert!(second.end().success());
    assert!(place.spare_processes().is_empty());
}

#[tokio::test]
async fn processes_that_wait_end_with_a_daemon_that_is_killed() {
    if !program::has_local_kvm("processes_that_wait_end_with_a_daemon_that_is_killed") {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let first = daemon(&place, 3);
    ready(&place, 3).await;
    let vm = run(&client, "taken", "idle").await;
    first.kill();
    until("the end", async || place.spare_processes().is_empty()).await;
    // The VM's process needs no daemon, whatever it was before.
    let second = daemon(&place, 0);
    client.ready().await.unwrap();
    let seen = client.show_vm("taken").await.unwrap();
    assert_eq!((seen.state, seen.pid), (VmState::Running, vm.pid));
    client.delete_vm("taken", true).await.unwrap();
    assert!(second.end().success());
}

#[tokio::test]
async fn a_start_does_without_processes_that_have_ended() {
    if !program::has_local_kvm("a_start_does_without_processes_that_have_ended") {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let daemon = daemon(&place, 2);
    let waiting = ready(&place, 2).await;
    for pid in &waiting {
        signal(*pid, Signal::KILL).unwrap();
    }
    until("the end", async || !waiting.iter().any(|pid| lives(*pid))).await;
    let vm = run(&client, "first", "idle").await;
    assert_eq!(vm.state, VmState::Running);
    assert!(!waiting.contains(&vm.pid.unwrap()));
    client.delete_vm("first", true).await.unwrap();
    // They are replaced.
    ready(&place, 2).await;
    assert!(daemon.end().success());
}

#[tokio::test]
async fn a_process_that_ends_before_it_looks_at_its_vm_was_the_vms() {
    if !program::has_local_kvm("a_process_that_ends_before_it_looks_at_its_vm_was_the_vms") {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let daemon = daemon(&place, 1);
    let waiting = ready(&place, 1).await[0];
    signal(waiting, Signal::STOP).unwrap();
    let create = tokio::spawn({
        let client = client.clone();
        async move { client.create_vm(&request("late", "idle")).await }
    });
    until("the start", async || {
        let vm = client.show_vm("late").await;
        vm.is_ok_and(|vm| vm.pid == Some(waiting))
    })
    .await;
    signal(waiting, Signal::KILL).unwrap();
    // Whether this waits for the guest is told elsewhere.
    let _ = create.await.unwrap();
    until("the end", async || {
        client.show_vm("late").await.unwrap().state == VmState::Failed
    })
    .await;
    let seen = client.show_vm("late").await.unwrap();
    assert_eq!(seen.ended.unwrap().kind, EndKind::Killed);
    client.start_vm("late").await.unwrap();
    client.delete_vm("late", true).await.unwrap();
    assert!(daemon.end().success());
}
