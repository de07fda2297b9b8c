//! One measurement of one operation: its loops, and what is printed of them.
//!
//! ```text
//! bench warmed up COUNT
//! bench begin empty
//! bench end empty COUNT
//! bench begin NAME
//! bench end NAME COUNT EXITS
//! bench per N
//! bench empty TICKS ...
//! bench samples TICKS ...
//! bench done
//! ```
//!
//! COUNT operations were carried out between `begin` and `end`, the warm-up included, by EXITS
//! exits of this vCPU to the VMM. A sample is the ticks of N operations. The lines with values
//! come as often as it takes. Between `begin` and `end` there are also two calls of `core_stats`,
//! in the empty measurement too, so that whoever looks at KVM's counters at these lines has both
//! with the same addition.

use super::ticks;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt::Write;
use paravane_sdk::{Errno, console, println, stats};

/// How many operations of a few nanoseconds a sample is of: so many that reading the TSC, and
/// its resolution, are little beside them, and so few that a sample is seldom interrupted.
const MANY: u32 = 256;

/// How often such an operation is written down in its loop, so that the loop itself, which runs
/// beside the operation in a processor of today, hides little of it.
const UNROLLED: u32 = 8;
const _: () = assert!(MANY.is_multiple_of(UNROLLED));

/// The least warm-up, in samples.
const WARM_UP: usize = 16;

/// Values of a printed line. A line is what one call writes.
const VALUES: usize = 256;

/// Why an operation was not measured.
#[derive(Debug)]
pub enum Trouble {
    /// It cannot be had here.
    Absent(String),
    /// It went wrong.
    Failed(String),
}

impl Trouble {
    /// For a call that failed.
    pub fn call(name: &str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Failed(format!("{name}: {errno}"))
    }
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Failed(format!("a call failed: {errno}"))
    }
}

impl From<&str> for Trouble {
    fn from(reason: &str) -> Self {
        Self::Failed(reason.into())
    }
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Failed(reason)
    }
}

/// The measurement of an operation.
#[derive(Debug)]
pub struct Session {
    name: &'static str,
    samples: usize,
    size: u32,
    /// Exits of the loop that are not the operation's.
    aside: Cell<u64>,
}

impl Session {
    /// A measurement that takes so many samples. `size` is what the operation is to take it for.
    pub fn new(name: &'static str, samples: usize, size: u32) -> Self {
        Self {
            name,
            samples,
            size,
            aside: Cell::new(0),
        }
    }

    /// How many elements or bytes a call is to have.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How often a sample is taken, the warm-up included.
    pub fn rounds(&self) -> usize {
        self.samples + self.warm_up()
    }

    fn warm_up(&self) -> usize {
        WARM_UP.max(self.samples / 10)
    }

    /// Does not count exits of a sample that only prepared it.
    pub fn set_aside(&self, exits: u64) {
        self.aside.set(self.aside.get() + exits);
    }

    /// Measures an operation, one a sample.
    ///
    /// # Errors
    ///
    /// The operation's, and where there is no memory for the samples.
    pub fn each<E: Into<Trouble>>(
        &self,
        operation: impl FnMut() -> Result<(), E>,
    ) -> Result<(), Trouble> {
        self.of_size(1, operation)
    }

    /// Measures something that is `size` operations, a call with so many elements say, once a
    /// sample.
    ///
    /// # Errors
    ///
    /// As [`Self::each`].
    pub fn of_size<E: Into<Trouble>>(
        &self,
        size: u32,
        mut operation: impl FnMut() -> Result<(), E>,
    ) -> Result<(), Trouble> {
        self.take(1, size, || {
            let begun = ticks::begin();
            let result = operation();
            let ended = ticks::end();
            result.map_err(Into::into)?;
            Ok(ended.saturating_sub(begun))
        })
    }

    /// Measures an operation that takes a few nanoseconds and cannot fail, many a sample.
    ///
    /// # Errors
    ///
    /// Where there is no memory for the samples.
    pub fn many(&self, mut operation: impl FnMut()) -> Result<(), Trouble> {
        const ROUNDS: u32 = MANY / UNROLLED;
        self.take(ROUNDS, MANY, || {
            Ok(ticks_of(ROUNDS, &mut || {
                operation();
                operation();
                operation();
                operation();
                operation();
                operation();
                operation();
                operation();
            }))
        })
    }

    /// Measures something that takes its own time: `sample` gives the ticks of `size` operations.
    ///
    /// # Errors
    ///
    /// As [`Self::each`].
    pub fn samples(
        &self,
        size: u32,
        sample: impl FnMut() -> Result<u64, Trouble>,
    ) -> Result<(), Trouble> {
        self.take(1, size, sample)
    }

    /// Takes all samples, those of an empty loop with so many rounds first, and prints them.
    fn take(
        &self,
        rounds: u32,
        size: u32,
        sample: impl FnMut() -> Result<u64, Trouble>,
    ) -> Result<(), Trouble> {
        let (mut empty, mut samples) = (self.buffer()?, self.buffer()?);
        let count = self.rounds() as u64 * u64::from(size);
        // What KVM does when memory is touched for the first time is part of neither loop.
        exits_of(|| self.fill(&mut empty, || Ok(ticks_of(rounds, &mut ticks::nothing))))?;
        println!("bench warmed up {count}");
        println!("bench begin empty");
        exits_of(|| self.fill(&mut empty, || Ok(ticks_of(rounds, &mut ticks::nothing))))?;
        println!("bench end empty {count}");
        self.aside.set(0);
        println!("bench begin {}", self.name);
        let exits = exits_of(|| self.fill(&mut samples, sample))?;
        let exits = exits.saturating_sub(self.aside.get());
        println!("bench end {} {count} {exits}", self.name);
        println!("bench per {size}");
        print_values("empty", &empty);
        print_values("samples", &samples);
        println!("bench done");
        Ok(())
    }

    /// Room for the samples, which a loop that is measured does not allocate.
    fn buffer(&self) -> Result<Vec<u64>, Trouble> {
        let mut buffer = Vec::new();
        buffer
            .try_reserve_exact(self.samples)
            .map_err(|_| format!("there is no memory for {} samples", self.samples))?;
        buffer.resize(self.samples, 0);
        Ok(buffer)
    }

    fn fill(
        &self,
        samples: &mut [u64],
        mut sample: impl FnMut() -> Result<u64, Trouble>,
    ) -> Result<(), Trouble> {
        for _ in 0..self.warm_up() {
            sample()?;
        }
        for place in samples {
            *place = sample()?;
        }
        Ok(())
    }
}

/// The ticks of so many operations.
#[inline(always)]
fn ticks_of(rounds: u32, operation: &mut impl FnMut()) -> u64 {
    let begun = ticks::begin();
    for _ in 0..rounds {
        operation();
    }
    ticks::end().saturating_sub(begun)
}

/// How many exits to the VMM this vCPU made in something.
fn exits_of(body: impl FnOnce() -> Result<(), Trouble>) -> Result<u64, Trouble> {
    let exits = || stats::read().map(|stats| stats.exits);
    let before = exits().map_err(Trouble::call("core_stats"))?;
    body()?;
    let after = exits().map_err(Trouble::call("core_stats"))?;
    // The first of the two calls is in the answer of the second.
    Ok((after - before).saturating_sub(1))
}

fn print_values(what: &str, values: &[u64]) {
    for values in values.chunks(VALUES) {
        let mut line = format!("bench {what}");
        for value in values {
            // A string takes what there is memory for.
            let _ = write!(line, " {value}");
        }
        line.push('\n');
        // Nobody is left to tell that nobody reads.
        let _ = console::write(line.as_bytes());
    }
}
