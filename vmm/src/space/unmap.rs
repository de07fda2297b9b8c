//! `as_unmap`.

use super::request;
use super::state::State;
use super::tables::is_linear;
use crate::paging::{Access, Entry, LARGE_PAGE_SIZE, Piece, Walk};
use pv_abi::mapping::Range as Element;
use pv_abi::{Errno, Gpa};
use std::ops::Range;
use std::sync::Arc;

impl State {
    /// Removes what is mapped in a range.
    pub fn unmap(&mut self, space: u32, element: &Element) -> Result<(), Errno> {
        let root = self.space(space)?.root;
        let range = request::range(space, element.start, element.size, &[])?;
        let mut splits = 0;
        for piece in self.walk(root, range.clone()) {
            if let Some(gpa) = piece.gpa() {
                if !self.is_foreign(gpa) && self.ram.is_sealed(Gpa(gpa), piece.size) {
                    return Err(Errno::EPERM);
                }
                splits += u32::from(!piece.is_whole());
            }
        }
        self.reserve(|_| Ok(splits))?;
        self.split_ends(space, root, &range, None)?;
        self.remove(space, root, range)
    }

    /// Splits the pages of 2 MiB that a range begins or ends in, with tables that are reserved.
    /// Those that have the access `keep` stay as they are.
    pub(super) fn split_ends(
        &mut self,
        space: u32,
        root: u64,
        range: &Range<u64>,
        keep: Option<Access>,
    ) -> Result<(), Errno> {
        for address in [range.start, range.end - 1] {
            let Some(piece) = self.walk(root, address..address + 1).next() else {
                continue;
            };
            let start = piece.address - piece.offset();
            let is_whole = range.start <= start && start + LARGE_PAGE_SIZE <= range.end;
            if piece.entry.is_large() && !is_whole && Some(piece.entry.access()) != keep {
                self.split(space, &piece)?;
            }
        }
        Ok(())
    }

    /// Removes what is mapped in a range that has whole pages.
    pub(super) fn remove(&mut self, space: u32, root: u64, range: Range<u64>) -> Result<(), Errno> {
        let memory = Arc::clone(&self.memory);
        let mut last_table = None;
        for piece in Walk::new(&memory, root, range) {
            let Some(gpa) = piece.gpa() else {
                continue;
            };
            self.remove_page(space, &piece, gpa)?;
            let table = (piece.level == 0).then_some(piece.table);
            if let Some(before) = std::mem::replace(&mut last_table, table)
                && table != Some(before)
            {
                self.note_if_idle(before)?;
            }
        }
        match last_table {
            Some(table) => self.note_if_idle(table),
            None => Ok(()),
        }
    }

    /// Removes the page that is all of a piece.
    fn remove_page(&mut self, space: u32, piece: &Piece, gpa: u64) -> Result<(), Errno> {
        let large = piece.entry.is_large();
        let nothing = if large {
            Entry::marked(self.mark())
        } else {
            Entry::NONE
        };
        self.table(piece.table)?.set(piece.slot, nothing);
        let access = piece.entry.access();
        if self.is_foreign(gpa) {
            self.pending.add_everything();
            return self.count_foreign(space, gpa..gpa + piece.size, -1);
        }
        self.pending.add(gpa, piece.size);
        match (is_linear(space, piece.address, gpa), large) {
            (true, _) => {}
            (false, true) => self.frames().remove_large(gpa, access),
            (false, false) => self.frames().remove(gpa, access),
        }
        Ok(())
    }
}
