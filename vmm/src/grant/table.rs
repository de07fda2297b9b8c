//! A grant table: the grants that one guest gives.

use super::GrantedRange;
use pv_abi::convention::MAX_RESULT;
use pv_abi::grant::GRANTS;

/// A grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The guest that may attach it.
    pub to: u32,
    /// What it is about.
    pub range: GrantedRange,
    /// The position at which it is attached there.
    pub attached: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    grant: Option<Grant>,
    // How often the entry has been used before.
    generation: u32,
}

/// The grants that a guest gives.
///
/// A number is an entry's index together with its generation, so that a number that was taken
/// back means nothing, and not soon another grant.
#[derive(Debug)]
pub struct GrantTable {
    entries: [Entry; GRANTS],
}

/// Room for a grant.
#[derive(Debug)]
pub struct Vacant<'table> {
    index: usize,
    entry: &'table mut Entry,
}

impl Vacant<'_> {
    /// Adds the grant: its number.
    pub fn fill(self, grant: Grant) -> u32 {
        self.entry.grant = Some(grant);
        number(self.index, self.entry.generation)
    }
}

/// Generations that fit into a number beside the index.
const GENERATIONS: u32 = ((MAX_RESULT as u64 + 1) / GRANTS as u64) as u32;

impl Default for GrantTable {
    fn default() -> Self {
        Self {
            entries: [Entry::default(); GRANTS],
        }
    }
}

impl GrantTable {
    /// Room for another grant; `None` when the table is full.
    pub fn vacant(&mut self) -> Option<Vacant<'_>> {
        let mut entries = self.entries.iter_mut().enumerate();
        let (index, entry) = entries.find(|(_, entry)| entry.grant.is_none())?;
        Some(Vacant { index, entry })
    }

    /// The grant that has this number.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut Grant> {
        let entry = self.entry_mut(number)?;
        entry.grant.as_mut()
    }

    /// Takes a grant out.
    pub fn remove(&mut self, number: u32) -> Option<Grant> {
        let entry = self.entry_mut(number)?;
        let grant = entry.grant.take()?;
        entry.generation = (entry.generation + 1) % GENERATIONS;
        Some(grant)
    }

    /// Every grant with its number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Grant)> {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(index, entry)| {
            let grant = entry.grant.as_ref()?;
            Some((number(index, entry.generation), grant))
        })
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(number as usize % GRANTS)?;
        (entry.generation == number / GRANTS as u32).then_some(entry)
    }
}

fn number(index: usize, generation: u32) -> u32 {
    generation * GRANTS as u32 + index as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use pv_abi::start_info::RIGHT_READ;

    fn add(table: &mut GrantTable) -> u32 {
        table.vacant().unwrap().fill(GRANT)
    }

    const GRANT: Grant = Grant {
        to: 1,
        range: GrantedRange {
            gpa: 0,
            size: 4096,
            rights: RIGHT_READ,
        },
        attached: None,
    };

    #[test]
    fn a_full_table_has_no_room() {
        let mut table = GrantTable::default();
        let numbers: Vec<_> = (0..GRANTS).map(|_| add(&mut table)).collect();
        assert!(table.vacant().is_none());
        assert!(table.iter().map(|(number, _)| number).eq(numbers));
    }

    #[test]
    fn a_number_that_was_taken_back_means_nothing() {
        let mut table = GrantTable::default();
        let first = add(&mut table);
        assert_eq!(table.remove(first), Some(GRANT));
        let second = add(&mut table);
        assert_ne!(first, second);
        assert_eq!(table.get_mut(first), None);
        assert_eq!(table.remove(first), None);
        assert!(table.get_mut(second).is_some());
        assert_eq!(table.get_mut(u32::MAX), None);
    }

    #[test]
    fn numbers_are_results_for_ever() {
        let mut table = GrantTable::default();
        table.entries[0].generation = GENERATIONS - 1;
        let last = add(&mut table);
        assert!(last <= MAX_RESULT);
        table.remove(last).unwrap();
        assert_eq!(add(&mut table), 0);
    }
}
