//! A share in a snapshot: what its driver knows, by the paths that it has on the host at that moment.
//!
//! Who goes on from it opens the paths anew, beneath the folder that is shared then ([`super::going_on`]).

use super::abi::ROOT;
use super::folder::NAME_MAX;
use super::tables::HANDLES_MAX;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The most bytes that all paths have together: 64 thousand files have 128 each.
pub const PATHS_MAX: usize = 8 << 20;

/// A number that no guest lives to see.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// What a driver knows of a share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// What the notes begin with. The inodes and the handles follow, one after the other, so that no more of
/// them is read than there can be.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    is_begun: bool,
    next_inode: u64,
    last_handle: u64,
    inodes: u64,
    handles: u64,
}

impl SavedShare {
    /// The bytes that a device notes.
    ///
    /// # Errors
    ///
    /// postcard's; there are none.
    pub fn encode(&self) -> postcard::Result<Vec<u8>> {
        let header = Header {
            is_begun: self.is_begun,
            next_inode: self.next_inode,
            last_handle: self.last_handle,
            inodes: self.inodes.len() as u64,
            handles: self.handles.len() as u64,
        };
        let mut bytes = postcard::to_stdvec(&header)?;
        for inode in &self.inodes {
            bytes = postcard::to_extend(inode, bytes)?;
        }
        for handle in &self.handles {
            bytes = postcard::to_extend(handle, bytes)?;
        }
        Ok(bytes)
    }

    /// What such bytes say, for a server that can know so many inodes.
    ///
    /// # Errors
    ///
    /// No server can have noted that, or this one cannot know as much.
    pub fn decode(bytes: &[u8], most: usize) -> Result<Self, String> {
        let (header, rest): (Header, _) = take(bytes)?;
        if header.inodes > most as u64 {
            return Err(format!(
                "its driver knows {} files, and this process can have {most} for it; raise its \
                 limit of open files (ulimit -n)",
                header.inodes
            ));
        }
        let are_right = (ROOT + 1..NUMBER_MAX).contains(&header.next_inode)
            && header.last_handle < NUMBER_MAX
            && header.handles <= HANDLES_MAX as u64;
        if !are_right {
            return Err(nonsense("there can be no such numbers"));
        }
        let mut reader = Reader::of(rest);
        let inodes = reader.read(header.inodes, |inode: &SavedInode| {
            let is_known = ROOT < inode.number && inode.number < header.next_inode;
            let is_right = is_known && inode.lookups > 0;
            (inode.number, is_right, Some(&inode.place))
        })?;
        let handles = reader.read(header.handles, |handle: &SavedHandle| {
            let is_right = 0 < handle.number && handle.number <= header.last_handle;
            (handle.number, is_right, handle.place.as_ref())
        })?;
        if !reader.rest.is_empty() {
            return Err(nonsense("something follows"));
        }
        Ok(Self {
            is_begun: header.is_begun,
            inodes,
            next_inode: header.next_inode,
            handles,
            last_handle: header.last_handle,
        })
    }
}

impl Place {
    /// Whether a path can be one that was found: names of things in a folder, or none for the shared
    /// folder itself.
    fn is_right(&self) -> bool {
        let is_name = |name: &[u8]| {
            !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_MAX && !name.contains(&0)
        };
        self.path.is_empty() || self.path.split(|&byte| byte == b'/').all(is_name)
    }
}

/// What is read one after the other.
struct Reader<'a> {
    rest: &'a [u8],
    /// How many bytes the paths had.
    paths: usize,
}

impl<'a> Reader<'a> {
    fn of(rest: &'a [u8]) -> Self {
        Self { rest, paths: 0 }
    }

    /// Reads so many. `check` says of each its number, whether that can be, and its place.
    fn read<T: Deserialize<'a>>(
        &mut self,
        count: u64,
        check: impl Fn(&T) -> (u64, bool, Option<&Place>),
    ) -> Result<Vec<T>, String> {
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        for _ in 0..count {
            let (one, rest): (T, _) = take(self.rest)?;
            self.rest = rest;
            let (number, is_right, place) = check(&one);
            if !is_right || !seen.insert(number) {
                return Err(nonsense("there can be no such numbers"));
            }
            if let Some(place) = place {
                self.paths += place.path.len();
                if self.paths > PATHS_MAX || !place.is_right() {
                    return Err(nonsense("there can be no such paths"));
                }
            }
            all.push(one);
        }
        Ok(all)
    }
}

fn take<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), String> {
    postcard::take_from_bytes(bytes).map_err(|error| nonsense(&error.to_string()))
}

fn nonsense(what: &str) -> String {
    format!("what its driver knows makes no sense: {what}")
}
