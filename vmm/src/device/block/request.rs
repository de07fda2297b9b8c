//! Requests of a driver, checked (virtio 1.2, 5.2.6).

use super::disk::{Disk, MAX_DISCARD_SECTORS, MAX_DISCARD_SEGMENTS, MAX_ZEROES_SECTORS};
use super::image::SECTOR;
use std::ops::Range;
use virtio_bindings::virtio_blk as spec;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a request begins with: `struct virtio_blk_req` up to its data.
#[derive(Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// What is to be done, one of VIRTIO_BLK_T_*.
    pub kind: U32,
    /// Not used.
    pub reserved: U32,
    /// Where, for reading and writing.
    pub sector: U64,
}

/// A range to discard, or to fill with zeros: `struct virtio_blk_discard_write_zeroes`.
#[derive(Clone, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Segment {
    /// The first sector.
    pub sector: U64,
    /// How many.
    pub sectors: U32,
    /// Bit 0: the space may be given back. The others are 0.
    pub flags: U32,
}

/// A request's last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// It is done.
    Ok = spec::VIRTIO_BLK_S_OK as u8,
    /// It is wrong, or the host could not do it.
    IoError = spec::VIRTIO_BLK_S_IOERR as u8,
    /// The device does not do this.
    Unsupported = spec::VIRTIO_BLK_S_UNSUPP as u8,
}

/// What is to be done. Places and lengths are in bytes, and lie within the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Read the disk.
    Read {
        /// From where.
        offset: u64,
        /// How much.
        length: u32,
    },
    /// Write to the disk.
    Write {
        /// Where.
        offset: u64,
        /// How much.
        length: u32,
    },
    /// Bring to disk what was written.
    Flush,
    /// Tell the serial number.
    GetId,
    /// Give back the space of so many ranges, which follow as [`Segment`]s.
    Discard(u32),
    /// Fill a range with zeros, which follows as a [`Segment`].
    WriteZeroes,
}

impl Disk {
    /// Checks a request with `readable` bytes behind its header and `writable` bytes before its
    /// status.
    pub fn request(
        &self,
        header: &Header,
        readable: u32,
        writable: u32,
    ) -> Result<Request, Status> {
        let sector = header.sector.get();
        match header.kind.get() {
            spec::VIRTIO_BLK_T_IN => Ok(Request::Read {
                offset: self.place(sector, writable)?,
                length: writable,
            }),
            spec::VIRTIO_BLK_T_OUT if self.read_only => Err(Status::IoError),
            spec::VIRTIO_BLK_T_OUT => Ok(Request::Write {
                offset: self.place(sector, readable)?,
                length: readable,
            }),
            spec::VIRTIO_BLK_T_FLUSH => Ok(Request::Flush),
            spec::VIRTIO_BLK_T_GET_ID => Ok(Request::GetId),
            spec::VIRTIO_BLK_T_DISCARD if self.discard => {
                Ok(Request::Discard(segments(readable, MAX_DISCARD_SEGMENTS)?))
            }
            spec::VIRTIO_BLK_T_WRITE_ZEROES if !self.read_only => {
                segments(readable, 1).map(|_| Request::WriteZeroes)
            }
            _ => Err(Status::Unsupported),
        }
    }

    /// The range that a segment of a discard names.
    pub fn discard_range(&self, segment: &Segment) -> Result<Range<u64>, Status> {
        if segment.flags.get() != 0 {
            return Err(Status::Unsupported);
        }
        self.range(segment, MAX_DISCARD_SECTORS)
    }

    /// The range that is to be filled with zeros, and whether its space may be given back.
    pub fn zeroes_range(&self, segment: &Segment) -> Result<(Range<u64>, bool), Status> {
        let flags = segment.flags.get();
        if flags & !spec::VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0 {
            return Err(Status::Unsupported);
        }
        let range = self.range(segment, MAX_ZEROES_SECTORS)?;
        Ok((range, flags != 0 && self.discard))
    }

    fn range(&self, segment: &Segment, most: u32) -> Result<Range<u64>, Status> {
        let sectors = segment.sectors.get();
        if sectors > most {
            return Err(Status::IoError);
        }
        let start = self.start(segment.sector.get(), sectors.into())?;
        Ok(start..start + u64::from(sectors) * SECTOR)
    }

    /// The byte where a transfer begins.
    fn place(&self, sector: u64, length: u32) -> Result<u64, Status> {
        let length = u64::from(length);
        if !length.is_multiple_of(SECTOR) {
            return Err(Status::IoError);
        }
        self.start(sector, length / SECTOR)
    }

    fn start(&self, sector: u64, sectors: u64) -> Result<u64, Status> {
        match sector.checked_add(sectors) {
            Some(end) if end <= self.sectors => Ok(sector * SECTOR),
            _ => Err(Status::IoError),
        }
    }
}

/// How many segments there are in so many bytes.
fn segments(size: u32, most: u32) -> Result<u32, Status> {
    const SIZE: u32 = size_of::<Segment>() as u32;
    if size == 0 || !size.is_multiple_of(SIZE) || size / SIZE > most {
        return Err(Status::IoError);
    }
    Ok(size / SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::block::disk::SERIAL_SIZE;
    use proptest::prelude::*;

    fn disk() -> Disk {
        Disk {
            sectors: 100,
            read_only: false,
            discard: true,
            queues: 1,
            serial: [0; SERIAL_SIZE],
            block_sizes: (512, 4096),
        }
    }

    fn header(kind: u32, sector: u64) -> Header {
        Header {
            kind: kind.into(),
            reserved: 0.into(),
            sector: sector.into(),
        }
    }

    fn segment(sector: u64, sectors: u32, flags: u32) -> Segment {
        Segment {
            sector: sector.into(),
            sectors: sectors.into(),
            flags: flags.into(),
        }
    }

    #[test]
    fn reads_and_writes_lie_within_the_disk() {
        let read =
            |sector, length| disk().request(&header(spec::VIRTIO_BLK_T_IN, sector), 0, length);
        let write =
            |sector, length| disk().request(&header(spec::VIRTIO_BLK_T_OUT, sector), length, 0);
        let (offset, length) = (99 * 512, 512);
        assert_eq!(read(99, 512), Ok(Request::Read { offset, length }));
        assert_eq!(write(99, 512), Ok(Request::Write { offset, length }));
        for (sector, length) in [(99, 1024), (100, 512), (0, 511), (1, 513), (u64::MAX, 512)] {
            assert_eq!(
                read(sector, length),
                Err(Status::IoError),
                "{sector} {length}"
            );
            assert_eq!(
                write(sector, length),
                Err(Status::IoError),
                "{sector} {length}"
            );
        }
        // The byte offset of this would be 0.
        assert_eq!(read(1 << 55, 512), Err(Status::IoError));
    }

    #[test]
    fn what_a_disk_does_not_do_is_unsupported() {
        let ask = |disk: &Disk, kind| disk.request(&header(kind, 0), 16, 0);
        let (mut fixed, mut kept) = (disk(), disk());
        fixed.read_only = true;
        fixed.discard = false;
        kept.discard = false;
        assert_eq!(ask(&fixed, spec::VIRTIO_BLK_T_OUT), Err(Status::IoError));
        let unsupported = Err(Status::Unsupported);
        assert_eq!(ask(&fixed, spec::VIRTIO_BLK_T_WRITE_ZEROES), unsupported);
        assert_eq!(ask(&kept, spec::VIRTIO_BLK_T_DISCARD), unsupported);
        assert_eq!(
            ask(&kept, spec::VIRTIO_BLK_T_WRITE_ZEROES),
            Ok(Request::WriteZeroes)
        );
        for kind in [
            2,
            3,
            5,
            10,
            spec::VIRTIO_BLK_T_SECURE_ERASE,
            0x8000_0001,
            u32::MAX,
        ] {
            assert_eq!(ask(&disk(), kind), unsupported, "{kind}");
        }
    }

    #[test]
    fn segments_are_whole_and_few() {
        let ask = |kind, size| disk().request(&header(kind, 0), size, 0);
        let (discard, zeroes) = (spec::VIRTIO_BLK_T_DISCARD, spec::VIRTIO_BLK_T_WRITE_ZEROES);
        assert_eq!(ask(discard, 32), Ok(Request::Discard(2)));
        for size in [0, 15, 17, 16 * (MAX_DISCARD_SEGMENTS + 1)] {
            assert_eq!(ask(discard, size), Err(Status::IoError), "{size}");
        }
        assert_eq!(ask(zeroes, 32), Err(Status::IoError));
    }

    #[test]
    fn segments_lie_within_the_disk_and_have_known_flags() {
        let disk = disk();
        assert_eq!(
            disk.discard_range(&segment(98, 2, 0)),
            Ok(98 * 512..100 * 512)
        );
        assert_eq!(
            disk.zeroes_range(&segment(98, 2, 1)),
            Ok((98 * 512..100 * 512, true))
        );
        assert_eq!(disk.zeroes_range(&segment(0, 0, 0)), Ok((0..0, false)));
        for (sector, sectors) in [(99, 2), (u64::MAX, 1), (0, u32::MAX)] {
            let segment = segment(sector, sectors, 0);
            assert_eq!(disk.discard_range(&segment), Err(Status::IoError));
            assert_eq!(disk.zeroes_range(&segment), Err(Status::IoError));
        }
        let unsupported = Status::Unsupported;
        assert_eq!(disk.discard_range(&segment(0, 1, 1)), Err(unsupported));
        assert_eq!(disk.zeroes_range(&segment(0, 1, 2)), Err(unsupported));
    }

    proptest! {
        #[test]
        fn nothing_that_is_accepted_leaves_the_disk(
            kind in 0_u32..16,
            sector in prop_oneof![0..200_u64, any::<u64>()],
            readable in prop_oneof![0..100_000_u32, any::<u32>()],
            writable in prop_oneof![0..100_000_u32, any::<u32>()],
            flags in 0_u32..4,
        ) {
            let disk = disk();
            if let Ok(Request::Read { offset, length } | Request::Write { offset, length }) =
                disk.request(&header(kind, sector), readable, writable)
            {
                prop_assert!(offset + u64::from(length) <= disk.sectors * SECTOR);
            }
            let segment = segment(sector, readable, flags);
            for range in [disk.discard_range(&segment), disk.zeroes_range(&segment).map(|it| it.0)]
                .into_iter()
                .flatten()
            {
                prop_assert!(range.start <= range.end && range.end <= disk.sectors * SECTOR);
            }
        }
    }
}
