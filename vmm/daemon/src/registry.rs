//! The VMs, by id and by name.

use crate::problem::{Error, Kind, Result};
use crate::vm::Handle;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// The VMs. Each lock is held for a look-up or an insertion only.
#[derive(Debug, Default)]
pub struct Registry(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    vms: BTreeMap<Uuid, Arc<Handle>>,
    /// Names, also of VMs that are just being created.
    names: HashMap<String, Uuid>,
    /// The numbers of VMs, of which each has one.
    slots: BTreeMap<u32, Uuid>,
}

impl Registry {
    /// Gives a VM the smallest number that is free.
    pub fn slot(&self, id: Uuid) -> u32 {
        let slots = &mut self.lock().slots;
        let taken = slots.keys().zip(0..).take_while(|(slot, n)| *slot == n);
        let free = taken.count() as u32;
        slots.insert(free, id);
        free
    }

    /// A VM that was known before has this number.
    pub fn take_slot(&self, slot: u32, id: Uuid) {
        self.lock().slots.insert(slot, id);
    }

    /// Gives a name to a VM, which need not be there yet.
    ///
    /// # Errors
    ///
    /// Another VM has it, or there are `most` VMs already.
    pub fn reserve(&self, name: &str, id: Uuid, most: u32) -> Result<()> {
        let mut inner = self.lock();
        match inner.names.get(name) {
            Some(owner) if *owner == id => return Ok(()),
            Some(owner) => {
                let detail = format!("the VM {owner} has the name {name}; choose another one");
                return Err(Error::new(Kind::NameTaken, detail));
            }
            None => {}
        }
        if inner.names.len() >= most as usize {
            let detail = format!("there are {most} VMs, the most that limits.vms allows");
            return Err(Error::new(Kind::LimitReached, detail));
        }
        inner.names.insert(name.to_string(), id);
        Ok(())
    }

    /// Takes a name away from a VM.
    pub fn release(&self, name: &str, id: Uuid) {
        let mut inner = self.lock();
        if inner.names.get(name) == Some(&id) {
            inner.names.remove(name);
        }
    }

    /// A VM is there; its name is reserved.
    pub fn insert(&self, handle: Arc<Handle>) {
        self.lock().vms.insert(handle.id, handle);
    }

    /// A VM is gone, and its names are free.
    pub fn remove(&self, id: Uuid) {
        let mut inner = self.lock();
        inner.vms.remove(&id);
        inner.names.retain(|_, owner| *owner != id);
        inner.slots.retain(|_, owner| *owner != id);
    }

    /// The VM of an id or a name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(&self, vm: &str) -> Result<Arc<Handle>> {
        let inner = self.lock();
        // A name begins with a letter and an id of this daemon with a digit.
        let id = Uuid::try_parse(vm).ok();
        id.or_else(|| inner.names.get(vm).copied())
            .and_then(|id| inner.vms.get(&id))
            .cloned()
            .ok_or_else(|| {
                Error::new(
                    Kind::NotFound,
                    format!("there is no VM {vm:?}, by id or by name"),
                )
            })
    }

    /// The VMs after an id, in the order of their creation.
    pub fn after(&self, cursor: Option<Uuid>) -> Vec<Arc<Handle>> {
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let inner = self.lock();
        let range = inner.vms.range((from, Bound::Unbounded));
        range.map(|(_, handle)| Arc::clone(handle)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
