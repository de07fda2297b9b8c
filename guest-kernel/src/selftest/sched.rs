//! Giving way to others.

use super::{Group, Outcome, ensure_eq, tests};
use paravane_sdk::hypercall::raw;

pub const GROUP: Group = Group {
    name: "sched",
    tests: tests![yield_comes_back],
};

fn yield_comes_back() -> Outcome {
    for _ in 0..10 {
        ensure_eq!(raw::sched_yield(), Ok(0), "sched_yield");
    }
    Ok(())
}
