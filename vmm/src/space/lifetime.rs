//! `as_create`, `as_destroy` and `as_switch`.

use super::request::KERNEL;
use super::state::{Space, State};
use crate::paging::{Entry, SLOTS};
use pv_abi::Errno;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping::{ADDRESS_SPACES, TASK_AREA_END, TASK_AREA_START};
use std::ops::Range;

/// The slots of a root table that an address space has for itself.
const TASK_SLOTS: Range<u64> = TASK_AREA_START >> 39..TASK_AREA_END >> 39;

/// The root tables of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The one that the kernel runs on.
    pub kernel: u64,
    /// The one that tasks run on; 0 where that is the same or where there are none.
    pub task: u64,
}

impl State {
    /// Makes an empty address space: its number.
    pub fn create(&mut self) -> Result<u32, Errno> {
        let free = self.spaces.iter().position(Option::is_none);
        let number = free.unwrap_or(self.spaces.len());
        if number >= ADDRESS_SPACES as usize {
            return Err(Errno::ENOSPC);
        }
        let space = Some(self.make_roots()?);
        match self.spaces.get_mut(number) {
            Some(slot) => *slot = space,
            None => self.spaces.push(space),
        }
        Ok(number as u32)
    }

    /// Takes an address space out, which is then to be [torn down](Self::tear_down).
    pub(super) fn take_out(&mut self, number: u32) -> Result<Space, Errno> {
        if number == KERNEL {
            return Err(Errno::EPERM);
        }
        let space = self.space(number)?;
        if self.current.contains(&number) {
            return Err(Errno::EBUSY);
        }
        if let Some(slot) = self.spaces.get_mut(number as usize) {
            *slot = None;
        }
        Ok(space)
    }

    /// Gives back the tables of an address space that was taken out, up to so many page tables:
    /// whether all are.
    ///
    /// No vCPU is in the address space, and none gets there, so no translation need be forgotten
    /// before its tables are used again.
    pub(super) fn tear_down(&mut self, space: &Space, mut tables: u32) -> Result<bool, Errno> {
        for slot in TASK_SLOTS {
            let Some(pointers) = self.below(space.root, slot)? else {
                continue;
            };
            for pointer in 0..SLOTS {
                let Some(directory) = self.below(pointers, pointer)? else {
                    continue;
                };
                if !self.tear_down_directory(directory, &mut tables)? {
                    return Ok(false);
                }
                self.drop_table(pointers, pointer, directory)?;
            }
            self.drop_table(space.root, slot, pointers)?;
        }
        self.pool.retire(space.root);
        if space.task_root != 0 {
            self.pool.retire(space.task_root);
        }
        Ok(true)
    }

    fn tear_down_directory(&mut self, directory: u64, tables: &mut u32) -> Result<bool, Errno> {
        for slot in 0..SLOTS {
            let entry = self.table(directory)?.get(slot);
            if entry.is_large() {
                self.frames().remove_large(entry.gpa(), entry.access());
                self.table(directory)?.set(slot, Entry::NONE);
            } else if entry.is_present() {
                if *tables == 0 {
                    return Ok(false);
                }
                *tables -= 1;
                for part in 0..SLOTS {
                    let page = self.table(entry.gpa())?.get(part);
                    if page.is_present() {
                        self.frames().remove(page.gpa(), page.access());
                    }
                }
                self.drop_table(directory, slot, entry.gpa())?;
            }
        }
        Ok(true)
    }

    /// The table that an entry leads to.
    fn below(&self, table: u64, slot: u64) -> Result<Option<u64>, Errno> {
        let entry = self.table(table)?.get(slot);
        Ok(entry.is_present().then(|| entry.gpa()))
    }

    fn drop_table(&mut self, parent: u64, slot: u64, table: u64) -> Result<(), Errno> {
        self.table(parent)?.set(slot, Entry::NONE);
        self.pool.retire(table);
        Ok(())
    }

    /// Makes an address space the current one of a vCPU: its roots.
    pub fn switch(&mut self, vcpu: u32, number: u32) -> Result<Roots, Errno> {
        let space = self.space(number)?;
        if let Some(current) = self.current.get_mut(vcpu as usize) {
            *current = number;
        }
        Ok(Roots {
            kernel: space.root,
            task: space.task_root,
        })
    }
}

const _: () = assert!(PAGE_SIZE << 27 == 1 << 39);
