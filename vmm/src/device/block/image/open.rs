//! From a path to an open, locked image.

use super::{BlockError, Image, Problem, Qcow2Image, RawImage, SECTOR, qcow2};
use std::fs::{File, FileType, Metadata, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How an image's bytes make up the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// qcow2 if it begins as such, and raw otherwise.
    ///
    /// A guest that writes to a raw disk could make it begin as qcow2, so this takes an image as
    /// qcow2 only for reading, and refuses to guess for writing.
    #[default]
    Auto,
    /// The image's bytes are the disk's.
    Raw,
    /// qcow2, versions 2 and 3.
    Qcow2,
}

/// What is to be opened, and how.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The image.
    pub path: PathBuf,
    /// Without write access.
    pub read_only: bool,
    /// Past the host's page cache.
    pub direct: bool,
    /// What the image is.
    pub format: Format,
}

impl OpenOptions {
    /// Opens the image, and locks it until the last clone of it is dropped: exclusively, or
    /// shared among those that only read.
    pub fn open(&self) -> Result<Image, BlockError> {
        self.open_image().map_err(|problem| BlockError {
            path: self.path.clone(),
            problem,
        })
    }

    fn open_image(&self) -> Result<Image, Problem> {
        let file = self.open_file()?;
        let metadata = file.metadata().map_err(Problem::Host)?;
        lock(&file, self.read_only)?;
        let size = size(&file, &metadata).map_err(Problem::Host)?;
        if size == 0 {
            return Err(Problem::Empty);
        }
        let is_qcow2 = match self.format {
            Format::Raw => false,
            Format::Qcow2 => true,
            Format::Auto => qcow2_magic(&file).map_err(Problem::Host)?,
        };
        if is_qcow2 {
            if !self.read_only {
                return Err(Problem::Qcow2Writable);
            }
            if self.direct {
                return Err(Problem::Qcow2Direct);
            }
            return Ok(Image::Qcow2(Arc::new(Qcow2Image::open(file, size)?)));
        }
        if !size.is_multiple_of(SECTOR) {
            return Err(Problem::NotSectors(size));
        }
        let is_regular = metadata.is_file();
        let image = RawImage::new(file, size, self.read_only, is_regular, self.direct)?;
        Ok(Image::Raw(Arc::new(image)))
    }

    fn open_file(&self) -> Result<File, Problem> {
        // Opening a FIFO would block, so what it is comes first.
        let of_open = |error| Problem::of_open(error, self.read_only);
        let metadata = std::fs::metadata(&self.path).map_err(of_open)?;
        check_kind(metadata.file_type())?;
        // For a block device this fails if the host has mounted it.
        let exclusive = metadata.file_type().is_block_device() && !self.read_only;
        let flags = libc::O_NOCTTY | if exclusive { libc::O_EXCL } else { 0 };
        let file = File::options()
            .read(true)
            .write(!self.read_only)
            .custom_flags(flags)
            .open(&self.path)
            .map_err(of_open)?;
        check_kind(file.metadata().map_err(of_open)?.file_type())?;
        Ok(file)
    }
}

/// Opens the same file once more, for direct I/O.
pub(super) fn reopen_direct(file: &File, read_only: bool) -> Result<File, Problem> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let opened = File::options()
        .read(true)
        .write(!read_only)
        .custom_flags(libc::O_DIRECT)
        .open(Path::new(&path));
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => Problem::NoDirect,
        _ => Problem::of_open(error, read_only),
    })
}

fn check_kind(kind: FileType) -> Result<(), Problem> {
    if kind.is_file() || kind.is_block_device() {
        return Ok(());
    }
    Err(Problem::Kind(if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a character device"
    }))
}

/// How long an image that is locked may take to be free.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked at meanwhile.
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// Locks an image. One whose VM was killed is free when the kernel has ended what io_uring had under
/// way, and that is a moment after the process: only then is nobody writing any more.
fn lock(file: &File, read_only: bool) -> Result<(), Problem> {
    let begun = Instant::now();
    loop {
        let locked = if read_only {
            file.try_lock_shared()
        } else {
            file.try_lock()
        };
        match locked {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => {
                thread::sleep(LOCK_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => return Err(Problem::Locked),
            Err(TryLockError::Error(error)) => return Err(Problem::Host(error)),
        }
    }
}

fn size(mut file: &File, metadata: &Metadata) -> io::Result<u64> {
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    file.seek(SeekFrom::End(0))
}

fn qcow2_magic(file: &File) -> io::Result<bool> {
    let mut magic = [0; 4];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(magic == qcow2::MAGIC),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
