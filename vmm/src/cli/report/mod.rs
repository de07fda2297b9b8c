//! The report about a run: what `--report` writes.

pub mod file;
mod memory;

use super::image_source::ImageSource;
use super::run::conclusion::Conclusion;
use super::run::{Request, Run};
use memory::MemoryUse;
use paravane::carrier::Mode;
use paravane::hypercall::stats::{CallSummary, Histogram};
use paravane::vm::stages::Stage;
use serde::Serialize;
use std::collections::BTreeMap;

/// Version of the report's layout. Fields may be added to a version; a field that goes, or
/// changes what it means, makes a new one.
const SCHEMA: u32 = 1;

/// A report. What needs a VM is missing when none was built.
#[derive(Debug, Serialize)]
pub struct Report<'run> {
    schema: u32,
    paravane: &'static str,
    image: ImageReport<'run>,
    command_line: &'run str,
    memory_bytes: u64,
    vcpus: u32,
    ending: &'run Conclusion,
    #[serde(flatten)]
    run: Option<RunReport>,
}

#[derive(Debug, Serialize)]
struct ImageReport<'run> {
    /// Where it comes from; `null` for the one that is built in.
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'run str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
}

#[derive(Debug, Serialize)]
struct RunReport {
    mode: Mode,
    /// How often the VM was started. Counters are those of the last time, stages of the first.
    boots: u64,
    stages: Vec<Stage>,
    exits: BTreeMap<&'static str, u64>,
    hypercalls: Vec<CallSummary>,
    failed_calls: u64,
    unknown_calls: u64,
    batched_calls: u64,
    console_written_bytes: u64,
    timers: TimerReport,
    host_memory: Option<MemoryUse>,
}

/// By how much timers were late: from a deadline until its port was raised.
#[derive(Debug, Serialize)]
struct TimerReport {
    /// How often a timer was due.
    count: u64,
    /// Median, at most an eighth too high.
    late_p50_ns: u64,
    /// 99th percentile, likewise.
    late_p99_ns: u64,
    /// The latest.
    late_max_ns: u64,
}

impl<'run> Report<'run> {
    /// A report about a run that came to this conclusion, with the VM if there was one.
    pub fn new(
        request: &'run Request,
        run: Option<&'run Run>,
        conclusion: &'run Conclusion,
    ) -> Self {
        let path = match &request.source {
            ImageSource::BuiltIn => None,
            source @ ImageSource::File(_) => Some(source.to_string()),
        };
        Self {
            schema: SCHEMA,
            paravane: env!("CARGO_PKG_VERSION"),
            image: ImageReport {
                path,
                name: run.map(|run| run.image.name()),
                size: run.map(|run| run.image.bytes().len()),
            },
            command_line: &request.config.command_line,
            memory_bytes: request.config.memory,
            vcpus: request.config.vcpus,
            ending: conclusion,
            run: run.map(RunReport::new),
        }
    }
}

impl RunReport {
    fn new(run: &Run) -> Self {
        let finished = &run.finished;
        let vm = &finished.vm;
        let stats = vm.stats();
        Self {
            mode: vm.mode,
            boots: finished.boots,
            stages: finished.stages.summary(),
            exits: vm.exits().into_iter().collect(),
            hypercalls: stats.summary(vm.tsc_frequency),
            failed_calls: stats.failed,
            unknown_calls: stats.unknown,
            batched_calls: stats.batched,
            console_written_bytes: finished.console_written,
            timers: TimerReport::new(&vm.control().services.timers.lateness()),
            host_memory: MemoryUse::sample(&vm.control().services.ram),
        }
    }
}

impl TimerReport {
    fn new(lateness: &Histogram) -> Self {
        Self {
            count: lateness.count(),
            late_p50_ns: lateness.quantile(0.5),
            late_p99_ns: lateness.quantile(0.99),
            late_max_ns: lateness.max(),
        }
    }
}
