//! The other vCPU, for operations that take two.

#![allow(unsafe_code)]

use super::notice::wait_until;
use super::session::Trouble;
use core::sync::atomic::{AtomicBool, Ordering};
use paravane_sdk::abi::vcpu_page::VcpuPage;
use paravane_sdk::hypercall::raw;
use paravane_sdk::{start_info, vcpu};

/// Its number.
pub const PEER: u32 = 1;

static STOP: AtomicBool = AtomicBool::new(false);

/// The other vCPU, for as long as it runs.
pub struct Peer(());

impl Peer {
    /// Starts it with something to do until [`is_to_stop`]. Its upcalls are enabled.
    ///
    /// # Errors
    ///
    /// Those of `vcpu_start`.
    pub fn start(occupation: fn()) -> Result<Self, Trouble> {
        STOP.store(false, Ordering::Release);
        vcpu::start(PEER, move |_| occupation()).map_err(Trouble::call("vcpu_start"))?;
        Ok(Self(()))
    }

    /// Waits until it is in a state (`RUN_STATE_*`), without a call.
    ///
    /// # Errors
    ///
    /// When that does not come.
    pub fn wait_for_state(&self, state: u32) -> Result<(), Trouble> {
        wait_until("the other vCPU", || {
            (run_state(PEER) == state).then_some(())
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        STOP.store(true, Ordering::Release);
        // It may be waiting.
        let _ = raw::sched_kick(PEER);
        vcpu::join(&[PEER]);
    }
}

/// Whether the other vCPU is to end what it does.
#[inline(always)]
pub fn is_to_stop() -> bool {
    STOP.load(Ordering::Acquire)
}

/// The state of a vCPU (`RUN_STATE_*`) as its page tells it, without a call.
#[inline(always)]
pub fn run_state(vcpu: u32) -> u32 {
    let info = start_info::get().page();
    let address = info.vcpu_pages + u64::from(vcpu) * info.vcpu_page_stride;
    let page: *const VcpuPage = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the pages of all vCPUs are mapped for ever; the VMM changes the field at any time.
    unsafe { (&raw const (*page).run_state).read_volatile() }
}
