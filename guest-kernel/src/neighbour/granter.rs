//! The guest that shares its memory.

#![allow(unsafe_code)]

use super::{
    CRASH_ROUND, LAST_SIZE, Outcome, Rounds, SCRATCH, Steps, USERS, ensure, failed, gone, mutual,
    ok, other, pause,
};
use paravane_sdk::Errno;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::mapping::{LARGE_PAGE_SIZE, Range};
use paravane_sdk::address;
use paravane_sdk::grant::{Grant, Rights};
use paravane_sdk::hypercall::raw;
use paravane_sdk::pages::Pages;

/// What the pages hold that the other guest may only read.
pub const PATTERN: u8 = 0xa5;

/// What this guest says before it crashes.
const LAST_WORDS: &str = "the granter crashes, as it was asked to";

pub fn run(crash: bool) -> Outcome {
    let control = give(PAGE_SIZE, Rights::ReadWrite)?;
    let steps = Steps(control.memory());
    steps.wait_for(1)?;

    // 2 MiB that can be mapped by a large page.
    let pages = Pages::new(LARGE_PAGE_SIZE as usize).ok_or("no memory")?;
    let gpa = pages.gpa();
    let large = Grant::give(other(), pages, Rights::Read).map_err(failed("mem_share"))?;
    let piece = [PATTERN; PAGE_SIZE as usize];
    for offset in (0..large.memory().size()).step_by(piece.len()) {
        large.memory().write(offset, &piece).map_err(gone)?;
    }
    steps.reach(2)?;
    steps.wait_for(3)?;
    let word = control.memory().load(SCRATCH).map_err(gone)?;
    ensure(word == 0x5eed, "the attacher's word has not arrived")?;
    ok("what the other guest writes arrives");

    let shared = Range {
        start: gpa.0,
        size: PAGE_SIZE,
    };
    // SAFETY: whether the call succeeds or not, the pages hold bytes.
    let released = unsafe { raw::mem_release(address::of(&shared), 1) };
    let refused = released.is_err_and(|undone| undone.errno == Errno::EPERM);
    ensure(refused, "memory was released that is shared")?;
    ok("shared memory is not released");

    drop(large);
    steps.reach(4)?;
    // SAFETY: the pages are free, and hold bytes either way.
    unsafe { raw::mem_release(address::of(&shared), 1) }
        .map_err(|undone| failed("mem_release")(undone.errno))?;
    steps.wait_for(5)?;

    let mut rounds = Rounds::begin();
    while let Some(round) = rounds.next() {
        let grant = give(PAGE_SIZE, Rights::ReadWrite)?;
        // While the other guest uses it, with all its vCPUs.
        for user in USERS {
            while grant.memory().load(user).map_err(gone)? == 0 {
                pause();
            }
        }
        if crash && round == CRASH_ROUND {
            panic!("{LAST_WORDS}");
        }
        stays(&grant.take_back())?;
    }
    let last = give(LAST_SIZE, Rights::ReadWrite)?;
    ok("memory is taken back while it is used");
    steps.reach(6)?;
    steps.wait_for(7)?;
    drop(last);
    mutual::run()?;
    // Until then the attacher needs the page by which they keep in step.
    steps.wait_for(8)
}

fn give(size: u64, rights: Rights) -> Result<Grant, alloc::string::String> {
    let pages = Pages::zeroed(size as usize).ok_or("no memory")?;
    Grant::give(other(), pages, rights).map_err(failed("mem_share"))
}

/// Nobody else writes to pages that were taken back, though it tries all the time.
fn stays(pages: &Pages) -> Outcome {
    // Without PAUSE: in QEMU, each gives the time of this processor to the other one.
    const LOOKS: u32 = 2000;
    let first = pages.as_ptr().cast::<u32>();
    for user in USERS {
        // SAFETY: the page is ours, and has so many words.
        let word = unsafe { first.add(user / size_of::<u32>()) };
        // SAFETY: likewise.
        unsafe { word.write_volatile(0) };
        for _ in 0..LOOKS {
            // SAFETY: likewise.
            let found = unsafe { word.read_volatile() };
            ensure(found == 0, "memory was written that was taken back")?;
        }
    }
    Ok(())
}
