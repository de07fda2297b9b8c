//! The registers of interrupted code, and what a trap's error code says.

#![allow(unsafe_code)]

use super::Vector;
use crate::vcpu;
use core::fmt;
use core::ops::Deref;
use pv_abi::trap as abi;

/// The registers of the code that a trap interrupted: what it goes on with when its handler
/// resumes it. [`pv_abi::trap::TrapFrame`] has the fields.
#[repr(transparent)]
pub struct TrapFrame(abi::TrapFrame);

impl Deref for TrapFrame {
    type Target = abi::TrapFrame;

    fn deref(&self) -> &abi::TrapFrame {
        &self.0
    }
}

impl TrapFrame {
    /// The registers, to be changed: another `rip` skips an instruction or redirects.
    ///
    /// # Safety
    ///
    /// The interrupted code goes on with these registers in the middle of whatever it did, and
    /// what the compiler believes of it has to hold.
    pub unsafe fn registers_mut(&mut self) -> &mut abi::TrapFrame {
        &mut self.0
    }

    /// Whether the interrupted code is the SDK's own trap code, on the vCPU's trap stack. It has to
    /// go on on this vCPU before anything else does.
    pub fn is_trap_code(&self) -> bool {
        let stack = vcpu::trap_stack();
        (stack.start..=stack.end).contains(&self.0.rsp)
    }

    /// The vector.
    pub fn vector(&self) -> Vector {
        Vector(self.0.vector as u32)
    }

    /// What a #PF says; `None` for another vector.
    pub fn page_fault(&self) -> Option<PageFault> {
        (self.vector() == Vector::PF).then(|| PageFault::new(self.0.cr2, self.0.error))
    }
}

impl fmt::Debug for TrapFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a page fault says (Intel SDM vol. 3A, 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// The address that was accessed.
    pub address: u64,
    /// Whether the page is mapped, so that a right was missing.
    pub present: bool,
    /// Whether it was a write.
    pub write: bool,
    /// Whether the access was made at CPL 3.
    pub user: bool,
    /// Whether it was the fetch of an instruction.
    pub fetch: bool,
}

impl PageFault {
    /// What CR2 and the error code say.
    pub(crate) fn new(address: u64, error: u64) -> Self {
        Self {
            address,
            present: error & 1 << 0 != 0,
            write: error & 1 << 1 != 0,
            user: error & 1 << 2 != 0,
            fetch: error & 1 << 4 != 0,
        }
    }
}

/// What was tried where, such as `#PF writing 0x1000, where nothing is mapped`.
impl fmt::Display for PageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self {
            Self { fetch: true, .. } => "executing",
            Self { write: true, .. } => "writing",
            _ => "reading",
        };
        let why = match self.present {
            true => "for which the right is missing",
            false => "where nothing is mapped",
        };
        write!(f, "#PF {access} {:#x}, {why}", self.address)
    }
}
