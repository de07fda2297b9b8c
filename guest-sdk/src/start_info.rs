//! What the VMM told the guest at entry.

#![allow(unsafe_code)]

use crate::address;
use core::slice;
use core::sync::atomic::{AtomicPtr, Ordering};
use pv_abi::start_info::StartInfo as Page;
use pv_abi::{Features, Gpa};

static PAGE: AtomicPtr<Page> = AtomicPtr::new(core::ptr::null_mut());

/// Notes where the start-info page is.
pub(crate) fn init(page: &'static Page) {
    PAGE.store(core::ptr::from_ref(page).cast_mut(), Ordering::Relaxed);
}

/// The start-info page.
///
/// The VMM fills it in before it enters the guest and never changes it, and the guest cannot.
#[derive(Clone, Copy, Debug)]
pub struct StartInfo(&'static Page);

/// The start-info page.
pub fn get() -> StartInfo {
    // SAFETY: `init` stored a reference that is valid for ever, before anything called this.
    StartInfo(unsafe { &*PAGE.load(Ordering::Relaxed) })
}

/// The privilege level that the guest kernel runs at.
///
/// A guest has no use for it but to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// CPL 0.
    Ring0,
    /// CPL 3, deprivileged.
    Ring3,
}

impl StartInfo {
    /// The page as the ABI defines it.
    pub fn page(self) -> &'static Page {
        self.0
    }

    /// The VMM's version of the ABI: major, minor.
    pub fn abi_version(self) -> (u16, u16) {
        (self.0.abi_major, self.0.abi_minor)
    }

    /// The features that the VMM offers.
    pub fn features(self) -> Features {
        Features(self.0.features)
    }

    /// The privilege level that the guest kernel runs at.
    pub fn privilege(self) -> Privilege {
        match self.0.privilege {
            0 => Privilege::Ring0,
            _ => Privilege::Ring3,
        }
    }

    /// The number of vCPUs.
    pub fn vcpus(self) -> u32 {
        self.0.vcpus
    }

    /// The frequency of the TSC in Hz, where the VMM knows it.
    pub fn tsc_frequency(self) -> Option<u64> {
        (self.0.tsc_frequency != 0).then_some(self.0.tsc_frequency)
    }

    /// The size of RAM in bytes.
    pub fn ram_size(self) -> u64 {
        self.0.ram_size
    }

    /// The command line; empty where there is none, and where it is not UTF-8.
    pub fn command_line(self) -> &'static str {
        let address = self.0.command_line as *const u8;
        if address.is_null() {
            return "";
        }
        // SAFETY: the VMM maps so many bytes there, read-only and for ever.
        let bytes = unsafe { slice::from_raw_parts(address, self.0.command_line_size as usize) };
        str::from_utf8(bytes).unwrap_or("")
    }

    /// The initrd, where there is one.
    pub fn initrd(self) -> Option<&'static [u8]> {
        let size = self.0.initrd_size as usize;
        if size == 0 {
            return None;
        }
        let start = address::phys_to_virt(Gpa(self.0.initrd_gpa), size)?;
        // SAFETY: the VMM put the initrd there and marks its pages as in use in the memory
        // map, so that nothing else in this guest takes them.
        Some(unsafe { slice::from_raw_parts(start, size) })
    }

    /// Random bytes of the host's, fresh at each boot: a seed that is there before the first
    /// call. [`entropy::fill`](crate::entropy::fill) has more.
    pub fn entropy(self) -> [u8; 32] {
        self.0.entropy
    }
}
