//! A guest that sends FUSE requests to a real folder.

mod device;
mod fuzz;
mod hostile;
mod random;
mod reading;
mod saved;

use super::abi::{
    AttributesOut, DirectoryEntry, Entry, InHeader, InitIn, InitOut, OpenIn, OpenOut, OutHeader,
    ROOT, ReadIn, ReleaseIn, VERSION, opcode,
};
use super::folder::open_root;
use super::reply::Reply;
use super::server::Server;
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const SECRET: &str = "what nobody may read";

/// Enough for every answer.
const ROOM: usize = 1 << 20;

/// A folder with a file, a folder, and links out of it; beside it a secret.
struct Tree {
    folder: TempDir,
}

impl Tree {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shared = folder.path().join("shared");
        fs::create_dir_all(shared.join("sub/deep")).unwrap();
        fs::write(shared.join("file"), "hello, guest").unwrap();
        fs::write(shared.join("sub/one"), "1").unwrap();
        fs::write(folder.path().join("secret"), SECRET).unwrap();
        symlink("../secret", shared.join("link")).unwrap();
        symlink("/", shared.join("root")).unwrap();
        Self { folder }
    }

    fn shared(&self) -> PathBuf {
        self.folder.path().join("shared")
    }
}

/// Makes the message of a request.
fn message(code: u32, inode: u64, body: &[u8]) -> (InHeader, Vec<u8>) {
    let header = InHeader {
        len: (size_of::<InHeader>() + body.len()) as u32,
        opcode: code,
        unique: 77,
        inode,
        ..InHeader::default()
    };
    (header, body.to_vec())
}

struct Guest {
    server: Server,
    reply: Reply,
    room: usize,
}

impl Guest {
    fn new(shared: &Path) -> Self {
        let mut guest = Self::with_inodes(shared, 1000);
        guest.begin();
        guest
    }

    fn with_inodes(shared: &Path, most: usize) -> Self {
        Self {
            server: Server::new(open_root(shared).unwrap(), most),
            reply: Reply::default(),
            room: ROOM,
        }
    }

    fn begin(&mut self) {
        let (major, minor) = VERSION;
        let init = InitIn {
            major,
            minor,
            max_readahead: 4096,
            flags: u32::MAX,
        };
        let answer: InitOut = self.get(opcode::INIT, 0, init.as_bytes()).unwrap();
        assert_eq!((answer.major, answer.minor), VERSION);
    }

    /// Sends a request: the body of the answer, or the error.
    fn call(&mut self, code: u32, inode: u64, body: &[u8]) -> Result<Vec<u8>, Errno> {
        let (header, body) = message(code, inode, body);
        let answer = self
            .server
            .handle(&header, &body, self.room, &mut self.reply);
        let (out, rest) = OutHeader::read_from_prefix(answer).unwrap();
        assert_eq!(out.len as usize, answer.len());
        assert_eq!(out.unique, 77);
        match out.error {
            0 => Ok(rest.to_vec()),
            error => Err(Errno::from_raw_os_error(-error)),
        }
    }

    fn get<T: FromBytes + KnownLayout + Immutable>(
        &mut self,
        code: u32,
        inode: u64,
        body: &[u8],
    ) -> Result<T, Errno> {
        let answer = self.call(code, inode, body)?;
        Ok(T::read_from_bytes(&answer).unwrap())
    }

    fn look_up(&mut self, parent: u64, name: &str) -> Result<Entry, Errno> {
        let name = [name.as_bytes(), b"\0"].concat();
        self.get(opcode::LOOKUP, parent, &name)
    }

    fn open(&mut self, code: u32, inode: u64, flags: u32) -> Result<u64, Errno> {
        let open = OpenIn {
            flags,
            open_flags: 0,
        };
        let answer: OpenOut = self.get(code, inode, open.as_bytes())?;
        Ok(answer.handle)
    }

    fn read(&mut self, code: u32, handle: u64, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let read = ReadIn {
            handle,
            offset,
            size,
            ..ReadIn::default()
        };
        self.call(code, ROOT, read.as_bytes())
    }

    /// All names in a folder, by answers of a size.
    fn list(&mut self, inode: u64, plus: bool, size: u32) -> Vec<(String, Entry)> {
        let code = if plus {
            opcode::READDIRPLUS
        } else {
            opcode::READDIR
        };
        let handle = self.open(opcode::OPENDIR, inode, 0).unwrap();
        let mut names = Vec::new();
        let mut offset = 0;
        loop {
            let answer = self.read(code, handle, offset, size).unwrap();
            if answer.is_empty() {
                break;
            }
            let mut rest = answer.as_slice();
            while !rest.is_empty() {
                let mut entry = Entry::default();
                if plus {
                    (entry, rest) = Entry::read_from_prefix(rest).unwrap();
                }
                let (found, after) = DirectoryEntry::read_from_prefix(rest).unwrap();
                let (name, after) = after.split_at((found.name_size as usize).next_multiple_of(8));
                let name = &name[..found.name_size as usize];
                names.push((String::from_utf8(name.to_vec()).unwrap(), entry));
                offset = found.next;
                rest = after;
            }
        }
        self.release(handle);
        names.sort_by(|one, other| one.0.cmp(&other.0));
        names
    }

    fn release(&mut self, handle: u64) {
        let release = ReleaseIn { handle };
        self.call(opcode::RELEASE, ROOT, release.as_bytes())
            .unwrap();
    }

    fn attributes(&mut self, inode: u64) -> Result<AttributesOut, Errno> {
        self.get(opcode::GETATTR, inode, &[0; 16])
    }

    /// Sends a request that is not answered.
    fn tell(&mut self, code: u32, inode: u64, body: &[u8]) {
        let (header, body) = message(code, inode, body);
        let answer = self
            .server
            .handle(&header, &body, self.room, &mut self.reply);
        assert!(answer.is_empty());
    }
}
