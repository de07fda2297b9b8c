//! Page tables: built by the VMM in its private pages, never reachable by the guest.
//!
//! Intel SDM vol. 3A, 4.5 (4-level paging).

use crate::memory::{MemoryError, PrivateMemory};
use pv_abi::address_space::PAGE_SIZE;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Size of a 2 MiB page.
pub const LARGE_PAGE_SIZE: u64 = 2 << 20;

/// What may be done with a mapped page. Never writable and executable at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

/// Who may use a mapped page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// CPL 0 alone.
    Supervisor,
    /// CPL 3 too.
    User,
}

/// A range to be mapped. All fields are multiples of the page size.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// First virtual address, in the lower half.
    pub address: u64,
    /// First guest-physical address.
    pub gpa: u64,
    /// Size in bytes.
    pub size: u64,
    /// What may be done with it.
    pub access: Access,
    /// Who may do it.
    pub owner: Owner,
}

/// An address space.
#[derive(Debug)]
pub struct PageTables<'memory> {
    memory: &'memory PrivateMemory,
    root: u64,
    // The last page table used: mappings come in ascending order, so most entries go to the
    // table of the entry before.
    cached: Option<(u64, u64)>,
}

impl<'memory> PageTables<'memory> {
    /// An empty address space.
    pub fn new(memory: &'memory PrivateMemory) -> Result<Self, MemoryError> {
        Ok(Self {
            memory,
            root: memory.allocate(1)?,
            cached: None,
        })
    }

    /// The address space that has this root.
    pub fn existing(memory: &'memory PrivateMemory, root: u64) -> Self {
        Self {
            memory,
            root,
            cached: None,
        }
    }

    /// Guest-physical address of the root table, for CR3.
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Maps a range, by 2 MiB pages where address, guest-physical address and size allow.
    pub fn map(&mut self, mapping: Mapping) -> Result<(), MemoryError> {
        let leaf = PRESENT
            | ACCESSED
            | match mapping.access {
                Access::Read => NO_EXECUTE,
                Access::ReadWrite => NO_EXECUTE | WRITABLE | DIRTY,
                Access::ReadExecute => 0,
            }
            | match mapping.owner {
                Owner::Supervisor => 0,
                Owner::User => USER,
            };
        let mut done = 0;
        while done < mapping.size {
            let address = mapping.address + done;
            let gpa = mapping.gpa + done;
            let large = (address | gpa).is_multiple_of(LARGE_PAGE_SIZE)
                && mapping.size - done >= LARGE_PAGE_SIZE;
            if large {
                let directory = self.table(address, 2)?;
                self.set(directory, index(address, 1), gpa | leaf | LARGE)?;
                done += LARGE_PAGE_SIZE;
            } else {
                let table = self.table(address, 1)?;
                self.set(table, index(address, 0), gpa | leaf)?;
                done += PAGE_SIZE;
            }
        }
        Ok(())
    }

    /// The table of `level` (1: page table, 2: page directory) that covers `address`.
    fn table(&mut self, address: u64, level: u32) -> Result<u64, MemoryError> {
        let key = address >> (12 + 9 * level) << 2 | u64::from(level);
        if let Some((cached_key, table)) = self.cached
            && cached_key == key
        {
            return Ok(table);
        }
        let mut table = self.root;
        for depth in (level..4).rev() {
            let slot = index(address, depth);
            let entry: u64 = self.memory.read_struct(table + slot * 8)?;
            table = if entry & PRESENT != 0 {
                entry & ADDRESS
            } else {
                let new = self.memory.allocate(1)?;
                // Rights are decided by the leaves.
                self.set(table, slot, new | PRESENT | ACCESSED | WRITABLE | USER)?;
                new
            };
        }
        self.cached = Some((key, table));
        Ok(table)
    }

    fn set(&self, table: u64, slot: u64, entry: u64) -> Result<(), MemoryError> {
        self.memory.write_struct(table + slot * 8, &entry)
    }
}

fn index(address: u64, level: u32) -> u64 {
    address >> (12 + 9 * level) & 0x1ff
}

/// Follows the tables from `root` as the MMU would; `None` where nothing is mapped.
pub fn translate(memory: &PrivateMemory, root: u64, address: u64) -> Option<u64> {
    let mut table = root;
    for level in (0..4).rev() {
        let entry: u64 = memory.read_struct(table + index(address, level) * 8).ok()?;
        if entry & PRESENT == 0 {
            return None;
        }
        if level == 1 && entry & LARGE != 0 {
            return Some((entry & ADDRESS & !(LARGE_PAGE_SIZE - 1)) | (address % LARGE_PAGE_SIZE));
        }
        table = entry & ADDRESS;
    }
    Some(table | (address % PAGE_SIZE))
}

/// How many table pages an address space needs at most for `ranges` separate ranges of
/// together `size` bytes.
pub const fn tables_needed(ranges: u64, size: u64) -> u64 {
    // Each range can begin and end inside a table of each of the three lower levels.
    1 + ranges * 6 + size / LARGE_PAGE_SIZE / 512 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map_one(mapping: Mapping) -> (PrivateMemory, u64) {
        let memory = PrivateMemory::new(1 << 32, 64).unwrap();
        let mut tables = PageTables::new(&memory).unwrap();
        tables.map(mapping).unwrap();
        let root = tables.root();
        (memory, root)
    }

    fn entry(memory: &PrivateMemory, root: u64, address: u64, levels: u32) -> u64 {
        let mut table = root;
        let mut entry = 0;
        for level in (4 - levels..4).rev() {
            entry = memory
                .read_struct(table + index(address, level) * 8)
                .unwrap();
            table = entry & ADDRESS;
        }
        entry
    }

    #[test]
    fn an_aligned_range_is_mapped_by_large_pages() {
        let address = 0x4000_0000_0000;
        let (memory, root) = map_one(Mapping {
            address,
            gpa: 0,
            size: LARGE_PAGE_SIZE + PAGE_SIZE,
            access: Access::ReadWrite,
            owner: Owner::User,
        });
        let large = entry(&memory, root, address, 3);
        assert_eq!(
            large & (LARGE | WRITABLE | USER | NO_EXECUTE),
            LARGE | WRITABLE | USER | NO_EXECUTE
        );
        let small = entry(&memory, root, address + LARGE_PAGE_SIZE, 4);
        assert_eq!(small & ADDRESS, LARGE_PAGE_SIZE);
    }

    #[test]
    fn no_access_is_writable_and_executable() {
        for access in [Access::Read, Access::ReadWrite, Access::ReadExecute] {
            let address = 0x40_0000;
            let (memory, root) = map_one(Mapping {
                address,
                gpa: 0x40_0000,
                size: PAGE_SIZE,
                access,
                owner: Owner::Supervisor,
            });
            let leaf = entry(&memory, root, address, 4);
            assert!(leaf & WRITABLE == 0 || leaf & NO_EXECUTE != 0);
            assert_eq!(leaf & USER, 0);
        }
    }

    proptest! {
        #[test]
        fn every_mapped_address_translates_and_no_other(
            page in 16u64..0x7_ffff_ffff,
            gpa_page in 0u64..0xffff,
            pages in 1u64..1200,
            probe in 0u64..(1300 * PAGE_SIZE),
        ) {
            let mapping = Mapping {
                address: page * PAGE_SIZE,
                gpa: gpa_page * PAGE_SIZE,
                size: pages * PAGE_SIZE,
                access: Access::Read,
                owner: Owner::User,
            };
            let (memory, root) = map_one(mapping);
            let translated = translate(&memory, root, mapping.address + probe);
            let expected = (probe < mapping.size).then_some(mapping.gpa + probe);
            prop_assert_eq!(translated, expected);
        }
    }
}
