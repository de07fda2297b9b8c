//! Which rights a page of RAM may have: never that to write and that to execute at once, whoever
//! has it mapped.

use super::frames::Right;
use super::request::rights;
use super::state::State;
use crate::paging::Access;
use pv_abi::address_space::LINEAR_MAP_BASE;
use pv_abi::start_info::RIGHT_WRITE;
use pv_abi::{Errno, Gpa};
use std::ops::Range;

impl State {
    /// What a mapping of a guest-physical range may have at most.
    ///
    /// EFAULT: it is neither in RAM nor in an attached grant.
    pub(super) fn limit(&self, gpas: &Range<u64>) -> Result<u32, Errno> {
        if gpas.end <= self.ram.size() {
            return Ok(u32::MAX);
        }
        self.attached
            .iter()
            .find(|extent| extent.contains(gpas))
            .map(|extent| extent.rights)
            .ok_or(Errno::EFAULT)
    }

    /// Whether a range is memory of another guest.
    pub(super) fn is_foreign(&self, gpa: u64) -> bool {
        gpa >= self.ram.size()
    }

    /// Checks that a range of RAM or of a grant may be mapped with an access, by all that is
    /// known but for the mappings themselves.
    pub(super) fn check_limit(&self, gpas: &Range<u64>, access: Access) -> Result<(), Errno> {
        let size = gpas.end - gpas.start;
        let exceeds = rights(access) & !self.limit(gpas)? != 0;
        let sealed = access == Access::ReadWrite && self.ram.is_sealed(Gpa(gpas.start), size);
        let others_write = access == Access::ReadExecute && self.others_write(gpas);
        if exceeds || sealed || others_write {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// Whether another guest may write to a page of a range of RAM.
    pub(super) fn others_write(&self, gpas: &Range<u64>) -> bool {
        self.shared
            .iter()
            .any(|extent| extent.rights & RIGHT_WRITE != 0 && extent.overlaps(gpas))
    }

    /// Whether a page of a range of RAM has a right by some mapping, the linear one included.
    pub(super) fn any_has(&mut self, gpas: &Range<u64>, right: Right) -> bool {
        self.frames().any(gpas.clone(), right) || self.linear_has(gpas, right, &(0..0))
    }

    /// Whether a page of a range of RAM has a right in the linear map, but for what is mapped at
    /// some of the kernel's addresses.
    pub(super) fn linear_has(&self, gpas: &Range<u64>, right: Right, except: &Range<u64>) -> bool {
        let range = LINEAR_MAP_BASE + gpas.start..LINEAR_MAP_BASE + gpas.end;
        self.walk(self.kernel_root(), range).any(|piece| {
            // Only what is mapped where the linear map has it.
            let is_linear = piece.gpa() == Some(piece.address - LINEAR_MAP_BASE);
            let is_excepted =
                except.start <= piece.address && piece.address + piece.size <= except.end;
            is_linear && Right::of(piece.entry.access()) == Some(right) && !is_excepted
        })
    }
}
