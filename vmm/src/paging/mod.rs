//! Page tables: built by the VMM in its private pages, never reachable by the guest.
//!
//! Intel SDM vol. 3A, 4.5 (4-level paging).

mod entry;
mod table;
mod walk;

pub use entry::Entry;
pub use table::Table;
pub use walk::{Piece, Walk};

use crate::memory::{MemoryError, PrivateMemory};
use pv_abi::address_space::PAGE_SIZE;

/// How many entries a table has.
pub const SLOTS: u64 = 512;

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
        let mut done = 0;
        while done < mapping.size {
            let address = mapping.address + done;
            let gpa = mapping.gpa + done;
            let large = (address | gpa).is_multiple_of(LARGE_PAGE_SIZE)
                && mapping.size - done >= LARGE_PAGE_SIZE;
            if large {
                let directory = self.table(address, 1)?;
                let entry = Entry::large_page(gpa, mapping.access, mapping.owner);
                Table::at(self.memory, directory)?.set(index(address, 1), entry);
                done += LARGE_PAGE_SIZE;
            } else {
                let table = self.table(address, 0)?;
                let entry = Entry::page(gpa, mapping.access, mapping.owner);
                Table::at(self.memory, table)?.set(index(address, 0), entry);
                done += PAGE_SIZE;
            }
        }
        Ok(())
    }

    /// The table of `level` (0: page table, 1: page directory) that covers `address`.
    fn table(&mut self, address: u64, level: u32) -> Result<u64, MemoryError> {
        let key = (address / coverage(level + 1)) << 2 | u64::from(level);
        if let Some((cached_key, table)) = self.cached
            && cached_key == key
        {
            return Ok(table);
        }
        let mut table = self.root;
        for depth in (level + 1..4).rev() {
            let slot = index(address, depth);
            let entries = Table::at(self.memory, table)?;
            let entry = entries.get(slot);
            table = if entry.is_present() {
                entry.gpa()
            } else {
                let new = self.memory.allocate(1)?;
                entries.set(slot, Entry::table(new));
                new
            };
        }
        self.cached = Some((key, table));
        Ok(table)
    }
}

/// The slot of an address in a table of a level.
pub fn index(address: u64, level: u32) -> u64 {
    address >> (12 + 9 * level) & (SLOTS - 1)
}

/// How many bytes an entry of a table of a level decides about.
pub const fn coverage(level: u32) -> u64 {
    PAGE_SIZE << (9 * level)
}

/// Follows the tables from `root` as the MMU would; `None` where nothing is mapped.
pub fn translate(memory: &PrivateMemory, root: u64, address: u64) -> Option<u64> {
    let last = address.checked_add(1)?;
    Walk::new(memory, root, address..last).next()?.gpa()
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
    use pv_abi::address_space::LOWER_HALF_END;

    fn map_one(mapping: Mapping) -> (PrivateMemory, u64) {
        let memory = PrivateMemory::new(1 << 32, 64).unwrap();
        let mut tables = PageTables::new(&memory).unwrap();
        tables.map(mapping).unwrap();
        let root = tables.root();
        (memory, root)
    }

    fn piece(memory: &PrivateMemory, root: u64, address: u64) -> Piece {
        Walk::new(memory, root, address..address + PAGE_SIZE)
            .next()
            .unwrap()
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
        let large = piece(&memory, root, address);
        assert_eq!(
            (large.level, large.entry),
            (1, Entry::large_page(0, Access::ReadWrite, Owner::User))
        );
        let small = piece(&memory, root, address + LARGE_PAGE_SIZE);
        assert_eq!(
            (small.level, small.entry),
            (
                0,
                Entry::page(LARGE_PAGE_SIZE, Access::ReadWrite, Owner::User)
            )
        );
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

        #[test]
        fn the_pieces_of_a_range_are_all_of_it(
            page in 16u64..0x7_ffff_ffff,
            gpa_page in 0u64..0xffff,
            pages in 1u64..1200,
            before in 0u64..1200,
            size in 1u64..2400,
        ) {
            let mapping = Mapping {
                address: page * PAGE_SIZE,
                gpa: gpa_page * PAGE_SIZE,
                size: pages * PAGE_SIZE,
                access: Access::Read,
                owner: Owner::User,
            };
            let (memory, root) = map_one(mapping);
            let start = mapping.address.saturating_sub(before * PAGE_SIZE);
            let end = (start + size * PAGE_SIZE).min(LOWER_HALF_END);
            let mut next = start;
            for piece in Walk::new(&memory, root, start..end) {
                prop_assert_eq!(piece.address, next);
                prop_assert!(piece.size > 0);
                next += piece.size;
                for address in [piece.address, next - 1] {
                    prop_assert_eq!(
                        piece.gpa().map(|gpa| gpa + address - piece.address),
                        translate(&memory, root, address)
                    );
                }
            }
            prop_assert_eq!(next, end);
        }
    }
}
