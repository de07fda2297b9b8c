//! What a VM has done so far, while it runs.

use super::state::Live;
use crate::hypercall::stats::{self, nanoseconds};
use crate::memory::usage;
use crate::vm::stats::{DeviceCounts, VcpuStats};
use paravane_api::stats::{self as api, LATENCY_BOUNDS_NS};
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::vcpu_page::{RUN_STATE_BLOCKED, RUN_STATE_RUNNABLE, RUN_STATE_RUNNING};
use rustix::time::{ClockId, clock_gettime};

/// What it has done so far.
pub fn sample(live: &Live) -> api::VmStats {
    let stats = live.control.stats();
    let frequency = stats.tsc_frequency;
    let calls = stats.calls();
    let of_call = |(name, latency): (&'static str, &stats::Histogram)| {
        let latency = histogram(latency, frequency);
        (name.to_string(), api::CallStats { latency })
    };
    let exits = calls.exits_by_reason().into_iter();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    api::VmStats {
        uptime_ns: live.since.elapsed().as_nanos() as u64,
        exits: exits
            .map(|(reason, count)| (reason.to_string(), count))
            .collect(),
        hypercalls: calls.latencies().map(of_call).collect(),
        vcpus: stats.vcpus.iter().map(vcpu).collect(),
        cpu_ns: (cpu.tv_sec as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(cpu.tv_nsec as u64),
        memory: memory(live),
        console_bytes: stats.console_written,
        devices: stats
            .devices
            .iter()
            .map(|counts| device(counts, frequency))
            .collect(),
    }
}

fn vcpu(vcpu: &VcpuStats) -> api::VcpuStats {
    api::VcpuStats {
        state: match vcpu.state {
            RUN_STATE_RUNNING => "running",
            RUN_STATE_RUNNABLE => "runnable",
            RUN_STATE_BLOCKED => "blocked",
            _ => "stopped",
        }
        .to_string(),
        steal_ns: vcpu.steal_time,
        exits: vcpu.calls.exits(),
    }
}

fn memory(live: &Live) -> api::MemoryStats {
    let ram = &live.control.services.ram;
    let resident_ram = usage::resident_pages(ram) * PAGE_SIZE;
    let private = usage::private_bytes().unwrap_or(0);
    api::MemoryStats {
        ram: ram.size(),
        resident_ram,
        overhead: private.saturating_sub(resident_ram),
    }
}

fn device(counts: &DeviceCounts, frequency: u64) -> api::DeviceStats {
    let mut sum = api::DeviceStats {
        id: counts.id.clone(),
        kind: counts.kind.to_string(),
        ..api::DeviceStats::default()
    };
    let mut latency = stats::Histogram::default();
    for queue in &counts.queues {
        sum.requests += queue.requests;
        sum.bytes_from_guest += queue.bytes_from_guest;
        sum.bytes_to_guest += queue.bytes_to_guest;
        sum.doorbells += queue.doorbells;
        sum.notifications += queue.notifications;
        sum.suppressed_notifications += queue.suppressed_notifications;
        latency.add(&queue.latency);
    }
    sum.latency = histogram(&latency, frequency);
    let counters = counts.counters.iter();
    sum.counters = counters
        .map(|(&name, &count)| (name.to_string(), count))
        .collect();
    sum
}

/// A histogram of cycles in the buckets of the API, whose bounds lie within those of its own: a value
/// is counted as at most an eighth longer than it was.
fn histogram(cycles: &stats::Histogram, frequency: u64) -> api::Histogram {
    let mut buckets = vec![0; LATENCY_BOUNDS_NS.len() + 1];
    let mut sum_ns = 0u64;
    for (smallest, largest, count) in cycles.buckets() {
        let middle = nanoseconds(smallest / 2 + largest / 2, frequency);
        sum_ns = sum_ns.saturating_add(middle.saturating_mul(count));
        let largest = nanoseconds(largest, frequency);
        let bucket = LATENCY_BOUNDS_NS.partition_point(|&bound| bound < largest);
        if let Some(bucket) = buckets.get_mut(bucket) {
            *bucket += count;
        }
    }
    api::Histogram {
        count: buckets.iter().sum(),
        sum_ns,
        buckets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_in_the_buckets_of_the_api() {
        let mut cycles = stats::Histogram::default();
        // At 2 GHz: 100 ns twice, 3 us, and a second.
        for value in [200, 200, 6_000, 2_000_000_000] {
            cycles.record(value);
        }
        let histogram = histogram(&cycles, 2_000_000_000);
        assert_eq!(histogram.count, 4);
        let expected = [2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(histogram.buckets, expected);
        let exact = 1_000_003_200u64;
        assert!(histogram.sum_ns.abs_diff(exact) < exact / 8);
    }
}
