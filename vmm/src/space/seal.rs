//! `as_seal`.

use super::frames::Right;
use super::request;
use super::state::State;
use crate::paging::{Access, Walk};
use pv_abi::Errno;
use pv_abi::mapping::Range as Element;
use std::sync::Arc;

impl State {
    /// Seals the pages that are mapped in a range, all of which is.
    pub fn seal(&mut self, space: u32, element: &Element) -> Result<(), Errno> {
        let root = self.space(space)?.root;
        let range = request::range(space, element.start, element.size, &[])?;
        let memory = Arc::clone(&self.memory);
        let pieces = || Walk::new(&memory, root, range.clone());
        if pieces().any(|piece| !piece.entry.is_present()) {
            return Err(Errno::ENOENT);
        }
        for piece in pieces() {
            let gpa = piece.gpa().ok_or(Errno::ENOENT)?;
            let gpas = gpa..gpa + piece.size;
            if self.is_foreign(gpa)
                || piece.entry.access() == Access::ReadWrite
                || self.any_has(&gpas, Right::Write)
                || self.others_write(&gpas)
            {
                return Err(Errno::EPERM);
            }
        }
        self.ram.seal(|| {
            pieces().filter_map(|piece| {
                let gpa = piece.gpa()?;
                Some(gpa..gpa + piece.size)
            })
        })?;
        self.ram.wait_for_writers();
        Ok(())
    }
}
