//! From the entry point to the guest's main function, and on to the end.

#![allow(unsafe_code)]

use crate::{hypercall, sched, start_info, task, trap};
use pv_abi::ABI_MAJOR;
use pv_abi::start_info::{START_INFO_MAGIC, StartInfo};

/// A main function: what [`entry!`](crate::entry) takes.
pub trait Main {
    /// Calls it and gives its exit code.
    fn run(self) -> i32;
}

impl Main for fn() {
    fn run(self) -> i32 {
        self();
        0
    }
}

impl Main for fn() -> i32 {
    fn run(self) -> i32 {
        self()
    }
}

impl Main for fn() -> ! {
    fn run(self) -> i32 {
        self()
    }
}

/// Prepares the SDK, runs the guest's main function and shuts the VM down.
///
/// # Safety
///
/// It is called once, by the entry point, with the start-info page that the VMM handed over.
pub unsafe fn run(info: *const StartInfo, main: impl Main) -> ! {
    // SAFETY: the VMM maps the page before it enters the guest, and never changes it.
    let info = unsafe { &*info };
    if info.magic != START_INFO_MAGIC || info.abi_major != ABI_MAJOR {
        // Whoever entered us is no VMM of this ABI, so there is no call to complain with.
        // There is no trap handler either: the VMM, if it is one, shows where this happened.
        // SAFETY: an undefined instruction ends the guest here.
        unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
    }
    hypercall::init(info.hypercall_page);
    start_info::init(info);
    trap::init(info.hypercall_page);
    task::init(info.hypercall_page);
    sched::shutdown(main.run())
}

/// What the precompiled `alloc` and `core` refer to for unwinding, which no guest does: without
/// these two names a debug build does not link.
#[cfg(not(target_os = "none"))]
mod unwinding {
    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Resume() -> ! {
        panic!("a guest cannot unwind")
    }

    #[unsafe(no_mangle)]
    extern "C" fn rust_eh_personality() {}
}
