//! Address spaces: what is mapped where, and that every vCPU sees it.
//!
//! All of a VM's page tables are behind one lock. A call changes them, and before it returns and
//! before the lock is free again, all vCPUs have forgotten what it took away
//! ([`shootdown`]). So whoever holds the lock may rely on it that no vCPU can do what the tables
//! do not allow.
//!
//! docs/decisions/0008-address-spaces.md has the reasons.

mod frames;
mod grants;
mod lifetime;
mod map;
mod pending;
mod pool;
mod protect;
mod query;
mod request;
mod rights;
pub mod saved;
mod seal;
pub mod shootdown;
mod state;
mod tables;
mod unmap;

pub use lifetime::Roots;
pub use pool::{TablePool, table_pages};
pub use state::{SpacesConfig, State};

use crate::hypercall::repeat::Repeat;
use crate::sync::lock;
use pv_abi::mapping::Translation;
use pv_abi::{Errno, Gpa};
use request::KERNEL;
use std::mem::size_of;
use std::sync::Mutex;
use zerocopy::{FromBytes, IntoBytes};

/// How many page tables of an address space are given back before others get the lock.
const TABLES_AT_ONCE: u32 = 16;

/// The address spaces of a VM.
#[derive(Debug)]
pub struct AddressSpaces {
    state: Mutex<State>,
}

impl AddressSpaces {
    /// Only the kernel's.
    pub fn new(config: SpacesConfig) -> Self {
        Self {
            state: Mutex::new(State::new(config)),
        }
    }

    /// Does something to the page tables. When this returns, all vCPUs have forgotten what it
    /// took away.
    ///
    /// EIO: the host refused that, or the tables are not whole any more. The VM must not go on.
    pub(crate) fn change<R>(
        &self,
        action: impl FnOnce(&mut State) -> Result<R, Errno>,
    ) -> Result<R, Errno> {
        let mut state = lock(&self.state);
        state.frames();
        let result = action(&mut state);
        state.shoot_pending()?;
        result
    }

    /// Does the elements of a repeated call, which lie in RAM.
    pub fn each<Element: FromBytes + IntoBytes>(
        &self,
        repeat: Repeat,
        elements: Gpa,
        step: impl Fn(&mut State, &Element) -> Result<(), Errno>,
    ) -> Result<u32, Errno> {
        self.change(|state| {
            state.ram.check_array::<Element>(elements, repeat.count())?;
            repeat.each(|index| {
                let offset = u64::from(index) * size_of::<Element>() as u64;
                let element = state.ram.read_struct(Gpa(elements.0 + offset))?;
                step(state, &element)
            })
        })
    }

    /// Makes an empty address space: its number.
    pub fn create(&self) -> Result<u32, Errno> {
        self.change(State::create)
    }

    /// Removes an address space. Others get the lock between its parts.
    pub fn destroy(&self, space: u32) -> Result<(), Errno> {
        let space = self.change(|state| state.take_out(space))?;
        while !self.change(|state| state.tear_down(&space, TABLES_AT_ONCE))? {}
        Ok(())
    }

    /// Makes an address space the current one of a vCPU: the roots that it is to run on.
    pub fn switch(&self, vcpu: u32, space: u32) -> Result<Roots, Errno> {
        lock(&self.state).switch(vcpu, space)
    }

    /// A vCPU starts anew, or stops: it is in the kernel's address space.
    pub fn reset_vcpu(&self, vcpu: u32) {
        // The kernel's address space is always there.
        let _ = self.switch(vcpu, KERNEL);
    }

    /// How an address is mapped.
    pub fn query(&self, space: u32, address: u64) -> Result<Translation, Errno> {
        lock(&self.state).query(space, address)
    }

    /// Does something to the contents of a range of RAM behind the guest's back, such as giving
    /// them back to the host, unless a page is sealed, shared or executable: then the answer is
    /// EPERM. None becomes so while `action` runs; it must make no call of these address spaces.
    ///
    /// The range lies in RAM.
    pub fn releasing<R>(
        &self,
        gpa: u64,
        size: u64,
        action: impl FnOnce() -> R,
    ) -> Result<R, Errno> {
        self.change(|state| {
            state.check_releasable(gpa, size)?;
            Ok(action())
        })
    }

    /// Another guest is to have these rights to a range of RAM.
    ///
    /// EPERM: a page is executable, or is sealed and the right to write is among the rights. From
    /// then on, until [`Self::share_end`], no page of it is released or, where the right to write
    /// is among the rights, sealed or made executable.
    pub fn share_begin(&self, gpa: u64, size: u64, rights: u32) -> Result<(), Errno> {
        self.change(|state| state.share(gpa, size, rights))
    }

    /// The other guest has lost its rights: all arguments are those of the [`Self::share_begin`]
    /// that is undone.
    pub fn share_end(&self, gpa: u64, size: u64, rights: u32) {
        lock(&self.state).unshare(gpa, size, rights);
    }

    /// Memory of another guest can be mapped from now on, with these rights at most, of which
    /// the one to execute is none. The range of guest-physical addresses overlaps nothing.
    pub fn attach_range(&self, gpa: u64, size: u64, rights: u32) {
        lock(&self.state).attach(gpa, size, rights);
    }

    /// The memory that was attached there goes away: all mappings of it, in every address space,
    /// are removed, and no vCPU can use one when this returns.
    pub fn detach_range(&self, gpa: u64, size: u64) {
        let _ = self.change(|state| state.detach(gpa, size));
    }
}

#[cfg(test)]
mod tests;
