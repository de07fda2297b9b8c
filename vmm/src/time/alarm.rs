//! A timer of the host's that ends whatever a vCPU's thread is in, KVM_RUN above all.
//!
//! It sends the signal that kicks (vcpu/kick.rs) to the thread that made it: no other thread has
//! to run for a guest's timer.
#![allow(unsafe_code)]

use crate::vcpu::kick;
use std::io;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

/// A POSIX timer of the monotonic clock.
#[derive(Debug)]
pub struct Alarm {
    timer: libc::timer_t,
    /// When it goes off.
    at: Option<Instant>,
}

// SAFETY: a timer belongs to the process, and any of its threads may set and delete it.
unsafe impl Send for Alarm {}

impl Alarm {
    /// An alarm for the current thread, which is not set.
    pub fn for_this_thread() -> io::Result<Self> {
        kick::install_handler();
        let mut timer = null_mut();
        // SAFETY: all zero is a valid sigevent, gettid has no precondition, and both pointers
        // are to live values. The signal has a handler.
        let result = unsafe {
            let mut event: libc::sigevent = zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = kick::signal();
            event.sigev_notify_thread_id = libc::gettid();
            libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { timer, at: None })
    }

    /// Whether it is to go off yet.
    pub fn is_set(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() < at)
    }

    /// Sets it to go off once, so long from now.
    pub fn set(&mut self, time: Duration) {
        // What the host's clock cannot express does not come.
        self.at = Instant::now().checked_add(time);
        // 0 would be never.
        self.arm(time.max(Duration::from_nanos(1)));
    }

    /// Sets it not to go off.
    pub fn clear(&mut self) {
        if self.at.take().is_some() {
            self.arm(Duration::ZERO);
        }
    }

    fn arm(&self, time: Duration) {
        // Linux cuts what is too far in the future.
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let setting = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: seconds,
                tv_nsec: time.subsec_nanos().into(),
            },
        };
        // SAFETY: the timer lives as long as `self`. The call fails for none that is valid.
        unsafe { libc::timer_settime(self.timer, 0, &setting, null_mut()) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the timer is not used any more.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// Lets the waits of the current thread end on time: by default Linux may end them 50 us late,
/// to wake several threads at once.
pub fn wait_exactly() {
    // SAFETY: the call has no precondition, and changes nothing but the current thread's slack.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}
