//! The pages that page tables are made of: how many a guest may have, and which may be used when.
//!
//! A table that was taken out of an address space may still be known to a CPU, or to a KVM that
//! shadows it, so it is used again only after all translations were forgotten.

use crate::memory::{MemoryError, PrivateMemory};
use crate::snapshot::Inconsistent;
use pv_abi::address_space::PAGE_SIZE;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How many table pages a guest with so much RAM may have: eight times as many as it takes to
/// map all of its RAM once by 4 KiB, and 1 MiB at least.
pub fn table_pages(ram_size: u64) -> u64 {
    const LEAST: u64 = 1 << 20;
    (ram_size / 64).max(LEAST) / PAGE_SIZE
}

/// What a page of the pool is, if it is not a table that has something in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Used before, and forgotten by all: it can be used at once.
    Clean = 1,
    /// No part of any address space, but maybe still known.
    Dirty = 2,
    /// A table of an address space in which nothing is mapped.
    Idle = 3,
}

/// The table pages of a VM.
#[derive(Debug)]
pub struct TablePool {
    first: u64,
    pages: u32,
    /// How many pages were ever used: those behind them are all zero.
    used: u32,
    clean: List,
    dirty: List,
    idle: List,
    // One element for each page, which takes memory when it is first touched.
    links: Vec<[u32; 2]>,
    kinds: Vec<u8>,
    parents: Vec<u64>,
}

/// A doubly linked list of pages, which keeps its links in [`TablePool::links`].
#[derive(Clone, Copy, Debug, Default)]
struct List {
    /// Number of the first page, from 1; 0 where there is none.
    head: u32,
    tail: u32,
    length: u32,
}

/// The pool in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPool {
    /// Of each page that was ever used: what it is, and the entry that leads to it.
    pub pages: Vec<(SavedPage, u64)>,
}

/// What a page of the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SavedPage {
    /// A table that has something in it.
    Busy,
    /// A table in which nothing is mapped.
    Idle,
    /// No table.
    Free,
}

impl TablePool {
    /// Takes `pages` private pages for tables.
    pub fn new(memory: &PrivateMemory, pages: u64) -> Result<Self, MemoryError> {
        Ok(Self::at(memory.allocate(pages)?, pages))
    }

    /// The pool of a VM that was restored, whose pages begin at `first`; all of them are unused until
    /// [`Self::restore`].
    pub fn at(first: u64, pages: u64) -> Self {
        let count = u32::try_from(pages).unwrap_or(u32::MAX - 1);
        Self {
            first,
            pages: count,
            used: 0,
            clean: List::default(),
            dirty: List::default(),
            idle: List::default(),
            links: vec![[0; 2]; count as usize],
            kinds: vec![0; count as usize],
            parents: vec![0; count as usize],
        }
    }

    /// Guest-physical address of its first page.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// What its pages are.
    pub fn save(&self) -> SavedPool {
        let kind = |page| match self.kind(page) {
            None => SavedPage::Busy,
            Some(Kind::Idle) => SavedPage::Idle,
            Some(Kind::Clean | Kind::Dirty) => SavedPage::Free,
        };
        let pages = (0..self.used).zip(&self.parents);
        SavedPool {
            pages: pages.map(|(page, &parent)| (kind(page), parent)).collect(),
        }
    }

    /// Makes the pages of an unused pool what they were. Nobody knows a translation.
    pub fn restore(
        &mut self,
        saved: &SavedPool,
        memory: &PrivateMemory,
    ) -> Result<(), Inconsistent> {
        if saved.pages.len() > self.pages as usize {
            return Err(Inconsistent("there are too many page tables".into()));
        }
        let whole = memory.start()..memory.spare().0;
        for (page, &(kind, parent)) in (0..).zip(&saved.pages) {
            if parent != 0 && !(whole.contains(&parent) && parent.is_multiple_of(8)) {
                return Err(Inconsistent(format!(
                    "the entry {parent:#x} of a page table is nowhere"
                )));
            }
            if let Some(slot) = self.parents.get_mut(page as usize) {
                *slot = parent;
            }
            match kind {
                SavedPage::Busy => {}
                SavedPage::Idle => self.push(page, Kind::Idle),
                SavedPage::Free => self.push(page, Kind::Clean),
            }
        }
        self.used = saved.pages.len() as u32;
        Ok(())
    }

    /// How many pages can be had at once.
    pub fn available(&self) -> u32 {
        self.clean.length + (self.pages - self.used)
    }

    /// How many pages are tables.
    pub fn in_use(&self) -> u32 {
        self.used - self.clean.length - self.dirty.length
    }

    /// How many are neither tables nor can be had, until all translations are forgotten.
    pub fn dirty(&self) -> u32 {
        self.dirty.length
    }

    /// Takes a page, all zero. `None` when none is available.
    pub fn take(&mut self, memory: &PrivateMemory) -> Option<u64> {
        if self.clean.head != 0 {
            let page = self.clean.head - 1;
            self.unlink(page);
            let gpa = self.gpa(page);
            memory.write(gpa, &[0; PAGE_SIZE as usize]).ok()?;
            return Some(gpa);
        }
        let page = self.used;
        (page < self.pages).then(|| {
            self.used += 1;
            self.gpa(page)
        })
    }

    /// Notes the entry that leads to a table, by its guest-physical address.
    pub fn set_parent(&mut self, table: u64, entry: u64) {
        if let Some(page) = self.page(table)
            && let Some(parent) = self.parents.get_mut(page as usize)
        {
            *parent = entry;
        }
    }

    /// The entry that leads to a table of the pool.
    pub fn parent(&self, table: u64) -> Option<u64> {
        self.parents.get(self.page(table)? as usize).copied()
    }

    /// A table is no part of any address space any more. Pages of which the pool is not the owner
    /// are the kernel's first tables; they are used no more.
    pub fn retire(&mut self, table: u64) {
        if let Some(page) = self.page(table) {
            self.unlink(page);
            self.push(page, Kind::Dirty);
        }
    }

    /// Nothing is mapped in a page table any more. It stays where it is until pages run short.
    pub fn note_idle(&mut self, table: u64) {
        if let Some(page) = self.page(table) {
            self.unlink(page);
            self.push(page, Kind::Idle);
        }
    }

    /// Something is mapped in a page table.
    pub fn note_busy(&mut self, table: u64) {
        if let Some(page) = self.page(table)
            && self.kind(page) == Some(Kind::Idle)
        {
            self.unlink(page);
        }
    }

    /// A page table in which nothing is mapped.
    pub fn idle(&self) -> Option<u64> {
        (self.idle.head != 0).then(|| self.gpa(self.idle.head - 1))
    }

    /// How many of them there are.
    pub fn idle_count(&self) -> u32 {
        self.idle.length
    }

    /// All translations were forgotten: what was retired can be used again.
    pub fn forgotten(&mut self) {
        while self.dirty.head != 0 {
            let page = self.dirty.head - 1;
            self.unlink(page);
            self.push(page, Kind::Clean);
        }
    }

    fn range(&self) -> Range<u64> {
        self.first..self.first + u64::from(self.pages) * PAGE_SIZE
    }

    fn gpa(&self, page: u32) -> u64 {
        self.first + u64::from(page) * PAGE_SIZE
    }

    fn page(&self, gpa: u64) -> Option<u32> {
        self.range()
            .contains(&gpa)
            .then(|| ((gpa - self.first) / PAGE_SIZE) as u32)
    }

    fn kind(&self, page: u32) -> Option<Kind> {
        [Kind::Clean, Kind::Dirty, Kind::Idle]
            .into_iter()
            .find(|&kind| self.kinds.get(page as usize) == Some(&(kind as u8)))
    }

    fn list(&mut self, kind: Kind) -> &mut List {
        match kind {
            Kind::Clean => &mut self.clean,
            Kind::Dirty => &mut self.dirty,
            Kind::Idle => &mut self.idle,
        }
    }

    fn push(&mut self, page: u32, kind: Kind) {
        let list = self.list(kind);
        let tail = std::mem::replace(&mut list.tail, page + 1);
        list.length += 1;
        if tail == 0 {
            list.head = page + 1;
        } else {
            self.link(tail - 1)[1] = page + 1;
        }
        *self.link(page) = [tail, 0];
        self.kinds[page as usize] = kind as u8;
    }

    /// Takes a page out of the list that it is in.
    fn unlink(&mut self, page: u32) {
        let Some(kind) = self.kind(page) else {
            return;
        };
        let [before, behind] = *self.link(page);
        match before {
            0 => self.list(kind).head = behind,
            before => self.link(before - 1)[1] = behind,
        }
        match behind {
            0 => self.list(kind).tail = before,
            behind => self.link(behind - 1)[0] = before,
        }
        self.list(kind).length -= 1;
        self.kinds[page as usize] = 0;
    }

    fn link(&mut self, page: u32) -> &mut [u32; 2] {
        &mut self.links[page as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(pages: u64) -> (PrivateMemory, TablePool) {
        let memory = PrivateMemory::new(0x10_0000, pages).unwrap();
        let pool = TablePool::new(&memory, pages).unwrap();
        (memory, pool)
    }

    #[test]
    fn a_retired_page_is_used_again_only_when_it_was_forgotten() {
        let (memory, mut pool) = pool(2);
        let first = pool.take(&memory).unwrap();
        let second = pool.take(&memory).unwrap();
        assert_ne!(first, second);
        memory.write(first, &[1]).unwrap();
        pool.retire(first);
        assert_eq!((pool.available(), pool.take(&memory)), (0, None));
        pool.forgotten();
        assert_eq!((pool.available(), pool.take(&memory)), (1, Some(first)));
        assert_eq!(memory.read_struct::<u64>(first).unwrap(), 0);
        assert_eq!(pool.in_use(), 2);
    }

    #[test]
    fn idle_tables_are_those_that_are_not_busy_again() {
        let (memory, mut pool) = pool(4);
        let tables: [u64; 4] = std::array::from_fn(|_| pool.take(&memory).unwrap());
        for table in tables {
            pool.note_idle(table);
            pool.note_idle(table);
        }
        // In the middle, at the end and at the beginning of the list.
        for busy in [tables[1], tables[3], tables[0]] {
            pool.note_busy(busy);
            pool.note_busy(busy);
        }
        assert_eq!(pool.idle(), Some(tables[2]));
        assert_eq!(pool.in_use(), 4);
        pool.retire(tables[2]);
        assert_eq!((pool.idle(), pool.dirty()), (None, 1));
    }

    #[test]
    fn pages_that_are_not_the_pools_are_let_alone() {
        let (_, mut pool) = pool(2);
        pool.retire(0x4000);
        pool.note_idle(0x10_2000);
        pool.set_parent(0x4000, 0x5000);
        assert_eq!((pool.available(), pool.dirty(), pool.idle()), (2, 0, None));
        assert_eq!(pool.parent(0x4000), None);
    }
}
