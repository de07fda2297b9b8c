//! What devices did.

use paravane::device::stats::QueueStats;
use paravane::device::transport::Transport;
use paravane::hypercall::stats::nanoseconds;
use serde::Serialize;
use std::collections::BTreeMap;

/// A device.
#[derive(Debug, Serialize)]
pub struct DeviceReport {
    id: String,
    kind: &'static str,
    queues: Vec<QueueReport>,
    /// What the kind of device counts.
    counters: BTreeMap<&'static str, u64>,
}

/// A queue of a device.
#[derive(Debug, Serialize)]
struct QueueReport {
    requests: u64,
    bytes_from_guest: u64,
    bytes_to_guest: u64,
    doorbells: u64,
    notifications: u64,
    suppressed_notifications: u64,
    /// From taking a request to putting it back: median, at most an eighth too high.
    latency_p50_ns: u64,
    /// 99th percentile, likewise.
    latency_p99_ns: u64,
    /// The longest.
    latency_max_ns: u64,
}

impl DeviceReport {
    /// A report about a device, with latencies by a TSC of this frequency in Hz.
    pub fn new(device: &Transport, tsc_frequency: u64) -> Self {
        let stats = &device.shared.stats;
        let queues = stats.queues();
        Self {
            id: device.shared.id.clone(),
            kind: device.kind,
            queues: queues
                .iter()
                .map(|queue| QueueReport::new(queue, tsc_frequency))
                .collect(),
            counters: stats.counters(),
        }
    }
}

impl QueueReport {
    fn new(stats: &QueueStats, tsc_frequency: u64) -> Self {
        let latency = |fraction| nanoseconds(stats.latency.quantile(fraction), tsc_frequency);
        Self {
            requests: stats.requests,
            bytes_from_guest: stats.bytes_from_guest,
            bytes_to_guest: stats.bytes_to_guest,
            doorbells: stats.doorbells,
            notifications: stats.notifications,
            suppressed_notifications: stats.suppressed_notifications,
            latency_p50_ns: latency(0.5),
            latency_p99_ns: latency(0.99),
            latency_max_ns: nanoseconds(stats.latency.max(), tsc_frequency),
        }
    }
}
