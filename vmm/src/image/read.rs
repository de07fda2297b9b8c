//! Reading an image from a file.

use super::Image;
use super::error::ImageError;
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most bytes of an image: 1 GiB.
pub(super) const SIZE_MAX: u64 = 1 << 30;

impl Image {
    /// Reads and parses the image in the file `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not a regular file or is too large, and when
    /// [`Image::parse`] refuses its contents.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ImageError> {
        ImageFile::open(path.as_ref())?.read()
    }
}

/// An image's file that is open, to be read when the image is needed.
#[derive(Debug)]
pub struct ImageFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl ImageFile {
    /// Opens the file `path`.
    ///
    /// # Errors
    ///
    /// It cannot be opened, is not a regular file or is too large.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ImageError> {
        let path = path.into();
        let failed = |source| access_error(&path, source);
        // Opening a device can have an effect, and opening a FIFO can wait for ever, so the kind
        // comes first; and because another file can have taken the name since, opening does not
        // wait and the kind is checked again.
        check_kind(&path, &fs::metadata(&path).map_err(failed)?)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        check_kind(&path, &metadata)?;
        let size = metadata.len();
        check_size(&path, size)?;
        Ok(Self { path, file, size })
    }

    /// Reads and parses the image.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, and when [`Image::parse`] refuses its contents.
    pub fn read(self) -> Result<Image, ImageError> {
        Image::parse(read_all(&self.path, self.file, self.size)?)
    }
}

/// Reads the file, which may have grown beyond `size` in the meantime.
fn read_all(path: &Path, file: File, size: u64) -> Result<Vec<u8>, ImageError> {
    let failed = |source| access_error(path, source);
    let mut bytes = Vec::new();
    // A size that does not fit into memory is reported, not died of.
    bytes
        .try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))
        .map_err(|_| failed(ErrorKind::OutOfMemory.into()))?;
    let mut file = file.take(SIZE_MAX + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    check_size(path, bytes.len() as u64)?;
    Ok(bytes)
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), ImageError> {
    match kind_name(metadata.file_type()) {
        None => Ok(()),
        Some(kind) => Err(ImageError::NotRegular {
            path: path.to_path_buf(),
            kind,
        }),
    }
}

/// What a file is that is not a regular one.
fn kind_name(file_type: FileType) -> Option<&'static str> {
    Some(match file_type {
        kind if kind.is_file() => return None,
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() => "a character device",
        kind if kind.is_block_device() => "a block device",
        _ => "not a regular file",
    })
}

fn check_size(path: &Path, size: u64) -> Result<(), ImageError> {
    if size <= SIZE_MAX {
        return Ok(());
    }
    Err(ImageError::TooLarge {
        path: path.to_path_buf(),
        size,
    })
}

fn access_error(path: &Path, source: std::io::Error) -> ImageError {
    let path = path.to_path_buf();
    match source.kind() {
        ErrorKind::NotFound => ImageError::NotFound { path },
        ErrorKind::PermissionDenied => ImageError::PermissionDenied { path },
        _ => ImageError::Unreadable { path, source },
    }
}
