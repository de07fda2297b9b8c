//! What is written to a disk so that it can be told later what it was.
//!
//! The disk is divided into places of a request's size. Request number N writes to place `N %
//! places`, for the time `N / places`, its generation. Each sector says for itself which it is of, so
//! that a request of which a part was written is told from one that was lost.

use super::options::Options;
use paravane_sdk::virtio::Error;
use paravane_sdk::virtio::block::{Disk, SECTOR};

const WORDS: usize = SECTOR / size_of::<u64>();

/// Where requests write, and what.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    seed: u64,
    /// Bytes of a request.
    pub size: usize,
    /// Places of that size.
    pub places: u64,
}

impl Pattern {
    /// The pattern of these options on a disk.
    pub fn new(disk: &Disk, options: &Options<'_>) -> Result<Self, Error> {
        let size = options.size.unwrap_or(4096);
        let places = disk.capacity() / (size / SECTOR) as u64;
        if places == 0 {
            return Err(Error::OutOfRange);
        }
        Ok(Self {
            seed: options.seed,
            size,
            places,
        })
    }

    /// The first sector of a place.
    pub fn sector(&self, place: u64) -> u64 {
        place * (self.size / SECTOR) as u64
    }

    /// The place and the generation that a request writes.
    pub fn of_request(&self, request: u64) -> (u64, u64) {
        (request % self.places, request / self.places)
    }

    /// Fills memory with what a generation of a place is.
    pub fn fill(&self, place: u64, generation: u64, bytes: &mut [u8]) {
        for (index, sector) in bytes.chunks_exact_mut(SECTOR).enumerate() {
            let words = self.words(self.sector(place) + index as u64, generation);
            for (bytes, word) in sector.chunks_exact_mut(8).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
    }

    /// The generation of a sector; `None` when it is none of this pattern.
    pub fn generation(&self, sector: u64, bytes: &[u8]) -> Option<u64> {
        let mut words = bytes
            .chunks_exact(8)
            .map(|bytes| bytes.try_into().map_or(0, u64::from_le_bytes));
        let generation = words.nth(1)?;
        let whole = self.words(sector, generation).skip(2).eq(words);
        whole.then_some(generation)
    }

    /// The words of a sector: the seed, the generation, and what comes of both and the place.
    fn words(&self, sector: u64, generation: u64) -> impl Iterator<Item = u64> {
        let base = mix(self.seed ^ mix(sector ^ mix(generation)));
        (0..WORDS as u64).map(move |index| match index {
            0 => self.seed,
            1 => generation,
            index => mix(base.wrapping_add(index)),
        })
    }
}

/// A number that looks random (splitmix64).
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
