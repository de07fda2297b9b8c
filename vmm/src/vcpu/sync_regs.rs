//! Registers that KVM hands over at an exit, and takes at an entry, in the run page
//! (KVM_CAP_SYNC_REGS).
//!
//! On a nested host an ioctl of a vCPU takes 8 us, and an upcall would take three. To have KVM copy
//! the registers at each exit would cost each hypercall 77 instructions (docs/decisions/0003), so
//! they are asked for by whoever kicks the vCPU, and only then. What is to be set always goes this
//! way: it costs nothing where there is nothing to set (docs/decisions/0012). Until the next
//! KVM_RUN the registers are then what the page says and not what an ioctl does.
#![allow(unsafe_code)]

use kvm_bindings::{
    KVM_SYNC_X86_EVENTS, KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS, kvm_regs, kvm_run, kvm_sregs,
    kvm_vcpu_events,
};
use kvm_ioctls::VcpuFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is asked for.
pub const WANTED: u64 = (KVM_SYNC_X86_REGS | KVM_SYNC_X86_EVENTS) as u64;

/// The part of a vCPU's run page that its registers go through.
///
/// KVM writes `events.flags`, never as 0, when it hands registers over; that they are 0 says that
/// there are none.
#[derive(Debug)]
pub struct SyncRegs {
    run: NonNull<kvm_run>,
}

// SAFETY: the page is used by whoever has the SyncRegs, and it moves together with its vCPU.
unsafe impl Send for SyncRegs {}

/// What KVM has handed over.
#[derive(Clone, Copy, Debug)]
pub struct Handed {
    /// The general registers.
    pub registers: kvm_regs,
    /// Whether KVM has an exception for the guest.
    pub exception_waits: bool,
}

impl SyncRegs {
    /// Those of `vcpu`.
    ///
    /// # Safety
    ///
    /// It must not be used after `vcpu` is dropped.
    pub unsafe fn new(vcpu: &mut VcpuFd) -> Self {
        Self {
            run: NonNull::from(vcpu.get_kvm_run()),
        }
    }

    /// Where a store of [`WANTED`] has KVM hand registers over at the end of the KVM_RUN under
    /// way, or of the next one.
    pub fn wish(&self) -> *const AtomicU64 {
        // SAFETY: the page is mapped (the contract of `new`).
        unsafe { (&raw const (*self.run.as_ptr()).kvm_valid_regs).cast() }
    }

    /// What KVM handed over at the end of the last KVM_RUN, if it did, with what was set since.
    pub fn take(&mut self) -> Option<Handed> {
        let run = self.run.as_ptr();
        // SAFETY: the page is mapped, and all members of the union are plain numbers.
        let handed = unsafe {
            let regs = &raw const (*run).s.regs;
            if (*regs).events.flags == 0 {
                return None;
            }
            let exception = (*regs).events.exception;
            Handed {
                registers: (*regs).regs,
                exception_waits: exception.injected != 0 || exception.pending != 0,
            }
        };
        self.forget();
        Some(handed)
    }

    /// Forgets what KVM handed over, and that it was asked to.
    pub fn forget(&mut self) {
        let run = self.run.as_ptr();
        // SAFETY: as in `take`; the wish is stored by other threads too, so the store is atomic.
        unsafe {
            (*self.wish()).store(0, Ordering::SeqCst);
            (*run).s.regs.events.flags = 0;
        }
    }

    /// Has KVM take the general registers at the next KVM_RUN.
    pub fn set(&mut self, registers: &kvm_regs) {
        let run = self.run.as_ptr();
        // SAFETY: as in `take`.
        unsafe {
            (*run).s.regs.regs = *registers;
            (*run).kvm_dirty_regs |= u64::from(KVM_SYNC_X86_REGS);
        }
    }

    /// Has KVM take the system registers at the next KVM_RUN.
    pub fn set_system(&mut self, registers: &kvm_sregs) {
        let run = self.run.as_ptr();
        // SAFETY: as in `take`.
        unsafe {
            (*run).s.regs.sregs = *registers;
            (*run).kvm_dirty_regs |= u64::from(KVM_SYNC_X86_SREGS);
        }
    }

    /// Has KVM forget at the next KVM_RUN what it has not delivered to the guest.
    ///
    /// With VMX an INT3 whose delivery was cut short, by an EPT violation on the guest's stack for
    /// one, is an exception that KVM does not tell of and keeps when registers are set (Linux,
    /// kvm_vcpu_ioctl_x86_get_vcpu_events and \_\_set_regs): it would come wherever the guest is by
    /// then. RIP is still at the instruction, which is executed again.
    pub fn forget_undelivered(&mut self) {
        let run = self.run.as_ptr();
        // SAFETY: as in `take`.
        unsafe {
            (*run).s.regs.events = kvm_vcpu_events::default();
            (*run).kvm_dirty_regs |= u64::from(KVM_SYNC_X86_EVENTS);
        }
    }

    /// The general registers, where KVM is still to take them.
    pub fn general_to_be(&self) -> Option<kvm_regs> {
        let run = self.run.as_ptr();
        // SAFETY: as in `take`.
        unsafe { self.is_dirty(KVM_SYNC_X86_REGS).then(|| (*run).s.regs.regs) }
    }

    /// The system registers, where KVM is still to take them.
    pub fn system_to_be(&self) -> Option<kvm_sregs> {
        let run = self.run.as_ptr();
        // SAFETY: as in `take`.
        unsafe {
            self.is_dirty(KVM_SYNC_X86_SREGS)
                .then(|| (*run).s.regs.sregs)
        }
    }

    fn is_dirty(&self, group: u32) -> bool {
        // SAFETY: as in `take`.
        unsafe { (*self.run.as_ptr()).kvm_dirty_regs & u64::from(group) != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_taken_once() {
        let mut page = Box::new(kvm_run::default());
        let run = NonNull::from(page.as_mut());
        let mut sync = SyncRegs { run };
        assert!(sync.take().is_none());
        // SAFETY: the page lives to the end of the test, and only this thread uses it.
        unsafe {
            (*sync.wish()).store(WANTED, Ordering::SeqCst);
            // What KVM does at the end of KVM_RUN.
            (*run.as_ptr()).s.regs.regs.rip = 0x1234;
            (*run.as_ptr()).s.regs.events.flags = 1;
            (*run.as_ptr()).s.regs.events.exception.pending = 1;
        }
        let handed = sync.take().unwrap();
        assert_eq!(
            (handed.registers.rip, handed.exception_waits),
            (0x1234, true)
        );
        assert!(sync.take().is_none());
        // SAFETY: as above.
        assert_eq!(unsafe { (*run.as_ptr()).kvm_valid_regs }, 0);
    }

    #[test]
    fn to_forget_what_was_not_delivered_hands_nothing_over() {
        let mut page = Box::new(kvm_run::default());
        let run = NonNull::from(page.as_mut());
        let mut sync = SyncRegs { run };
        // SAFETY: the page lives to the end of the test, and only this thread uses it.
        unsafe {
            (*run.as_ptr()).s.regs.events.flags = 1;
            (*run.as_ptr()).s.regs.events.exception.injected = 1;
        }
        sync.forget_undelivered();
        assert!(sync.take().is_none());
        // SAFETY: as above.
        let (dirty, injected) = unsafe {
            let run = run.as_ptr();
            (
                (*run).kvm_dirty_regs,
                (*run).s.regs.events.exception.injected,
            )
        };
        assert_eq!((dirty, injected), (u64::from(KVM_SYNC_X86_EVENTS), 0));
    }

    #[test]
    fn what_is_to_be_taken_is_not_what_was_handed_over() {
        let mut page = Box::new(kvm_run::default());
        let run = NonNull::from(page.as_mut());
        let mut sync = SyncRegs { run };
        sync.set(&kvm_regs {
            rip: 0x5678,
            ..Default::default()
        });
        assert!(sync.take().is_none());
        // SAFETY: as above.
        let dirty = || unsafe { (*run.as_ptr()).kvm_dirty_regs };
        sync.forget();
        assert_eq!(dirty(), u64::from(KVM_SYNC_X86_REGS));
        assert_eq!(sync.general_to_be().unwrap().rip, 0x5678);
        assert!(sync.system_to_be().is_none());
        sync.set_system(&kvm_sregs {
            cr3: 0x9000,
            ..Default::default()
        });
        assert_eq!(dirty(), u64::from(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS));
        assert_eq!(sync.system_to_be().unwrap().cr3, 0x9000);
        // What KVM does at the beginning of KVM_RUN.
        // SAFETY: as above.
        unsafe { (*run.as_ptr()).kvm_dirty_regs = 0 };
        assert!(sync.general_to_be().is_none() && sync.system_to_be().is_none());
    }
}
