//! Folders of the host, to be read, on a file system device (virtio 1.2, 5.11).
//!
//! ```ignore
//! let share = Share::mount(None).await?;
//! for entry in share.list("/").await? {
//!     println!("{}", entry.name);
//! }
//! let text = share.read("etc/motd").await?;
//! ```
//!
//! Paths begin at the shared folder, with or without a slash. Symbolic links are not followed. What
//! the host changes is seen at the next look: nothing is kept here.

mod client;
mod message;

pub use message::{Entry, Kind, Metadata};

use self::client::Client;
use self::message::{ATTRIBUTES, ENTRY, INIT, OPENED, Opcode, ROOT};
use super::{Error, devices};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use embedded_io_async::{ErrorKind, ErrorType, Read};

/// VIRTIO_ID_FS.
const FILE_SYSTEM: u32 = 26;
/// Most bytes that one request reads.
const CHUNK: usize = 128 << 10;
/// Room for entries of a folder.
const ENTRIES: usize = 16 << 10;
/// Most entries of a folder that are listed.
const ENTRIES_MAX: usize = 1 << 20;
/// Longest name of Linux.
const NAME_MAX: usize = 255;

/// Why something was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareError {
    /// There is nothing of this name.
    NotFound,
    /// A part of the path is no folder, or what is to be listed.
    NotAFolder,
    /// What is to be opened is no file.
    NotAFile,
    /// The host does not let this be read.
    Denied,
    /// It is not there any more: this guest went on from a snapshot, and its host has none such.
    Stale,
    /// Another error of the host's: its number on Linux.
    Host(u32),
    /// The device's answer makes no sense.
    Nonsense,
    /// The device.
    Device(Error),
}

impl ShareError {
    fn from_errno(errno: u32) -> Self {
        match errno {
            2 => Self::NotFound,
            1 | 13 => Self::Denied,
            20 => Self::NotAFolder,
            21 => Self::NotAFile,
            116 => Self::Stale,
            errno => Self::Host(errno),
        }
    }
}

impl From<Error> for ShareError {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is nothing of this name",
            Self::NotAFolder => "this is no folder",
            Self::NotAFile => "this is no file",
            Self::Denied => "the host does not let this be read",
            Self::Stale => "it is not there any more",
            Self::Host(errno) => return write!(f, "the host reports error {errno}"),
            Self::Nonsense => "the device's answer makes no sense",
            Self::Device(error) => return error.fmt(f),
        })
    }
}

impl core::error::Error for ShareError {}

impl embedded_io_async::Error for ShareError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound | Self::Stale => ErrorKind::NotFound,
            Self::Denied => ErrorKind::PermissionDenied,
            _ => ErrorKind::Other,
        }
    }
}

/// A folder of the host. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Share(Arc<Client>);

impl Share {
    /// Takes the shared folder of this tag, or the first one.
    ///
    /// # Errors
    ///
    /// There is none, or none that has no driver yet; its device does not speak FUSE 7.
    pub async fn mount(tag: Option<&str>) -> Result<Self, ShareError> {
        let client = Self::open_device(tag)?;
        let answer = client.ask(Opcode::Init, 0, |message| message.init(), INIT);
        if !message::speaks(answer.await?.body()) {
            return Err(Error::Unsupported.into());
        }
        Ok(Self(Arc::new(client)))
    }

    fn open_device(tag: Option<&str>) -> Result<Client, Error> {
        let mut error = Error::NotFound;
        for found in devices().filter(|found| found.info().device_type == FILE_SYSTEM) {
            match Client::open(found, tag) {
                Ok(Some(client)) => return Ok(client),
                Ok(None) => {}
                Err(other) => error = other,
            }
        }
        Err(error)
    }

    /// What is known of a file or folder.
    ///
    /// # Errors
    ///
    /// Those of [`ShareError`].
    pub async fn metadata(&self, path: &str) -> Result<Metadata, ShareError> {
        Ok(self.find(path).await?.1)
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// Those of [`ShareError`].
    pub async fn open(&self, path: &str) -> Result<File, ShareError> {
        let (node, metadata) = self.find(path).await?;
        if metadata.kind != Kind::File {
            return Err(ShareError::NotAFile);
        }
        let handle = self.open_node(&node, Opcode::Open).await?;
        Ok(File {
            node,
            handle,
            position: 0,
        })
    }

    /// Reads a file, all of it.
    ///
    /// # Errors
    ///
    /// Those of [`ShareError`].
    pub async fn read(&self, path: &str) -> Result<Vec<u8>, ShareError> {
        let mut file = self.open(path).await?;
        let mut bytes = Vec::new();
        loop {
            let filled = bytes.len();
            bytes.resize(filled + CHUNK, 0);
            let size = file.read(&mut bytes[filled..]).await;
            bytes.truncate(filled + *size.as_ref().unwrap_or(&0));
            if size? == 0 {
                file.close().await;
                return Ok(bytes);
            }
        }
    }

    /// The entries of a folder, but for itself and what it is in.
    ///
    /// # Errors
    ///
    /// Those of [`ShareError`].
    pub async fn list(&self, path: &str) -> Result<Vec<Entry>, ShareError> {
        let (node, metadata) = self.find(path).await?;
        if metadata.kind != Kind::Folder {
            return Err(ShareError::NotAFolder);
        }
        let handle = self.open_node(&node, Opcode::OpenDir).await?;
        let mut entries = vec![];
        let listed = self.list_all(&node, handle, &mut entries).await;
        release(&node, handle, Opcode::ReleaseDir).await;
        node.forget().await;
        listed.map(|()| entries)
    }

    async fn list_all(
        &self,
        node: &Node,
        handle: u64,
        entries: &mut Vec<Entry>,
    ) -> Result<(), ShareError> {
        let mut offset = 0;
        while entries.len() < ENTRIES_MAX {
            let arguments =
                |message: message::Message| message.read(handle, offset, ENTRIES as u32);
            let answer = self.0.ask(Opcode::ReadDir, node.number, arguments, ENTRIES);
            let answer = answer.await?;
            let mut rest = answer.body();
            if rest.is_empty() {
                break;
            }
            while let Some((next, entry, behind)) = message::entry(rest) {
                offset = next;
                rest = behind;
                if entry.name != "." && entry.name != ".." {
                    entries.push(entry);
                }
            }
        }
        Ok(())
    }

    /// The node of a path.
    async fn find(&self, path: &str) -> Result<(Node, Metadata), ShareError> {
        let arguments = |message: message::Message| message.u64(0).u64(0);
        let answer = self.0.ask(Opcode::GetAttr, ROOT, arguments, ATTRIBUTES);
        let metadata = Metadata::of_attributes(answer.await?.body());
        let mut metadata = metadata.ok_or(ShareError::Nonsense)?;
        let mut node = Node {
            client: Arc::clone(&self.0),
            number: ROOT,
        };
        for name in path
            .split('/')
            .filter(|name| !name.is_empty() && *name != ".")
        {
            if name == ".." || name.len() > NAME_MAX || name.contains('\0') {
                return Err(ShareError::NotFound);
            }
            let arguments = |message: message::Message| message.name(name);
            let answer = self.0.ask(Opcode::Lookup, node.number, arguments, ENTRY);
            let entry = answer.await.map(|answer| Metadata::of_entry(answer.body()));
            // The folder is not needed any more, whatever was found in it.
            node.forget().await;
            let (number, its) = entry?.ok_or(ShareError::NotFound)?;
            metadata = its;
            node = Node {
                client: Arc::clone(&self.0),
                number,
            };
        }
        Ok((node, metadata))
    }

    async fn open_node(&self, node: &Node, opcode: Opcode) -> Result<u64, ShareError> {
        // Read-only is 0.
        let arguments = |message: message::Message| message.u32(0).u32(0);
        let answer = self.0.ask(opcode, node.number, arguments, OPENED).await?;
        message::handle(answer.body()).ok_or(ShareError::Nonsense)
    }
}

async fn release(node: &Node, handle: u64, opcode: Opcode) {
    let arguments = |message: message::Message| message.u64(handle).u64(0).u64(0);
    // There is nothing to be done about an error.
    let _ = node.client.ask(opcode, node.number, arguments, 0).await;
}

/// A node that LOOKUP told of, and that the host keeps until it is forgotten.
#[derive(Debug)]
struct Node {
    client: Arc<Client>,
    number: u64,
}

impl Node {
    async fn forget(self) {
        if self.number != ROOT {
            self.client.forget(self.number).await;
        }
    }
}

/// A file, and a place in it.
#[derive(Debug)]
pub struct File {
    node: Node,
    handle: u64,
    position: u64,
}

impl File {
    /// Reads from an offset on, as much as there is and the buffer takes; 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of [`ShareError`].
    pub async fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, ShareError> {
        let size = buffer.len().min(CHUNK);
        if size == 0 {
            return Ok(0);
        }
        let arguments = |message: message::Message| message.read(self.handle, offset, size as u32);
        let node = &self.node;
        let answer = node.client.ask(Opcode::Read, node.number, arguments, size);
        let answer = answer.await?;
        let body = answer.body();
        let read = body.len().min(size);
        buffer[..read].copy_from_slice(&body[..read]);
        Ok(read)
    }

    /// What is known of it now.
    ///
    /// # Errors
    ///
    /// Those of [`ShareError`].
    pub async fn metadata(&self) -> Result<Metadata, ShareError> {
        let arguments = |message: message::Message| message.u64(0).u64(0);
        let node = &self.node;
        let answer = node
            .client
            .ask(Opcode::GetAttr, node.number, arguments, ATTRIBUTES);
        Metadata::of_attributes(answer.await?.body()).ok_or(ShareError::Nonsense)
    }

    /// Goes to a place, from where [`Read`] reads.
    pub fn seek(&mut self, offset: u64) {
        self.position = offset;
    }

    /// Closes it. A file that is dropped instead stays open at the host until the VM ends.
    pub async fn close(self) {
        release(&self.node, self.handle, Opcode::Release).await;
        self.node.forget().await;
    }
}

impl ErrorType for File {
    type Error = ShareError;
}

impl Read for File {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ShareError> {
        let size = self.read_at(self.position, buffer).await?;
        self.position += size as u64;
        Ok(size)
    }
}
