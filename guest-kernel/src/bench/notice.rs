//! One-way latencies: from a cause to the first instruction that notices it.

use super::session::Trouble;
use super::ticks;
use alloc::format;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::time::Instant;

/// How long a measurement waits for something that should come soon.
const PATIENCE_NS: u64 = 20_000_000_000;

/// The TSC when it was noticed; 0 until then.
pub static NOTICED: AtomicU64 = AtomicU64::new(0);

/// Nothing has been noticed yet.
pub fn forget() {
    NOTICED.store(0, Ordering::Release);
}

/// It is noticed now. This is the first thing that whoever notices it does.
#[inline(always)]
pub fn notice() {
    NOTICED.store(ticks::end(), Ordering::Release);
}

/// Waits until it has been noticed: the TSC then.
///
/// # Errors
///
/// When it does not come.
pub fn wait(what: &str) -> Result<u64, Trouble> {
    wait_until(what, || {
        Some(NOTICED.load(Ordering::Acquire)).filter(|&ticks| ticks != 0)
    })
}

/// Waits until `ready` gives something. It makes no call.
///
/// # Errors
///
/// When that does not come.
pub fn wait_until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> Result<T, Trouble> {
    let begun = Instant::now().as_nanos();
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if Instant::now().as_nanos() - begun > PATIENCE_NS {
            return Err(format!("{what} did not come").into());
        }
        spin_loop();
    }
}
