//! Address spaces with the [`Shadow`] behind them.

use super::shadow::{Shadow, ShadowShootdown};
use crate::carrier::{Carrier, Gate, Mode, Privilege};
use crate::memory::{PrivateMemory, Ram};
use crate::paging::{Access, Mapping, Owner, PageTables, translate};
use crate::space::state::State;
use crate::space::{AddressSpaces, SpacesConfig, TablePool};
use crate::sync::lock;
use pv_abi::Errno;
use pv_abi::address_space::{LINEAR_MAP_BASE, MONITOR_BASE, PAGE_SIZE, STACKS_BASE};
use pv_abi::mapping::{LARGE_PAGE_SIZE, TASK_AREA_END, TASK_AREA_START};
use std::sync::{Arc, Mutex};

/// Four pages of 2 MiB, and some more.
pub const RAM_SIZE: u64 = 4 * LARGE_PAGE_SIZE + 16 * PAGE_SIZE;
pub const VCPUS: u32 = 2;

/// The kernel's text: address, guest-physical address, size.
pub const TEXT: (u64, u64, u64) = (0x40_0000, 0x10_0000, 4 * PAGE_SIZE);
/// Its data.
pub const DATA: (u64, u64, u64) = (0x50_0000, 0x11_0000, 4 * PAGE_SIZE);
/// Its stack.
pub const STACK: (u64, u64, u64) = (STACKS_BASE + 0x1000, 0x12_0000, 4 * PAGE_SIZE);

pub const TASKS: u64 = TASK_AREA_START;
pub const LINEAR: u64 = LINEAR_MAP_BASE;

pub const READ: u32 = 1;
pub const WRITE: u32 = 3;
pub const EXECUTE: u32 = 5;

pub fn mode(privilege: Privilege) -> Mode {
    Mode {
        privilege,
        carrier: Carrier::Pio,
        gate: Gate::Direct,
        syscall_faults: false,
    }
}

/// What the kernel has mapped at its start.
pub fn first_mappings() -> Vec<(u64, u64, u64, Access)> {
    let (read, write, execute) = (Access::Read, Access::ReadWrite, Access::ReadExecute);
    let at = |(address, gpa, size), access| (address, gpa, size, access);
    let text_end = TEXT.1 + TEXT.2;
    vec![
        at(TEXT, execute),
        at(DATA, write),
        at(STACK, write),
        (LINEAR, 0, TEXT.1, write),
        (LINEAR + TEXT.1, TEXT.1, TEXT.2, read),
        (LINEAR + text_end, text_end, RAM_SIZE - text_end, write),
    ]
}

pub struct Rig {
    pub spaces: AddressSpaces,
    pub shadow: Arc<Mutex<Shadow>>,
    pub memory: Arc<PrivateMemory>,
    pub ram: Arc<Ram>,
    pub root: u64,
    /// What the VMM has for itself.
    pub private_gpa: u64,
}

impl Rig {
    pub fn new(privilege: Privilege) -> Self {
        Self::with_tables(privilege, 512)
    }

    /// With so many pages for tables.
    pub fn with_tables(privilege: Privilege, tables: u64) -> Self {
        let memory = Arc::new(PrivateMemory::new(1 << 30, 64 + tables).unwrap());
        let ram = Arc::new(Ram::new(RAM_SIZE).unwrap());
        let private_gpa = memory.allocate(1).unwrap();
        let mut first = PageTables::new(&memory).unwrap();
        let owner = match privilege {
            Privilege::Ring0 => Owner::Supervisor,
            Privilege::Ring3 => Owner::User,
        };
        for (address, gpa, size, access) in first_mappings() {
            let mapping = Mapping {
                address,
                gpa,
                size,
                access,
                owner,
            };
            first.map(mapping).unwrap();
        }
        for address in [MONITOR_BASE, pv_abi::address_space::SHARED_PAGES_BASE] {
            let mapping = Mapping {
                address,
                gpa: private_gpa,
                size: PAGE_SIZE,
                access: Access::ReadWrite,
                owner: Owner::Supervisor,
            };
            first.map(mapping).unwrap();
        }
        let root = first.root();
        let shadow = Arc::new(Mutex::new(Shadow::new(Arc::clone(&memory))));
        let spaces = AddressSpaces::new(SpacesConfig {
            memory: Arc::clone(&memory),
            ram: Arc::clone(&ram),
            mode: mode(privilege),
            root,
            vcpus: VCPUS,
            pool: TablePool::new(&memory, tables).unwrap(),
            shootdown: Box::new(ShadowShootdown(Arc::clone(&shadow))),
        });
        Self {
            spaces,
            shadow,
            memory,
            ram,
            root,
            private_gpa,
        }
    }

    pub fn map(&self, space: u32, address: u64, gpa: u64, size: u64, rights: u32) -> Answer {
        self.change(|state| state.map(space, &element(address, gpa, size, rights)))
    }

    pub fn protect(&self, space: u32, address: u64, size: u64, rights: u32) -> Answer {
        self.change(|state| state.protect(space, &element(address, 0, size, rights)))
    }

    pub fn unmap(&self, space: u32, address: u64, size: u64) -> Answer {
        self.change(|state| state.unmap(space, &range(address, size)))
    }

    pub fn seal(&self, space: u32, address: u64, size: u64) -> Answer {
        self.change(|state| state.seal(space, &range(address, size)))
    }

    pub fn change(&self, action: impl FnOnce(&mut State) -> Answer) -> Answer {
        self.spaces.change(action)
    }

    /// The roots of an address space: the kernel's and, if there is one, the tasks'.
    pub fn roots(&self, space: u32) -> (u64, u64) {
        let space = lock(&self.spaces.state).space(space).unwrap();
        (space.root, space.task_root)
    }

    /// What a vCPU that remembers all reaches, which has to be what the tables say.
    pub fn access(&self, root: u64, address: u64) -> Option<(u64, Access, Owner)> {
        let reached = lock(&self.shadow).access(root, address);
        let (entry, offset) = reached.unzip();
        assert_eq!(
            entry
                .zip(offset)
                .map(|(entry, offset)| entry.gpa() + offset),
            translate(&self.memory, root, address),
            "{address:#x} is remembered otherwise than it is mapped"
        );
        entry
            .zip(offset)
            .map(|(entry, offset)| (entry.gpa() + offset, entry.access(), entry.owner()))
    }

    /// How often all was forgotten, and how often a range.
    pub fn shot(&self) -> (u32, u32) {
        let shadow = lock(&self.shadow);
        (shadow.forgotten, shadow.ranges)
    }

    pub fn tables_in_use(&self) -> u32 {
        lock(&self.spaces.state).pool.in_use()
    }

    pub fn page_size(&self, space: u32, address: u64) -> Result<u64, Errno> {
        Ok(self.spaces.query(space, address)?.page_size)
    }
}

pub type Answer = Result<(), Errno>;

pub fn element(address: u64, gpa: u64, size: u64, rights: u32) -> pv_abi::mapping::Mapping {
    pv_abi::mapping::Mapping {
        address,
        gpa,
        size,
        rights,
        reserved: 0,
    }
}

pub fn range(start: u64, size: u64) -> pv_abi::mapping::Range {
    pv_abi::mapping::Range { start, size }
}

const _: () = assert!(TASKS < TASK_AREA_END);
