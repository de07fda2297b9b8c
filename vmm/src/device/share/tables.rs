//! What the guest has looked up and opened. Both tables have an end.

use super::abi::ROOT;
use rustix::fs::{Stat, fstat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// The most handles.
pub const HANDLES_MAX: usize = 1024;

/// Which file it is on the host: device and number.
type Identity = (u64, u64);

#[derive(Debug)]
struct Inode {
    // As long as this is open, no other file gets its identity.
    fd: OwnedFd,
    identity: Identity,
    /// How often the guest has looked it up, less how often it has forgotten it.
    lookups: u64,
}

/// The inodes that the guest knows.
#[derive(Debug)]
pub struct Inodes {
    root: OwnedFd,
    inodes: HashMap<u64, Inode>,
    by_identity: HashMap<Identity, u64>,
    next: u64,
    most: usize,
}

impl Inodes {
    /// Of a folder; at most so many beside it.
    pub fn new(root: OwnedFd, most: usize) -> Self {
        Self {
            root,
            inodes: HashMap::new(),
            by_identity: HashMap::new(),
            next: ROOT + 1,
            most,
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// How many there can be.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The file of an inode.
    ///
    /// # Errors
    ///
    /// There is no such inode.
    pub fn get(&self, inode: u64) -> Result<&OwnedFd, Errno> {
        if inode == ROOT {
            return Ok(&self.root);
        }
        let found = self.inodes.get(&inode);
        found.map(|found| &found.fd).ok_or(Errno::STALE)
    }

    /// The guest has looked a file up: its inode and attributes.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn look_up(&mut self, fd: OwnedFd) -> Result<(u64, Stat), Errno> {
        let stat = fstat(&fd)?;
        let identity = (stat.st_dev, stat.st_ino);
        if let Some(&inode) = self.by_identity.get(&identity) {
            if let Some(known) = self.inodes.get_mut(&inode) {
                known.lookups = known.lookups.saturating_add(1);
            }
            return Ok((inode, stat));
        }
        if self.inodes.len() >= self.most {
            return Err(Errno::NFILE);
        }
        let inode = self.next;
        self.next += 1;
        self.by_identity.insert(identity, inode);
        let lookups = 1;
        let new = Inode {
            fd,
            identity,
            lookups,
        };
        self.inodes.insert(inode, new);
        Ok((inode, stat))
    }

    /// The guest knows a file as a server did that was saved.
    ///
    /// # Errors
    ///
    /// The host cannot say which file it is.
    pub fn put_back(&mut self, inode: u64, fd: OwnedFd, lookups: u64) -> Result<(), Errno> {
        let stat = fstat(&fd)?;
        let identity = (stat.st_dev, stat.st_ino);
        // Two names may have become those of one file. The guest keeps both inodes, and finds one.
        self.by_identity.entry(identity).or_insert(inode);
        let known = Inode {
            fd,
            identity,
            lookups,
        };
        self.inodes.insert(inode, known);
        Ok(())
    }

    /// The number of the next inode that is looked up.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Looks up inodes from this number on.
    pub fn go_on_at(&mut self, next: u64) {
        self.next = next;
    }

    /// Each inode, its file, and how often it was looked up.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &OwnedFd, u64)> {
        let inodes = self.inodes.iter();
        inodes.map(|(&inode, known)| (inode, &known.fd, known.lookups))
    }

    /// The guest has forgotten so many lookups of an inode.
    pub fn forget(&mut self, inode: u64, lookups: u64) {
        let Some(known) = self.inodes.get_mut(&inode) else {
            return;
        };
        known.lookups = known.lookups.saturating_sub(lookups);
        if known.lookups == 0 {
            if self.by_identity.get(&known.identity) == Some(&inode) {
                self.by_identity.remove(&known.identity);
            }
            self.inodes.remove(&inode);
        }
    }

    /// The guest has forgotten all.
    pub fn clear(&mut self) {
        self.inodes.clear();
        self.by_identity.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.inodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inodes.is_empty()
    }
}

/// Something that is open.
#[derive(Debug)]
pub enum Open {
    /// A file.
    File(OwnedFd),
    /// A folder.
    Folder(OwnedFd),
    /// Something that was open when the VM was saved, and could not be opened again.
    Stale,
}

/// The handles that the guest has.
#[derive(Debug, Default)]
pub struct Handles {
    open: HashMap<u64, Open>,
    last: u64,
}

impl Handles {
    /// Gives a handle to what `open` opens.
    ///
    /// # Errors
    ///
    /// There are too many, or it cannot be opened.
    pub fn add(&mut self, open: impl FnOnce() -> Result<Open, Errno>) -> Result<u64, Errno> {
        if self.open.len() >= HANDLES_MAX {
            return Err(Errno::NFILE);
        }
        let open = open()?;
        self.last += 1;
        self.open.insert(self.last, open);
        Ok(self.last)
    }

    /// The guest has a handle as a server gave it that was saved.
    pub fn put_back(&mut self, handle: u64, open: Open) {
        self.open.insert(handle, open);
    }

    /// The last handle that was given.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Gives handles behind this one.
    pub fn go_on_after(&mut self, last: u64) {
        self.last = last;
    }

    /// Each handle, and what it is of.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Open)> {
        self.open.iter().map(|(&handle, open)| (handle, open))
    }

    /// The file of a handle.
    ///
    /// # Errors
    ///
    /// It is not that of a file, or is stale.
    pub fn file(&self, handle: u64) -> Result<&OwnedFd, Errno> {
        match self.open.get(&handle) {
            Some(Open::File(file)) => Ok(file),
            Some(Open::Stale) => Err(Errno::STALE),
            _ => Err(Errno::BADF),
        }
    }

    /// The folder of a handle.
    ///
    /// # Errors
    ///
    /// It is not that of a folder, or is stale.
    pub fn folder(&self, handle: u64) -> Result<&OwnedFd, Errno> {
        match self.open.get(&handle) {
            Some(Open::Folder(folder)) => Ok(folder),
            Some(Open::Stale) => Err(Errno::STALE),
            _ => Err(Errno::BADF),
        }
    }

    /// Closes a handle.
    ///
    /// # Errors
    ///
    /// There is no such handle.
    pub fn remove(&mut self, handle: u64) -> Result<(), Errno> {
        self.open.remove(&handle).map(drop).ok_or(Errno::BADF)
    }

    /// Closes all.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
