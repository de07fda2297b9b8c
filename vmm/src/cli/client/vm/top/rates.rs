//! What VMs do per second: two looks, and the time between them.

use super::Order;
use paravane_api::VmState;
use paravane_api::stats::{VmStats, VmStatsEntry};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Instant;

/// A look at all VMs.
#[derive(Debug)]
pub struct Sample {
    at: Instant,
    vms: Vec<VmStatsEntry>,
}

/// What a VM does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: VmState,
    /// Processor time of its process, in percent of one processor.
    pub cpu_percent: f64,
    /// Exits to the VMM a second.
    pub exits_per_second: f64,
    /// Hypercalls a second.
    pub hypercalls_per_second: f64,
    /// Time that its vCPUs were ready and the host ran something else, in percent of one
    /// processor.
    pub steal_percent: f64,
    /// What its process takes of the host's memory, in bytes.
    pub memory_bytes: u64,
    /// The guest's RAM, in bytes.
    pub ram_bytes: u64,
    /// Since the guest began to run, in nanoseconds.
    pub uptime_ns: u64,
}

/// What only grows while a VM's process lives.
#[derive(Clone, Copy, Default)]
struct Counters {
    cpu_ns: u64,
    exits: u64,
    hypercalls: u64,
    steal_ns: u64,
}

impl Counters {
    fn of(stats: &VmStats) -> Self {
        let sum = |counts: &mut dyn Iterator<Item = u64>| counts.fold(0, u64::saturating_add);
        let calls = stats.hypercalls.values();
        Self {
            cpu_ns: stats.cpu_ns,
            exits: sum(&mut stats.exits.values().copied()),
            hypercalls: sum(&mut calls.map(|call| call.latency.count)),
            steal_ns: sum(&mut stats.vcpus.iter().map(|vcpu| vcpu.steal_ns)),
        }
    }
}

impl Sample {
    /// A look that was just taken.
    pub fn now(vms: Vec<VmStatsEntry>) -> Self {
        Self {
            at: Instant::now(),
            vms,
        }
    }

    /// What each VM did since an earlier look.
    pub fn since(&self, before: &Self, order: Order) -> Vec<Row> {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64();
        let before: HashMap<_, _> = before.vms.iter().map(|vm| (&vm.id, vm)).collect();
        let rows = self.vms.iter();
        let mut rows: Vec<_> = rows
            .map(|vm| Row::new(vm, before.get(&vm.id).copied(), seconds))
            .collect();
        sort(&mut rows, order);
        rows
    }
}

impl Row {
    fn new(vm: &VmStatsEntry, before: Option<&VmStatsEntry>, seconds: f64) -> Self {
        let stats = vm.stats.as_ref();
        let now = stats.map(Counters::of).unwrap_or_default();
        let uptime_ns = stats.map_or(0, |stats| stats.uptime_ns);
        // The counters of a VM that was started anew began at 0.
        let before = before.and_then(|before| before.stats.as_ref());
        let before = before.filter(|before| before.uptime_ns <= uptime_ns);
        let known = before.is_some() && seconds > 0.0;
        let before = before.map(Counters::of).unwrap_or_default();
        // A VM that was not there before has no rate yet.
        let rate = |count: fn(&Counters) -> u64| match known {
            true => count(&now).saturating_sub(count(&before)) as f64 / seconds,
            false => 0.0,
        };
        /// Nanoseconds a second are so many times one percent.
        const PERCENT: f64 = 1e7;
        let memory = stats.map(|stats| stats.memory).unwrap_or_default();
        Self {
            id: vm.id.clone(),
            name: vm.name.clone(),
            state: vm.state,
            cpu_percent: rate(|counters| counters.cpu_ns) / PERCENT,
            exits_per_second: rate(|counters| counters.exits),
            hypercalls_per_second: rate(|counters| counters.hypercalls),
            steal_percent: rate(|counters| counters.steal_ns) / PERCENT,
            memory_bytes: memory.resident_ram.saturating_add(memory.overhead),
            ram_bytes: memory.ram,
            uptime_ns,
        }
    }
}

/// Sorts VMs, the greatest first, the same by name.
pub fn sort(rows: &mut [Row], order: Order) {
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let by = |figure: fn(&Row) -> f64| move |a: &Row, b: &Row| figure(b).total_cmp(&figure(a));
    match order {
        Order::Cpu => rows.sort_by(by(|row| row.cpu_percent)),
        Order::Exits => rows.sort_by(by(|row| row.exits_per_second)),
        Order::Calls => rows.sort_by(by(|row| row.hypercalls_per_second)),
        Order::Steal => rows.sort_by(by(|row| row.steal_percent)),
        Order::Memory => rows.sort_by_key(|row| Reverse(row.memory_bytes)),
        Order::Name => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn vm(name: &str, uptime: u64, cpu: u64, exits: u64) -> VmStatsEntry {
        let entry = serde_json::json!({
            "id": name, "name": name, "state": "running",
            "stats": {
                "uptime_ns": uptime, "cpu_ns": cpu, "console_bytes": 0, "devices": [],
                "exits": {"hlt": exits, "io": 1}, "hypercalls": {},
                "vcpus": [{"state": "blocked", "steal_ns": cpu / 2, "exits": exits}],
                "memory": {"ram": 100, "resident_ram": 10, "overhead": 5},
            },
        });
        serde_json::from_value(entry).unwrap()
    }

    fn rows(before: Vec<VmStatsEntry>, after: Vec<VmStatsEntry>, order: Order) -> Vec<Row> {
        let at = Instant::now();
        let before = Sample { at, vms: before };
        let at = at + Duration::from_secs(2);
        Sample { at, vms: after }.since(&before, order)
    }

    #[test]
    fn rates_are_per_second() {
        let row = rows(
            vec![vm("a", 1, 0, 100)],
            vec![vm("a", 2, 1_000_000_000, 300)],
            Order::Cpu,
        );
        let [row] = row.as_slice() else {
            panic!("{row:?}");
        };
        assert_eq!((row.cpu_percent, row.steal_percent), (50.0, 25.0));
        assert_eq!(row.exits_per_second, 100.0);
        assert_eq!((row.memory_bytes, row.ram_bytes), (15, 100));
    }

    #[test]
    fn what_began_anew_has_no_rate_yet() {
        let before = vec![vm("restarted", 9, 0, 0), vm("gone", 9, 0, 0)];
        let after = vec![vm("restarted", 2, 1, 5), vm("new", 2, 7, 5)];
        let rows = rows(before, after, Order::Exits);
        assert!(
            rows.iter().all(|row| row.exits_per_second == 0.0),
            "{rows:?}"
        );
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn the_greatest_is_first() {
        let before = vec![vm("b", 1, 0, 0), vm("a", 1, 0, 0), vm("c", 1, 0, 0)];
        let after = vec![vm("b", 2, 0, 9), vm("a", 2, 0, 9), vm("c", 2, 0, 10)];
        let names = |order| {
            let rows = rows(before.clone(), after.clone(), order);
            rows.into_iter().map(|row| row.name).collect::<String>()
        };
        assert_eq!(names(Order::Exits), "cab");
        assert_eq!(names(Order::Memory), "abc");
    }
}
