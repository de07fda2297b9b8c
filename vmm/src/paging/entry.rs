//! One entry of a page table (Intel SDM vol. 3A, 4.5.4, tables 4-15 to 4-20).

use super::{Access, LARGE_PAGE_SIZE, Owner};
use std::fmt;

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// An entry: of a page, of a table of the next level, or of nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry(u64);

impl Entry {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// A page of 4 KiB.
    ///
    /// Accessed and dirty are set from the start: the CPU then never writes to the tables, and a
    /// KVM that shadows them need not find out by a fault that a page became dirty.
    pub fn page(gpa: u64, access: Access, owner: Owner) -> Self {
        let owner = match owner {
            Owner::Supervisor => 0,
            Owner::User => USER,
        };
        Self(gpa & ADDRESS | PRESENT | ACCESSED | owner).with_access(access)
    }

    /// A page of 2 MiB, in a page directory.
    pub fn large_page(gpa: u64, access: Access, owner: Owner) -> Self {
        Self(Self::page(gpa, access, owner).0 | LARGE)
    }

    /// A table of the next level. What may be done is decided by the entries of pages.
    pub fn table(gpa: u64) -> Self {
        Self(gpa & ADDRESS | PRESENT | ACCESSED | WRITABLE | USER)
    }

    /// Nothing, with a number for whoever keeps the tables: the CPU ignores all other bits of an
    /// entry that is not present. 0 is [`Self::NONE`].
    pub fn marked(mark: u64) -> Self {
        Self(mark << 1)
    }

    /// The number of [`Self::marked`]; `None` for a page or a table.
    pub fn mark(self) -> Option<u64> {
        (!self.is_present()).then_some(self.0 >> 1)
    }

    /// The entry as it is in memory.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The entry that memory holds.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether there is a page or a table.
    pub fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    /// Whether it is, in a page directory, the entry of a page and not of a table.
    pub fn is_large(self) -> bool {
        self.0 & (PRESENT | LARGE) == PRESENT | LARGE
    }

    /// Guest-physical address of the page or table.
    pub fn gpa(self) -> u64 {
        let address = self.0 & ADDRESS;
        if self.is_large() {
            // Bit 12 is PAT there.
            address & !(LARGE_PAGE_SIZE - 1)
        } else {
            address
        }
    }

    /// What may be done with the page.
    pub fn access(self) -> Access {
        if self.0 & NO_EXECUTE == 0 {
            Access::ReadExecute
        } else if self.0 & WRITABLE != 0 {
            Access::ReadWrite
        } else {
            Access::Read
        }
    }

    /// The same page with other rights.
    pub fn with_access(self, access: Access) -> Self {
        let rights = match access {
            Access::Read => NO_EXECUTE,
            Access::ReadWrite => NO_EXECUTE | WRITABLE | DIRTY,
            Access::ReadExecute => 0,
        };
        Self(self.0 & !(NO_EXECUTE | WRITABLE | DIRTY) | rights)
    }

    /// Who may use the page.
    pub fn owner(self) -> Owner {
        if self.0 & USER != 0 {
            Owner::User
        } else {
            Owner::Supervisor
        }
    }

    /// Of a page of 2 MiB, the page of 4 KiB at an offset.
    pub fn part(self, offset: u64) -> Self {
        Self::page(self.gpa() + offset, self.access(), self.owner())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn access() -> impl Strategy<Value = Access> {
        prop_oneof![
            Just(Access::Read),
            Just(Access::ReadWrite),
            Just(Access::ReadExecute)
        ]
    }

    fn owner() -> impl Strategy<Value = Owner> {
        prop_oneof![Just(Owner::Supervisor), Just(Owner::User)]
    }

    proptest! {
        #[test]
        fn a_page_says_what_it_was_made_of(
            frame in 0u64..1 << 40,
            access in access(),
            other in access(),
            owner in owner(),
        ) {
            let small = Entry::page(frame << 12, access, owner);
            prop_assert_eq!((small.gpa(), small.is_large()), (frame << 12, false));
            let gpa = frame << 12 & !(LARGE_PAGE_SIZE - 1);
            let large = Entry::large_page(gpa, access, owner);
            prop_assert_eq!((large.gpa(), large.is_large()), (gpa, true));
            prop_assert_eq!(large.part(0x5000), Entry::page(gpa + 0x5000, access, owner));
            for entry in [small, large] {
                prop_assert!(entry.is_present());
                prop_assert_eq!((entry.access(), entry.owner()), (access, owner));
                let changed = entry.with_access(other);
                prop_assert_eq!((changed.access(), changed.gpa()), (other, entry.gpa()));
                prop_assert_eq!(changed.with_access(access), entry);
            }
        }

        #[test]
        fn no_page_is_writable_and_executable(access in access(), owner in owner()) {
            let bits = Entry::page(0, access, owner).bits();
            prop_assert!(bits & WRITABLE == 0 || bits & NO_EXECUTE != 0);
        }

        #[test]
        fn a_mark_is_not_present(mark in 0u64..1 << 63) {
            let entry = Entry::marked(mark);
            prop_assert!(!entry.is_present() && !entry.is_large());
            prop_assert_eq!(entry.mark(), Some(mark));
        }
    }
}
