//! Measurements of a disk.
//!
//! Each prints one line: `disk bench NAME size BYTES depth N requests N ns N exits N doorbells N
//! events N`. `exits` are those of this vCPU to the VMM, a blocking one included; a doorbell is an
//! exit to the host's kernel beside them.

use super::options::Options;
use super::pattern::mix;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::time::Instant;
use paravane_sdk::virtio::block::{Disk, SECTOR};
use paravane_sdk::virtio::{Buffer, Error};
use paravane_sdk::{exec, println, stats};

/// A measurement.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    size: usize,
    depth: u64,
    count: u64,
    writes: bool,
    random: bool,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "write-sequential",
        size: 1 << 20,
        depth: 16,
        count: 256,
        writes: true,
        random: false,
    },
    Kind {
        name: "read-sequential",
        size: 1 << 20,
        depth: 16,
        count: 256,
        writes: false,
        random: false,
    },
    Kind {
        name: "write-random",
        size: 4096,
        depth: 32,
        count: 20_000,
        writes: true,
        random: true,
    },
    Kind {
        name: "read-random",
        size: 4096,
        depth: 32,
        count: 20_000,
        writes: false,
        random: true,
    },
];

/// Makes all measurements, or the one that `only` names, with `count`, `size` and `depth` where they
/// are given. What is on the disk is lost, unless it can be read only.
pub fn run(disk: Disk, options: &Options<'_>) -> Result<i32, Error> {
    let disk = Arc::new(disk);
    for &kind in KINDS {
        let wanted = options.only.is_none_or(|only| only == kind.name);
        if !wanted || (kind.writes && disk.is_read_only()) {
            continue;
        }
        let kind = Kind {
            size: options.size.unwrap_or(kind.size),
            depth: options.depth.unwrap_or(kind.depth),
            count: options.count.unwrap_or(kind.count),
            ..kind
        };
        measure(&disk, kind, options.seed)?;
    }
    Ok(0)
}

fn measure(disk: &Arc<Disk>, kind: Kind, seed: u64) -> Result<(), Error> {
    let exits = || stats::read().map(|stats| stats.exits);
    let buffers = (0..kind.depth)
        .map(|_| Buffer::new(kind.size).ok_or(Error::NoMemory))
        .collect::<Result<Vec<_>, Error>>()?;
    let (costs_before, exits_before) = (disk.costs(), exits()?);
    let begun = Instant::now();
    exec::block_on(transfer(disk, kind, seed, buffers))?;
    let time = begun.elapsed();
    let (costs, exits) = (disk.costs(), exits()?);
    println!(
        "disk bench {} size {} depth {} requests {} ns {} exits {} doorbells {} events {}",
        kind.name,
        kind.size,
        kind.depth,
        costs.requests - costs_before.requests,
        time.as_nanos(),
        // The first of the two calls is in the answer of the second.
        (exits - exits_before).saturating_sub(1),
        costs.doorbells - costs_before.doorbells,
        costs.events - costs_before.events,
    );
    Ok(())
}

async fn transfer(
    disk: &Arc<Disk>,
    kind: Kind,
    seed: u64,
    buffers: Vec<Buffer>,
) -> Result<(), Error> {
    let sectors = (kind.size / SECTOR) as u64;
    let places = (disk.capacity() / sectors).max(1);
    let next = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = buffers
        .into_iter()
        .map(|mut buffer| {
            let (disk, next) = (Arc::clone(disk), Arc::clone(&next));
            exec::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= kind.count {
                        return Ok::<(), Error>(());
                    }
                    let place = match kind.random {
                        true => mix(seed ^ number) % places,
                        false => number % places,
                    };
                    let sector = place * sectors;
                    let result;
                    (buffer, result) = match kind.writes {
                        true => disk.write(sector, buffer).await,
                        false => disk.read(sector, buffer).await,
                    };
                    result?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}
