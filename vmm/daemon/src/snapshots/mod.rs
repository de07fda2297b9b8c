//! The snapshots: folders, each by its id, that VMs' processes wrote and that are the daemon's
//! since.

pub mod archive;
mod coming;
mod keep;
mod transfer;

use crate::problem::{Error, Kind, Result};
use crate::store::{Change, Store, Table};
use paravane_api::snapshot::Snapshot;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use coming::Coming;
pub use keep::{keep, take_over};
pub use transfer::Transfer;
use transfer::Transfers;

/// The snapshots.
#[derive(Debug)]
pub struct Snapshots {
    folder: PathBuf,
    store: Store,
    known: Mutex<Known>,
    /// Whose turn it is to be exported or imported.
    pub transfers: Transfers,
}

#[derive(Debug, Default)]
struct Known {
    snapshots: BTreeMap<String, Snapshot>,
    /// Names of snapshots that are being taken.
    coming: Vec<String>,
}

/// A name that no other snapshot gets as long as this is held.
#[derive(Debug)]
pub struct Reserved<'a> {
    snapshots: &'a Snapshots,
    /// The name.
    pub name: String,
}

impl Snapshots {
    /// The snapshots in `folder`, which is made if it is not there. What the store does not know
    /// is removed.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or read.
    pub fn open(folder: PathBuf, store: Store, snapshots: Vec<Snapshot>) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let known = snapshots.into_iter().map(|one| (one.id.clone(), one));
        let known = Known {
            snapshots: known.collect(),
            coming: Vec::new(),
        };
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let id = entry.file_name();
            if id
                .to_str()
                .is_none_or(|id| !known.snapshots.contains_key(id))
            {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self {
            folder,
            store,
            known: Mutex::new(known),
            transfers: Transfers::default(),
        })
    }

    /// All snapshots, in the order of their creation.
    pub fn all(&self) -> Vec<Snapshot> {
        self.lock().snapshots.values().cloned().collect()
    }

    /// A snapshot by its id or name.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(&self, snapshot: &str) -> Result<Snapshot> {
        let known = self.lock();
        let by_name = || known.snapshots.values().find(|one| one.name == snapshot);
        let found = known.snapshots.get(snapshot).or_else(by_name);
        found.cloned().ok_or_else(|| {
            let detail = format!("there is no snapshot {snapshot:?}, by id or by name");
            Error::new(Kind::NotFound, detail)
        })
    }

    /// Where a snapshot is.
    pub fn path(&self, id: &str) -> PathBuf {
        // An id has no slash; this makes sure.
        self.folder
            .join(Path::new(id).file_name().unwrap_or_default())
    }

    /// Takes a name for a snapshot that comes.
    ///
    /// # Errors
    ///
    /// Another snapshot has it.
    pub fn reserve(&self, name: String) -> Result<Reserved<'_>> {
        let mut known = self.lock();
        let taken =
            known.coming.contains(&name) || known.snapshots.values().any(|one| one.name == name);
        if taken {
            let detail = format!("another snapshot has the name {name}; choose another one");
            return Err(Error::new(Kind::NameTaken, detail));
        }
        known.coming.push(name.clone());
        Ok(Reserved {
            snapshots: self,
            name,
        })
    }

    /// A snapshot is there, in the store too.
    pub fn insert(&self, snapshot: Snapshot) {
        self.lock().snapshots.insert(snapshot.id.clone(), snapshot);
    }

    /// Removes a snapshot. VMs that were made from it go on.
    ///
    /// # Errors
    ///
    /// There is none, or the store cannot be changed.
    pub async fn remove(&self, snapshot: &str) -> Result<()> {
        let id = self.find(snapshot)?.id;
        let change = Change::none(Table::Snapshots, id.clone());
        self.store.commit(vec![change]).await?;
        self.lock().snapshots.remove(&id);
        if let Err(error) = tokio::fs::remove_dir_all(self.path(&id)).await {
            // The store does not know it any more; it goes when the daemon starts again.
            tracing::warn!("the folder of the snapshot {id} is not removed: {error}");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.snapshots
            .lock()
            .coming
            .retain(|name| *name != self.name);
    }
}
