//! What has to be when nothing goes wrong any more.

use crate::model::{Kills, Known};
use paravane_api::vm::StopVm;
use paravane_api::{Vm, VmState};
use paravane_client::{Client, VmFilter};
use paravane_tests::daemon::Place;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a VM may take to come into a state. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn all(client: &Client) -> Vec<Vm> {
    let mut all = client.all_vms(&VmFilter::default()).await.unwrap();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// There are the VMs that were acknowledged and no others, each in the state that was to come.
pub async fn check(client: &Client, known: &[Known], kills: &Kills) {
    let mut names: Vec<_> = known.iter().map(|vm| vm.name.as_str()).collect();
    names.sort_unstable();
    let there = all(client).await;
    let there: Vec<_> = there.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(there, names);
    for vm in known {
        let expected = vm.expected(kills);
        let waited = client.wait_vm(vm.reference(), &expected.states, Some(PATIENCE));
        let Some(found) = waited.await.unwrap() else {
            let found = client.show_vm(vm.reference()).await.unwrap();
            panic!("{vm:?} has to be {expected:?} and is {found:#?}");
        };
        let (from, to) = expected.starts;
        let fits = (from..=to).contains(&found.starts)
            && expected
                .process
                .is_none_or(|process| found.pid == Some(process));
        assert!(fits, "{vm:?} has to be {expected:?} and is {found:#?}");
    }
}

/// Stops those that are started again for ever. Gives all VMs as they then stay.
pub async fn end_restless(client: &Client, known: &[Known]) -> Vec<Vm> {
    for vm in known.iter().filter(|vm| vm.is_restless()) {
        let request = StopVm::default();
        let stopped = client.stop_vm(vm.reference(), &request).await.unwrap();
        assert!(!stopped.state.has_process(), "{stopped:#?}");
    }
    all(client).await
}

/// Each VM that has to have a process has this one, and there are no others.
pub fn check_processes(place: &Place, vms: &[Vm]) {
    let mut expected: Vec<_> = vms
        .iter()
        .filter(|vm| vm.state.has_process())
        .map(|vm| (vm.id.clone(), vm.pid))
        .collect();
    let processes = place.vm_processes().into_iter();
    let mut found: Vec<_> = processes.map(|one| (one.vm, Some(one.pid))).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

/// The figures are of these VMs.
pub async fn check_metrics(client: &Client, vms: &[Vm]) {
    let text = client.metrics().await.unwrap();
    for state in VmState::ALL {
        let count = vms.iter().filter(|vm| vm.state == state).count();
        let line = format!("paravane_vms{{state=\"{}\"}} {count}\n", state.name());
        assert!(text.contains(&line), "no {line:?} in\n{text}");
    }
    for vm in vms {
        let (name, id, state) = (&vm.name, &vm.id, vm.state.name());
        let line = format!("paravane_vm_state{{vm=\"{name}\",id=\"{id}\",state=\"{state}\"}} 1\n");
        assert!(text.contains(&line), "no {line:?} in\n{text}");
        let uptime = format!("paravane_vm_uptime_seconds{{vm=\"{name}\",id=\"{id}\"}}");
        assert_eq!(text.contains(&uptime), vm.state.has_process(), "{uptime}");
    }
    let states = text.matches("\nparavane_vm_state{").count();
    assert_eq!(states, vms.len(), "{text}");
    let info = client.info().await.unwrap();
    let mut counts = BTreeMap::new();
    for vm in vms {
        *counts.entry(vm.state.name().to_string()).or_insert(0) += 1;
    }
    assert_eq!(info.vms, counts);
}

/// Another daemon says the same of them.
pub async fn check_same(client: &Client, vms: &[Vm]) {
    let now = all(client).await;
    let told = |vm: &Vm| (vm.id.clone(), vm.name.clone(), vm.state, vm.starts, vm.pid);
    let now: Vec<_> = now.iter().map(told).collect();
    let before: Vec<_> = vms.iter().map(told).collect();
    assert_eq!(now, before);
}

/// Deletes all VMs and snapshots.
pub async fn delete_all(client: &Client) {
    for snapshot in client.all_snapshots().await.unwrap() {
        client.delete_snapshot(&snapshot.id).await.unwrap();
    }
    for vm in all(client).await {
        client.delete_vm(&vm.id, true).await.unwrap();
    }
}
