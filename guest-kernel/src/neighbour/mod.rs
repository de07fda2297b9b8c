//! Two of these kernels in one VMM process, which share memory and check what comes of it.
//!
//! Guest 0 gives grants, guest 1 attaches them. They keep in step by words of memory that they
//! share, so it is only what they wait for that is told by an event.

mod attacher;
mod granter;
mod mutual;

use crate::command_line::Misuse;
use alloc::format;
use alloc::string::String;
use core::ops::RangeInclusive;
use core::time::Duration;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::access::Gone;
use paravane_sdk::event::{Port, Priority, Source};
use paravane_sdk::grant::{self, Offer, SharedMemory};
use paravane_sdk::hypercall::raw;
use paravane_sdk::time::Instant;
use paravane_sdk::{Errno, address, println, start_info};

/// What was wrong.
type Outcome = Result<(), String>;

/// Where in the memory that both may write each guest says how far it is.
const STEP_OF: [usize; 2] = [0, 4];

/// A word of that memory for the guests to leave something in.
const SCRATCH: usize = 8;

/// The words of shared memory that the other guest's first vCPU and its others write to.
const USERS: [usize; 2] = [0, 64];

/// How often memory is taken back while the other guest reads it: for so long, and so often at
/// least and at most. An emulated host has no time for many.
const TIME: Duration = Duration::from_secs(1);
const ROUNDS: RangeInclusive<u32> = 5..=100;

/// The round in which guest 0 crashes, if it is to.
const CRASH_ROUND: u32 = 3;

/// The size of the grant that says that there are no more rounds, in bytes.
const LAST_SIZE: u64 = 2 * PAGE_SIZE;

/// Plays the part that this guest's number gives it.
///
/// With `crash`, guest 0 crashes while guest 1 reads what it has shared.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let crash = match argument {
        None => false,
        Some("crash") => true,
        Some(other) => return Err(Misuse(format!("\"{other}\" is no way to part"))),
    };
    let page = start_info::get().page();
    if page.guests != 2 {
        return Err(Misuse(format!(
            "it takes two guests, and there are {}: --guest builtin,cmdline=neighbour",
            page.guests
        )));
    }
    let outcome = match page.guest {
        0 => granter::run(crash),
        _ => attacher::run(crash),
    };
    match outcome {
        Ok(()) => Ok(0),
        Err(why) => {
            println!("FAIL {why}");
            Ok(1)
        }
    }
}

/// Counts rounds.
struct Rounds {
    begun: Instant,
    done: u32,
}

impl Rounds {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            done: 0,
        }
    }

    /// The number of the next round, if there is to be one.
    fn next(&mut self) -> Option<u32> {
        let round = self.done;
        let is_time = self.begun.elapsed() < TIME && round < *ROUNDS.end();
        self.done += 1;
        (is_time || round < *ROUNDS.start()).then_some(round)
    }
}

/// Says that a part of the play went well.
fn ok(what: &str) {
    println!("ok  {what}");
}

/// The number of the other guest.
fn other() -> u32 {
    1 - start_info::get().page().guest
}

/// What goes wrong, as a sentence.
fn failed(what: &'static str) -> impl FnOnce(Errno) -> String {
    move |error| format!("{what}: {error}")
}

/// What goes wrong when memory is gone that should be there.
fn gone(Gone: Gone) -> String {
    String::from("memory is gone that was not taken back")
}

/// Ends a part with what is wrong unless a condition holds.
fn ensure(condition: bool, what: &str) -> Outcome {
    if condition { Ok(()) } else { Err(what.into()) }
}

/// The guests in step, by a page that both may write.
struct Steps<'memory>(&'memory SharedMemory);

impl Steps<'_> {
    /// Says that this guest has come so far.
    fn reach(&self, step: u32) -> Outcome {
        let own = STEP_OF[1 - other() as usize];
        self.0.store(own, step).map_err(gone)
    }

    /// Waits until the other guest has.
    fn wait_for(&self, step: u32) -> Outcome {
        let others = STEP_OF[other() as usize];
        while self.0.load(others).map_err(gone)? < step {
            pause();
        }
        Ok(())
    }
}

/// Lets the other guest run, which may need this processor.
fn pause() {
    // It fails nowhere.
    let _ = raw::sched_yield();
}

/// Tells of grants given and taken back.
struct Notices(Port);

impl Notices {
    fn new() -> Result<Self, String> {
        let port = Port::for_source(Source::Grant, 0, Priority::default());
        port.map(Self).map_err(failed("event_bind_source"))
    }

    /// Waits for the next one. Whatever happened before it has come, or it is the next.
    fn wait(&self) -> Outcome {
        // The first of two 32-bit numbers, 8-byte aligned.
        let ports = u64::from(self.0.number());
        while !self.0.take() {
            raw::sched_poll(address::of(&ports), 1, u64::MAX).map_err(failed("sched_poll"))?;
        }
        Ok(())
    }
}

/// Waits for an offer that is not attached.
fn next_offer(notices: &Notices) -> Result<Offer, String> {
    loop {
        let offers = grant::offers().map_err(failed("mem_offers"))?;
        if let Some(&offer) = offers.iter().find(|offer| !offer.is_attached) {
            return Ok(offer);
        }
        notices.wait()?;
    }
}
