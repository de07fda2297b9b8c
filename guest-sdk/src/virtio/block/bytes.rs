//! The bytes of a disk, by the traits of `embedded-io-async`.

use super::{Buffer, Disk, SECTOR};
use crate::virtio::Error;
use core::ops::Range;
use embedded_io_async::{ErrorKind, ErrorType, Read, Seek, SeekFrom, Write};

/// Bytes that are read and written at once: so many, from a multiple of it on.
const CHUNK: u64 = 64 << 10;

/// A disk as a row of bytes, read and written from a position on.
///
/// One piece of the disk is kept in memory. What was written is on its way to the disk when another
/// piece is needed, and on it behind [`Write::flush`], as on its drop nothing is written. There is
/// to be one of them at a time that writes.
#[derive(Debug)]
pub struct Bytes<'a> {
    disk: &'a Disk,
    position: u64,
    chunk: Option<Chunk>,
}

/// A piece of the disk.
#[derive(Debug)]
struct Chunk {
    start: u64,
    buffer: Buffer,
    /// It is not on the disk.
    changed: bool,
}

impl<'a> Bytes<'a> {
    /// The bytes of a disk, at its beginning.
    pub fn new(disk: &'a Disk) -> Self {
        Self {
            disk,
            position: 0,
            chunk: None,
        }
    }

    /// How many bytes there are.
    pub fn size(&self) -> u64 {
        self.disk.capacity().saturating_mul(SECTOR as u64)
    }

    /// The part of the chunk at the position that a transfer of `most` bytes concerns, empty at
    /// the end of the disk. The chunk is in memory then.
    async fn seize(&mut self, most: usize) -> Result<Range<usize>, Error> {
        let start = self.position - self.position % CHUNK;
        let size = self.size().saturating_sub(start).min(CHUNK) as usize;
        let place = (self.position - start) as usize;
        if place >= size || most == 0 {
            return Ok(0..0);
        }
        let is_there = |chunk: &Chunk| chunk.start == start && chunk.buffer.len() == size;
        if !self.chunk.as_ref().is_some_and(is_there) {
            self.write_back().await?;
            let buffer = match self.chunk.take() {
                Some(chunk) if chunk.buffer.len() == size => chunk.buffer,
                _ => Buffer::new(size).ok_or(Error::NoMemory)?,
            };
            let (buffer, read) = self.disk.read(start / SECTOR as u64, buffer).await;
            read?;
            self.chunk = Some(Chunk {
                start,
                buffer,
                changed: false,
            });
        }
        Ok(place..size.min(place.saturating_add(most)))
    }

    /// Writes the chunk to the disk if it is not there.
    async fn write_back(&mut self) -> Result<(), Error> {
        let Some(chunk) = self.chunk.take_if(|chunk| chunk.changed) else {
            return Ok(());
        };
        let sector = chunk.start / SECTOR as u64;
        let (buffer, written) = self.disk.write(sector, chunk.buffer).await;
        self.chunk = Some(Chunk {
            start: chunk.start,
            buffer,
            // The next one may have more luck.
            changed: written.is_err(),
        });
        written
    }
}

impl ErrorType for Bytes<'_> {
    type Error = Error;
}

impl Read for Bytes<'_> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        let part = self.seize(bytes.len()).await?;
        let size = part.len();
        if let Some(chunk) = &self.chunk {
            bytes[..size].copy_from_slice(&chunk.buffer[part]);
        }
        self.position += size as u64;
        Ok(size)
    }
}

impl Write for Bytes<'_> {
    /// As much as there is room for in a piece of the disk. At its end [`Error::OutOfRange`].
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        if self.disk.is_read_only() {
            return Err(Error::ReadOnly);
        }
        let part = self.seize(bytes.len()).await?;
        let size = part.len();
        if size == 0 && !bytes.is_empty() {
            return Err(Error::OutOfRange);
        }
        if let Some(chunk) = &mut self.chunk
            && size > 0
        {
            chunk.buffer[part].copy_from_slice(&bytes[..size]);
            chunk.changed = true;
        }
        self.position += size as u64;
        Ok(size)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.write_back().await?;
        self.disk.flush().await
    }
}

impl Seek for Bytes<'_> {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64, Error> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(Error::OutOfRange)?;
        Ok(self.position)
    }
}

impl embedded_io_async::Error for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::InUse => ErrorKind::Other,
            Self::Unsupported => ErrorKind::Unsupported,
            Self::OutOfRange => ErrorKind::InvalidInput,
            Self::ReadOnly => ErrorKind::PermissionDenied,
            Self::NoMemory => ErrorKind::OutOfMemory,
            Self::Stopped => ErrorKind::BrokenPipe,
            Self::Io | Self::Call(_) => ErrorKind::Other,
        }
    }
}
