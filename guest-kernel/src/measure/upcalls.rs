//! Masking and unmasking upcalls.

use super::{Measure, Samples, picoseconds_of_each};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use paravane_sdk::upcall::{self, Masked};
use paravane_sdk::{Features, event};

pub const MEASURE: Measure = Measure {
    name: "upcalls",
    needs: Features::EVENTS,
    vcpus: 1,
    run,
};

fn run() -> Result<Vec<Samples>, String> {
    upcall::enable();
    let bare = picoseconds_of_each(1000, 1000, || {
        event::mask_upcalls();
        // There is no port, so nothing waits.
        let _ = event::unmask_upcalls();
    });
    let nested = picoseconds_of_each(1000, 1000, || drop(Masked::new()));
    upcall::disable();
    Ok(vec![
        Samples {
            name: "upcall_mask_unmask",
            unit: "ps",
            values: bare,
        },
        // As locks do it, which count.
        Samples {
            name: "upcall_masked_scope",
            unit: "ps",
            values: nested,
        },
    ])
}
