//! Devices: those that the VM happens to have.
//!
//! Nothing is done to a disk but to one that the operator calls `selftest`.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use embedded_io_async::{Read, Seek, SeekFrom, Write};
use futures_lite::future::{poll_once, zip};
use paravane_sdk::exec;
use paravane_sdk::virtio::block::{Bytes, Disk, SECTOR};
use paravane_sdk::virtio::entropy::Entropy;
use paravane_sdk::virtio::{
    Buffer, Changes, Device, Done, Error, Operation, QueueOptions, Requests, Scratch, Segment,
    devices, find, kind,
};
use paravane_sdk::{Gpa, start_info, upcall};

pub const GROUP: Group = Group {
    name: "devices",
    tests: tests![
        the_list_makes_sense,
        a_source_gives_random_bytes,
        a_request_that_nobody_waits_for_is_done,
        requests_end_where_another_executor_polls_them,
        a_device_has_one_driver,
        a_device_that_stops_ends_its_requests,
        a_disk_keeps_what_is_written,
        many_requests_are_under_way_at_once,
        a_dropped_write_keeps_its_buffer,
        what_a_disk_does_not_have_is_refused,
        zeroes_are_written,
        a_disk_is_a_row_of_bytes,
    ],
};

fn message(error: Error) -> String {
    format!("{error}")
}

fn buffer(size: usize, byte: u8) -> Result<Buffer, String> {
    let mut buffer = Buffer::new(size).ok_or("no memory for a buffer")?;
    buffer.fill(byte);
    Ok(buffer)
}

/// The disk for these tests, where there is one.
fn disk() -> Result<Option<Disk>, String> {
    match Disk::open(Some("selftest")) {
        Ok(disk) => Ok(Some(disk)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(format!("opening the disk: {error}")),
    }
}

fn the_list_makes_sense() -> Outcome {
    let mut doorbell = 0;
    for device in devices() {
        let (info, number) = (device.info(), device.number());
        ensure!(info.queues > 0, "device {number} has no queue");
        ensure!(
            info.queue_size_max.is_power_of_two(),
            "device {number} has queues of {}",
            info.queue_size_max
        );
        ensure_eq!(info.doorbell, doorbell, "the doorbell of device {number}");
        doorbell += info.queues;
        let others = devices().filter(|other| other.id() == device.id());
        ensure_eq!(others.count(), 1, "devices of device {number}'s name");
    }
    Ok(())
}

fn a_source_gives_random_bytes() -> Outcome {
    let source = match Entropy::open(None) {
        Err(Error::NotFound) => return Ok(()),
        source => source.map_err(message)?,
    };
    let mut bytes = vec![0; 10_000];
    source.fill_blocking(&mut bytes).map_err(message)?;
    for value in 0..=u8::MAX {
        // 39 are expected; 0 or 120 has a chance below 10^-15.
        let found = bytes.iter().filter(|&&byte| byte == value).count();
        ensure!((1..120).contains(&found), "{found} bytes are {value}");
    }
    Ok(())
}

fn a_request_that_nobody_waits_for_is_done() -> Outcome {
    let source = match Entropy::open(None) {
        Err(Error::NotFound) => return Ok(()),
        source => source.map_err(message)?,
    };
    // More than there are slots for: what was abandoned gives its slot back.
    for _ in 0..100 {
        let mut bytes = [0; 64];
        let polled = exec::block_on(poll_once(source.fill(&mut bytes)));
        ensure_eq!(polled, None, "the first look at a request");
    }
    let mut bytes = [0; 64];
    source.fill_blocking(&mut bytes).map_err(message)?;
    ensure!(bytes != [0; 64], "nothing was filled");
    Ok(())
}

/// Polls a future whenever it was woken, and spins meanwhile: an executor that knows nothing of the
/// SDK's.
fn spin_on<F: Future>(future: F) -> F::Output {
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }

    let woken = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if woken.0.swap(false, Ordering::AcqRel)
            && let Poll::Ready(value) = future.as_mut().poll(&mut context)
        {
            return value;
        }
        core::hint::spin_loop();
    }
}

fn requests_end_where_another_executor_polls_them() -> Outcome {
    let source = match Entropy::open(None) {
        Err(Error::NotFound) => return Ok(()),
        source => source.map_err(message)?,
    };
    let enabled = upcall::is_enabled();
    upcall::enable();
    let outcome = polled_elsewhere(source);
    if !enabled {
        upcall::disable();
    }
    outcome.map_err(message)
}

fn polled_elsewhere(source: Entropy) -> Result<(), Error> {
    let mut bytes = [0; 64];
    for _ in 0..50 {
        spin_on(source.fill(&mut bytes))?;
    }
    // The SDK's executor begins what the other one ends.
    for _ in 0..50 {
        let mut request = pin!(source.fill(&mut bytes));
        match exec::block_on(poll_once(request.as_mut())) {
            Some(ended) => ended?,
            None => spin_on(request)?,
        }
    }
    // While this task spins, no other one of the SDK's executor has its turn.
    let task = exec::spawn(async move {
        let mut bytes = [0; 64];
        (0..50).try_for_each(|_| spin_on(source.fill(&mut bytes)))
    });
    exec::block_on(task)
}

fn a_device_has_one_driver() -> Outcome {
    if find(kind::ENTROPY, None).is_none() {
        return Ok(());
    }
    let first = Entropy::open(None).map_err(message)?;
    let second = Entropy::open(None).err();
    ensure_eq!(second, Some(Error::InUse), "the second driver's error");
    drop(first);
    let mut bytes = [0; 16];
    let third = Entropy::open(None).map_err(message)?;
    third.fill_blocking(&mut bytes).map_err(message)
}

/// Asks a device to write to a place.
struct WriteTo(Gpa);

// SAFETY: the tests name places where no RAM is, so that the device may not write there.
unsafe impl Operation for WriteTo {
    type Output = Option<Error>;

    fn prepare(&mut self, scratch: &mut Scratch<'_>) {
        scratch.segment(Segment {
            gpa: self.0,
            size: 64,
            writable: true,
        });
    }

    fn finish(self, done: Result<Done<'_>, Error>) -> Self::Output {
        done.err()
    }
}

fn a_device_that_stops_ends_its_requests() -> Outcome {
    let Some(found) = find(kind::ENTROPY, None) else {
        return Ok(());
    };
    let device = Device::take(found, 0).map_err(message)?;
    let options = QueueOptions {
        size: 4,
        segments: 1,
    };
    let requests = Requests::new(&device, 0, options).map_err(message)?;
    let stop = requests.stopper();
    device
        .on_change(move |change| {
            if change == Changes::Stopped {
                stop();
            }
        })
        .map_err(|error| format!("on_change: {error}"))?;
    device.start().map_err(message)?;
    let no_ram = Gpa(start_info::get().ram_size());
    let both = zip(
        requests.request(WriteTo(no_ram)),
        requests.request(WriteTo(no_ram)),
    );
    let ended = exec::block_on(both);
    let stopped = Some(Error::Stopped);
    ensure_eq!(ended, (stopped, stopped), "how two wrong requests ended");
    let later = exec::block_on(requests.request(WriteTo(no_ram)));
    ensure_eq!(later, stopped, "how a later one ended");
    device.ignore_changes();
    drop((requests, device));
    // It has been reset, and serves its next driver.
    let mut bytes = [0; 16];
    let source = Entropy::open(None).map_err(message)?;
    source.fill_blocking(&mut bytes).map_err(message)
}

fn a_disk_keeps_what_is_written() -> Outcome {
    let Some(disk) = disk()? else { return Ok(()) };
    // From the stack, by way of the blocking interface, into memory of the heap.
    let written: [u8; 2 * SECTOR] = core::array::from_fn(|index| (index * 7) as u8);
    disk.blocking().write(3, &written).map_err(message)?;
    disk.blocking().flush().map_err(message)?;
    let mut read = vec![0; 4 * SECTOR];
    disk.blocking().read(2, &mut read).map_err(message)?;
    ensure!(
        read[SECTOR..3 * SECTOR] == written,
        "what is read is not it"
    );
    drop(disk);
    // A driver that comes later finds the same.
    let Some(disk) = self::disk()? else {
        return Err("the disk has gone".into());
    };
    let mut again = vec![1; 4 * SECTOR];
    disk.blocking().read(2, &mut again).map_err(message)?;
    ensure!(again == read, "the next driver reads something else");
    Ok(())
}

/// Several tasks, more than there are places in the queue, each with sectors of its own.
fn many_requests_are_under_way_at_once() -> Outcome {
    const TASKS: u64 = 300;
    let Some(disk) = disk()? else { return Ok(()) };
    let disk = Arc::new(disk);
    let outcome: Result<(), Error> = exec::block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|number| {
                let disk = Arc::clone(&disk);
                exec::spawn(async move {
                    let mut buffer = Buffer::new(SECTOR).ok_or(Error::NoMemory)?;
                    for round in 0..4 {
                        let byte = (number + round) as u8;
                        buffer.fill(byte);
                        let (written, result) = disk.write(number, buffer).await;
                        result?;
                        buffer = written;
                        buffer.fill(0);
                        let (read, result) = disk.read(number, buffer).await;
                        result?;
                        buffer = read;
                        if buffer.iter().any(|&found| found != byte) {
                            return Err(Error::Io);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        Ok(())
    });
    outcome.map_err(message)?;
    let requests = disk.costs().requests;
    ensure_eq!(requests, TASKS * 8, "the number of requests");
    Ok(())
}

fn a_dropped_write_keeps_its_buffer() -> Outcome {
    let Some(disk) = disk()? else { return Ok(()) };
    for byte in 1..200 {
        let buffer = buffer(8 * SECTOR, byte)?;
        let polled = exec::block_on(poll_once(disk.write(8, buffer)));
        ensure!(polled.is_none(), "a write ended at the first look");
        // What the heap gives out now is not what the device reads.
        drop(self::buffer(8 * SECTOR, 0xff)?);
    }
    // Both are behind what was dropped in the queue; writes are not ordered, but none is lost.
    let both = zip(disk.flush(), disk.read(8, buffer(8 * SECTOR, 0)?));
    let (flushed, (_, read)) = exec::block_on(both);
    flushed.and(read).map_err(message)?;
    let mut found = [0; 8 * SECTOR];
    disk.blocking().read(8, &mut found).map_err(message)?;
    let value = found[0];
    ensure!((1..200).contains(&value), "sector 8 has {value:#x}");
    ensure!(found.iter().all(|&byte| byte == value), "it is mixed");
    Ok(())
}

fn what_a_disk_does_not_have_is_refused() -> Outcome {
    let Some(disk) = disk()? else { return Ok(()) };
    let end = disk.capacity();
    let mut sectors = [0; 2 * SECTOR];
    for (sector, size) in [
        (end, SECTOR),
        (end - 1, 2 * SECTOR),
        (u64::MAX, SECTOR),
        (0, 100),
    ] {
        let read = disk.blocking().read(sector, &mut sectors[..size]);
        ensure_eq!(
            read,
            Err(Error::OutOfRange),
            "reading {size} bytes at {sector}"
        );
    }
    let last = disk.blocking().read(end - 1, &mut sectors[..SECTOR]);
    ensure_eq!(last, Ok(()), "reading the last sector");
    Ok(())
}

fn zeroes_are_written() -> Outcome {
    let Some(disk) = disk()? else { return Ok(()) };
    disk.blocking()
        .write(16, &[1; 4 * SECTOR])
        .map_err(message)?;
    match disk.blocking().write_zeroes(17, 2) {
        Err(Error::Unsupported) => return Ok(()),
        result => result.map_err(message)?,
    }
    let mut found = [2; 4 * SECTOR];
    disk.blocking().read(16, &mut found).map_err(message)?;
    let (one, zero) = ([1; SECTOR], [0; SECTOR]);
    ensure!(
        found.chunks(SECTOR).eq([&one, &zero, &zero, &one]),
        "not two sectors of zeros between two of ones"
    );
    match disk.blocking().discard(16, 4) {
        Ok(()) | Err(Error::Unsupported) => Ok(()),
        Err(error) => Err(message(error)),
    }
}

fn a_disk_is_a_row_of_bytes() -> Outcome {
    let Some(disk) = disk()? else { return Ok(()) };
    let end = disk.capacity() * SECTOR as u64;
    // Neither begins nor ends with a sector, and lies in several pieces.
    let written: Vec<u8> = (0..100_001_u32).map(|index| (index * 3) as u8).collect();
    let outcome: Result<Vec<u8>, Error> = exec::block_on(async {
        let mut bytes = Bytes::new(&disk);
        bytes.seek(SeekFrom::Start(60_001)).await?;
        bytes.write_all(&written).await?;
        bytes.flush().await?;
        drop(bytes);
        let mut bytes = Bytes::new(&disk);
        let mut read = vec![0; written.len()];
        bytes.seek(SeekFrom::Current(60_001)).await?;
        bytes.read_exact(&mut read).await.map_err(|_| Error::Io)?;
        Ok(read)
    });
    ensure!(
        outcome.map_err(message)? == written,
        "what is read is not it"
    );
    let (read, place, more) = exec::block_on(async {
        let mut bytes = Bytes::new(&disk);
        let place = bytes.seek(SeekFrom::End(-1)).await;
        let read = bytes.read(&mut [0; 8]).await;
        (read, place, bytes.write(&[0; 8]).await)
    });
    ensure_eq!(place, Ok(end - 1), "the place of the last byte");
    ensure_eq!(read, Ok(1), "the bytes that are read there");
    ensure_eq!(more, Err(Error::OutOfRange), "writing at the end");
    Ok(())
}
