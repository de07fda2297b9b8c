//! What the fake daemon has, and what it was asked for.

use paravane_api::event::{Event, EventKind};
use paravane_api::log::{LogLevel, LogLine, LogSource};
use paravane_api::problem::{FieldError, Problem};
use paravane_api::snapshot::Snapshot;
use paravane_api::spec::{Image, VmSpec};
use paravane_api::stats::{
    CallStats, Histogram, LATENCY_BOUNDS_NS, MemoryStats, VcpuStats, VmStats,
};
use paravane_api::vm::{Running, SandboxReport, Vm, VmState};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::sync::broadcast;

/// The token of a daemon that wants one.
pub const TOKEN: &str = "correct-horse";

/// A time to show.
pub const TIME: &str = "2026-03-01T12:00:00Z";

/// The fake daemon. All clones are one.
#[derive(Clone)]
pub struct Daemon(Arc<Mutex<State>>);

/// A request that changes something, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Method and path.
    pub line: String,
    /// The body, `null` without one.
    pub body: Value,
    /// The header `Idempotency-Key`.
    pub key: Option<String>,
}

pub struct State {
    pub vms: BTreeMap<String, Vm>,
    pub snapshots: Vec<Snapshot>,
    pub logs: Vec<(String, LogLine)>,
    pub requests: Vec<Request>,
    pub wants_token: bool,
    /// What the next request that changes something is answered with, in place of doing it.
    pub refusal: Option<Problem>,
    pub events: broadcast::Sender<Event>,
    /// All events that were told.
    pub told: Vec<Event>,
    pub log_lines: broadcast::Sender<(String, LogLine)>,
    /// What the guest writes to its console.
    pub output: broadcast::Sender<Vec<u8>>,
    /// What was typed.
    pub typed: Vec<u8>,
    /// The number of the console connection that may type.
    pub writer: Option<u64>,
    pub consoles: u64,
    /// Told when another one became the writer.
    pub taken_over: broadcast::Sender<u64>,
    pub next_event: u64,
    pub started: Instant,
}

impl Daemon {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            vms: BTreeMap::new(),
            snapshots: Vec::new(),
            logs: Vec::new(),
            requests: Vec::new(),
            wants_token: false,
            refusal: None,
            events: broadcast::channel(100).0,
            told: Vec::new(),
            log_lines: broadcast::channel(10_000).0,
            output: broadcast::channel(100).0,
            typed: Vec::new(),
            writer: None,
            consoles: 0,
            taken_over: broadcast::channel(10).0,
            next_event: 1,
            started: Instant::now(),
        })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    /// Adds a VM without telling anybody.
    pub fn with(self, name: &str, state: VmState) -> Self {
        let spec = VmSpec {
            name: Some(name.to_owned()),
            ..VmSpec::default()
        };
        self.state().add(spec, state);
        self
    }

    /// What was asked for that changes something.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Answers the next request that changes something with an error.
    pub fn refuse(&self, title: &str, status: u16, detail: &str, errors: &[(&str, &str)]) {
        let errors = errors.iter().map(|&(field, detail)| FieldError {
            field: field.to_owned(),
            detail: detail.to_owned(),
        });
        self.state().refusal = Some(Problem {
            kind: "urn:paravane:problem:of-the-test".to_owned(),
            title: title.to_owned(),
            status,
            detail: detail.to_owned(),
            errors: errors.collect(),
        });
    }

    /// Appends to a VM's log.
    pub fn log(&self, vm: &str, source: LogSource, level: LogLevel, message: &str) {
        let line = LogLine {
            time: TIME.to_owned(),
            source,
            level,
            message: message.to_owned(),
        };
        let mut state = self.state();
        state.logs.push((vm.to_owned(), line.clone()));
        let _ = state.log_lines.send((vm.to_owned(), line));
    }
}

impl State {
    /// The VM of this name or id.
    pub fn find(&self, name: &str) -> Option<Vm> {
        let named = |vm: &&Vm| vm.name == name || vm.id == name;
        self.vms.values().find(named).cloned()
    }

    /// Adds a VM.
    pub fn add(&mut self, spec: VmSpec, state: VmState) -> Vm {
        let id = format!("00000000-0000-7000-8000-{:012}", self.vms.len() + 1);
        let name = spec.name.clone().unwrap_or_else(|| id[..8].to_owned());
        let mut vm = Vm {
            id: id.clone(),
            name,
            spec,
            state: VmState::Stopped,
            created_at: TIME.to_owned(),
            started_at: None,
            pid: None,
            running: None,
            ended: None,
            starts: 0,
            failures: 0,
            restart_at: None,
            from_snapshot: None,
        };
        if let Image(image) = &vm.spec.image
            && image.is_empty()
        {
            vm.spec.image = Image::default();
        }
        enter(&mut vm, state);
        self.vms.insert(id, vm.clone());
        vm
    }

    /// Puts a VM into a state, and tells of it.
    pub fn change(&mut self, id: &str, state: VmState, kind: EventKind) -> Option<Vm> {
        let vm = self.vms.get_mut(id)?;
        enter(vm, state);
        let vm = vm.clone();
        self.tell(&vm, kind, None);
        Some(vm)
    }

    /// Tells of a VM.
    pub fn tell(&mut self, vm: &Vm, kind: EventKind, message: Option<String>) {
        let event = Event {
            id: self.next_event,
            time: TIME.to_owned(),
            kind,
            vm: vm.id.clone(),
            name: vm.name.clone(),
            state: vm.state,
            message,
        };
        self.next_event += 1;
        self.told.push(event.clone());
        let _ = self.events.send(event);
    }

    /// Figures that grow with the time: 1000 exits a second and half as many hypercalls, and a
    /// quarter of a processor.
    pub fn stats(&self) -> VmStats {
        let seconds = self.started.elapsed().as_secs_f64() + 10.0;
        let calls = |rate: f64| CallStats {
            latency: histogram((seconds * rate) as u64),
        };
        VmStats {
            uptime_ns: (seconds * 1e9) as u64,
            exits: BTreeMap::from([
                ("hypercall".to_owned(), (seconds * 500.0) as u64),
                ("hlt".to_owned(), (seconds * 480.0) as u64),
                ("mmio".to_owned(), (seconds * 20.0) as u64),
            ]),
            hypercalls: BTreeMap::from([
                ("console_write".to_owned(), calls(100.0)),
                ("core_noop".to_owned(), calls(400.0)),
            ]),
            vcpus: vec![VcpuStats {
                state: "running".to_owned(),
                steal_ns: (seconds * 2e7) as u64,
                exits: (seconds * 1000.0) as u64,
            }],
            cpu_ns: (seconds * 2.5e8) as u64,
            memory: MemoryStats {
                ram: 128 << 20,
                resident_ram: 24 << 20,
                overhead: 3 << 20,
            },
            console_bytes: 1234,
            devices: Vec::new(),
        }
    }
}

fn histogram(count: u64) -> Histogram {
    let mut buckets = vec![0; LATENCY_BOUNDS_NS.len() + 1];
    buckets[3] = count - count / 50;
    buckets[6] = count / 50;
    Histogram {
        count,
        sum_ns: count * 4_000,
        buckets,
    }
}

fn enter(vm: &mut Vm, state: VmState) {
    if state.has_process() && !vm.state.has_process() {
        vm.starts += 1;
        vm.pid = Some(4000 + vm.starts as u32);
        vm.started_at = Some(TIME.to_owned());
        vm.running = Some(Running {
            privilege: "ring0".to_owned(),
            carrier: "vmcall".to_owned(),
            start_us: 8_400,
            sandbox: SandboxReport {
                no_new_privileges: true,
                seccomp: true,
                landlock: Some(7),
                uid: 1000,
                cgroup: None,
            },
        });
    }
    if !state.has_process() {
        vm.pid = None;
        vm.running = None;
    }
    vm.state = state;
}
