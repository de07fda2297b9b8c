//! Finding out whether a pattern is there.

use super::EXIT_FAILED;
use super::options::Options;
use super::pattern::Pattern;
use paravane_sdk::println;
use paravane_sdk::virtio::block::{Disk, SECTOR};
use paravane_sdk::virtio::{Buffer, Error};

/// Bytes that are read at once, at least.
const CHUNK: usize = 1 << 20;

/// Checks that what the first `count` requests wrote is there. Later requests may have written
/// over it. Prints `disk verified N`, or `disk lost ...` with the first sector that is not so.
pub fn run(disk: Disk, options: &Options<'_>) -> Result<i32, Error> {
    let pattern = Pattern::new(&disk, options)?;
    let count = options.count.unwrap_or(pattern.places);
    let written = count.min(pattern.places);
    let at_once = (CHUNK / pattern.size).max(1) as u64;
    let mut buffer = Buffer::new(at_once as usize * pattern.size).ok_or(Error::NoMemory)?;
    let mut place = 0;
    while place < written {
        let places = at_once.min(written - place);
        buffer.resize(places as usize * pattern.size);
        let first = pattern.sector(place);
        disk.blocking().read(first, &mut buffer)?;
        for (sector, bytes) in (first..).zip(buffer.chunks_exact(SECTOR)) {
            let place = sector / pattern.sector(1);
            // The last of the requests that wrote there.
            let least = (count - 1 - place) / pattern.places;
            match pattern.generation(sector, bytes) {
                Some(generation) if generation >= least => {}
                found => {
                    println!(
                        "disk lost request {} in sector {sector}: found {found:?}, not {least}",
                        least * pattern.places + place
                    );
                    return Ok(EXIT_FAILED);
                }
            }
        }
        place += places;
    }
    println!("disk verified {count}");
    Ok(0)
}
