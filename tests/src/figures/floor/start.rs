//! From an exit of one vCPU to the first instruction of another, whose thread is woken: what
//! starting a vCPU takes at least.

use super::injection::exit;
use super::pair::{Pair, Role};
use crate::figures::Spread;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Nanoseconds of each of so many starts, in a VM at this CPL.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn measure(cpl: u8, rounds: usize) -> Result<Spread, String> {
    let text = |error: kvm_ioctls::Error| error.to_string();
    let pair = Pair::new(cpl, Role::Starts).map_err(text)?;
    let Pair {
        mut sender,
        mut receiver,
        times,
    } = pair;
    let khz = sender.get_tsc_khz().map_err(text)?;
    let (told, ended) = mpsc::channel();
    let samples = thread::scope(|scope| {
        let vcpu = scope.spawn(move || {
            loop {
                thread::park();
                let result = exit(&mut receiver);
                let failed = result.is_err();
                // Nobody listens when all is done.
                if told.send(result).is_err() || failed {
                    return;
                }
            }
        });
        let mut samples = Vec::with_capacity(rounds);
        for round in 0..=rounds {
            // Long enough for the thread to be parked and its processor to be idle or another's.
            thread::sleep(Duration::from_micros(500));
            exit(&mut sender)?;
            vcpu.thread().unpark();
            ended.recv().map_err(|_| "the vCPU's thread ended")??;
            // The first one enters a cold VM.
            if round > 0 {
                let cycles = times.noticed()?.saturating_sub(times.sent()?);
                samples.push(cycles as f64 * 1e6 / f64::from(khz));
            }
        }
        drop(ended);
        vcpu.thread().unpark();
        Ok::<_, String>(samples)
    })?;
    Ok(Spread::new(samples))
}
