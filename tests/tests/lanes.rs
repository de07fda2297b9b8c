//! The suite on the stock KVMs, and what noise cannot touch.
//!
//! A lane whose packages are not installed is skipped by name; with `PARAVANE_LANES=required`
//! it fails instead. `PARAVANE_LANE_TESTS=snapshot` runs only those tests of the suite whose names
//! have that in them.

use libtest_mimic::{Arguments, Failed, Trial};
use paravane::bench::result::{Results, Way};
use paravane::carrier::{Carrier, Privilege};
use paravane_tests::figures::instructions::{self, Baseline};
use paravane_tests::lanes::{self, Job, Lane, ReadyLane};
use paravane_tests::{guests, program, workspace};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a lane may take on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2400);

/// A no-op hypercall costs at most this many instructions more than the bare exit that carries it.
/// Solo5's hvt adds 274.
const NOOP_INSTRUCTIONS: f64 = 200.0;

/// Of 64 calls in a batch each costs at most one so-many-th of a single one.
const BATCHED: f64 = 20.0;

fn main() {
    let mut arguments = Arguments::from_args();
    // Each lane keeps one core busy.
    arguments.test_threads.get_or_insert(2);
    let trials = vec![
        lane("vmx", Lane::Vmx, |lane| {
            suite(lane, "ring0/vmcall,ring0/pio,ring3/vmcall,ring3/pio")
        }),
        lane("vmx-ept0", Lane::VmxEpt0, |lane| {
            suite(lane, "ring0/vmcall,ring0/pio,ring3/vmcall,ring3/pio")
        }),
        lane("svm", Lane::Svm, |lane| {
            suite(lane, "ring0/vmmcall,ring0/pio,ring3/vmmcall,ring3/pio")
        }),
        lane("svm-icount", Lane::SvmIcount, |_| bench_instructions()),
        trial("local-syscalls", strace(), |()| {
            one_system_call_for_each_hypercall()
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn lane(
    name: &str,
    lane: Lane,
    test: impl FnOnce(ReadyLane) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    trial(name, lane.available(), test)
}

/// A test that needs something which may not be there.
fn trial<T: Send + 'static>(
    name: &str,
    needed: Result<T, String>,
    test: impl FnOnce(T) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    match needed {
        Ok(needed) => {
            say(name, "will run");
            Trial::test(name, move || test(needed))
        }
        Err(reason) => {
            say(name, &format!("SKIPPED: {reason}"));
            let required = lanes::required();
            Trial::test(name, move || Err(reason.into())).with_ignored_flag(!required)
        }
    }
}

/// Prints a line in one piece, as lanes run side by side.
fn say(name: &str, line: &str) {
    let _ = writeln!(std::io::stderr(), "lane {name}: {line}");
}

fn suite(lane: ReadyLane, modes: &str) -> Result<(), Failed> {
    let name = lane.lane().name();
    let mut job = Job::new(
        workspace::programs().join("examples/paravane-suite"),
        TIMEOUT,
    );
    // One processor, or two that take turns.
    job.args = vec!["--test-threads=1".into(), "--color=never".into()];
    job.args.extend(std::env::var("PARAVANE_LANE_TESTS").ok());
    job.files = vec![(program::path(), "/lane/paravane".into())];
    for name in guests::EXAMPLES.into_iter().chain([guests::C_GUEST]) {
        let image = format!("/lane/guests/{name}");
        job.files.push((guests::example(name), image));
    }
    job.files
        .push((guests::kernel(), "/lane/guests/kernel".into()));
    job.env = [
        ("PARAVANE_KERNEL", "/lane/guests/kernel"),
        ("PARAVANE_BIN", "/lane/paravane"),
        ("PARAVANE_GUESTS", "/lane/guests"),
        ("PARAVANE_EXPECT_MODES", modes),
    ]
    .map(|(variable, value)| (variable.to_owned(), value.to_owned()))
    .to_vec();
    let outcome = lane
        .run(&job, &mut |line| say(name, line))
        .map_err(|error| error.to_string())?;
    let passed = outcome.output.contains("test result: ok.");
    if outcome.exit_code == 0 && passed {
        Ok(())
    } else {
        Err(format!("exit code {}:\n{}", outcome.exit_code, outcome.output).into())
    }
}

/// Counts instructions, and compares them with what was promised and with what they were.
fn bench_instructions() -> Result<(), Failed> {
    let results = instructions::count(&mut |line| say("svm-icount", line))?;
    let mut wrong = promises(&results);
    let (old, new) = (Baseline::load()?, Baseline::of(&results));
    if old.kernel != new.kernel {
        let (old, new) = (&old.kernel, &new.kernel);
        let line = format!(
            "the baseline is of Linux {old}, and this is {new}: only what a call adds to an exit is compared"
        );
        say("svm-icount", &line);
    }
    wrong.extend(old.differences(&new));
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}\nIf that is meant: {}", wrong.join("\n"), old.command).into())
}

/// What of the promises does not hold.
fn promises(results: &Results) -> Vec<String> {
    let mut wrong = Vec::new();
    for carrier in [Carrier::Vmmcall, Carrier::Pio] {
        for privilege in [Privilege::Ring0, Privilege::Ring3] {
            let call = Way::Hypercall { privilege, carrier };
            // KVM has no exit by VMMCALL from CPL 3: what there is to compare with is CPL 0's.
            let floor =
                |privilege| instructions::cost(results, "floor", Way::Floor { privilege, carrier });
            let floor = floor(privilege).or_else(|| floor(Privilege::Ring0));
            match (instructions::cost(results, "noop", call), floor) {
                (Some(cost), Some(floor)) if cost <= floor + NOOP_INSTRUCTIONS => {
                    say("svm-icount", &format!("{privilege}/{carrier}: bare exit {floor} + {}", cost - floor));
                }
                (cost, floor) => wrong.push(format!(
                    "noop, {privilege}/{carrier}: {cost:?} instructions, at most {floor:?} + {NOOP_INSTRUCTIONS}"
                )),
            }
        }
    }
    for privilege in [Privilege::Ring0, Privilege::Ring3] {
        let carrier = Carrier::Pio;
        let single = instructions::cost(results, "noop", Way::Hypercall { privilege, carrier });
        let batched = instructions::cost(
            results,
            "noop",
            Way::Batch {
                privilege,
                carrier,
                size: 64,
            },
        );
        match (single, batched) {
            (Some(single), Some(batched)) if batched <= single / BATCHED => {
                say("svm-icount", &format!("{privilege}/{carrier}: in a batch of 64, {batched} of {single}"));
            }
            _ => wrong.push(format!(
                "{privilege}/{carrier}: {batched:?} instructions in a batch of 64, at most {single:?} / {BATCHED}"
            )),
        }
    }
    wrong
}

fn strace() -> Result<(), String> {
    if !Path::new("/dev/kvm").exists() {
        return Err("there is no /dev/kvm".into());
    }
    match Command::new("strace").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err("strace is not installed: apt-get install strace".into()),
    }
}

/// A hypercall is one system call: the thread that makes the most of them while its guest runs makes
/// exactly one more for each further hypercall.
fn one_system_call_for_each_hypercall() -> Result<(), Failed> {
    let (few, many) = (vcpu_system_calls(500)?, vcpu_system_calls(1500)?);
    match many.checked_sub(few) {
        Some(1000) => Ok(()),
        _ => Err(format!("1000 hypercalls more took {few} -> {many} system calls").into()),
    }
}

fn vcpu_system_calls(hypercalls: u32) -> Result<usize, Failed> {
    let log = tempfile::NamedTempFile::new()?;
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(log.path())
        .arg(program::path())
        .args(["run", "--cmdline", &format!("noop={hypercalls}")])
        .status()?;
    if !status.success() {
        return Err(format!("strace of paravane ended by {status}").into());
    }
    let text = std::fs::read_to_string(log.path())?;
    let mut threads = BTreeMap::<&str, Vec<&str>>::new();
    // "resumed" is the second half of a call that another thread's interrupted.
    for line in text.lines().filter(|line| !line.contains(" resumed>")) {
        if let Some((thread, call)) = line.split_once(' ') {
            threads.entry(thread).or_default().push(call);
        }
    }
    threads
        .values()
        .filter_map(|calls| while_the_guest_runs(calls))
        .max()
        .ok_or_else(|| "strace saw no KVM_RUN".into())
}

/// How many system calls a thread makes from its first KVM_RUN to its last. What comes before and
/// behind is building and ending a VM, and not always the same: the allocator's memory, for one.
fn while_the_guest_runs(calls: &[&str]) -> Option<usize> {
    let is_run = |call: &&str| call.contains("KVM_RUN");
    let first = calls.iter().position(is_run)?;
    let last = calls.iter().rposition(is_run)?;
    Some(last + 1 - first)
}
