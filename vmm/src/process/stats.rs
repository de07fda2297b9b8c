//! What a VM has done so far, while it runs.

use super::state::Live;
use crate::device::transport::Transport;
use crate::memory::usage;
use paravane_api::stats::{DeviceStats, MemoryStats, VmStats};
use pv_abi::address_space::PAGE_SIZE;
use rustix::time::{ClockId, clock_gettime};

/// What it has done so far.
pub fn sample(live: &Live) -> VmStats {
    let services = &live.control.services;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    VmStats {
        uptime_ns: live.since.elapsed().as_nanos() as u64,
        cpu_ns: (cpu.tv_sec as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(cpu.tv_nsec as u64),
        memory: memory(live),
        console_bytes: services.console.written(),
        devices: services.devices.all().iter().map(device).collect(),
        ..VmStats::default()
    }
}

fn memory(live: &Live) -> MemoryStats {
    let ram = &live.control.services.ram;
    let resident_ram = usage::resident_pages(ram) * PAGE_SIZE;
    let private = usage::private_bytes().unwrap_or(0);
    MemoryStats {
        ram: ram.size(),
        resident_ram,
        overhead: private.saturating_sub(resident_ram),
    }
}

fn device(device: &Transport) -> DeviceStats {
    let stats = &device.shared.stats;
    let mut sum = DeviceStats {
        id: device.shared.id.clone(),
        kind: device.kind.to_string(),
        ..DeviceStats::default()
    };
    for queue in stats.queues() {
        sum.requests += queue.requests;
        sum.bytes_from_guest += queue.bytes_from_guest;
        sum.bytes_to_guest += queue.bytes_to_guest;
        sum.doorbells += queue.doorbells;
        sum.notifications += queue.notifications;
        sum.suppressed_notifications += queue.suppressed_notifications;
    }
    let counters = stats.counters().into_iter();
    sum.counters = counters
        .map(|(name, count)| (name.to_string(), count))
        .collect();
    sum
}
