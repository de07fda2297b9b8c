//! The address spaces of a VM in a snapshot. Page tables are private memory, and are saved there.

use super::AddressSpaces;
use super::pool::SavedPool;
use super::state::{Space, State};
use crate::memory::PrivateMemory;
use crate::snapshot::Inconsistent;
use crate::sync::lock;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping::ADDRESS_SPACES;
use serde::{Deserialize, Serialize};

/// All address spaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSpaces {
    /// By their numbers.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub spaces: Vec<Option<SavedSpace>>,
    /// The one that each vCPU is in.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub current: Vec<u32>,
    /// How often all translations were forgotten.
    pub generation: u64,
    /// The pages that tables are made of.
    pub pool: SavedPool,
}

/// An address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSpace {
    /// The root that the kernel runs on.
    pub root: u64,
    /// The root that tasks run on; 0 where that is the same.
    pub task_root: u64,
}

/// Memory is shared with another guest, so the VM cannot be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HasGrants;

impl AddressSpaces {
    /// What they are. No vCPU runs.
    ///
    /// # Errors
    ///
    /// Memory is shared with another guest.
    pub fn save(&self) -> Result<SavedSpaces, HasGrants> {
        lock(&self.state).save()
    }

    /// Makes them what they were, in a VM that has not run.
    ///
    /// # Errors
    ///
    /// They cannot have been so.
    pub fn restore(&self, saved: &SavedSpaces) -> Result<(), Inconsistent> {
        lock(&self.state).restore(saved)
    }

    /// Whether this is a root that a vCPU's kernel runs on.
    pub fn is_root_of(&self, vcpu: u32, root: u64) -> bool {
        let state = lock(&self.state);
        let current = state.current.get(vcpu as usize).copied();
        current.is_some_and(|number| state.space(number).is_ok_and(|space| space.root == root))
    }
}

impl State {
    fn save(&self) -> Result<SavedSpaces, HasGrants> {
        if !self.attached.is_empty() || !self.shared.is_empty() {
            return Err(HasGrants);
        }
        let save = |space: &Space| SavedSpace {
            root: space.root,
            task_root: space.task_root,
        };
        let spaces = self.spaces.iter();
        Ok(SavedSpaces {
            spaces: spaces.map(|space| space.as_ref().map(save)).collect(),
            current: self.current.clone(),
            generation: self.generation(),
            pool: self.pool.save(),
        })
    }

    fn restore(&mut self, saved: &SavedSpaces) -> Result<(), Inconsistent> {
        let wrong = |what: &str| Inconsistent(format!("the address spaces: {what}"));
        if saved.spaces.len() > ADDRESS_SPACES as usize {
            return Err(wrong("there are too many"));
        }
        let kernel = saved.spaces.first().copied().flatten();
        if kernel.map(|kernel| kernel.root) != Some(self.kernel_root()) {
            return Err(wrong("the kernel's is not the first"));
        }
        let mut spaces = Vec::with_capacity(saved.spaces.len());
        for space in &saved.spaces {
            let Some(SavedSpace { root, task_root }) = *space else {
                spaces.push(None);
                continue;
            };
            let has_task_root = task_root != 0;
            if !is_page(&self.memory, root)
                || has_task_root && !(self.task_roots && is_page(&self.memory, task_root))
            {
                return Err(wrong("a root is no page of the VMM"));
            }
            spaces.push(Some(Space {
                root,
                task_root,
                foreign: 0,
            }));
        }
        let exists = |&number: &u32| matches!(spaces.get(number as usize), Some(Some(_)));
        if saved.current.len() != self.current.len() || !saved.current.iter().all(exists) {
            return Err(wrong("a vCPU is in none"));
        }
        self.pool.restore(&saved.pool, &self.memory)?;
        self.spaces = spaces;
        self.current.clone_from(&saved.current);
        // Nobody knows any translation, so no mark is one of now.
        self.set_generation(saved.generation.wrapping_add(1));
        Ok(())
    }
}

/// Whether a guest-physical address is that of a page of private memory that can be a table.
pub(super) fn is_page(memory: &PrivateMemory, gpa: u64) -> bool {
    gpa.is_multiple_of(PAGE_SIZE) && (memory.start()..memory.spare().0).contains(&gpa)
}
