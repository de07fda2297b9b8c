//! What is to be done so that VMs are as a file says.

use super::file::{File, STORE};
use paravane_api::image::StoredImage;
use paravane_api::{Vm, VmSpec, VmState};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is wanted beside what is in the file.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// VMs that do not run are started.
    pub start: bool,
    /// VMs that run by another spec are started anew.
    pub restart: bool,
    /// VMs with the file's labels that are not in it are deleted.
    pub prune: bool,
}

/// Something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The VM is created.
    Create,
    /// Its spec is changed.
    Update,
    /// It is stopped.
    Stop,
    /// It is started.
    Start,
    /// It is resumed.
    Resume,
    /// It is deleted.
    Remove,
}

impl Action {
    /// The action in a word, done or to do.
    pub fn word(self, done: bool) -> &'static str {
        match (self, done) {
            (Self::Create, true) => "created",
            (Self::Create, false) => "to be created",
            (Self::Update, true) => "updated",
            (Self::Update, false) => "to be updated",
            (Self::Stop, true) => "stopped",
            (Self::Stop, false) => "to be stopped",
            (Self::Start, true) => "started",
            (Self::Start, false) => "to be started",
            (Self::Resume, true) => "resumed",
            (Self::Resume, false) => "to be resumed",
            (Self::Remove, true) => "removed",
            (Self::Remove, false) => "to be removed",
        }
    }
}

/// What is to be done about a VM, in order.
#[derive(Debug, PartialEq)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Its id, if it is there.
    pub id: Option<String>,
    /// Its spec as it should be.
    pub spec: VmSpec,
    /// What is to be done; nothing if it is as it should be.
    pub actions: Vec<Action>,
    /// It runs on by its old spec.
    pub is_later: bool,
}

/// Compares a file with the VMs that there are.
pub fn plan(file: File, vms: &[Vm], images: &[StoredImage], wishes: Wishes) -> Vec<Step> {
    let mut steps: Vec<_> = file
        .vms
        .into_iter()
        .map(|spec| {
            let name = spec.name.clone().unwrap_or_default();
            let vm = vms.iter().find(|vm| vm.name == name);
            step(name, spec, vm, images, wishes)
        })
        .collect();
    if wishes.prune {
        let is_known = |vm: &&Vm| steps.iter().any(|step| step.name == vm.name);
        let old = vms
            .iter()
            .filter(|vm| !is_known(vm) && has(vm, &file.labels));
        let old: Vec<_> = old.map(removal).collect();
        steps.extend(old);
    }
    steps
}

fn has(vm: &Vm, labels: &BTreeMap<String, String>) -> bool {
    let of_vm = &vm.spec.labels;
    labels
        .iter()
        .all(|(key, value)| of_vm.get(key) == Some(value))
}

fn removal(vm: &Vm) -> Step {
    Step {
        name: vm.name.clone(),
        id: Some(vm.id.clone()),
        spec: vm.spec.clone(),
        actions: vec![Action::Remove],
        is_later: false,
    }
}

fn step(
    name: String,
    spec: VmSpec,
    vm: Option<&Vm>,
    images: &[StoredImage],
    wishes: Wishes,
) -> Step {
    let mut actions = Vec::new();
    let mut is_later = false;
    match vm {
        None => {
            actions.push(Action::Create);
            actions.extend(wishes.start.then_some(Action::Start));
        }
        Some(vm) => {
            let differs = resolved(&spec, images) != resolved(&vm.spec, images);
            actions.extend(differs.then_some(Action::Update));
            let needs_start = needs_start(&vm.spec, &spec) && vm.state.has_process();
            match vm.state {
                _ if differs && needs_start && wishes.restart => {
                    actions.extend([Action::Stop, Action::Start]);
                }
                VmState::Stopped | VmState::Failed | VmState::Lost if wishes.start => {
                    actions.push(Action::Start);
                }
                VmState::Paused if wishes.start => actions.push(Action::Resume),
                _ => {}
            }
            is_later = differs && needs_start && !wishes.restart;
        }
    }
    Step {
        name,
        id: vm.map(|vm| vm.id.clone()),
        spec,
        actions,
        is_later,
    }
}

/// Whether what differs is more than what holds at once.
fn needs_start(old: &VmSpec, new: &VmSpec) -> bool {
    let rest = |spec: &VmSpec| VmSpec {
        labels: BTreeMap::new(),
        restart: Default::default(),
        ..spec.clone()
    };
    rest(old) != rest(new)
}

/// The spec with the names of stored images replaced by what they lead to, as the daemon does.
fn resolved(spec: &VmSpec, images: &[StoredImage]) -> VmSpec {
    let mut spec = spec.clone();
    let resolve = |name: &mut String| {
        let stored = name.strip_prefix(STORE);
        let image = stored.and_then(|stored| {
            let mut images = images.iter();
            images.find(|image| image.names.iter().any(|name| name == stored))
        });
        if let Some(image) = image {
            name.clone_from(&image.digest);
        }
    };
    resolve(&mut spec.image.0);
    spec.initrd.iter_mut().for_each(resolve);
    let disks = spec.devices.disks.iter_mut();
    disks.map(|disk| &mut disk.source).for_each(resolve);
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wishes = Wishes {
        start: true,
        restart: false,
        prune: true,
    };

    fn vm(name: &str, state: &str, spec: serde_json::Value) -> Vm {
        let vm = serde_json::json!({
            "id": format!("id-{name}"), "name": name, "state": state, "spec": spec,
            "created_at": "T", "starts": 1, "failures": 0,
        });
        serde_json::from_value(vm).unwrap()
    }

    fn spec(spec: serde_json::Value) -> VmSpec {
        serde_json::from_value(spec).unwrap()
    }

    /// What is to be done about one VM that should be like this.
    fn actions(wanted: serde_json::Value, vms: &[Vm], wishes: Wishes) -> (Vec<Action>, bool) {
        let file = File {
            labels: BTreeMap::new(),
            vms: vec![spec(wanted)],
        };
        let images = serde_json::json!([{
            "digest": "sha256:1", "size": 1, "names": ["a", "b"], "added_at": "T", "kind": "guest",
        }]);
        let images: Vec<_> = serde_json::from_value(images).unwrap();
        let mut steps = plan(
            file,
            vms,
            &images,
            Wishes {
                prune: false,
                ..wishes
            },
        );
        let step = steps.remove(0);
        (step.actions, step.is_later)
    }

    #[test]
    fn what_is_missing_is_created() {
        let wanted = || serde_json::json!({"name": "a"});
        let made = actions(wanted(), &[], ALL);
        assert_eq!(made, (vec![Action::Create, Action::Start], false));
        let wishes = Wishes {
            start: false,
            ..ALL
        };
        assert_eq!(
            actions(wanted(), &[], wishes),
            (vec![Action::Create], false)
        );
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let wanted = serde_json::json!({"name": "a", "image": "store:b"});
        let there = serde_json::json!({"name": "a", "image": "sha256:1"});
        let vms = [vm("a", "running", there)];
        assert_eq!(actions(wanted, &vms, ALL), (vec![], false));
    }

    #[test]
    fn what_does_not_run_is_started() {
        let wanted = || serde_json::json!({"name": "a"});
        for (state, expected) in [
            ("stopped", vec![Action::Start]),
            ("failed", vec![Action::Start]),
            ("lost", vec![Action::Start]),
            ("paused", vec![Action::Resume]),
            ("restarting", vec![]),
            ("starting", vec![]),
        ] {
            let vms = [vm("a", state, wanted())];
            assert_eq!(actions(wanted(), &vms, ALL), (expected, false), "{state}");
            let wishes = Wishes {
                start: false,
                ..ALL
            };
            assert_eq!(actions(wanted(), &vms, wishes), (vec![], false), "{state}");
        }
    }

    #[test]
    fn a_change_holds_from_the_next_start_on() {
        let wanted = || serde_json::json!({"name": "a", "command_line": "new"});
        let there = || serde_json::json!({"name": "a"});
        let running = [vm("a", "running", there())];
        let updated = actions(wanted(), &running, ALL);
        assert_eq!(updated, (vec![Action::Update], true));
        let wishes = Wishes {
            restart: true,
            ..ALL
        };
        let expected = vec![Action::Update, Action::Stop, Action::Start];
        assert_eq!(actions(wanted(), &running, wishes), (expected, false));
        let stopped = [vm("a", "stopped", there())];
        let expected = vec![Action::Update, Action::Start];
        assert_eq!(actions(wanted(), &stopped, wishes), (expected, false));
    }

    #[test]
    fn labels_and_restart_policy_hold_at_once() {
        let wanted = serde_json::json!({
            "name": "a", "labels": {"app": "shop"}, "restart": {"policy": "always"},
        });
        let running = [vm("a", "running", serde_json::json!({"name": "a"}))];
        let wishes = Wishes {
            restart: true,
            ..ALL
        };
        assert_eq!(
            actions(wanted, &running, wishes),
            (vec![Action::Update], false)
        );
    }

    #[test]
    fn what_is_not_in_the_file_goes_by_its_labels() {
        let labels = BTreeMap::from([("app".to_string(), "shop".to_string())]);
        let of_shop = serde_json::json!({"labels": {"app": "shop", "tier": "1"}});
        let vms = [
            vm("kept", "running", of_shop.clone()),
            vm("old", "running", of_shop),
            vm(
                "other",
                "running",
                serde_json::json!({"labels": {"app": "game"}}),
            ),
        ];
        let file = || File {
            labels: labels.clone(),
            vms: vec![spec(
                serde_json::json!({"name": "kept", "labels": {"app": "shop", "tier": "1"}}),
            )],
        };
        let names = |wishes| {
            let steps = plan(file(), &vms, &[], wishes).into_iter();
            let removed = steps.filter(|step| step.actions == [Action::Remove]);
            removed.map(|step| step.name).collect::<Vec<_>>()
        };
        assert_eq!(names(ALL), ["old"]);
        assert!(
            names(Wishes {
                prune: false,
                ..ALL
            })
            .is_empty()
        );
    }
}
