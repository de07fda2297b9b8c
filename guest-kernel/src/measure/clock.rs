//! Reading the clock.

use super::{Measure, Samples, picoseconds_of_each};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use paravane_sdk::Features;
use paravane_sdk::time::Instant;

pub const MEASURE: Measure = Measure {
    name: "clock",
    needs: Features::NONE,
    vcpus: 1,
    run,
};

fn run() -> Result<Vec<Samples>, String> {
    Ok(vec![Samples {
        name: "clock_read",
        unit: "ps",
        values: picoseconds_of_each(1000, 1000, || {
            black_box(Instant::now());
        }),
    }])
}
