//! A disk beside the host doing the same work on the same file.
#![allow(unsafe_code)]

use super::Spread;
use crate::program::guest;
use io_uring::{IoUring, opcode, types};
use serde::Serialize;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::time::Instant;

/// Size of the file: all of it is written before anything is measured.
const FILE_SIZE: u64 = 256 << 20;

/// What is measured: the guest's `disk=bench,only=NAME` does the same.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Work {
    /// Its name.
    pub name: &'static str,
    size: u32,
    depth: u32,
    count: u64,
    writes: bool,
    random: bool,
}

/// All that is measured.
pub const ALL: [Work; 4] = [
    Work::new("write-sequential", 1 << 20, 16, 1024, true, false),
    Work::new("read-sequential", 1 << 20, 16, 1024, false, false),
    Work::new("write-random", 4096, 32, 400_000, true, true),
    Work::new("read-random", 4096, 32, 400_000, false, true),
];

impl Work {
    const fn new(
        name: &'static str,
        size: u32,
        depth: u32,
        count: u64,
        writes: bool,
        random: bool,
    ) -> Self {
        Self {
            name,
            size,
            depth,
            count,
            writes,
            random,
        }
    }

    /// Where request `number` goes, in the order that the guest has.
    fn offset(&self, number: u64) -> u64 {
        let places = FILE_SIZE / u64::from(self.size);
        let place = match self.random {
            true => number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20,
            false => number,
        };
        place % places * u64::from(self.size)
    }
}

/// What was measured of a kind of work.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Which.
    pub work: Work,
    /// Whether the host's page cache was passed by.
    pub direct: bool,
    /// Nanoseconds of a request, on the host.
    pub host: Spread,
    /// And in a guest.
    pub guest: Spread,
    /// Exits of the vCPU for a request: to the VMM, and to the host's kernel by the doorbell.
    pub exits: f64,
    /// The second.
    pub doorbells: f64,
}

impl Figure {
    /// How much of what the host does in a time the guest does.
    pub fn share(&self) -> f64 {
        self.host.median() / self.guest.median()
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |ns: f64| match self.work.random {
            true => format!("{:.0} IOPS", 1e9 / ns),
            false => format!("{:.0} MB/s", f64::from(self.work.size) * 1e3 / ns),
        };
        let range = |spread: &Spread| {
            format!(
                "{} ({} to {}, n = {})",
                rate(spread.median()),
                rate(spread.quantile(1.0)),
                rate(spread.quantile(0.0)),
                spread.len()
            )
        };
        write!(
            f,
            "{}{}: host {}, guest {}: {:.0} %; {:.3} exits to the VMM and {:.3} doorbells a request",
            self.work.name,
            if self.direct { ", direct" } else { "" },
            range(&self.host),
            range(&self.guest),
            self.share() * 100.0,
            self.exits,
            self.doorbells,
        )
    }
}

/// Measures all kinds of work on a file in `folder`, or the one that `only` names, host and guest
/// in turns.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn measure(
    folder: &Path,
    only: Option<&str>,
    runs: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Figure>, String> {
    let folder = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let path = folder.path().join("disk.img");
    fill(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut figures = Vec::new();
    let wanted = |work: &Work| only.is_none_or(|only| only == work.name);
    for direct in [false, true] {
        for work in ALL.into_iter().filter(wanted) {
            progress(work.name);
            let (mut host, mut guest) = (Vec::new(), Vec::new());
            let (mut exits, mut doorbells) = (0, 0);
            // What storage does is not measured as often: it takes long. But the guest's own exits,
            // at its beginning and end, are not to count.
            let count = match direct {
                true => work.count.div_ceil(8).max(1024),
                false => work.count,
            };
            let work = Work { count, ..work };
            for _ in 0..runs {
                let ns = on_host(&path, &work, direct)
                    .map_err(|error| format!("{} on the host: {error}", work.name))?;
                host.push(ns as f64 / work.count as f64);
                let found = in_guest(&path, &work, direct)?;
                guest.push(found.ns as f64 / work.count as f64);
                exits += found.exits;
                doorbells += found.doorbells;
            }
            let requests = (work.count * runs as u64) as f64;
            figures.push(Figure {
                work,
                direct,
                host: Spread::new(host),
                guest: Spread::new(guest),
                exits: exits as f64 / requests,
                doorbells: doorbells as f64 / requests,
            });
        }
    }
    Ok(figures)
}

fn fill(path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    let piece = vec![0x5a; 1 << 20];
    for offset in (0..FILE_SIZE).step_by(piece.len()) {
        file.write_all_at(&piece, offset)?;
    }
    file.sync_all()
}

/// What a guest says of a measurement.
struct InGuest {
    ns: u64,
    exits: u64,
    doorbells: u64,
}

fn in_guest(path: &Path, work: &Work, direct: bool) -> Result<InGuest, String> {
    let disk = format!(
        "path={}{}",
        path.display(),
        if direct { ",direct" } else { "" }
    );
    let what = format!("disk=bench,only={},count={}", work.name, work.count);
    let ended = guest(&what, &["--disk", &disk]);
    let words: Vec<_> = ended.stdout.split_whitespace().collect();
    let number = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    let found = || {
        Some(InGuest {
            ns: number("ns")?,
            exits: number("exits")?,
            doorbells: number("doorbells")?,
        })
    };
    found().ok_or_else(|| format!("{what}: {}{}", ended.stdout, ended.stderr))
}

/// Memory that direct I/O takes.
struct Buffers {
    start: NonNull<u8>,
    layout: Layout,
}

impl Buffers {
    fn new(size: usize) -> Option<Self> {
        let layout = Layout::from_size_align(size, 4096).ok()?;
        // SAFETY: it is not empty: there is at least one buffer.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, layout })
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: it was allocated so.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Does the work by io_uring: nanoseconds for all of it.
fn on_host(path: &Path, work: &Work, direct: bool) -> std::io::Result<u64> {
    let flags = if direct { libc::O_DIRECT } else { 0 };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)?;
    let fd = types::Fd(file.as_raw_fd());
    let mut ring = IoUring::new(work.depth)?;
    let buffers = Buffers::new(work.depth as usize * work.size as usize)
        .ok_or_else(|| std::io::Error::other("no memory"))?;
    let entry = |number: u64, slot: u64| {
        let at = slot as usize * work.size as usize;
        // SAFETY: each slot has a part of the buffers of its own.
        let address = unsafe { buffers.start.add(at) }.as_ptr();
        let offset = work.offset(number);
        let entry = match work.writes {
            true => opcode::Write::new(fd, address, work.size)
                .offset(offset)
                .build(),
            false => opcode::Read::new(fd, address, work.size)
                .offset(offset)
                .build(),
        };
        entry.user_data(slot)
    };
    let start = Instant::now();
    let (mut started, mut ended) = (0, 0);
    let mut free: Vec<u64> = (0..u64::from(work.depth)).collect();
    while ended < work.count {
        while started < work.count
            && let Some(slot) = free.pop()
        {
            let entry = entry(started, slot);
            // SAFETY: the buffers live until all operations have ended, and a slot's is used by one.
            unsafe { ring.submission().push(&entry) }.map_err(std::io::Error::other)?;
            started += 1;
        }
        ring.submit_and_wait(1)?;
        for done in ring.completion() {
            if done.result() != work.size as i32 {
                return Err(std::io::Error::from_raw_os_error(-done.result()));
            }
            free.push(done.user_data());
            ended += 1;
        }
    }
    Ok(start.elapsed().as_nanos() as u64)
}
