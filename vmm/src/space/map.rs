//! `as_map`.

use super::frames::Right;
use super::request;
use super::state::State;
use super::tables::{Region, is_linear};
use crate::paging::{Access, Entry, LARGE_PAGE_SIZE, index};
use pv_abi::Errno;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping::Mapping;
use std::ops::Range;

impl State {
    /// Maps a range in which nothing is mapped.
    pub fn map(&mut self, space: u32, element: &Mapping) -> Result<(), Errno> {
        let root = self.space(space)?.root;
        let (range, access) = request::mapping(space, element)?;
        let end = element.gpa.checked_add(element.size);
        let gpas = element.gpa..end.ok_or(Errno::EFAULT)?;
        self.limit(&gpas)?;
        let mut pieces = self.walk(root, range.clone());
        if pieces.any(|piece| piece.entry.is_present()) {
            return Err(Errno::EEXIST);
        }
        self.check_limit(&gpas, access)?;
        if let Some(right) = Right::of(access)
            && !self.is_foreign(gpas.start)
        {
            if self.any_has(&gpas, right.other()) {
                return Err(Errno::EPERM);
            }
            if !self.frames().have_room(gpas.clone(), right) {
                return Err(Errno::ENOMEM);
            }
        }
        let regions = Region::of(range, gpas.start);
        self.reserve(|state| state.missing_tables(root, regions.clone()))?;
        self.clear_way(root, regions.clone())?;
        for region in regions {
            self.map_region(space, region, access)?;
        }
        self.count_foreign(space, gpas, 1)
    }

    /// Maps a region for which the tables are reserved.
    fn map_region(&mut self, space: u32, region: Region, access: Access) -> Result<(), Errno> {
        let owner = self.owner(space);
        if region.is_large() {
            let directory = self.table_for(space, region.address, 1)?;
            let entry = Entry::large_page(region.gpa, access, owner);
            self.table(directory)?.set(index(region.address, 1), entry);
            if !is_linear(space, region.address, region.gpa) {
                self.frames().add_large(region.gpa, access);
            }
            return Ok(());
        }
        let table = self.table_for(space, region.address, 0)?;
        self.pool.note_busy(table);
        let counted = !is_linear(space, region.address, region.gpa);
        for offset in (0..region.size).step_by(PAGE_SIZE as usize) {
            let entry = Entry::page(region.gpa + offset, access, owner);
            self.table(table)?
                .set(index(region.address + offset, 0), entry);
            if counted {
                self.frames().add(region.gpa + offset, access);
            }
        }
        Ok(())
    }

    /// Counts mappings of other guests' memory, which must be found when it goes away.
    pub(super) fn count_foreign(
        &mut self,
        space: u32,
        gpas: Range<u64>,
        sign: i64,
    ) -> Result<(), Errno> {
        if self.is_foreign(gpas.start) {
            let pages = (gpas.end - gpas.start) / PAGE_SIZE;
            let space = self.spaces.get_mut(space as usize).and_then(Option::as_mut);
            let space = space.ok_or(Errno::EIO)?;
            space.foreign = space.foreign.wrapping_add_signed(sign * pages as i64);
        }
        Ok(())
    }
}

const _: () = assert!(LARGE_PAGE_SIZE == pv_abi::mapping::LARGE_PAGE_SIZE);
