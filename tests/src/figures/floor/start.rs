//! From waking a thread to the first exit of its KVM_RUN: what starting a vCPU takes at least.

use super::bare_vm::BareVm;
use super::port_writes::OUT_LOOP;
use crate::figures::Spread;
use kvm_ioctls::VcpuExit;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Nanoseconds of each of so many starts.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn measure(rounds: usize) -> Result<Spread, String> {
    let mut vm = BareVm::new(&OUT_LOOP).map_err(|error| error.to_string())?;
    let (told, ended) = mpsc::channel();
    let samples = thread::scope(|scope| {
        let vcpu = scope.spawn(move || {
            loop {
                thread::park();
                let result = match vm.vcpu.run() {
                    Ok(VcpuExit::IoOut(..)) => Ok(Instant::now()),
                    Ok(exit) => Err(format!("an unexpected exit: {exit:?}")),
                    Err(error) => Err(error.to_string()),
                };
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
            let start = Instant::now();
            vcpu.thread().unpark();
            let exit = ended.recv().map_err(|_| "the vCPU's thread ended")??;
            // The first one enters a cold VM.
            if round > 0 {
                samples.push((exit - start).as_nanos() as f64);
            }
        }
        drop(ended);
        vcpu.thread().unpark();
        Ok::<_, String>(samples)
    })?;
    Ok(Spread::new(samples))
}
