//! The tables of an address space: the ones that a range needs, and how they come and go.
//!
//! What KVM shadows it looks up by the tables' addresses, and it keeps what it has for a table
//! that an entry leads to until it sees that the entry changes, which it does not when the VMM
//! stores it. So an entry never leads from one thing to another, a table or a page of 2 MiB,
//! unless all translations were forgotten in between: with the one exception of a page that
//! becomes a table of the same pages, behind which they are forgotten before the call returns.
//! Mixing them up could harm the host's kernel (Linux, arch/x86/kvm/mmu/mmu.c,
//! kvm_mmu_get_child_sp and the reverse maps of direct shadow pages).

use super::request::KERNEL;
use super::state::{Space, State};
use crate::paging::{Entry, LARGE_PAGE_SIZE, Piece, SLOTS, coverage, index};
use pv_abi::Errno;
use pv_abi::address_space::{LINEAR_MAP_BASE, MONITOR_BASE, PAGE_SIZE};
use pv_abi::mapping::{TASK_AREA_END, TASK_AREA_START};
use std::ops::Range;

/// The level of the root tables.
const ROOT: u32 = 3;
/// The level of page directories.
const DIRECTORY: u32 = 1;

/// How many idle tables are taken back at a time, for one shootdown.
const TAKEN_BACK: u32 = 64;

/// A part of a mapping that lies in one aligned 2 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub address: u64,
    pub gpa: u64,
    pub size: u64,
}

impl Region {
    /// The regions of a mapping.
    pub fn of(range: Range<u64>, gpa: u64) -> impl Iterator<Item = Self> + Clone {
        let first = range.start / LARGE_PAGE_SIZE;
        let end = range.end.div_ceil(LARGE_PAGE_SIZE);
        (first..end).map(move |number| {
            let start = range.start.max(number * LARGE_PAGE_SIZE);
            let end = range.end.min((number + 1) * LARGE_PAGE_SIZE);
            Self {
                address: start,
                gpa: gpa + (start - range.start),
                size: end - start,
            }
        })
    }

    /// Whether it is mapped as one page.
    pub fn is_large(&self) -> bool {
        self.size == LARGE_PAGE_SIZE && self.gpa.is_multiple_of(LARGE_PAGE_SIZE)
    }
}

impl State {
    /// How many tables a mapping needs that are not there yet.
    pub(super) fn missing_tables(
        &self,
        root: u64,
        regions: impl Iterator<Item = Region>,
    ) -> Result<u32, Errno> {
        // Regions ascend, so a table is missing for the first time or just was.
        let mut last = [None; ROOT as usize];
        let mut missing = 0;
        for region in regions {
            let lowest = if region.is_large() { DIRECTORY } else { 0 };
            let mut table = root;
            for level in (lowest + 1..=ROOT).rev() {
                let entry = self.table(table)?.get(index(region.address, level));
                if entry.is_present() {
                    table = entry.gpa();
                    continue;
                }
                for (below, last) in last.iter_mut().enumerate().take(level as usize) {
                    let number = region.address / coverage(below as u32 + 1);
                    if below as u32 >= lowest && last.replace(number) != Some(number) {
                        missing += 1;
                    }
                }
                break;
            }
        }
        Ok(missing)
    }

    /// Sees to it that so many tables can be taken; asks again when it had to take tables back.
    pub(super) fn reserve(
        &mut self,
        needed: impl Fn(&Self) -> Result<u32, Errno>,
    ) -> Result<(), Errno> {
        loop {
            let needed = needed(self)?;
            if needed <= self.pool.available() {
                return Ok(());
            }
            let forgotten = self.pool.available() + self.pool.dirty();
            if needed > forgotten + self.pool.idle_count() {
                return Err(Errno::ENOMEM);
            }
            if needed > forgotten {
                self.take_back_idle_tables()?;
            }
            self.shoot_everything()?;
        }
    }

    /// Takes page tables in which nothing is mapped out of their address spaces.
    fn take_back_idle_tables(&mut self) -> Result<(), Errno> {
        for _ in 0..TAKEN_BACK {
            let Some(table) = self.pool.idle() else {
                break;
            };
            let directory = self.take_back(table)?;
            if self.pool.parent(directory).is_some() && self.table(directory)?.is_empty() {
                self.take_back(directory)?;
            }
        }
        Ok(())
    }

    /// Takes a table out of the one that leads to it, which is returned.
    fn take_back(&mut self, table: u64) -> Result<u64, Errno> {
        let entry = self.pool.parent(table).ok_or(Errno::EIO)?;
        let parent = entry & !(PAGE_SIZE - 1);
        self.table(parent)?.set(entry % PAGE_SIZE / 8, Entry::NONE);
        self.pool.retire(table);
        Ok(parent)
    }

    /// The table of a level that covers an address: the one that is there or one of those that
    /// were reserved.
    pub(super) fn table_for(&mut self, space: u32, address: u64, level: u32) -> Result<u64, Errno> {
        let mut table = self.space(space)?.root;
        for level in (level + 1..=ROOT).rev() {
            let slot = index(address, level);
            let entry = self.table(table)?.get(slot);
            table = if entry.is_present() {
                entry.gpa()
            } else {
                let new = self.pool.take(&self.memory).ok_or(Errno::EIO)?;
                self.pool.set_parent(new, table + slot * 8);
                if level == ROOT {
                    self.set_root_entry(space, slot, Entry::table(new))?;
                } else {
                    self.table(table)?.set(slot, Entry::table(new));
                }
                new
            };
        }
        Ok(table)
    }

    /// Stores an entry of a root table into every root that has to have it.
    fn set_root_entry(&self, space: u32, slot: u64, entry: Entry) -> Result<(), Errno> {
        if space != KERNEL {
            let Space {
                root, task_root, ..
            } = self.space(space)?;
            if task_root != 0 {
                self.table(task_root)?.set(slot, entry);
            }
            self.table(root)?.set(slot, entry);
            return Ok(());
        }
        for space in self.spaces.iter().flatten() {
            self.table(space.root)?.set(slot, entry);
        }
        Ok(())
    }

    /// Makes the root tables of a new address space, which has nothing of its own yet.
    pub(super) fn make_roots(&mut self) -> Result<Space, Errno> {
        let roots = 1 + u32::from(self.task_roots);
        self.reserve(|_| Ok(roots))?;
        let root = self.pool.take(&self.memory).ok_or(Errno::EIO)?;
        let kernel = self.table(self.kernel_root())?;
        let own = TASK_AREA_START / coverage(ROOT)..TASK_AREA_END / coverage(ROOT);
        for slot in (0..SLOTS).filter(|slot| !own.contains(slot)) {
            self.table(root)?.set(slot, kernel.get(slot));
        }
        let mut task_root = 0;
        if self.task_roots {
            let monitor = index(MONITOR_BASE, ROOT);
            let entry = kernel.get(monitor);
            task_root = self.pool.take(&self.memory).ok_or(Errno::EIO)?;
            self.table(task_root)?.set(monitor, entry);
        }
        Ok(Space {
            root,
            task_root,
            foreign: 0,
        })
    }

    /// Makes it safe to put tables and pages where a mapping is to be: where there was a page of
    /// 2 MiB a table may be put, and where there is a table in which nothing is mapped, a page of
    /// 2 MiB.
    pub(super) fn clear_way(
        &mut self,
        root: u64,
        regions: impl Iterator<Item = Region>,
    ) -> Result<(), Errno> {
        let mut blocked = false;
        for region in regions {
            let Some(piece) = self.directory_entry(root, region.address)? else {
                continue;
            };
            if piece.entry.mark() == Some(self.mark()) {
                blocked = true;
            } else if region.is_large() && piece.entry.is_present() {
                self.table(piece.table)?.set(piece.slot, Entry::NONE);
                self.pool.retire(piece.entry.gpa());
                blocked = true;
            }
        }
        if blocked {
            self.shoot_everything()?;
        }
        Ok(())
    }

    /// The entry of a page directory that covers an address; its `entry` may be a table's.
    fn directory_entry(&self, root: u64, address: u64) -> Result<Option<Piece>, Errno> {
        let mut table = root;
        for level in (DIRECTORY + 1..=ROOT).rev() {
            let entry = self.table(table)?.get(index(address, level));
            if !entry.is_present() {
                return Ok(None);
            }
            table = entry.gpa();
        }
        let slot = index(address, DIRECTORY);
        Ok(Some(Piece {
            address,
            size: LARGE_PAGE_SIZE,
            table,
            slot,
            level: DIRECTORY,
            entry: self.table(table)?.get(slot),
        }))
    }

    /// Replaces a page of 2 MiB by a table of the same pages, which was reserved.
    pub(super) fn split(&mut self, space: u32, piece: &Piece) -> Result<(), Errno> {
        let new = self.pool.take(&self.memory).ok_or(Errno::EIO)?;
        let table = self.table(new)?;
        for part in 0..SLOTS {
            table.set(part, piece.entry.part(part * PAGE_SIZE));
        }
        self.pool.set_parent(new, piece.table + piece.slot * 8);
        self.table(piece.table)?.set(piece.slot, Entry::table(new));
        let gpa = piece.entry.gpa();
        if !is_linear(space, piece.address - piece.offset(), gpa) {
            self.frames().split(gpa, piece.entry.access());
        }
        self.pending.add_everything();
        Ok(())
    }

    /// Notes that nothing is mapped in a page table any more, if so it is.
    pub(super) fn note_if_idle(&mut self, table: u64) -> Result<(), Errno> {
        if self.table(table)?.is_empty() {
            self.pool.note_idle(table);
        }
        Ok(())
    }
}

/// Whether this is the linear map's mapping of that page, which is not counted.
pub(super) fn is_linear(space: u32, address: u64, gpa: u64) -> bool {
    space == KERNEL && address.checked_sub(LINEAR_MAP_BASE) == Some(gpa)
}
