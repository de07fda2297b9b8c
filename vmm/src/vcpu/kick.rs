//! Making a vCPU thread leave the guest, or whatever it waits for.
#![allow(unsafe_code)]

use crate::sync::lock;
use std::sync::Mutex;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};

/// A running vCPU thread.
#[derive(Debug)]
struct Target {
    immediate_exit: *const AtomicU8,
    thread: libc::pthread_t,
}

// SAFETY: the pointer is only used under the lock of the kicker, and the vCPU thread takes
// the target away, under the same lock, before the run page it points into is unmapped.
unsafe impl Send for Target {}

/// Interrupts a vCPU thread, from any other thread.
#[derive(Debug, Default)]
pub struct Kicker {
    target: Mutex<Option<Target>>,
}

/// Says that the current thread runs a vCPU, until it is dropped.
#[derive(Debug)]
pub struct Registration<'a> {
    kicker: &'a Kicker,
}

impl Kicker {
    /// Registers the current thread.
    ///
    /// # Safety
    ///
    /// `immediate_exit` is the byte of that name in the vCPU's run page, and stays mapped
    /// until the registration is dropped.
    pub unsafe fn register(&self, immediate_exit: *mut u8) -> Registration<'_> {
        install_handler();
        // SAFETY: pthread_self has no precondition.
        let thread = unsafe { libc::pthread_self() };
        *lock(&self.target) = Some(Target {
            immediate_exit: immediate_exit.cast_const().cast(),
            thread,
        });
        Registration { kicker: self }
    }

    /// Makes the vCPU thread leave KVM_RUN or a blocking system call, or not enter KVM_RUN
    /// again. It may just have looked whether it should stop: whoever wants it to stop kicks
    /// until it has. Does nothing while no thread is registered.
    pub fn kick(&self) {
        if let Some(target) = lock(&self.target).as_ref() {
            // SAFETY: the contract of `register`; the lock keeps the registration alive. The
            // kernel reads this byte whenever it likes, so the store is an atomic one.
            unsafe { (*target.immediate_exit).store(1, Ordering::SeqCst) };
            // SAFETY: the thread is registered, so it has not ended.
            unsafe { libc::pthread_kill(target.thread, signal()) };
        }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        *lock(&self.kicker.target) = None;
    }
}

fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

extern "C" fn do_nothing(_signal: libc::c_int) {}

/// Makes the signal interrupt system calls, which one that is ignored would not do.
fn install_handler() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: all zero is a valid sigaction, and the handler does nothing, so it is
        // async-signal-safe. Without SA_RESTART an interrupted call fails with EINTR.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = do_nothing as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(signal(), &action, std::ptr::null_mut());
        }
    });
}
