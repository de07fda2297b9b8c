//! The FUSE server: a request in, an answer out.

use super::abi::{
    AccessIn, AttributesOut, BatchForgetIn, Entry, ForgetIn, ForgetOne, INIT_FLAGS, InHeader,
    InitIn, InitOut, MINOR_MIN, OpenIn, OpenOut, ReadIn, ReleaseIn, StatfsOut, VERSION, opcode,
};
use super::folder::{attributes, child, open_file, open_folder};
use super::going_on::GoingOn;
use super::listing::Listing;
use super::place::Places;
use super::reply::{DATA_MAX, Reply};
use super::saved::{PATHS_MAX, SavedHandle, SavedInode, SavedShare};
use super::tables::{Handles, Inodes, Open};
use rustix::fs::{Access, OFlags, Stat, fstat, fstatvfs, readlinkat};
use rustix::io::{Errno, pread};
use std::ffi::CStr;
use std::os::fd::OwnedFd;
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// How long the guest may keep names and attributes, in seconds. The host may change them.
const VALID: u64 = 1;

const PAGE_SIZE: usize = 4096;

/// A folder as a guest sees it.
#[derive(Debug)]
pub struct Server {
    inodes: Inodes,
    handles: Handles,
    is_begun: bool,
    /// What a server that was saved had, until this one has it.
    going_on: Option<GoingOn>,
}

/// What LOOKUP answers.
pub(super) fn entry_of(inode: u64, stat: &Stat) -> Entry {
    Entry {
        inode,
        entry_valid: VALID,
        attributes_valid: VALID,
        attributes: attributes(stat),
        ..Entry::default()
    }
}

/// The beginning of a body, as a structure.
fn parse<T: FromBytes + KnownLayout + Immutable>(body: &[u8]) -> Result<T, Errno> {
    let parsed = T::read_from_prefix(body);
    parsed.map(|(value, _)| value).map_err(|_| Errno::INVAL)
}

impl Server {
    /// Of a folder; the guest can know at most so many inodes at a time.
    pub fn new(root: OwnedFd, inodes_max: usize) -> Self {
        Self {
            inodes: Inodes::new(root, inodes_max),
            handles: Handles::default(),
            is_begun: false,
            going_on: None,
        }
    }

    /// Begins to serve a driver from its beginning, or from where it was when it was saved. Whether that
    /// is done; if not, it is to be called again.
    pub fn begin(&mut self) -> bool {
        let Some(going_on) = &mut self.going_on else {
            self.end();
            return true;
        };
        let is_done = going_on.step(&mut self.inodes, &mut self.handles);
        if is_done {
            self.is_begun = going_on.saved().is_begun;
            self.going_on = None;
        }
        is_done
    }

    /// What its driver knows.
    ///
    /// # Errors
    ///
    /// Why that cannot be saved.
    pub fn save(&self) -> Result<SavedShare, &'static str> {
        if let Some(going_on) = &self.going_on {
            return Ok(going_on.saved().clone());
        }
        let places = Places::of(self.inodes.root());
        let mut saved = SavedShare {
            is_begun: self.is_begun,
            next_inode: self.inodes.next(),
            last_handle: self.handles.last(),
            ..SavedShare::default()
        };
        let mut size = 0;
        let mut find = |file| {
            let place = places.find(file);
            size += place.as_ref().map_or(0, |place| place.path.len());
            match size > PATHS_MAX {
                true => Err("the paths of the files that its guest knows have more than 8 MiB"),
                false => Ok(place),
            }
        };
        for (number, file, lookups) in self.inodes.iter() {
            if let Some(place) = find(file)? {
                saved.inodes.push(SavedInode {
                    number,
                    lookups,
                    place,
                });
            }
        }
        for (number, open) in self.handles.iter() {
            let place = match open {
                Open::File(file) | Open::Folder(file) => find(file)?,
                Open::Stale => None,
            };
            saved.handles.push(SavedHandle { number, place });
        }
        Ok(saved)
    }

    /// Is to go on with what the notes of a server say, when it [begins](Self::begin).
    ///
    /// # Errors
    ///
    /// As [`SavedShare::decode`].
    pub fn go_on_with(&mut self, notes: &[u8]) -> Result<(), String> {
        self.go_on(SavedShare::decode(notes, self.inodes.most())?);
        Ok(())
    }

    pub(super) fn go_on(&mut self, saved: SavedShare) {
        self.going_on = Some(GoingOn::with(saved));
    }

    /// Carries out a request whose answer may have `room` bytes: the answer, nothing when there
    /// is none.
    pub fn handle<'a>(
        &mut self,
        header: &InHeader,
        body: &[u8],
        room: usize,
        reply: &'a mut Reply,
    ) -> &'a [u8] {
        reply.begin(room);
        match header.opcode {
            opcode::FORGET => {
                if let Ok(forget) = parse::<ForgetIn>(body) {
                    self.inodes.forget(header.inode, forget.lookups);
                }
                return &[];
            }
            opcode::BATCH_FORGET => {
                self.forget_all(body);
                return &[];
            }
            opcode::INTERRUPT => return &[],
            _ => {}
        }
        let result = self.dispatch(header, body, reply);
        reply.finish(header.unique, result)
    }

    fn dispatch(&mut self, header: &InHeader, body: &[u8], reply: &mut Reply) -> Result<(), Errno> {
        if header.opcode == opcode::INIT {
            return self.init(parse(body)?, reply);
        }
        if !self.is_begun {
            return Err(Errno::IO);
        }
        match header.opcode {
            opcode::LOOKUP => self.lookup(header.inode, body, reply),
            opcode::GETATTR => self.getattr(header.inode, reply),
            opcode::READLINK => self.readlink(header.inode, reply),
            opcode::OPEN => self.open(header.inode, parse(body)?, reply),
            opcode::READ => self.read(parse(body)?, reply),
            opcode::STATFS => self.statfs(header.inode, reply),
            opcode::RELEASE | opcode::RELEASEDIR => {
                let release: ReleaseIn = parse(body)?;
                self.handles.remove(release.handle)
            }
            opcode::OPENDIR => self.opendir(header.inode, reply),
            opcode::READDIR => self.readdir(header.inode, parse(body)?, false, reply),
            opcode::READDIRPLUS => self.readdir(header.inode, parse(body)?, true, reply),
            opcode::ACCESS => self.access(header.inode, parse(body)?),
            // There is nothing that is not on the disk because of the guest.
            opcode::FLUSH | opcode::FSYNC | opcode::FSYNCDIR => Ok(()),
            opcode::DESTROY => {
                self.end();
                Ok(())
            }
            other if opcode::WRITING.contains(&other) => Err(Errno::ROFS),
            _ => Err(Errno::NOSYS),
        }
    }

    /// Forgets all that the guest has looked up and opened.
    pub fn end(&mut self) {
        self.inodes.clear();
        self.handles.clear();
        self.is_begun = false;
        self.going_on = None;
    }

    fn init(&mut self, init: InitIn, reply: &mut Reply) -> Result<(), Errno> {
        let (major, minor) = VERSION;
        if init.major < major || init.major == major && init.minor < MINOR_MIN {
            return Err(Errno::PROTO);
        }
        let mut answer = InitOut {
            major,
            minor,
            ..InitOut::default()
        };
        // A guest with a newer major version begins again with this one.
        if init.major == major {
            self.end();
            self.is_begun = true;
            answer.max_readahead = init.max_readahead;
            answer.flags = init.flags & INIT_FLAGS;
            // Nothing is written, but less than a page is not allowed.
            answer.max_write = PAGE_SIZE as u32;
            answer.max_pages = (DATA_MAX / PAGE_SIZE) as u16;
            answer.time_gran = 1;
        }
        reply.push(&answer)
    }

    fn lookup(&mut self, parent: u64, body: &[u8], reply: &mut Reply) -> Result<(), Errno> {
        // Without room for the answer, the guest would not know of what to forget.
        if reply.room() < size_of::<Entry>() {
            return Err(Errno::INVAL);
        }
        let name = CStr::from_bytes_until_nul(body).map_err(|_| Errno::INVAL)?;
        let fd = child(self.inodes.get(parent)?, name)?;
        let (inode, stat) = self.inodes.look_up(fd)?;
        reply.push(&entry_of(inode, &stat))
    }

    fn forget_all(&mut self, body: &[u8]) {
        let Ok((batch, rest)) = BatchForgetIn::read_from_prefix(body) else {
            return;
        };
        for one in rest
            .chunks_exact(size_of::<ForgetOne>())
            .take(batch.count as usize)
        {
            if let Ok(forget) = parse::<ForgetOne>(one) {
                self.inodes.forget(forget.inode, forget.lookups);
            }
        }
    }

    fn getattr(&self, inode: u64, reply: &mut Reply) -> Result<(), Errno> {
        let stat = fstat(self.inodes.get(inode)?)?;
        reply.push(&AttributesOut {
            valid: VALID,
            attributes: attributes(&stat),
            ..AttributesOut::default()
        })
    }

    fn readlink(&self, inode: u64, reply: &mut Reply) -> Result<(), Errno> {
        let target = readlinkat(self.inodes.get(inode)?, c"", Vec::new())?;
        reply.push_bytes(target.to_bytes())
    }

    fn open(&mut self, inode: u64, open: OpenIn, reply: &mut Reply) -> Result<(), Errno> {
        let flags = OFlags::from_bits_retain(open.flags);
        let is_reading = (flags & OFlags::RWMODE) == OFlags::RDONLY;
        if !is_reading || flags.intersects(OFlags::TRUNC | OFlags::CREATE) {
            return Err(Errno::ROFS);
        }
        let file = self.inodes.get(inode)?;
        Self::give(&mut self.handles, reply, || {
            Ok(Open::File(open_file(file)?))
        })
    }

    fn opendir(&mut self, inode: u64, reply: &mut Reply) -> Result<(), Errno> {
        let folder = self.inodes.get(inode)?;
        Self::give(&mut self.handles, reply, || {
            Ok(Open::Folder(open_folder(folder)?))
        })
    }

    fn give(
        handles: &mut Handles,
        reply: &mut Reply,
        open: impl FnOnce() -> Result<Open, Errno>,
    ) -> Result<(), Errno> {
        // Without room for the answer, the guest would not know of what to close.
        if reply.room() < size_of::<OpenOut>() {
            return Err(Errno::INVAL);
        }
        let handle = handles.add(open)?;
        reply.push(&OpenOut {
            handle,
            ..OpenOut::default()
        })
    }

    fn read(&self, read: ReadIn, reply: &mut Reply) -> Result<(), Errno> {
        let file = self.handles.file(read.handle)?;
        // Fewer bytes than were asked for are the end of the file, so it must be all of them.
        reply.fill(read.size as usize, |space| {
            let mut done = 0;
            while let Some(space) = space.get_mut(done..).filter(|space| !space.is_empty()) {
                let offset = read.offset.checked_add(done as u64).ok_or(Errno::INVAL)?;
                match pread(file, space, offset) {
                    Ok(0) => break,
                    Ok(count) => done += count,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        })
    }

    fn readdir(
        &mut self,
        inode: u64,
        read: ReadIn,
        plus: bool,
        reply: &mut Reply,
    ) -> Result<(), Errno> {
        let listing = Listing {
            folder: self.handles.folder(read.handle)?,
            inode,
            inodes: &mut self.inodes,
            plus,
        };
        listing.write(read.offset, read.size as usize, reply)
    }

    fn access(&self, inode: u64, access: AccessIn) -> Result<(), Errno> {
        self.inodes.get(inode)?;
        let asked = Access::from_bits_retain(access.mask);
        if asked.contains(Access::WRITE_OK) {
            return Err(Errno::ROFS);
        }
        Ok(())
    }

    fn statfs(&self, inode: u64, reply: &mut Reply) -> Result<(), Errno> {
        let stat = fstatvfs(self.inodes.get(inode)?)?;
        reply.push(&StatfsOut {
            blocks: stat.f_blocks,
            free: stat.f_bfree,
            available: stat.f_bavail,
            files: stat.f_files,
            files_free: stat.f_ffree,
            block_size: stat.f_bsize as u32,
            name_max: stat.f_namemax as u32,
            fragment_size: stat.f_frsize as u32,
            ..StatfsOut::default()
        })
    }

    /// How many inodes and handles the guest has.
    pub fn in_use(&self) -> (usize, usize) {
        (self.inodes.len(), self.handles.len())
    }
}
