//! The end of the VM, in each of its ways, and giving way to others.

use crate::hypercall::raw;
use crate::{console, crash};
use pv_abi::crash::CRASH_PANIC;

/// Gives the rest of this vCPU's time slice to whoever waits for the processor.
pub fn yield_now() {
    // It fails nowhere.
    let _ = raw::sched_yield();
}

/// Ends the VM. The code, 0 to 119, is what `paravane run` exits with.
///
/// # Panics
///
/// When the code is outside of that range: the other codes are the VMM's own.
pub fn shutdown(code: i32) -> ! {
    console::flush();
    if let Ok(code) = u32::try_from(code) {
        // It returns only when it refuses the code.
        let _ = raw::sched_shutdown(code);
    }
    panic!("cannot exit with code {code}: exit codes are 0 to 119");
}

/// Starts the VM again, from its image, with fresh memory.
pub fn reboot() -> ! {
    console::flush();
    // It does not return.
    let _ = raw::sched_reboot();
    panic!("the VMM did not reboot");
}

/// Ends the VM as crashed, for the reason that the message says.
///
/// A panic does the same, and says where it happened.
pub fn crash(message: &str) -> ! {
    crash::crash(CRASH_PANIC, None, format_args!("{message}"))
}
