//! Pausing a VM, and looking at what it has done while it runs.

use super::{InMode, Once};
use crate::hosted::{Hosted, Plan};
use crate::modes::Mode;
use paravane::device::block::BlockOptions;
use paravane::vcpu::Ending;
use paravane::vm::VmControl;
use paravane::vm::pause::PauseError;
use pv_abi::vcpu_page::RUN_STATE_BLOCKED;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    (
        "a_paused_guest_does_nothing_and_goes_on",
        a_paused_guest_does_nothing_and_goes_on,
    ),
    (
        "pauses_at_any_moment_disturb_nothing",
        pauses_at_any_moment_disturb_nothing,
    ),
];

pub(super) const ONCE: &[Once] = &[
    ("a_paused_vm_costs_nothing", a_paused_vm_costs_nothing),
    ("a_call_that_waits_is_paused", a_call_that_waits_is_paused),
    ("a_paused_vm_can_be_stopped", a_paused_vm_can_be_stopped),
    (
        "a_vm_that_is_paused_before_it_runs_waits",
        a_vm_that_is_paused_before_it_runs_waits,
    ),
    ("a_disk_under_load_is_paused", a_disk_under_load_is_paused),
    (
        "what_a_guest_does_can_be_read_meanwhile",
        what_a_guest_does_can_be_read_meanwhile,
    ),
];

const MODE: Mode = Mode::ALL[5];

/// How long it is looked whether a paused guest does something all the same.
const WHILE: Duration = Duration::from_millis(50);

/// Waits until all vCPUs but one wait inside of a call.
fn wait_until_blocked(control: &VmControl, others: usize) {
    loop {
        let vcpus = control.stats().vcpus;
        let blocked = vcpus.iter().filter(|vcpu| vcpu.state == RUN_STATE_BLOCKED);
        if blocked.count() >= vcpus.len() - others {
            return;
        }
        thread::yield_now();
    }
}

fn a_paused_guest_does_nothing_and_goes_on(mode: Mode) {
    let vm = Hosted::start(&Plan::new(mode, "flood").vcpus(2));
    let written = || vm.control.stats().console_written;
    for _ in 0..3 {
        let before = written();
        while written() == before {
            thread::yield_now();
        }
        vm.control.pause().expect("it can be paused");
        assert!(vm.control.is_paused());
        // Once more makes no difference.
        vm.control.pause().expect("it is");
        let before = written();
        thread::sleep(WHILE);
        assert_eq!(written(), before);
        assert!(vm.control.stats().vcpus.iter().all(|vcpu| vcpu.is_resting));
        vm.control.resume();
        vm.control.resume();
    }
    vm.stop();
}

fn pauses_at_any_moment_disturb_nothing(mode: Mode) {
    let groups =
        "selftest=console,traps,delivery,upcalls,events,vcpus,smp,threads,sync,tasks,space";
    let mut vm = Hosted::start(&Plan::new(mode, groups).vcpus(4));
    vm.terminal.input.close();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let control = &vm.control;
        scope.spawn(|| {
            // After another time each time, in which a guest gets somewhere on a busy host too.
            for round in 0.. {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                match control.pause() {
                    Ok(()) => control.resume(),
                    Err(error) => {
                        assert_eq!(error, PauseError::Ended);
                        return;
                    }
                }
                thread::sleep(Duration::from_micros(3000 + 777 * (round * 7 % 31)));
            }
        });
        let failed = loop {
            let line = vm.terminal.line();
            assert!(!line.starts_with("FAIL"), "{line}");
            if let Some(failed) = line.split(" passed, ").nth(1) {
                break failed.to_string();
            }
        };
        over.store(true, Ordering::SeqCst);
        assert_eq!(failed, "0 failed");
    });
    assert!(matches!(vm.end(), Ending::Shutdown(0)));
}

fn a_paused_vm_costs_nothing() {
    let mut vm = Hosted::start(&Plan::new(MODE, "idle").vcpus(4));
    assert_eq!(vm.terminal.line(), "idle");
    vm.control.pause().expect("it can be paused");
    let time = || -> Option<u64> {
        vm.control
            .stats()
            .vcpus
            .iter()
            .map(|one| one.cpu_time)
            .sum()
    };
    let Some(mut before) = time() else {
        eprintln!("a_paused_vm_costs_nothing SKIPPED: this host does not say what a thread uses");
        return vm.stop();
    };
    // The vCPUs have said that they rest, and are about to wait; from then on they use nothing at
    // all.
    let begun = Instant::now();
    loop {
        thread::sleep(WHILE * 4);
        let now = time().expect("it was there");
        if now == before {
            break;
        }
        assert!(begun.elapsed() < WHILE * 200, "{before} ns, {now} ns");
        before = now;
    }
    vm.control.resume();
    vm.terminal.input.close();
    assert!(matches!(vm.end(), Ending::Shutdown(0)));
}

fn a_call_that_waits_is_paused() {
    // Each waits in another call: for an event, and for input.
    for what in ["service", "echo"] {
        let mut vm = Hosted::start(&Plan::new(MODE, what));
        if what == "service" {
            assert_eq!(vm.terminal.line(), "serving");
            wait_until_blocked(&vm.control, 0);
        }
        for round in 0..20 {
            vm.control.pause().expect("it can be paused");
            let line = format!("{what} {round}");
            assert!(vm.terminal.input.push(line.as_bytes()));
            assert!(vm.terminal.input.push(b"\n"));
            if round == 0 {
                thread::sleep(WHILE);
            }
            assert!(!vm.terminal.has_output());
            vm.control.resume();
            assert_eq!(vm.terminal.line(), line);
        }
        vm.stop();
    }
}

fn a_paused_vm_can_be_stopped() {
    for what in ["loop", "idle", "echo"] {
        let vm = Hosted::start(&Plan::new(MODE, what).vcpus(2));
        vm.control.pause().expect("it can be paused");
        let control = vm.control.clone();
        vm.stop();
        assert_eq!(control.pause(), Err(PauseError::Ended));
        control.resume();
    }
}

fn a_vm_that_is_paused_before_it_runs_waits() {
    let plan = Plan::new(MODE, "hello");
    let mut vm = Hosted::start_after(&plan, |control| control.pause().expect("it is not run"));
    thread::sleep(WHILE);
    assert!(!vm.terminal.has_output());
    vm.control.resume();
    assert!(!vm.terminal.line().is_empty());
    assert!(matches!(vm.end(), Ending::Shutdown(0)));
}

fn a_disk_under_load_is_paused() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("disk.img");
    let file = std::fs::File::create(&path).expect("a file");
    file.set_len(8 << 20).expect("a sparse file");
    let disk = BlockOptions::parse(&format!("path={}", path.display())).expect("an option");
    let what = "disk=write,count=2000,size=4096,flush=24";
    let vm = Hosted::start(&Plan::new(MODE, what).device(disk));
    let requests = || -> u64 {
        let devices = vm.control.stats().devices;
        let queues = devices.iter().flat_map(|device| &device.queues);
        queues.map(|queue| queue.requests).sum()
    };
    let mut pauses = 0;
    while vm.control.pause().is_ok() {
        let before = requests();
        thread::sleep(Duration::from_millis(2));
        assert_eq!(requests(), before);
        pauses += 1;
        vm.control.resume();
        // However slow the host is, the guest gets somewhere between two pauses.
        while requests() < before + 25 && !vm.control.services.vcpus.stopping() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(pauses > 2, "{pauses}");
    assert!(matches!(vm.end(), Ending::Shutdown(0)));
}

fn what_a_guest_does_can_be_read_meanwhile() {
    let vm = Hosted::start(&Plan::new(MODE, "noop=20000"));
    let calls = |control: &VmControl| {
        let stats = control.stats();
        let calls = stats.calls();
        let latencies = calls.latencies().map(|(_, histogram)| histogram.count());
        // A call is counted once, with its latency.
        assert_eq!(latencies.sum::<u64>(), calls.hypercalls());
        calls.hypercalls()
    };
    let mut before = 0;
    let mut grown = 0;
    while before < 10_000 {
        let now = calls(&vm.control);
        assert!(now >= before);
        grown += u32::from(now > before);
        before = now;
    }
    assert!(grown > 1, "it was read only once");
    let control = vm.control.clone();
    assert!(matches!(vm.end(), Ending::Shutdown(0)));
    assert!(calls(&control) >= 20_000);
}
