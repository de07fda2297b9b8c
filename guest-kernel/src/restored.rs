//! Going on from a snapshot, shown: a guest that says each time that it does.

use crate::command_line::Misuse;
use paravane_sdk::restored::{self, Restored};
use paravane_sdk::time::{self, Instant};
use paravane_sdk::{entropy, exec, println};

/// Says "ready" and waits; each time that the VM goes on from a snapshot, says how often that was,
/// with random bytes, the milliseconds of the clock and the seconds of the time of day.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    exec::block_on(async {
        let restored = match Restored::new() {
            Ok(restored) => restored,
            Err(error) => panic!("cannot be told of a snapshot: {error}"),
        };
        say("ready", restored::count());
        loop {
            let count = restored.wait().await;
            say("restored", count);
        }
    })
}

fn say(what: &str, count: u32) {
    let mut random = [0; 8];
    if let Err(error) = entropy::fill(&mut random) {
        panic!("no random bytes: {error}");
    }
    let random = u64::from_ne_bytes(random);
    let clock = Instant::now().as_nanos() / 1_000_000;
    let day = time::wallclock().map_or(0, |day| day.seconds);
    println!("{what} {count} {random:016x} {clock} {day}");
}
