//! The address spaces of a VM as they are: what the lock of [`AddressSpaces`](super::AddressSpaces)
//! is for.

use super::frames::Frames;
use super::pending::Pending;
use super::pool::TablePool;
use super::request::KERNEL;
use super::shootdown::Shootdown;
use crate::carrier::{Mode, Privilege};
use crate::memory::{PrivateMemory, Ram};
use crate::paging::{Owner, Table, Walk};
use pv_abi::Errno;
use pv_abi::address_space::{IMAGE_LOWEST, LINEAR_MAP_BASE, SHARED_PAGES_BASE};
use pv_abi::mapping::{TASK_AREA_END, TASK_AREA_START};
use std::ops::Range;
use std::sync::Arc;

/// An address space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    /// The root that the kernel runs on.
    pub root: u64,
    /// The root that tasks run on, where that is another one: with the task area and the monitor
    /// alone. 0 where it is not.
    pub task_root: u64,
    /// How many pages of other guests are mapped in it.
    pub foreign: u64,
}

/// A range of guest-physical addresses with rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub gpas: Range<u64>,
    /// `RIGHT_*`.
    pub rights: u32,
}

impl Extent {
    pub fn new(gpa: u64, size: u64, rights: u32) -> Self {
        Self {
            gpas: gpa..gpa.saturating_add(size),
            rights,
        }
    }

    pub fn contains(&self, gpas: &Range<u64>) -> bool {
        self.gpas.start <= gpas.start && gpas.end <= self.gpas.end
    }

    pub fn overlaps(&self, gpas: &Range<u64>) -> bool {
        self.gpas.start < gpas.end && gpas.start < self.gpas.end
    }
}

/// All address spaces of a VM.
#[derive(Debug)]
pub struct State {
    pub(super) memory: Arc<PrivateMemory>,
    pub(super) ram: Arc<Ram>,
    /// Who uses the kernel's pages.
    pub(super) kernel_owner: Owner,
    /// Whether tasks run on a root of their own.
    pub(super) task_roots: bool,
    /// By their numbers.
    pub(super) spaces: Vec<Option<Space>>,
    /// The address space that each vCPU is in.
    pub(super) current: Vec<u32>,
    pub(super) pool: TablePool,
    /// `None` until the first call that changes a mapping.
    frames: Option<Frames>,
    /// Memory of other guests that this one has attached.
    pub(super) attached: Vec<Extent>,
    /// RAM that other guests have rights to.
    pub(super) shared: Vec<Extent>,
    shootdown: Box<dyn Shootdown>,
    pub(super) pending: Pending,
    /// How often all translations were forgotten, from 1.
    generation: u64,
}

/// What [`State`] is made of.
#[derive(Debug)]
pub struct SpacesConfig {
    /// The VMM's private pages.
    pub memory: Arc<PrivateMemory>,
    /// RAM.
    pub ram: Arc<Ram>,
    /// How the guest runs.
    pub mode: Mode,
    /// Guest-physical address of the kernel's root page table.
    pub root: u64,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// The pages that tables are made of.
    pub pool: TablePool,
    /// How vCPUs are made to forget translations.
    pub shootdown: Box<dyn Shootdown>,
}

impl State {
    /// Only the kernel's address space, as it was loaded.
    pub fn new(config: SpacesConfig) -> Self {
        let kernel = Space {
            root: config.root,
            task_root: 0,
            foreign: 0,
        };
        let (kernel_owner, task_roots) = match config.mode.privilege {
            Privilege::Ring0 => (Owner::Supervisor, false),
            Privilege::Ring3 => (Owner::User, true),
        };
        Self {
            memory: config.memory,
            ram: config.ram,
            kernel_owner,
            task_roots,
            spaces: vec![Some(kernel)],
            current: vec![KERNEL; config.vcpus as usize],
            pool: config.pool,
            frames: None,
            attached: Vec::new(),
            shared: Vec::new(),
            shootdown: config.shootdown,
            pending: Pending::default(),
            generation: 1,
        }
    }

    /// An address space that there is.
    pub(super) fn space(&self, number: u32) -> Result<Space, Errno> {
        self.spaces
            .get(number as usize)
            .copied()
            .flatten()
            .ok_or(Errno::ENOENT)
    }

    pub(super) fn kernel_root(&self) -> u64 {
        self.space(KERNEL).map_or(0, |kernel| kernel.root)
    }

    /// Who uses what is mapped in an address space.
    pub(super) fn owner(&self, space: u32) -> Owner {
        if space == KERNEL {
            self.kernel_owner
        } else {
            Owner::User
        }
    }

    /// Walks a range of an address space.
    pub(super) fn walk(&self, root: u64, range: Range<u64>) -> Walk<'_> {
        Walk::new(&self.memory, root, range)
    }

    /// A table; a table that there is not is a defect, after which no guest can go on.
    pub(super) fn table(&self, gpa: u64) -> Result<Table<'_>, Errno> {
        Table::at(&self.memory, gpa).map_err(|_| Errno::EIO)
    }

    /// The counts of mapped pages. What was mapped when the guest was loaded or restored is counted when
    /// they are asked for first, which is before the first change; most guests make none.
    pub(super) fn frames(&mut self) -> &mut Frames {
        if self.frames.is_none() {
            self.frames = Some(self.count_first_mappings());
        }
        self.frames.get_or_insert_default()
    }

    fn count_first_mappings(&self) -> Frames {
        let mut frames = Frames::new(self.ram.size());
        let linear_end = LINEAR_MAP_BASE + self.ram.size();
        let kernels = [IMAGE_LOWEST..TASK_AREA_START, linear_end..SHARED_PAGES_BASE];
        let mut count = |root, part| {
            for piece in self.walk(root, part) {
                match piece.gpa() {
                    Some(gpa) if piece.level == 0 => frames.add(gpa, piece.entry.access()),
                    Some(gpa) => frames.add_large(gpa, piece.entry.access()),
                    None => {}
                }
            }
        };
        for part in kernels {
            count(self.kernel_root(), part);
        }
        // A VM that was restored has others already.
        for space in self.spaces.iter().skip(1).flatten() {
            count(space.root, TASK_AREA_START..TASK_AREA_END);
        }
        frames
    }

    /// The mark of an entry whose page of 2 MiB was taken away now.
    pub(super) fn mark(&self) -> u64 {
        self.generation
    }

    /// How often all translations were forgotten.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// For a VM in which nobody knows a translation yet.
    pub(super) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// Has all translations that were taken away forgotten.
    pub(super) fn shoot_pending(&mut self) -> Result<(), Errno> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.pending.is_everything() {
            return self.shoot_everything();
        }
        let pending = std::mem::take(&mut self.pending);
        for range in pending.ranges() {
            let range = range.start..range.end.min(self.ram.size());
            self.shootdown.range(range).map_err(report)?;
        }
        Ok(())
    }

    /// Has all translations forgotten, and all that is known of tables.
    pub(super) fn shoot_everything(&mut self) -> Result<(), Errno> {
        self.pending = Pending::default();
        self.shootdown.everything().map_err(report)?;
        self.generation += 1;
        self.pool.forgotten();
        Ok(())
    }
}

/// A host that cannot have translations forgotten leaves no way to go on.
fn report(error: std::io::Error) -> Errno {
    tracing::error!(%error, "the host refuses to have the vCPUs' translations forgotten");
    Errno::EIO
}
