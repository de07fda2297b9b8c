//! `paravane vm show`.

use super::{OneArgs, state};
use crate::cli::client::human::{self, clean};
use crate::cli::exit_code::Failure;
use crate::cli::output::{print_text, to_json};
use paravane_api::Vm;
use paravane_api::spec::RestartPolicy;
use serde::Serialize;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::SystemTime;

/// Shows a VM.
pub async fn show(args: &OneArgs) -> Result<ExitCode, Failure> {
    let vm = args.common.client()?.show_vm(&args.vm).await?;
    print_text(&match args.common.json {
        true => to_json(&vm)?,
        false => describe(&vm, SystemTime::now()),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The VM, a fact a line.
fn describe(vm: &Vm, now: SystemTime) -> String {
    let mut facts = Facts::default();
    facts.add("name", &vm.name);
    facts.add("id", &vm.id);
    facts.add("state", &state(vm));
    let time = |time: &str| format!("{time} ({} ago)", human::ago(time, now));
    facts.add("created", &time(&vm.created_at));
    facts.add_if("started", vm.started_at.as_deref().map(time));
    facts.add("starts", &vm.starts.to_string());
    facts.add_if("process", vm.pid.map(|pid| pid.to_string()));
    facts.add_if("snapshot", vm.from_snapshot.clone());
    if let Some(running) = &vm.running {
        let start = human::nanoseconds(running.start_us.saturating_mul(1000));
        let how = format!("{}, {}, in {start}", running.privilege, running.carrier);
        facts.add("runs by", &how);
        let sandbox = &running.sandbox;
        let mut parts = vec![format!("uid {}", sandbox.uid)];
        parts.extend(
            sandbox
                .no_new_privileges
                .then(|| "no new privileges".to_string()),
        );
        parts.extend(sandbox.seccomp.then(|| "seccomp".to_string()));
        parts.extend(sandbox.landlock.map(|abi| format!("Landlock {abi}")));
        parts.extend(
            sandbox
                .cgroup
                .as_ref()
                .map(|group| format!("cgroup {group}")),
        );
        facts.add("sandbox", &parts.join(", "));
    }
    if let Some(ended) = &vm.ended {
        let what = format!(
            "{}: {}, code {}",
            time(&ended.at),
            word(&ended.kind),
            ended.exit_code
        );
        facts.add("ended", &what);
        facts.add_if("because", ended.message.clone());
    }
    facts.add_if("restarts at", vm.restart_at.clone());
    describe_spec(vm, &mut facts);
    facts.text
}

fn describe_spec(vm: &Vm, facts: &mut Facts) {
    let spec = &vm.spec;
    facts.add("image", &spec.image.0);
    facts.add_if("initrd", spec.initrd.clone());
    if !spec.command_line.is_empty() {
        facts.add("command line", &spec.command_line);
    }
    let resources = &spec.resources;
    facts.add("vCPUs", &resources.vcpus.to_string());
    facts.add("memory", &human::bytes(resources.memory));
    facts.add_if(
        "CPU weight",
        resources.cpu_weight.map(|weight| weight.to_string()),
    );
    facts.add_if(
        "CPU quota",
        resources.cpu_quota.map(|quota| format!("{quota} %")),
    );
    facts.add_if("CPUs", resources.cpus.clone());
    if spec.restart.policy != RestartPolicy::Never {
        facts.add("restart", &word(&spec.restart.policy));
    }
    for (key, value) in &spec.labels {
        facts.add("label", &format!("{key}={value}"));
    }
    let devices = &spec.devices;
    facts.add_each("disk", &devices.disks);
    facts.add_each("network", &devices.networks);
    facts.add_each("share", &devices.shares);
    facts.add_each("vsock", devices.vsock.as_slice());
    facts.add_each("port", &devices.ports);
    facts.add_each("rng", devices.rng.as_slice());
}

/// Lines of a name and what is said of it.
#[derive(Default)]
struct Facts {
    text: String,
}

impl Facts {
    fn add(&mut self, name: &str, value: &str) {
        // A String takes all.
        let _ = writeln!(self.text, "{name:<13} {}", clean(value));
    }

    fn add_if(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.add(name, &value);
        }
    }

    /// Adds a line for each device, as it is in a file of `paravane vm apply`.
    fn add_each(&mut self, name: &str, devices: &[impl Serialize]) {
        for device in devices {
            // They are made of texts and numbers, and so can be written.
            self.add(name, &serde_json::to_string(device).unwrap_or_default());
        }
    }
}

/// A word of the API's.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_is_described() {
        let now = humantime::parse_rfc3339_weak("2026-01-01T01:00:00Z").unwrap();
        let vm = serde_json::from_value::<Vm>(serde_json::json!({
            "id": "1", "name": "web", "state": "failed", "starts": 3, "failures": 1,
            "spec": {
                "command_line": "a b", "labels": {"app": "shop"},
                "restart": {"policy": "on-failure"},
                "devices": {"disks": [{"source": "/a.img"}], "rng": {}},
            },
            "created_at": "2026-01-01T00:00:00Z",
            "ended": {
                "at": "2026-01-01T00:59:30Z", "kind": "crash", "exit_code": 123,
                "message": "it\u{1b}crashed",
            },
        }));
        let expected = r#"name          web
id            1
state         failed (123)
created       2026-01-01T00:00:00Z (1h 0m ago)
starts        3
ended         2026-01-01T00:59:30Z (30s ago): crash, code 123
because       it\u{1b}crashed
image         builtin
command line  a b
vCPUs         1
memory        128 MiB
restart       on-failure
label         app=shop
disk          {"source":"/a.img","read_only":false,"direct":false}
rng           {}
"#;
        assert_eq!(describe(&vm.unwrap(), now), expected);
    }
}
