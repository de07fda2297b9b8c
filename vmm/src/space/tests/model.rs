//! What a guest may rely on, written down without page tables: pages, rights and seals.

use super::rig::{RAM_SIZE, first_mappings};
use crate::paging::Access;
use crate::space::request::rights;
use pv_abi::Errno::{self, *};
use pv_abi::address_space::{IMAGE_LOWEST, LINEAR_MAP_BASE, PAGE_SIZE, SHARED_PAGES_BASE};
use pv_abi::mapping::{
    LARGE_PAGE_SIZE, Mapping, Range, TASK_AREA_END, TASK_AREA_START, TRANSLATION_SEALED,
    TRANSLATION_TASK, Translation,
};
use std::collections::{BTreeMap, BTreeSet};

/// A page of 4 KiB that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    pub gpa: u64,
    pub rights: u32,
    /// Whether it is a part of a page of 2 MiB.
    pub large: bool,
}

type Pages = BTreeMap<u64, Page>;

/// All address spaces of a guest.
#[derive(Clone, Debug)]
pub struct Model {
    pub spaces: BTreeMap<u32, Pages>,
    sealed: BTreeSet<u64>,
    current: [u32; super::rig::VCPUS as usize],
}

/// What a call may answer: success, or one of these errors.
pub type Expected = BTreeSet<u16>;

const MIB2: u64 = LARGE_PAGE_SIZE;

impl Model {
    pub fn new() -> Self {
        let mut kernel = Pages::new();
        for (address, gpa, size, access) in first_mappings() {
            insert(&mut kernel, address, gpa, size, rights(access));
        }
        Self {
            spaces: [(0, kernel)].into(),
            sealed: BTreeSet::new(),
            current: [0; _],
        }
    }

    /// What there is at an address, as a vCPU of that address space sees it.
    pub fn page(&self, space: u32, address: u64) -> Option<Page> {
        let space = if is_task(address) { space } else { 0 };
        self.spaces
            .get(&space)?
            .get(&(address & !(PAGE_SIZE - 1)))
            .copied()
    }

    pub fn query(&self, space: u32, address: u64) -> Result<Translation, Errno> {
        self.spaces.get(&space).ok_or(ENOENT)?;
        let page = self.page(space, address).ok_or(ENOENT)?;
        let mut flags = 0;
        if is_task(address) {
            flags |= TRANSLATION_TASK;
        }
        if self.sealed.contains(&page.gpa) {
            flags |= TRANSLATION_SEALED;
        }
        Ok(Translation {
            gpa: page.gpa + address % PAGE_SIZE,
            page_size: if page.large { MIB2 } else { PAGE_SIZE },
            rights: page.rights,
            flags,
        })
    }

    pub fn create(&mut self) -> u32 {
        let number = (0..)
            .find(|number| !self.spaces.contains_key(number))
            .unwrap();
        self.spaces.insert(number, Pages::new());
        number
    }

    pub fn destroy(&mut self, space: u32) -> Expected {
        let mut errors = Expected::new();
        check(&mut errors, self.spaces.contains_key(&space), ENOENT);
        check(&mut errors, space != 0, EPERM);
        check(&mut errors, !self.current.contains(&space), EBUSY);
        if errors.is_empty() {
            self.spaces.remove(&space);
        }
        errors
    }

    pub fn switch(&mut self, vcpu: u32, space: u32) -> Expected {
        let mut errors = Expected::new();
        check(&mut errors, self.spaces.contains_key(&space), ENOENT);
        if errors.is_empty() {
            self.current[vcpu as usize] = space;
        }
        errors
    }

    pub fn map(&mut self, space: u32, element: &Mapping) -> Expected {
        let &Mapping {
            address,
            gpa,
            size,
            rights,
            reserved,
        } = element;
        let mut errors = self.check_range(space, address, size, gpa);
        check(&mut errors, reserved == 0, EINVAL);
        check_rights(&mut errors, rights);
        let in_ram = gpa.checked_add(size).is_some_and(|end| end <= RAM_SIZE);
        check(&mut errors, in_ram, EFAULT);
        if errors.is_empty() {
            let pages = &self.spaces[&space];
            let free = pages.range(address..address + size).next().is_none();
            check(&mut errors, free, EEXIST);
            let mut after = self.clone();
            insert(
                after.spaces.get_mut(&space).unwrap(),
                address,
                gpa,
                size,
                rights,
            );
            check(&mut errors, after.is_lawful(gpa, size), EPERM);
            if errors.is_empty() {
                *self = after;
            }
        }
        errors
    }

    pub fn protect(&mut self, space: u32, element: &Mapping) -> Expected {
        let &Mapping {
            address,
            gpa,
            size,
            rights,
            reserved,
        } = element;
        let mut errors = self.check_range(space, address, size, 0);
        check(&mut errors, reserved == 0 && gpa == 0, EINVAL);
        check_rights(&mut errors, rights);
        if errors.is_empty() {
            check(
                &mut errors,
                self.is_all_mapped(space, address, size),
                ENOENT,
            );
            let mut after = self.clone();
            let mut changed = Vec::new();
            for (&page, at) in self.spaces[&space].range(address..address + size) {
                if at.rights != rights {
                    check(&mut errors, !self.sealed.contains(&at.gpa), EPERM);
                    after.break_large(space, page, address, size);
                    let pages = after.spaces.get_mut(&space).unwrap();
                    pages.get_mut(&page).unwrap().rights = rights;
                    changed.push(at.gpa);
                }
            }
            let lawful = changed.iter().all(|&gpa| after.is_lawful(gpa, PAGE_SIZE));
            check(&mut errors, lawful, EPERM);
            if errors.is_empty() {
                *self = after;
            }
        }
        errors
    }

    pub fn unmap(&mut self, space: u32, element: &Range) -> Expected {
        let &Range { start, size } = element;
        let mut errors = self.check_range(space, start, size, 0);
        if errors.is_empty() {
            let mut after = self.clone();
            for (&page, at) in self.spaces[&space].range(start..start + size) {
                check(&mut errors, !self.sealed.contains(&at.gpa), EPERM);
                after.break_large(space, page, start, size);
                after.spaces.get_mut(&space).unwrap().remove(&page);
            }
            if errors.is_empty() {
                *self = after;
            }
        }
        errors
    }

    pub fn seal(&mut self, space: u32, element: &Range) -> Expected {
        let &Range { start, size } = element;
        let mut errors = self.check_range(space, start, size, 0);
        if errors.is_empty() {
            check(&mut errors, self.is_all_mapped(space, start, size), ENOENT);
            let gpas: Vec<_> = self.spaces[&space]
                .range(start..start + size)
                .map(|(_, page)| page.gpa)
                .collect();
            let writable = gpas.iter().any(|&gpa| self.rights_of(gpa) & 2 != 0);
            check(&mut errors, !writable, EPERM);
            if errors.is_empty() {
                self.sealed.extend(gpas);
            }
        }
        errors
    }

    fn check_range(&self, space: u32, start: u64, size: u64, gpa: u64) -> Expected {
        let mut errors = Expected::new();
        check(&mut errors, self.spaces.contains_key(&space), ENOENT);
        let all = start | size | gpa;
        check(
            &mut errors,
            all.is_multiple_of(PAGE_SIZE) && size > 0,
            EINVAL,
        );
        let most = if all.is_multiple_of(MIB2) {
            1 << 30
        } else {
            MIB2
        };
        check(&mut errors, size <= most, E2BIG);
        let end = u128::from(start) + u128::from(size);
        let within =
            |part: std::ops::Range<u64>| part.start <= start && end <= u128::from(part.end);
        let in_part = if space == 0 {
            within(IMAGE_LOWEST..TASK_AREA_START) || within(TASK_AREA_END..SHARED_PAGES_BASE)
        } else {
            within(TASK_AREA_START..TASK_AREA_END)
        };
        check(&mut errors, in_part, EINVAL);
        errors
    }

    fn is_all_mapped(&self, space: u32, start: u64, size: u64) -> bool {
        let count = self.spaces[&space].range(start..start + size).count();
        count as u64 == size / PAGE_SIZE
    }

    /// What all mappings of a page of RAM together allow.
    fn rights_of(&self, gpa: u64) -> u32 {
        self.spaces
            .values()
            .flat_map(BTreeMap::values)
            .filter(|page| page.gpa == gpa)
            .fold(0, |all, page| all | page.rights)
    }

    fn is_lawful(&self, gpa: u64, size: u64) -> bool {
        let mut all = BTreeMap::<u64, u32>::new();
        for page in self.spaces.values().flat_map(BTreeMap::values) {
            if (gpa..gpa + size).contains(&page.gpa) {
                *all.entry(page.gpa).or_default() |= page.rights;
            }
        }
        all.into_iter().all(|(gpa, rights)| {
            rights & 6 != 6 && (rights & 2 == 0 || !self.sealed.contains(&gpa))
        })
    }

    /// A page changes: if it is a part of a large one, of which not all is in the range, that
    /// one becomes small ones.
    fn break_large(&mut self, space: u32, page: u64, start: u64, size: u64) {
        let block = page - page % MIB2;
        if start <= block && block + MIB2 <= start + size {
            return;
        }
        let pages = self.spaces.get_mut(&space).unwrap();
        if pages.get(&page).is_some_and(|page| page.large) {
            for (_, page) in pages.range_mut(block..block + MIB2) {
                page.large = false;
            }
        }
    }
}

fn is_task(address: u64) -> bool {
    (TASK_AREA_START..TASK_AREA_END).contains(&address)
}

fn insert(pages: &mut Pages, address: u64, gpa: u64, size: u64, rights: u32) {
    for offset in (0..size).step_by(PAGE_SIZE as usize) {
        let at = address + offset;
        let block = at - at % MIB2;
        let large = (address ^ gpa).is_multiple_of(MIB2)
            && address <= block
            && block + MIB2 <= address + size;
        let page = Page {
            gpa: gpa + offset,
            rights,
            large,
        };
        pages.insert(at, page);
    }
}

fn check_rights(errors: &mut Expected, rights: u32) {
    check(errors, rights & 1 != 0 && rights < 8, EINVAL);
    check(errors, rights & 6 != 6, EPERM);
}

fn check(errors: &mut Expected, condition: bool, errno: Errno) {
    if !condition {
        errors.insert(errno as u16);
    }
}

/// The access of a page.
pub fn access(page: Page) -> Access {
    match page.rights {
        1 => Access::Read,
        3 => Access::ReadWrite,
        5 => Access::ReadExecute,
        other => panic!("{other} are no rights of a page"),
    }
}

const _: () = assert!(LINEAR_MAP_BASE == TASK_AREA_END);
