//! The report about a run: what `--report` writes.

mod devices;

use super::image_source::ImageSource;
use super::run::group::Outcome;
use super::run::{GuestRequest, Request};
use super::session::Run;
use super::session::conclusion::Conclusion;
use devices::DeviceReport;
use paravane::carrier::Mode;
use paravane::hypercall::stats::{CallSummary, Histogram};
use paravane::memory::usage::MemoryUse;
use paravane::vm::stages::Stage;
use serde::Serialize;
use std::collections::BTreeMap;

/// Version of the report's layout. Fields may be added to a version; a field that goes, or
/// changes what it means, makes a new one.
const SCHEMA: u32 = 1;

/// A report: about the first guest, and about the others where there are any.
#[derive(Debug, Serialize)]
pub struct Report<'run> {
    schema: u32,
    paravane: &'static str,
    /// The program's exit code.
    exit_code: u8,
    #[serde(flatten)]
    first: Option<GuestReport<'run>>,
    /// Of this process, when all guests have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_memory: Option<MemoryUse>,
    /// The guests from number 1 on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    other_guests: Vec<GuestReport<'run>>,
}

/// A report about a guest. What needs a VM is missing when none was built.
#[derive(Debug, Serialize)]
struct GuestReport<'run> {
    guest: u32,
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
    /// The devices, in the order of their numbers.
    devices: Vec<DeviceReport>,
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
    /// A report about guests that had these outcomes, and the program this exit code.
    pub fn new(request: &'run Request, outcomes: &'run [Outcome], exit_code: u8) -> Self {
        let mut guests = (0..)
            .zip(request.guests.iter().zip(outcomes))
            .map(|(guest, (request, outcome))| GuestReport::new(guest, request, outcome));
        let runs = outcomes.iter().filter_map(|outcome| outcome.run.as_ref());
        let controls: Vec<_> = runs.map(|run| run.finished.vm.control()).collect();
        let rams: Vec<_> = controls
            .iter()
            .map(|control| &*control.services.ram)
            .collect();
        Self {
            schema: SCHEMA,
            paravane: env!("CARGO_PKG_VERSION"),
            exit_code,
            first: guests.next(),
            host_memory: match rams.is_empty() {
                true => None,
                false => MemoryUse::sample(&rams),
            },
            other_guests: guests.collect(),
        }
    }
}

impl<'run> GuestReport<'run> {
    fn new(guest: u32, request: &'run GuestRequest, outcome: &'run Outcome) -> Self {
        let run = outcome.run.as_ref();
        let path = match &request.source {
            ImageSource::BuiltIn => None,
            source @ ImageSource::File(_) => Some(source.to_string()),
        };
        Self {
            guest,
            image: ImageReport {
                path,
                name: run.map(|run| run.image.name()),
                size: run.map(|run| run.image.bytes().len()),
            },
            command_line: &request.config.command_line,
            memory_bytes: request.config.memory,
            vcpus: request.config.vcpus,
            ending: &outcome.conclusion,
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
            devices: vm
                .control()
                .services
                .devices
                .all()
                .iter()
                .map(|device| DeviceReport::new(device, vm.tsc_frequency))
                .collect(),
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
