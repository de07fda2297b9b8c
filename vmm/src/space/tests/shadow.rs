//! A KVM that shadows page tables, and never forgets anything that it need not forget.
//!
//! It has the worst of all that walk our tables: a TLB that is never full, and shadow pages that
//! stay linked where the guest's tables led to when it looked (see [`crate::space::tables`]).

use crate::memory::PrivateMemory;
use crate::paging::{Entry, Table, coverage, index};
use crate::space::shootdown::Shootdown;
use crate::sync::lock;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// What is known of the tables.
#[derive(Debug)]
pub struct Shadow {
    memory: Arc<PrivateMemory>,
    /// Pages, by the table and slot of their entries.
    pages: HashMap<(u64, u64), Entry>,
    /// What each entry above page tables led to when it was seen: a table or a page of 2 MiB.
    links: HashMap<(u64, u64), (u64, bool)>,
    /// Of which level each table was.
    levels: HashMap<u64, u32>,
    /// How often all was forgotten.
    pub forgotten: u32,
    /// How often a range was.
    pub ranges: u32,
    /// Whether the host refuses.
    pub refuses: bool,
}

impl Shadow {
    pub fn new(memory: Arc<PrivateMemory>) -> Self {
        Self {
            memory,
            pages: HashMap::new(),
            links: HashMap::new(),
            levels: HashMap::new(),
            forgotten: 0,
            ranges: 0,
            refuses: false,
        }
    }

    /// An access of a vCPU: the entry of the page that it reaches, and where in the page.
    pub fn access(&mut self, root: u64, address: u64) -> Option<(Entry, u64)> {
        self.remembered(root, address)
            .or_else(|| self.walk(root, address))
    }

    /// What the vCPU does without a look at the guest's tables.
    fn remembered(&self, root: u64, address: u64) -> Option<(Entry, u64)> {
        let mut table = root;
        for level in (0..4).rev() {
            let place = (table, index(address, level));
            if let Some(&page) = self.pages.get(&place) {
                return Some((page, address % coverage(level)));
            }
            match self.links.get(&place) {
                Some(&(below, false)) => table = below,
                _ => return None,
            }
        }
        None
    }

    fn walk(&mut self, root: u64, address: u64) -> Option<(Entry, u64)> {
        let mut table = root;
        for level in (0..4).rev() {
            let known = *self.levels.entry(table).or_insert(level);
            assert_eq!(known, level, "the table {table:#x} was used anew too early");
            let slot = index(address, level);
            let entry = Table::at(&self.memory, table).unwrap().get(slot);
            if !entry.is_present() {
                return None;
            }
            let is_page = level == 0 || entry.is_large();
            if level > 0 {
                let link = (entry.gpa(), is_page);
                let known = *self.links.entry((table, slot)).or_insert(link);
                assert_eq!(
                    known, link,
                    "{address:#x}: an entry of level {level} led elsewhere when it was last seen"
                );
            }
            if is_page {
                self.pages.insert((table, slot), entry);
                return Some((entry, address % coverage(level)));
            }
            table = entry.gpa();
        }
        None
    }
}

/// The shootdown of [`Shadow`].
#[derive(Clone, Debug)]
pub struct ShadowShootdown(pub Arc<Mutex<Shadow>>);

impl ShadowShootdown {
    fn answer(shadow: &Shadow) -> io::Result<()> {
        if shadow.refuses {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }
}

impl Shootdown for ShadowShootdown {
    fn range(&mut self, gpas: Range<u64>) -> io::Result<()> {
        let mut shadow = lock(&self.0);
        shadow.ranges += 1;
        shadow.pages.retain(|_, page| {
            let size = if page.is_large() {
                coverage(1)
            } else {
                coverage(0)
            };
            page.gpa() + size <= gpas.start || gpas.end <= page.gpa()
        });
        Self::answer(&shadow)
    }

    fn everything(&mut self) -> io::Result<()> {
        let mut shadow = lock(&self.0);
        shadow.forgotten += 1;
        shadow.pages.clear();
        shadow.links.clear();
        shadow.levels.clear();
        Self::answer(&shadow)
    }
}
