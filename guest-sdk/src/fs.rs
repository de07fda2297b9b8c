//! Files: FAT16 and FAT32 on a [`Disk`], by the crate `embedded-sdmmc`.
//!
//! ```ignore
//! let disk = Disk::open(None)?;
//! let files = fs::open(&disk);
//! let volume = files.open_volume(VolumeIdx(0))?;
//! let root = volume.open_root_dir()?;
//! let file = root.open_file_in_dir("LOG.TXT", Mode::ReadWriteCreateOrAppend)?;
//! file.write(b"started\n")?;
//! file.close()?;
//! disk.blocking().flush()?;
//! ```
//!
//! The disk has a partition table (MBR), of whose partitions each is a volume. A file that was
//! closed is on the disk behind the flush of the disk. FAT has no journal: whoever needs files that
//! survive a loss of power in the middle of a write keeps his own on the disk.

use crate::time::{self, Instant};
use crate::virtio;
use crate::virtio::block::{Disk, SECTOR};
use embedded_sdmmc::{Block, BlockCount, BlockDevice, BlockIdx, TimeSource, Timestamp};
pub use embedded_sdmmc::{Mode, VolumeIdx, VolumeManager};

const _: () = assert!(SECTOR == Block::LEN);

/// What goes wrong with files.
pub type Error = embedded_sdmmc::Error<virtio::Error>;

/// The files of a disk.
pub type Files<'a> = VolumeManager<Sectors<'a>, TimeOfDay>;

/// The files of a disk.
pub fn open(disk: &Disk) -> Files<'_> {
    VolumeManager::new(Sectors(disk), TimeOfDay::read())
}

/// A disk, as a file system sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sectors<'a>(&'a Disk);

impl BlockDevice for Sectors<'_> {
    type Error = virtio::Error;

    fn read(&self, blocks: &mut [Block], start: BlockIdx) -> Result<(), virtio::Error> {
        // A file system asks for one at a time, into a cache of its own.
        blocks
            .iter_mut()
            .zip(u64::from(start.0)..)
            .try_for_each(|(block, sector)| self.0.blocking().read(sector, &mut block.contents))
    }

    fn write(&self, blocks: &[Block], start: BlockIdx) -> Result<(), virtio::Error> {
        blocks
            .iter()
            .zip(u64::from(start.0)..)
            .try_for_each(|(block, sector)| self.0.blocking().write(sector, &block.contents))
    }

    fn num_blocks(&self) -> Result<BlockCount, virtio::Error> {
        // It cannot use more than this.
        Ok(BlockCount(self.0.capacity().min(u32::MAX.into()) as u32))
    }
}

/// The time of files: UTC.
#[derive(Clone, Copy, Debug)]
pub struct TimeOfDay {
    /// The time of day when the clock was 0, in seconds; `None` where nobody knows it.
    start: Option<u64>,
}

impl TimeOfDay {
    fn read() -> Self {
        let start = time::wallclock()
            .ok()
            .map(|now| now.seconds.saturating_sub(now.clock / 1_000_000_000));
        Self { start }
    }
}

impl TimeSource for TimeOfDay {
    fn get_timestamp(&self) -> Timestamp {
        let seconds = match (self.start, Instant::try_now()) {
            (Some(start), Some(now)) => start + now.as_nanos() / 1_000_000_000,
            // The beginning of FAT's time.
            _ => 315_532_800,
        };
        timestamp(seconds)
    }
}

/// The date of so many seconds since 1970 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
fn timestamp(seconds: u64) -> Timestamp {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on.
    let month = (5 * day_of_year + 2) / 153;
    let year = era * 400 + year_of_era + u64::from(month >= 10);
    Timestamp {
        year_since_1970: year.saturating_sub(1970).min(u8::MAX.into()) as u8,
        zero_indexed_month: ((month + 2) % 12) as u8,
        zero_indexed_day: (day_of_year - (153 * month + 2) / 5) as u8,
        hours: (second / 3600) as u8,
        minutes: (second / 60 % 60) as u8,
        seconds: (second % 60) as u8,
    }
}
