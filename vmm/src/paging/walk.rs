//! Walking a range of addresses: what each entry says about it.

use super::{Entry, Table, coverage, index};
use crate::memory::PrivateMemory;

/// A part of a range about which one entry decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First address.
    pub address: u64,
    /// Size in bytes.
    pub size: u64,
    /// Guest-physical address of the table that the entry is in.
    pub table: u64,
    /// The entry's slot there.
    pub slot: u64,
    /// The table's level: 0 for a page table, whose entries are pages of 4 KiB, 1 for a page
    /// directory, and so on.
    pub level: u32,
    /// The entry. It is that of a page, or not present.
    pub entry: Entry,
}

impl Piece {
    /// Guest-physical address of its first byte, where there is a page.
    pub fn gpa(&self) -> Option<u64> {
        self.entry
            .is_present()
            .then(|| self.entry.gpa() + self.offset())
    }

    /// Whether it is all that the entry decides about.
    pub fn is_whole(&self) -> bool {
        self.size == coverage(self.level)
    }

    /// How far it begins behind the first address that the entry decides about.
    pub fn offset(&self) -> u64 {
        self.address % coverage(self.level)
    }
}

/// The pieces of a range, in ascending order, without gaps.
#[derive(Debug)]
pub struct Walk<'memory> {
    memory: &'memory PrivateMemory,
    root: u64,
    next: u64,
    end: u64,
    /// The page table of the last piece, with the 2 MiB that it is for.
    page_table: Option<(u64, u64, Table<'memory>)>,
}

impl<'memory> Walk<'memory> {
    /// Walks addresses of the lower half.
    pub fn new(memory: &'memory PrivateMemory, root: u64, range: std::ops::Range<u64>) -> Self {
        Self {
            memory,
            root,
            next: range.start,
            end: range.end,
            page_table: None,
        }
    }

    /// The deciding entry: its table, level, and itself.
    fn find(&mut self) -> (u64, u32, Entry) {
        let address = self.next;
        let region = address / coverage(1);
        if let Some((of, gpa, table)) = &self.page_table
            && *of == region
        {
            return (*gpa, 0, table.get(index(address, 0)));
        }
        let mut gpa = self.root;
        for level in (1..4).rev() {
            // A table that there is not, a defect of the VMM, has nothing in it.
            let Ok(table) = Table::at(self.memory, gpa) else {
                return (gpa, level, Entry::NONE);
            };
            let entry = table.get(index(address, level));
            if !entry.is_present() || (level == 1 && entry.is_large()) {
                return (gpa, level, entry);
            }
            gpa = entry.gpa();
        }
        let Ok(table) = Table::at(self.memory, gpa) else {
            return (gpa, 0, Entry::NONE);
        };
        let entry = table.get(index(address, 0));
        self.page_table = Some((region, gpa, table));
        (gpa, 0, entry)
    }
}

impl Iterator for Walk<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.next >= self.end {
            return None;
        }
        let (table, level, entry) = self.find();
        let address = self.next;
        self.next = (address - address % coverage(level) + coverage(level)).min(self.end);
        Some(Piece {
            address,
            size: self.next - address,
            table,
            slot: index(address, level),
            level,
            entry,
        })
    }
}
