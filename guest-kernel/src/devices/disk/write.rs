//! Writing a pattern.

use super::options::Options;
use super::pattern::Pattern;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::virtio::block::Disk;
use paravane_sdk::virtio::{Buffer, Error};
use paravane_sdk::{exec, println};

/// Requests at once where nothing else is asked for.
const DEPTH: u64 = 8;

/// Writes `count` requests, and flushes behind every `flush` of them. When a flush has ended, a line
/// `disk flushed N` says that what the first N requests wrote is on the disk; at the end `disk wrote
/// N`. A write that failed is made again, for ever, and `disk retry N` says so once.
pub fn run(disk: Disk, options: &Options<'_>) -> Result<i32, Error> {
    let pattern = Pattern::new(&disk, options)?;
    let count = options.count.unwrap_or(pattern.places);
    let depth = options.depth.unwrap_or(DEPTH);
    let disk = Arc::new(disk);
    println!("disk write places {} of {}", pattern.places, pattern.size);
    let mut done = 0;
    while done < count {
        let until = count.min(done.saturating_add(options.flush));
        exec::block_on(write(&disk, pattern, done, until, depth))?;
        disk.blocking().flush()?;
        done = until;
        println!("disk flushed {done}");
    }
    println!("disk wrote {done}");
    Ok(0)
}

/// Writes requests of a range, so many at once.
async fn write(
    disk: &Arc<Disk>,
    pattern: Pattern,
    from: u64,
    until: u64,
    depth: u64,
) -> Result<(), Error> {
    let next = Arc::new(AtomicU64::new(from));
    let tasks: Vec<_> = (0..depth.min(until - from))
        .map(|_| {
            let (disk, next) = (Arc::clone(disk), Arc::clone(&next));
            exec::spawn(async move {
                let mut buffer = Buffer::new(pattern.size).ok_or(Error::NoMemory)?;
                loop {
                    let request = next.fetch_add(1, Ordering::Relaxed);
                    if request >= until {
                        return Ok::<(), Error>(());
                    }
                    let (place, generation) = pattern.of_request(request);
                    pattern.fill(place, generation, &mut buffer);
                    buffer = write_one(&disk, pattern.sector(place), buffer, request).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    Ok(())
}

/// Writes a buffer, again and again while the disk cannot: the host's may be full.
async fn write_one(
    disk: &Disk,
    sector: u64,
    mut buffer: Buffer,
    request: u64,
) -> Result<Buffer, Error> {
    let mut told = false;
    loop {
        let (back, written) = disk.write(sector, buffer).await;
        buffer = back;
        match written {
            Ok(()) => return Ok(buffer),
            Err(Error::Io) => {
                if !core::mem::replace(&mut told, true) {
                    println!("disk retry {request}");
                }
                exec::sleep(core::time::Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error),
        }
    }
}
