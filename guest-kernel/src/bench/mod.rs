//! The guest's side of `paravane bench`: measures an operation of the ABI and prints raw samples.
//!
//! `bench=NAME,SAMPLES[,SIZE]` measures one operation, `bench=NAME+NAME,...` several, one behind
//! the other. What is printed of each is described in [`session`]; one that was not measured ends
//! in `bench absent REASON` or `bench failed REASON`. `bench=list` prints a line
//! `bench operation NAME VCPUS` for each operation that there is, with the vCPUs that it takes.

mod console;
mod core;
mod debug;
mod deferred;
mod devices;
mod exitless;
mod interrupts;
mod memory;
mod notice;
mod peer;
mod sched;
mod session;
mod spaces;
mod tasks;
mod ticks;
mod time;
mod trap_calls;
mod traps;
mod vcpus;
mod window;

use crate::command_line::Misuse;
use alloc::format;
use alloc::vec::Vec;
use paravane_sdk::{Features, Gpa, address, println, start_info};
use session::{Session, Trouble};

/// Something that can be measured.
#[derive(Clone, Copy)]
struct Operation {
    /// The call's name where it is a call.
    name: &'static str,
    needs: Features,
    vcpus: u32,
    /// The largest SIZE: elements or bytes of a call. 1 where there is nothing to choose.
    most: u32,
    /// Measures it.
    run: fn(&Session) -> Result<(), Trouble>,
}

impl Operation {
    /// One that needs nothing and has no size.
    const fn new(name: &'static str, run: fn(&Session) -> Result<(), Trouble>) -> Self {
        Self {
            name,
            needs: Features::NONE,
            vcpus: 1,
            most: 1,
            run,
        }
    }

    /// The same, where it needs these features too.
    const fn needs(mut self, features: Features) -> Self {
        self.needs = self.needs.union(features);
        self
    }

    /// The same, where it takes another vCPU.
    const fn with_a_peer(mut self) -> Self {
        self.needs = self.needs.union(Features::VCPUS).union(Features::CLOCK);
        self.vcpus = 2;
        self
    }

    /// The same, where SIZE may be up to `most`.
    const fn sized(mut self, most: u32) -> Self {
        self.most = most;
        self
    }

    /// Measures it, or says why not.
    fn measure(&self, samples: usize, size: u32) {
        let measured = self
            .check()
            .and_then(|()| (self.run)(&Session::new(self.name, samples, size)));
        match measured {
            Ok(()) => {}
            Err(Trouble::Absent(reason)) => println!("bench absent {reason}"),
            Err(Trouble::Failed(reason)) => println!("bench failed {reason}"),
        }
    }

    fn check(&self) -> Result<(), Trouble> {
        let info = start_info::get();
        let missing = self.needs.missing_from(info.features());
        if !missing.is_empty() {
            return Err(Trouble::Absent(format!(
                "this VMM does not offer {missing}"
            )));
        }
        if info.vcpus() < self.vcpus {
            return Err(Trouble::Absent(format!("it needs {} vCPUs", self.vcpus)));
        }
        Ok(())
    }
}

/// Every operation, by what it belongs to.
const OPERATIONS: &[&[Operation]] = &[
    core::OPERATIONS,
    console::OPERATIONS,
    debug::OPERATIONS,
    spaces::OPERATIONS,
    trap_calls::OPERATIONS,
    interrupts::OPERATIONS,
    time::OPERATIONS,
    sched::OPERATIONS,
    vcpus::OPERATIONS,
    memory::OPERATIONS,
    deferred::OPERATIONS,
    exitless::OPERATIONS,
    traps::OPERATIONS,
    tasks::OPERATIONS,
    devices::OPERATIONS,
];

/// The guest-physical address of memory that a call writes to.
fn out<T>(memory: &mut [T]) -> Result<Gpa, Trouble> {
    let gpa = address::virt_to_phys(memory.as_mut_ptr(), size_of_val(memory));
    Ok(gpa.ok_or("the heap is not in RAM")?)
}

/// The most samples: what there is memory for in a small guest.
const MOST_SAMPLES: usize = 1_000_000;

fn operations() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().copied().flatten()
}

/// Measures what the argument names, or lists what there is.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let argument = argument.unwrap_or_default();
    if argument == "list" {
        for operation in operations() {
            println!("bench operation {} {}", operation.name, operation.vcpus);
        }
        return Ok(0);
    }
    let mut parts = argument.split(',');
    let names = parts.next().unwrap_or_default();
    let samples = number("SAMPLES", parts.next(), MOST_SAMPLES)?;
    let size = parts.next();
    if let Some(extra) = parts.next() {
        return Err(Misuse(format!("nothing comes behind SIZE, but {extra:?}")));
    }
    // All of it is checked before any of it is done.
    let wanted = names
        .split('+')
        .map(|name| {
            let operation = find(name)?;
            let size = match size {
                None => 1,
                size => number("SIZE", size, operation.most as usize)?,
            };
            Ok((operation, size as u32))
        })
        .collect::<Result<Vec<_>, Misuse>>()?;
    for (operation, size) in wanted {
        operation.measure(samples, size);
    }
    Ok(0)
}

fn find(name: &str) -> Result<&'static Operation, Misuse> {
    operations()
        .find(|operation| operation.name == name)
        .ok_or_else(|| {
            Misuse(format!(
                "there is no operation {name:?}; bench=list lists them"
            ))
        })
}

/// A number from 1 on.
fn number(what: &str, text: Option<&str>, most: usize) -> Result<usize, Misuse> {
    let text = text.unwrap_or_default();
    text.parse()
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| Misuse(format!("{what} is a number from 1 to {most}, not {text:?}")))
}
