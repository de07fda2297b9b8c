//! A share in a snapshot: what its driver knows, by the paths that it has on the host at that moment.
//!
//! Who goes on from it opens the paths anew, beneath the folder that is shared then. What is not there
//! any more, or is of another kind, is stale: a request for it is answered by ESTALE, as NFS has it.

use super::abi::ROOT;
use super::tables::HANDLES_MAX;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The most bytes that all paths have together: 64 thousand files have 128 each.
const PATHS_MAX: usize = 8 << 20;

/// A number that no guest lives to see.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// What a driver knows of a share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedShare {
    /// Whether it has sent INIT.
    pub is_begun: bool,
    /// What it has looked up, but for what cannot be found again.
    pub inodes: Vec<SavedInode>,
    /// The number of the next inode.
    pub next_inode: u64,
    /// What it has open.
    pub handles: Vec<SavedHandle>,
    /// The number of the last handle.
    pub last_handle: u64,
}

/// An inode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedInode {
    /// Its number.
    pub number: u64,
    /// How often it was looked up, less how often it was forgotten.
    pub lookups: u64,
    /// Where it is.
    pub place: Place,
}

/// A handle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHandle {
    /// Its number.
    pub number: u64,
    /// Where what it has open is; `None` if that cannot be found again.
    pub place: Option<Place>,
}

/// Where something is in the folder that is shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its path from there, as bytes.
    pub path: Vec<u8>,
    /// What it is: the type bits of `st_mode`.
    pub kind: u32,
}

impl SavedShare {
    /// The bytes that a device notes.
    ///
    /// # Errors
    ///
    /// The paths are too long.
    pub fn encode(&self) -> Result<Vec<u8>, &'static str> {
        let inodes = self.inodes.iter().map(|inode| &inode.place);
        let handles = self.handles.iter().filter_map(|one| one.place.as_ref());
        let size: usize = inodes.chain(handles).map(|place| place.path.len()).sum();
        if size > PATHS_MAX {
            return Err("the paths of the files that its guest knows have more than 8 MiB");
        }
        postcard::to_stdvec(self).map_err(|_| "what its guest knows cannot be written")
    }

    /// What such bytes say, for a server that can know so many inodes.
    ///
    /// # Errors
    ///
    /// No server can have noted that, or this one cannot know as much.
    pub fn decode(bytes: &[u8], most: usize) -> Result<Self, String> {
        let nonsense = |what: &str| format!("what its driver knows makes no sense: {what}");
        let saved: Self = match postcard::take_from_bytes(bytes) {
            Ok((saved, [])) => saved,
            Ok(_) => return Err(nonsense("something follows")),
            Err(error) => return Err(nonsense(&error.to_string())),
        };
        let mut seen = HashSet::new();
        if !(ROOT + 1..NUMBER_MAX).contains(&saved.next_inode)
            || !saved.inodes.iter().all(|inode| {
                let number = inode.number;
                number > ROOT
                    && number < saved.next_inode
                    && inode.lookups > 0
                    && seen.insert(number)
            })
        {
            return Err(nonsense("there can be no such inode"));
        }
        seen.clear();
        let handles = &saved.handles;
        if handles.len() > HANDLES_MAX
            || saved.last_handle > NUMBER_MAX
            || !handles.iter().all(|handle| {
                let number = handle.number;
                number > 0 && number <= saved.last_handle && seen.insert(number)
            })
        {
            return Err(nonsense("there can be no such handle"));
        }
        if saved.inodes.len() > most {
            return Err(format!(
                "its driver knows {} files, and this process can have {most} for it; raise its \
                 limit of open files (ulimit -n)",
                saved.inodes.len()
            ));
        }
        Ok(saved)
    }
}
