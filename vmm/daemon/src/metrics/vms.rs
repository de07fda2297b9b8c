//! Figures of VMs, each and in all.

use super::text::{Kind, Text, add, seconds};
use paravane_api::stats::{DeviceStats, Histogram, VmStats, VmStatsEntry};
use paravane_api::vm::VmState;
use std::collections::BTreeMap;

/// Writes those of all VMs. A VM that has no process, or has not said what it does, has only a
/// state.
pub fn vms(entries: &[VmStatsEntry], text: &mut Text) {
    states(entries, text);
    let known: Vec<Known<'_>> = entries
        .iter()
        .filter_map(|entry| {
            let stats = entry.stats.as_ref()?;
            let labels = [("vm", entry.name.as_str()), ("id", entry.id.as_str())];
            Some(Known { labels, stats })
        })
        .collect();
    exits(&known, text);
    hypercalls(&known, text);
    simple(&known, text);
    memory(&known, text);
    steal(&known, text);
    devices(&known, text);
}

/// A figure of a thing.
type Of<T> = fn(&T) -> u64;

struct Known<'a> {
    labels: [(&'a str, &'a str); 2],
    stats: &'a VmStats,
}

impl<'a> Known<'a> {
    fn with(&self, name: &'a str, value: &'a str) -> [(&'a str, &'a str); 3] {
        let [vm, id] = self.labels;
        [vm, id, (name, value)]
    }
}

fn states(entries: &[VmStatsEntry], text: &mut Text) {
    text.family("paravane_vms", Kind::Gauge, "VMs in a state");
    for state in VmState::ALL {
        let count = entries.iter().filter(|entry| entry.state == state).count();
        text.figure(&[("state", state.name())], count);
    }
    text.family(
        "paravane_vm_state",
        Kind::Gauge,
        "1 for the state that a VM is in",
    );
    for VmStatsEntry {
        id, name, state, ..
    } in entries
    {
        text.figure(&[("vm", name), ("id", id), ("state", state.name())], 1);
    }
}

fn exits(known: &[Known<'_>], text: &mut Text) {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    let name = "paravane_vm_exits_total";
    text.family(name, Kind::Counter, "Exits of a VM to the VMM by reason");
    for vm in known {
        for (reason, count) in &vm.stats.exits {
            text.figure(&vm.with("reason", reason), count);
            let sum = all.entry(reason).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
    text.family(
        "paravane_exits",
        Kind::Gauge,
        "Exits by reason of all VMs that run",
    );
    for (reason, count) in all {
        text.figure(&[("reason", reason)], count);
    }
}

fn hypercalls(known: &[Known<'_>], text: &mut Text) {
    let name = "paravane_vm_hypercalls_total";
    text.family(name, Kind::Counter, "Hypercalls of a VM by call");
    for vm in known {
        for (call, stats) in &vm.stats.hypercalls {
            text.figure(&vm.with("call", call), stats.latency.count);
        }
    }
    let mut all = Histogram::default();
    let name = "paravane_vm_hypercall_seconds";
    text.family(name, Kind::Histogram, "Times that hypercalls of a VM took");
    for vm in known {
        let mut sum = Histogram::default();
        for stats in vm.stats.hypercalls.values() {
            add(&mut sum, &stats.latency);
        }
        text.histogram(&vm.labels, &sum);
        add(&mut all, &sum);
    }
    let name = "paravane_hypercall_seconds";
    text.family(
        name,
        Kind::Histogram,
        "Times that hypercalls took, of all VMs that run",
    );
    text.histogram(&[], &all);
}

fn simple(known: &[Known<'_>], text: &mut Text) {
    let name = "paravane_vm_uptime_seconds";
    text.family(name, Kind::Gauge, "How long a guest has run");
    for vm in known {
        text.figure(&vm.labels, seconds(vm.stats.uptime_ns));
    }
    let name = "paravane_vm_cpu_seconds_total";
    text.family(name, Kind::Counter, "Processor time of a VM's process");
    for vm in known {
        text.figure(&vm.labels, seconds(vm.stats.cpu_ns));
    }
    let name = "paravane_cpu_seconds";
    text.family(name, Kind::Gauge, "Processor time of all VMs that run");
    text.figure(
        &[],
        known.iter().map(|vm| seconds(vm.stats.cpu_ns)).sum::<f64>(),
    );
    let name = "paravane_vm_console_bytes_total";
    text.family(
        name,
        Kind::Counter,
        "Bytes that a guest wrote to its console",
    );
    for vm in known {
        text.figure(&vm.labels, vm.stats.console_bytes);
    }
}

fn memory(known: &[Known<'_>], text: &mut Text) {
    let kinds: [(&str, Of<VmStats>); 3] = [
        ("ram", |stats| stats.memory.ram),
        ("resident_ram", |stats| stats.memory.resident_ram),
        ("overhead", |stats| stats.memory.overhead),
    ];
    let name = "paravane_vm_memory_bytes";
    text.family(
        name,
        Kind::Gauge,
        "Memory of a VM: RAM, what of it the host gave, and the rest",
    );
    for vm in known {
        for (kind, of) in kinds {
            text.figure(&vm.with("kind", kind), of(vm.stats));
        }
    }
    let name = "paravane_memory_bytes";
    text.family(name, Kind::Gauge, "Memory of all VMs that run");
    for (kind, of) in kinds {
        let sum = known
            .iter()
            .fold(0u64, |sum, vm| sum.saturating_add(of(vm.stats)));
        text.figure(&[("kind", kind)], sum);
    }
}

fn steal(known: &[Known<'_>], text: &mut Text) {
    let name = "paravane_vm_steal_seconds_total";
    text.family(
        name,
        Kind::Counter,
        "Time that a vCPU was ready and the host ran something else",
    );
    for vm in known {
        for (number, vcpu) in vm.stats.vcpus.iter().enumerate() {
            text.figure(
                &vm.with("vcpu", &number.to_string()),
                seconds(vcpu.steal_ns),
            );
        }
    }
}

fn devices(known: &[Known<'_>], text: &mut Text) {
    let families: [(&'static str, &str, Of<DeviceStats>); 6] = [
        (
            "paravane_vm_device_requests_total",
            "Requests of a device",
            |d| d.requests,
        ),
        (
            "paravane_vm_device_bytes_from_guest_total",
            "Bytes that a device took from the guest",
            |d| d.bytes_from_guest,
        ),
        (
            "paravane_vm_device_bytes_to_guest_total",
            "Bytes that a device gave the guest",
            |d| d.bytes_to_guest,
        ),
        (
            "paravane_vm_device_doorbells_total",
            "Doorbells that rang",
            |d| d.doorbells,
        ),
        (
            "paravane_vm_device_notifications_total",
            "Notifications of the guest",
            |d| d.notifications,
        ),
        (
            "paravane_vm_device_suppressed_notifications_total",
            "Notifications that were not needed",
            |d| d.suppressed_notifications,
        ),
    ];
    for (name, help, of) in families {
        text.family(name, Kind::Counter, help);
        each_device(known, |labels, device| text.figure(labels, of(device)));
    }
    let name = "paravane_vm_device_request_seconds";
    text.family(
        name,
        Kind::Histogram,
        "Times that requests of a device took",
    );
    each_device(known, |labels, device| {
        text.histogram(labels, &device.latency)
    });
}

fn each_device(known: &[Known<'_>], mut take: impl FnMut(&[(&str, &str)], &DeviceStats)) {
    for vm in known {
        for device in &vm.stats.devices {
            let [name, id] = vm.labels;
            take(
                &[name, id, ("device", &device.id), ("kind", &device.kind)],
                device,
            );
        }
    }
}
