//! Making every vCPU forget translations: what TLB shootdown is on hardware.
//!
//! The VMM changes page tables by storing to them, and KVM, if it shadows them, does not notice
//! a store that replaces something present; a CPU that walks them itself keeps what it has in its
//! TLB. What makes both forget, on every KVM and without the help of a guest, is a change of
//! the host's: KVM is told about it by an MMU notifier, drops what it has for the memory and
//! flushes the TLBs of all vCPUs, before the change is done (Linux,
//! Documentation/mm/mmu_notifier.rst; virt/kvm/kvm_main.c).

mod kvm;
mod userfault;

pub use kvm::KvmShootdown;

use std::fmt::Debug;
use std::io;
use std::ops::Range;

/// Makes vCPUs forget translations that the page tables do not have any more.
///
/// None of this ever denies a vCPU or the VMM an access that the page tables allow.
pub trait Shootdown: Debug + Send {
    /// When this returns, no vCPU uses a translation to this range of RAM that was made before.
    /// What is known of the tables that led there is not forgotten.
    fn range(&mut self, gpas: Range<u64>) -> io::Result<()>;

    /// When this returns, no vCPU uses a translation that was made before, and nobody knows what
    /// any table held.
    fn everything(&mut self) -> io::Result<()>;
}
