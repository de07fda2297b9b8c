//! The daemon's own figures.

use super::text::{Kind, Text};
use crate::app::App;
use rustix::time::{ClockId, clock_gettime};

/// Writes them.
pub fn daemon(app: &App, text: &mut Text) {
    text.family(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Memory of the daemon that is in RAM",
    );
    text.figure(&[], resident().unwrap_or(0));
    text.family(
        "process_cpu_seconds_total",
        Kind::Counter,
        "Processor time of the daemon",
    );
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    text.figure(&[], cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    text.family(
        "paravane_daemon_uptime_seconds",
        Kind::Gauge,
        "How long the daemon has run",
    );
    text.figure(&[], app.started.elapsed().as_secs_f64());
    text.family(
        "paravane_daemon_spare_processes",
        Kind::Gauge,
        "Processes that are kept ready for VMs",
    );
    text.figure(&[], app.context.spares.count());
    app.requests.write(text);
}

/// The resident memory in bytes: the second number of /proc/self/statm, in pages.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
