//! How late the host's own timers are.
#![allow(unsafe_code)]

use crate::figures::Spread;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::{Duration, Instant};

/// Nanoseconds that a timerfd of a millisecond is late, so many times, for a thread that waits for
/// it.
///
/// # Errors
///
/// What the kernel says.
pub fn measure(rounds: usize) -> std::io::Result<Spread> {
    const DELAY: Duration = Duration::from_millis(1);
    // SAFETY: it takes two numbers.
    let descriptor = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nobody else has it.
    let mut timer = unsafe { File::from_raw_fd(descriptor) };
    let setting = libc::itimerspec {
        it_interval: libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: libc::timespec {
            tv_sec: 0,
            tv_nsec: DELAY.as_nanos() as i64,
        },
    };
    let mut samples = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let deadline = Instant::now() + DELAY;
        // SAFETY: the setting lives as long as the call, and the old one is not asked for.
        let set =
            unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &setting, std::ptr::null_mut()) };
        if set < 0 {
            return Err(std::io::Error::last_os_error());
        }
        timer.read_exact(&mut [0; 8])?;
        samples.push(deadline.elapsed().as_nanos() as f64);
    }
    Ok(Spread::new(samples))
}
