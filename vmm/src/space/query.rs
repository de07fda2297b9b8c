//! `as_query`.

use super::request;
use super::state::State;
use crate::paging::coverage;
use pv_abi::address_space::SHARED_PAGES_BASE;
use pv_abi::mapping::{
    TASK_AREA_END, TASK_AREA_START, TRANSLATION_SEALED, TRANSLATION_TASK, Translation,
};
use pv_abi::{Errno, Gpa};

impl State {
    /// How an address is mapped.
    pub fn query(&self, space: u32, address: u64) -> Result<Translation, Errno> {
        let root = self.space(space)?.root;
        // What is mapped from there on is the VMM's.
        if address >= SHARED_PAGES_BASE {
            return Err(Errno::ENOENT);
        }
        let piece = self.walk(root, address..address + 1).next();
        let piece = piece.ok_or(Errno::ENOENT)?;
        let gpa = piece.gpa().ok_or(Errno::ENOENT)?;
        let mut flags = 0;
        if (TASK_AREA_START..TASK_AREA_END).contains(&address) {
            flags |= TRANSLATION_TASK;
        }
        if !self.is_foreign(gpa) && self.ram.is_sealed(Gpa(gpa), 1) {
            flags |= TRANSLATION_SEALED;
        }
        Ok(Translation {
            gpa,
            page_size: coverage(piece.level),
            rights: request::rights(piece.entry.access()),
            flags,
        })
    }
}
