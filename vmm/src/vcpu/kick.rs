//! Making a vCPU thread leave the guest, or whatever it waits for.
#![allow(unsafe_code)]

use super::sync_regs;
use crate::sync::lock;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// A running vCPU thread.
#[derive(Debug)]
struct Target {
    process: libc::pid_t,
    thread: libc::pid_t,
    /// Where it is stored that the vCPU's registers are wanted; null for nowhere.
    wish: *const AtomicU64,
}

// SAFETY: what the pointer leads to is there as long as the target (the contract of `register`),
// and atomic.
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
    // It is dropped by the thread that it is about.
    _not_send: PhantomData<*const ()>,
}

thread_local! {
    /// The immediate_exit byte of the vCPU that this thread runs; null when it runs none.
    static IMMEDIATE_EXIT: Cell<*const AtomicU8> = const { Cell::new(std::ptr::null()) };
}

impl Kicker {
    /// Registers the current thread.
    ///
    /// # Safety
    ///
    /// `immediate_exit` is the byte of that name in the vCPU's run page, and `wish` its
    /// `kvm_valid_regs` or null. Both stay mapped until the registration is dropped.
    pub unsafe fn register(
        &self,
        immediate_exit: *mut u8,
        wish: *const AtomicU64,
    ) -> Registration<'_> {
        install_handler();
        // SAFETY: neither has a precondition.
        let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
        *lock(&self.target) = Some(Target {
            process,
            thread,
            wish,
        });
        IMMEDIATE_EXIT.set(immediate_exit.cast_const().cast());
        Registration {
            kicker: self,
            _not_send: PhantomData,
        }
    }

    /// Makes the vCPU thread leave KVM_RUN or a blocking system call, or not enter KVM_RUN
    /// again: whatever it was doing when the kick came, its next KVM_RUN returns at once. Does
    /// nothing while no thread is registered.
    pub fn kick(&self) {
        if let Some(target) = lock(&self.target).as_ref() {
            if !target.wish.is_null() {
                // Whoever kicks it wants something of the guest, and may need its registers.
                // SAFETY: the contract of `register`; the registration has not ended.
                unsafe { (*target.wish).store(sync_regs::WANTED, Ordering::SeqCst) };
            }
            // Not pthread_kill, which makes two system calls more before this one: 10 us of an
            // event's way on a nested host (docs/decisions/0011).
            // SAFETY: the thread is registered, so it has not ended, and no other has its number.
            unsafe { libc::syscall(libc::SYS_tgkill, target.process, target.thread, signal()) };
        }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        IMMEDIATE_EXIT.set(std::ptr::null());
        *lock(&self.kicker.target) = None;
    }
}

/// The signal that kicks.
pub fn signal() -> libc::c_int {
    libc::SIGRTMIN()
}

/// A signal that arrives outside of KVM_RUN ends the next one: the kernel looks at the byte when
/// it is about to enter the guest.
extern "C" fn exit_immediately(_signal: libc::c_int) {
    let byte = IMMEDIATE_EXIT.get();
    if !byte.is_null() {
        // SAFETY: the contract of `register`; this is the registered thread, so the registration
        // has not ended. The kernel reads the byte whenever it likes, so the store is atomic.
        unsafe { (*byte).store(1, Ordering::SeqCst) };
    }
}

/// Makes the signal interrupt system calls, which one that is ignored would not do.
pub fn install_handler() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: all zero is a valid sigaction, and the handler reads a thread-local word and
        // stores a byte, so it is async-signal-safe. Without SA_RESTART an interrupted call fails with EINTR.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = exit_immediately as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(signal(), &action, std::ptr::null_mut());
        }
    });
}
