//! Opening anew what a server had open that was saved.
//!
//! What is not there any more, or is of another kind, is stale: a request for it is answered by ESTALE, as
//! NFS has it. So is what cannot be opened for another reason, which is told in the log.

use super::folder::{open_file, open_folder};
use super::saved::{Place, SavedHandle, SavedInode, SavedShare};
use super::tables::{Handles, Inodes, Open};
use rustix::io::Errno;

/// How much is opened before somebody else has a turn.
const STEP: usize = 256;

/// What is opened anew, and how far that has come.
#[derive(Debug)]
pub struct GoingOn {
    saved: SavedShare,
    inodes: usize,
    handles: usize,
    /// How many could not be opened though they may be there, and the last reason.
    failed: Option<(u32, Errno)>,
}

impl GoingOn {
    /// Goes on with this.
    pub fn with(saved: SavedShare) -> Self {
        Self {
            saved,
            inodes: 0,
            handles: 0,
            failed: None,
        }
    }

    /// What it goes on with.
    pub fn saved(&self) -> &SavedShare {
        &self.saved
    }

    /// Opens some of it into tables that were empty. Whether that was all.
    pub fn step(&mut self, inodes: &mut Inodes, handles: &mut Handles) -> bool {
        let left = self.saved.inodes.iter().skip(self.inodes).take(STEP);
        for inode in left {
            self.inodes += 1;
            note(&mut self.failed, put_inode(inode, inodes));
        }
        if self.inodes < self.saved.inodes.len() {
            return false;
        }
        let left = self.saved.handles.iter().skip(self.handles).take(STEP);
        for handle in left {
            self.handles += 1;
            note(&mut self.failed, put_handle(handle, inodes, handles));
        }
        if self.handles < self.saved.handles.len() {
            return false;
        }
        inodes.go_on_at(self.saved.next_inode);
        handles.go_on_after(self.saved.last_handle);
        if let Some((count, error)) = self.failed {
            tracing::warn!(
                "{count} files of a share that the guest knows cannot be opened again: {error}"
            );
        }
        true
    }
}

/// An inode that is not in the table is stale.
fn put_inode(inode: &SavedInode, inodes: &mut Inodes) -> Result<(), Errno> {
    let file = inode.place.open(inodes.root())?;
    inodes.put_back(inode.number, file, inode.lookups)
}

fn put_handle(handle: &SavedHandle, inodes: &Inodes, handles: &mut Handles) -> Result<(), Errno> {
    let open = |place: &Place| {
        let file = place.open(inodes.root())?;
        match place.is_folder() {
            true => open_folder(file).map(Open::Folder),
            false => open_file(file).map(Open::File),
        }
    };
    let opened = handle.place.as_ref().map_or(Err(Errno::STALE), open);
    let (open, result) = match opened {
        Ok(open) => (open, Ok(())),
        Err(error) => (Open::Stale, Err(error)),
    };
    handles.put_back(handle.number, open);
    result
}

/// Counts what failed for another reason than that the file is gone.
fn note(failed: &mut Option<(u32, Errno)>, result: Result<(), Errno>) {
    const GONE: [Errno; 5] = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::STALE,
        Errno::LOOP,
        Errno::XDEV,
    ];
    if let Err(error) = result
        && !GONE.contains(&error)
    {
        let count = failed.map_or(0, |(count, _)| count);
        *failed = Some((count + 1, error));
    }
}
