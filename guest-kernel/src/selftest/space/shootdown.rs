//! A vCPU that uses a page while another one takes it away: when the call has returned, no use
//! succeeds any more.

use super::memory::Pages;
use super::text;
use crate::selftest::catch::catch_page_fault;
use crate::selftest::vcpus::{is_there, start, stop_self, wait_for_state};
use crate::selftest::{Outcome, ensure, ensure_eq};
use alloc::format;
use alloc::string::String;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::vcpu_page::RUN_STATE_STOPPED;
use paravane_sdk::space::{AddressSpace, LARGE_PAGE_SIZE, Rights};
use paravane_sdk::sync::SpinLock;
use paravane_sdk::trap::{self, PageFault};

/// Where the kernel maps the memory that is taken away.
const HERE: u64 = 0x6e00_0000_0000;

const ROUNDS: u64 = 100;

/// How often the other vCPU has used the page.
static USES: AtomicU64 = AtomicU64::new(0);
/// Whether the page is gone: set when the call has returned.
static GONE: AtomicBool = AtomicBool::new(false);
/// What the other vCPU does to which address, and how it ended.
static TASK: SpinLock<Option<(User, u64)>> = SpinLock::new(None);
static RESULT: SpinLock<Option<Result<PageFault, String>>> = SpinLock::new(None);

type User = unsafe extern "C" fn(u64) -> u64;

/// Reads until it cannot. It returns only when a read succeeds that was begun after the page was
/// gone.
unsafe extern "C" fn read_on(address: u64) -> u64 {
    use_on(|| {
        crate::provoke::read(address);
    })
}

/// Writes until it cannot, as [`read_on`].
unsafe extern "C" fn write_on(address: u64) -> u64 {
    use_on(|| {
        crate::provoke::write(address);
    })
}

#[inline(always)]
fn use_on(access: impl Fn()) -> u64 {
    loop {
        let gone = GONE.load(SeqCst);
        access();
        if gone {
            return 0;
        }
        USES.fetch_add(1, SeqCst);
    }
}

/// The life of the other vCPU: a use, and how it ends.
extern "C" fn live() -> ! {
    trap::register();
    let task = TASK.lock().take();
    if let Some((user, address)) = task {
        // SAFETY: the functions own nothing, and what they access is mapped for them.
        let result = unsafe { catch_page_fault(user, address) };
        *RESULT.lock() = Some(result);
    }
    stop_self()
}

/// Has the other vCPU use an address, takes its page away, and says how the use ended.
fn race(
    user: User,
    address: u64,
    take_away: impl FnOnce() -> Outcome,
) -> Result<PageFault, String> {
    USES.store(0, SeqCst);
    GONE.store(false, SeqCst);
    *TASK.lock() = Some((user, address));
    start(live).map_err(text)?;
    while USES.load(SeqCst) < 1000 {
        if let Some(early) = RESULT.lock().take() {
            return Err(format!("before anything was taken away: {early:x?}"));
        }
        spin_loop();
    }
    take_away()?;
    GONE.store(true, SeqCst);
    wait_for_state(RUN_STATE_STOPPED);
    let result = RESULT.lock().take();
    result.unwrap_or_else(|| Err("it has no result".into()))
}

/// Maps memory for the kernel, for as long as this lives.
struct Mapped(u64);

impl Mapped {
    fn new(pages: &Pages, size: u64) -> Result<Self, String> {
        // SAFETY: the pages are the test's.
        unsafe { AddressSpace::KERNEL.map(HERE, pages.gpa(0), size, Rights::READ_WRITE) }
            .map_err(text)?;
        Ok(Self(size))
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the other vCPU has stopped.
        let _ = unsafe { AddressSpace::KERNEL.unmap(HERE, self.0) };
    }
}

pub fn no_read_succeeds_after_an_unmap() -> Outcome {
    if !is_there() {
        return Ok(());
    }
    let pages = Pages::new(1);
    for round in 0..ROUNDS {
        let mapped = Mapped::new(&pages, PAGE_SIZE)?;
        let fault = race(read_on, HERE, || {
            drop(mapped);
            Ok(())
        })?;
        let found = (fault.address, fault.present, fault.write);
        ensure_eq!(found, (HERE, false, false), "the #PF of round {round}");
    }
    Ok(())
}

pub fn no_write_succeeds_after_a_protect() -> Outcome {
    if !is_there() {
        return Ok(());
    }
    let pages = Pages::new(1);
    for round in 0..ROUNDS {
        let mapped = Mapped::new(&pages, PAGE_SIZE)?;
        let fault = race(write_on, HERE, || {
            // SAFETY: the other vCPU is to fault.
            unsafe { AddressSpace::KERNEL.protect(HERE, PAGE_SIZE, Rights::READ) }.map_err(text)
        })?;
        let found = (fault.address, fault.present, fault.write);
        ensure_eq!(found, (HERE, true, true), "the #PF of round {round}");
        drop(mapped);
    }
    Ok(())
}

pub fn no_read_succeeds_after_a_split() -> Outcome {
    if !is_there() {
        return Ok(());
    }
    let pages = Pages::aligned(LARGE_PAGE_SIZE as usize, LARGE_PAGE_SIZE as usize);
    let address = HERE + 5 * PAGE_SIZE;
    for round in 0..ROUNDS / 5 {
        let mapped = Mapped::new(&pages, LARGE_PAGE_SIZE)?;
        let size = AddressSpace::KERNEL
            .query(HERE)
            .map(|found| found.page_size);
        ensure!(
            size == Some(LARGE_PAGE_SIZE),
            "the page size is {size:x?} in round {round}"
        );
        let fault = race(read_on, address, || {
            // SAFETY: the other vCPU is to fault.
            unsafe { AddressSpace::KERNEL.unmap(address, PAGE_SIZE) }.map_err(text)
        })?;
        ensure_eq!(fault.address, address, "the address of the #PF");
        // Its neighbours are there as before.
        for neighbour in [address - PAGE_SIZE, address + PAGE_SIZE] {
            crate::provoke::read(neighbour);
        }
        drop(mapped);
    }
    Ok(())
}
