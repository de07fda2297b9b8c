//! How much of a call is one step, and when other vCPUs see what it does.

use crate::calls::{CALLS, CallSpec, number};

/// What a call is to vCPUs that run at the same time. The sentences are about a call that
/// succeeds; one that fails has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atomicity {
    /// It changes nothing that another vCPU could see.
    Nothing,
    /// It writes its output and changes nothing else. Until it returns, another vCPU may see a part
    /// of the output.
    Output,
    /// One step, which concerns the calling vCPU alone.
    Own,
    /// One step. Other vCPUs see all of it or nothing, and all of it when the call returns.
    Whole,
    /// Each element is one step, in their order. Other vCPUs see an element when it is done, and
    /// all that the result counts when the call returns.
    Elements,
    /// Each element is a call as if it were made alone. Other vCPUs see it when it is done.
    Calls,
    /// Its bytes come in their order, and those of other vCPUs may come between them.
    Stream,
    /// It waits, and holds nobody up meanwhile. What ended the wait is seen when the call returns; a
    /// kick that did is used up, whatever the result.
    Waits,
    /// It does not return. Other vCPUs end between two of their instructions, soon after.
    Ends,
}

impl CallSpec {
    /// How atomic the call is.
    pub const fn atomicity(&self) -> Atomicity {
        if self.repeated {
            return Atomicity::Elements;
        }
        match self.number {
            number::core_version
            | number::core_noop
            | number::sched_yield
            | number::sched_yield_to
            | number::sched_spin
            | number::vcpu_state
            | number::io_device_status
            | number::debug_trace_mark
            | number::debug_echo => Atomicity::Nothing,

            number::core_features
            | number::core_entropy
            | number::core_stats
            | number::as_query
            | number::time_wallclock
            | number::mem_offers
            | number::io_config_read => Atomicity::Output,

            number::as_switch
            | number::trap_set_table
            | number::trap_set_upcall
            | number::trap_set_syscall
            | number::trap_set_tls
            | number::trap_return
            | number::trap_set_debug => Atomicity::Own,

            number::as_create
            | number::as_destroy
            | number::event_alloc
            | number::event_bind_timer
            | number::event_bind_ipi
            | number::event_bind_vcpu
            | number::event_send
            | number::event_mask
            | number::event_unmask
            | number::event_close
            | number::event_bind_source
            | number::time_oneshot
            | number::time_periodic
            | number::time_cancel
            | number::sched_kick
            | number::vcpu_start
            | number::vcpu_stop
            | number::vcpu_set_affinity_hint
            | number::mem_share
            | number::mem_unshare
            | number::mem_attach
            | number::mem_detach
            | number::io_device_set_status
            | number::io_device_set_features
            | number::io_queue_setup
            | number::io_queue_notify
            | number::debug_print
            | number::debug_crash_report => Atomicity::Whole,

            number::core_batch => Atomicity::Calls,
            number::io_console_write => Atomicity::Stream,
            number::sched_block | number::sched_poll | number::io_console_read => Atomicity::Waits,
            number::sched_shutdown | number::sched_reboot | number::sched_crash => Atomicity::Ends,

            _ => panic!("say how atomic the new call is"),
        }
    }
}

// Each call is in one of the lists.
const _: () = {
    let mut i = 0;
    while i < CALLS.len() {
        let _ = CALLS[i].atomicity();
        i += 1;
    }
};
