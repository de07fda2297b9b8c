//! Measurements: what operations of the ABI cost, taken in the guest.
//!
//! Each writes lines `measure NAME UNIT VALUE ...`, a value for each sample, and
//! `measure NAME skipped REASON` where it cannot be taken. The host makes the tables
//! (tests/src/figures).

mod clock;
mod events;
mod mapping;
mod timers;
mod upcalls;
mod vcpus;

use crate::command_line::Misuse;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use paravane_sdk::time::{Clock, Instant};
use paravane_sdk::{Features, println, start_info, time};

/// A measurement.
struct Measure {
    name: &'static str,
    /// The features that it needs beside the clock.
    needs: Features,
    vcpus: u32,
    /// Takes it, and gives its samples, or says what went wrong.
    run: fn() -> Result<Vec<Samples>, String>,
}

/// What was measured several times.
struct Samples {
    name: &'static str,
    unit: &'static str,
    values: Vec<u64>,
}

/// Every measurement.
const MEASURES: &[Measure] = &[
    clock::MEASURE,
    upcalls::MEASURE,
    mapping::MEASURE,
    events::MEASURE,
    timers::MEASURE,
    vcpus::MEASURE,
];

/// How long a measurement waits for something that should come soon.
const PATIENCE_NS: u64 = 20_000_000_000;

/// Takes the measurements that the argument names, or all.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let measures = match argument {
        None => MEASURES.iter().collect(),
        Some(names) => names
            .split(',')
            .map(find)
            .collect::<Result<Vec<_>, Misuse>>()?,
    };
    for measure in measures {
        if let Err(reason) = take(measure) {
            println!("measure {} skipped {reason}", measure.name);
        }
    }
    Ok(0)
}

fn find(name: &str) -> Result<&'static Measure, Misuse> {
    let measure = MEASURES.iter().find(|measure| measure.name == name);
    measure.ok_or_else(|| {
        let names: Vec<_> = MEASURES.iter().map(|measure| measure.name).collect();
        Misuse(format!(
            "there is no measurement \"{name}\"; there are {}",
            names.join(", ")
        ))
    })
}

fn take(measure: &Measure) -> Result<(), String> {
    let info = start_info::get();
    let missing = measure
        .needs
        .union(Features::CLOCK)
        .missing_from(info.features());
    if !missing.is_empty() {
        return Err(format!("this VMM does not offer {missing}"));
    }
    if info.vcpus() < measure.vcpus {
        return Err(format!("it needs {} vCPUs", measure.vcpus));
    }
    for samples in (measure.run)()? {
        samples.print();
    }
    Ok(())
}

impl Samples {
    fn print(&self) {
        // A line is what one call writes.
        for values in self.values.chunks(64) {
            let mut line = String::new();
            for value in values {
                // A string takes what there is memory for.
                let _ = write!(line, " {value}");
            }
            println!("measure {} {}{line}", self.name, self.unit);
        }
    }
}

/// The clock, which a measurement that is taken has.
fn clock() -> Result<Clock, String> {
    time::clock().ok_or_else(|| String::from("there is no clock"))
}

/// Waits until `ready` gives something.
fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> Result<T, String> {
    let begun = Instant::now().as_nanos();
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if Instant::now().as_nanos() - begun > PATIENCE_NS {
            return Err(format!("{what} did not come"));
        }
        core::hint::spin_loop();
    }
}

/// Picoseconds of one of many equal operations, each sample over `count` of them.
fn picoseconds_of_each(samples: usize, count: u64, mut operation: impl FnMut()) -> Vec<u64> {
    let mut once = || {
        let begun = Instant::now().as_nanos();
        for _ in 0..count {
            operation();
        }
        (Instant::now().as_nanos() - begun) * 1000 / count
    };
    // The first fills caches.
    once();
    (0..samples).map(|_| once()).collect()
}
