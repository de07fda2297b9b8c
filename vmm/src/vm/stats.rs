//! What a VM has done so far, readable while it runs.

use super::VmControl;
use crate::device::stats::QueueStats;
use crate::hypercall::stats::{CallStats, Histogram};
use std::collections::BTreeMap;

/// What was counted of a VM until some moment. Latencies are in cycles of the TSC.
#[derive(Clone, Debug)]
pub struct VmStats {
    /// Frequency of the TSC in Hz; 0 when KVM does not say.
    pub tsc_frequency: u64,
    /// Whether the VM is paused, or about to be.
    pub is_paused: bool,
    /// The vCPUs, in the order of their numbers.
    pub vcpus: Vec<VcpuStats>,
    /// Bytes that the guest wrote to its console.
    pub console_written: u64,
    /// By how many nanoseconds timers were raised after their deadlines.
    pub timer_lateness: Histogram,
    /// The devices, in the order of their numbers.
    pub devices: Vec<DeviceCounts>,
}

/// What was counted of a vCPU.
#[derive(Clone, Debug)]
pub struct VcpuStats {
    /// `RUN_STATE_*` of [`pv_abi::vcpu_page`].
    pub state: u32,
    /// Whether it rests, because the VM is paused.
    pub is_resting: bool,
    /// Its calls and exits.
    pub calls: CallStats,
    /// Nanoseconds of processor time that its thread has used; `None` where the host does not say.
    pub cpu_time: Option<u64>,
    /// Nanoseconds that its thread could have run, and the host ran something else.
    pub steal_time: u64,
}

/// What was counted of a device.
#[derive(Clone, Debug)]
pub struct DeviceCounts {
    /// Its name.
    pub id: String,
    /// What kind of device it is.
    pub kind: &'static str,
    /// Its queues.
    pub queues: Vec<QueueStats>,
    /// What its kind of device counts.
    pub counters: BTreeMap<&'static str, u64>,
}

impl VmStats {
    /// The calls and exits of all vCPUs together.
    pub fn calls(&self) -> CallStats {
        let mut total = CallStats::default();
        for vcpu in &self.vcpus {
            total.add(&vcpu.calls);
        }
        total
    }

    /// How often the guest was left for each reason, for those that occurred.
    pub fn exits(&self) -> Vec<(&'static str, u64)> {
        self.calls().exits_by_reason()
    }
}

impl VmControl {
    /// What the VM has done so far. Any thread may ask, at any time; no vCPU waits for it.
    pub fn stats(&self) -> VmStats {
        let services = &self.services;
        let vcpus = &services.vcpus;
        let of_vcpu = |number: u32| {
            let shared = vcpus.get(number)?;
            let time = shared.schedstat();
            Some(VcpuStats {
                state: shared.state(),
                is_resting: vcpus.is_resting(number),
                calls: shared.stats.read(),
                cpu_time: time.map(|time| time.ran),
                steal_time: time.map_or(shared.steal.get(), |time| time.waited),
            })
        };
        let devices = services.devices.all().iter();
        VmStats {
            tsc_frequency: self.tsc_frequency,
            is_paused: vcpus.rest.is_wanted(),
            vcpus: (0..vcpus.count()).filter_map(of_vcpu).collect(),
            console_written: services.console.written(),
            timer_lateness: services.timers.lateness(),
            devices: devices
                .map(|device| DeviceCounts {
                    id: device.shared.id.clone(),
                    kind: device.kind,
                    queues: device.shared.stats.queues(),
                    counters: device.shared.stats.counters(),
                })
                .collect(),
        }
    }
}
