//! The self-tests: what the ABI and the SDK promise, tried in the machine at hand.
//!
//! A test is a function that returns what it found wrong. A new group is a file of its own, with
//! its tests in a table, and a line in [`GROUPS`].

mod abi;
mod balloon;
mod batch;
mod builtins;
mod catch;
mod console;
mod debug;
mod delivery;
mod devices;
mod entropy;
mod events;
mod exec;
mod heap;
mod memory;
mod sched;
mod smp;
mod space;
mod stack;
mod stats;
mod sync;
mod tasks;
mod threads;
mod time;
mod tls;
mod traps;
mod upcalls;
mod vcpus;

use crate::command_line::Misuse;
use crate::report;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use paravane_sdk::println;
use paravane_sdk::time::Instant;

/// What was wrong.
type Outcome = Result<(), String>;

/// A test.
struct Test {
    name: &'static str,
    run: fn() -> Outcome,
}

/// Tests of one thing.
struct Group {
    name: &'static str,
    tests: &'static [Test],
}

/// Every group, in the order in which they run: what the later ones need is tested first.
const GROUPS: &[Group] = &[
    abi::GROUP,
    builtins::GROUP,
    memory::GROUP,
    heap::GROUP,
    balloon::GROUP,
    console::GROUP,
    entropy::GROUP,
    batch::GROUP,
    traps::GROUP,
    debug::GROUP,
    vcpus::GROUP,
    upcalls::GROUP,
    events::GROUP,
    time::GROUP,
    sched::GROUP,
    space::GROUP,
    tls::GROUP,
    stats::GROUP,
    stack::GROUP,
    smp::GROUP,
    threads::GROUP,
    sync::GROUP,
    exec::GROUP,
    tasks::GROUP,
    delivery::GROUP,
    devices::GROUP,
];

/// A table of tests, each by the name of its function.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        &[$($crate::selftest::Test { name: stringify!($name), run: $name }),*]
    };
}
use tests;

/// Ends a test with what is wrong unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(::alloc::format!($($message)+));
        }
    };
}
use ensure;

/// Ends a test unless two values are equal.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) if found == expected => {}
            (found, expected) => {
                return Err(::alloc::format!(
                    "{} is {found:x?}, not {expected:x?}",
                    ::alloc::format!($($what)+),
                ));
            }
        }
    };
}
use ensure_eq;

/// Runs the groups that the argument names, or all.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let groups = match argument {
        None => GROUPS.iter().collect(),
        Some("list") => {
            for group in GROUPS {
                for test in group.tests {
                    println!("{}::{}", group.name, test.name);
                }
            }
            return Ok(0);
        }
        Some(names) => names
            .split(',')
            .map(find)
            .collect::<Result<Vec<_>, Misuse>>()?,
    };
    report::boot_log();
    let (mut passed, mut failed) = (0, 0);
    for group in groups {
        for test in group.tests {
            let timer = Timer::start();
            match (test.run)() {
                Ok(()) => {
                    println!("ok  {}::{}{timer}", group.name, test.name);
                    passed += 1;
                }
                Err(why) => {
                    println!("FAIL {}::{}{timer}: {why}", group.name, test.name);
                    failed += 1;
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(i32::from(failed > 0))
}

/// Shows how long ago it was started, if that is long.
struct Timer(Option<Instant>);

impl Timer {
    fn start() -> Self {
        Self(Instant::try_now())
    }
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONG: Duration = Duration::from_millis(500);
        match self.0.map(|start| start.elapsed()) {
            Some(time) if time >= LONG => write!(f, " ({:.1} s)", time.as_secs_f32()),
            _ => Ok(()),
        }
    }
}

fn find(name: &str) -> Result<&'static Group, Misuse> {
    GROUPS
        .iter()
        .find(|group| group.name == name)
        .ok_or_else(|| {
            let names: Vec<_> = GROUPS.iter().map(|group| group.name).collect();
            Misuse(format!(
                "there is no group \"{name}\"; there are {}, and list shows their tests",
                names.join(", ")
            ))
        })
}
