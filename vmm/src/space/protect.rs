//! `as_protect`.

use super::frames::Right;
use super::request;
use super::state::State;
use super::tables::is_linear;
use crate::paging::{Access, Piece, Walk};
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping::Mapping;
use pv_abi::{Errno, Gpa};
use std::ops::Range;
use std::sync::Arc;

impl State {
    /// Changes the rights of a range, all of which is mapped.
    pub fn protect(&mut self, space: u32, element: &Mapping) -> Result<(), Errno> {
        let root = self.space(space)?.root;
        if element.gpa != 0 {
            return Err(Errno::EINVAL);
        }
        let (range, access) = request::mapping(space, element)?;
        let mut pieces = self.walk(root, range.clone());
        if pieces.any(|piece| !piece.entry.is_present()) {
            return Err(Errno::ENOENT);
        }
        let memory = Arc::clone(&self.memory);
        let changed = || changed(&memory, root, &range, access);
        let mut splits = 0;
        for (piece, gpas) in changed() {
            self.check_limit(&gpas, access)?;
            if !self.is_foreign(gpas.start) && self.ram.is_sealed(Gpa(gpas.start), piece.size) {
                return Err(Errno::EPERM);
            }
            splits += u32::from(!piece.is_whole());
        }
        if let Some(right) = Right::of(access) {
            if !changed().all(|(_, gpas)| self.frames().have_room(gpas, right)) {
                return Err(Errno::ENOMEM);
            }
            // The counts are tried out, because a page can be mapped in the range twice.
            let own = if space == request::KERNEL {
                range.clone()
            } else {
                0..0
            };
            changed().for_each(|(piece, gpas)| self.recount(space, &piece, gpas, access, true));
            let excluded =
                changed().any(|(piece, gpas)| self.is_excluded(space, &piece, &gpas, right, &own));
            changed().for_each(|(piece, gpas)| self.recount(space, &piece, gpas, access, false));
            if excluded {
                return Err(Errno::EPERM);
            }
        }
        self.reserve(|_| Ok(splits))?;
        self.split_ends(space, root, &range, Some(access))?;
        for (piece, gpas) in changed() {
            self.recount(space, &piece, gpas.clone(), access, true);
            self.table(piece.table)?
                .set(piece.slot, piece.entry.with_access(access));
            if self.is_foreign(gpas.start) {
                self.pending.add_everything();
            } else {
                // Also where rights are added: a CPU may fault on what it has in its TLB.
                self.pending.add(gpas.start, piece.size);
            }
        }
        Ok(())
    }

    /// Counts a piece as having another access, or undoes that.
    fn recount(
        &mut self,
        space: u32,
        piece: &Piece,
        gpas: Range<u64>,
        access: Access,
        forward: bool,
    ) {
        if is_linear(space, piece.address, gpas.start) {
            return;
        }
        let before = piece.entry.access();
        let (from, to) = if forward {
            (before, access)
        } else {
            (access, before)
        };
        let frames = self.frames();
        if piece.entry.is_large() && piece.is_whole() {
            frames.remove_large(gpas.start, from);
            frames.add_large(gpas.start, to);
            return;
        }
        let is_part = piece.entry.is_large();
        if is_part && forward {
            frames.split(piece.entry.gpa(), before);
        }
        for gpa in gpas.step_by(PAGE_SIZE as usize) {
            frames.remove(gpa, from);
            frames.add(gpa, to);
        }
        if is_part && !forward {
            frames.join(piece.entry.gpa(), before);
        }
    }

    /// Whether a page of a piece that gets a right has the one that this excludes, by the counts or
    /// in the linear map, where what is mapped at the addresses `own` gets that right too.
    fn is_excluded(
        &mut self,
        space: u32,
        piece: &Piece,
        gpas: &Range<u64>,
        right: Right,
        own: &Range<u64>,
    ) -> bool {
        let other = right.other();
        let is_linear = is_linear(space, piece.address, gpas.start);
        self.frames().any(gpas.clone(), other) || (!is_linear && self.linear_has(gpas, other, own))
    }
}

/// The pieces of a range, all of which is mapped, that do not have an access yet, and what they
/// are mapped to.
fn changed(
    memory: &crate::memory::PrivateMemory,
    root: u64,
    range: &Range<u64>,
    access: Access,
) -> impl Iterator<Item = (Piece, Range<u64>)> {
    Walk::new(memory, root, range.clone())
        .filter(move |piece| piece.entry.access() != access)
        .filter_map(|piece| {
            let gpa = piece.gpa()?;
            Some((piece, gpa..gpa + piece.size))
        })
}
