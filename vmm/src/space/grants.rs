//! What the calls of the `mem` group need of the address spaces.

use super::frames::Right;
use super::state::{Extent, State};
use pv_abi::address_space::{IMAGE_LOWEST, SHARED_PAGES_BASE};
use pv_abi::mapping::{TASK_AREA_END, TASK_AREA_START};
use pv_abi::start_info::RIGHT_WRITE;
use pv_abi::{Errno, Gpa};

use super::request::KERNEL;
use crate::paging::Walk;
use std::sync::Arc;

impl State {
    /// EPERM when a page of a range of RAM is sealed, shared or executable.
    pub(super) fn check_releasable(&mut self, gpa: u64, size: u64) -> Result<(), Errno> {
        let gpas = gpa..gpa + size;
        if self.ram.is_sealed(Gpa(gpa), size)
            || self.shared.iter().any(|extent| extent.overlaps(&gpas))
            || self.any_has(&gpas, Right::Execute)
        {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// Another guest gets rights to a range of RAM.
    pub(super) fn share(&mut self, gpa: u64, size: u64, rights: u32) -> Result<(), Errno> {
        let gpas = gpa..gpa + size;
        let sealed = rights & RIGHT_WRITE != 0 && self.ram.is_sealed(Gpa(gpa), size);
        if sealed || self.any_has(&gpas, Right::Execute) {
            return Err(Errno::EPERM);
        }
        self.shared.push(Extent::new(gpa, size, rights));
        Ok(())
    }

    /// Undoes one [`Self::share`].
    pub(super) fn unshare(&mut self, gpa: u64, size: u64, rights: u32) {
        let extent = Extent::new(gpa, size, rights);
        if let Some(at) = self.shared.iter().position(|other| *other == extent) {
            self.shared.swap_remove(at);
        }
    }

    /// Memory of another guest can be mapped.
    pub(super) fn attach(&mut self, gpa: u64, size: u64, rights: u32) {
        self.attached.push(Extent::new(gpa, size, rights));
    }

    /// It can be no more, and what is mapped of it is removed.
    pub(super) fn detach(&mut self, gpa: u64, size: u64) -> Result<(), Errno> {
        let gone = Extent::new(gpa, size, 0);
        self.attached.retain(|extent| !gone.contains(&extent.gpas));
        let memory = Arc::clone(&self.memory);
        for number in 0..self.spaces.len() as u32 {
            let Ok(space) = self.space(number) else {
                continue;
            };
            if space.foreign == 0 {
                continue;
            }
            let parts = if number == KERNEL {
                [
                    IMAGE_LOWEST..TASK_AREA_START,
                    TASK_AREA_END..SHARED_PAGES_BASE,
                ]
            } else {
                [TASK_AREA_START..TASK_AREA_END, 0..0]
            };
            for part in parts {
                for piece in Walk::new(&memory, space.root, part) {
                    let range = piece.address..piece.address + piece.size;
                    if let Some(gpa) = piece.gpa()
                        && gone.contains(&(gpa..gpa + piece.size))
                    {
                        self.remove(number, space.root, range)?;
                    }
                }
            }
        }
        Ok(())
    }
}
