//! The guest that uses another one's memory.

#![allow(unsafe_code)]

use super::granter::PATTERN;
use super::{
    CRASH_ROUND, LAST_SIZE, Notices, Outcome, SCRATCH, Steps, USERS, ensure, failed, gone, mutual,
    next_offer, ok, other, pause,
};
use core::sync::atomic::{AtomicPtr, Ordering};
use paravane_sdk::Errno;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::mapping::{LARGE_PAGE_SIZE, Mapping, Translation};
use paravane_sdk::abi::start_info::{RIGHT_READ, RIGHT_WRITE};
use paravane_sdk::access::{self, Gone};
use paravane_sdk::grant::{self, Attached, Rights};
use paravane_sdk::hypercall::raw;
use paravane_sdk::{address, vcpu};

pub fn run(crash: bool) -> Outcome {
    let notices = Notices::new()?;
    let offer = next_offer(&notices)?;
    ensure(
        offer.guest == other() && offer.size == PAGE_SIZE,
        "the first offer is another",
    )?;
    let control = attach(offer.number)?;
    let busy = Attached::new(other(), offer.number).map(drop);
    ensure(busy == Err(Errno::EBUSY), "a grant was attached twice")?;
    let steps = Steps(control.memory());
    steps.reach(1)?;

    let offer = next_offer(&notices)?;
    ensure(offer.rights == Rights::Read, "it is not read-only")?;
    let large = attach(offer.number)?;
    steps.wait_for(2)?;
    read_only(&large)?;
    control.memory().store(SCRATCH, 0x5eed).map_err(gone)?;
    steps.reach(3)?;

    steps.wait_for(4)?;
    ensure(
        large.memory().load(0) == Err(Gone),
        "memory can be read that was taken back",
    )?;
    let mapped = [first_address(&large), alias(&large)].map(|address| query(address).is_ok());
    ensure(mapped == [false; 2], "memory is mapped that was taken back")?;
    // One notice for each grant given or taken back, or one for several of them.
    notices.wait()?;
    let offers = grant::offers().map_err(failed("mem_offers"))?;
    ensure(
        offers.len() == 1,
        "there are other offers than the first one",
    )?;
    let again = Attached::new(other(), offer.number).map(drop);
    ensure(
        again == Err(Errno::ENOENT),
        "a grant was attached that was taken back",
    )?;
    drop(large);
    ok("memory that was taken back is gone");
    steps.reach(5)?;

    vcpu::start_all(use_memory);
    for round in 0.. {
        if crash && round == CRASH_ROUND + 1 {
            break;
        }
        let offer = next_offer(&notices)?;
        if offer.size == LAST_SIZE {
            break;
        }
        let Ok(page) = Attached::new(other(), offer.number) else {
            return Err("a grant was taken back before it was used".into());
        };
        let others = page.memory().as_ptr().wrapping_add(USERS[1]).cast();
        USED.store(others, Ordering::Release);
        if vcpu::count() == 1 {
            page.memory().store(USERS[1], 1).map_err(gone)?;
        }
        // The granter takes it back when it has seen all of that.
        while page.memory().store(USERS[0], round + 1).is_ok() {}
    }
    ok("memory can be gone at any moment");
    if crash {
        // It ends with the guest, but not in one moment with what was used here.
        while control.memory().load(0).is_ok() {
            pause();
        }
        let offers = grant::offers().map_err(failed("mem_offers"))?;
        ensure(offers.is_empty(), "a dead guest offers something")?;
        ok("a dead guest shares nothing");
        return Ok(());
    }
    steps.wait_for(6)?;
    steps.reach(7)?;
    mutual::run()?;
    steps.reach(8)
}

/// What the other vCPUs write to, if there is something.
static USED: AtomicPtr<u32> = AtomicPtr::new(core::ptr::null_mut());

/// What the other vCPUs do: write to what was last attached, whether it is still there or not.
fn use_memory(_vcpu: u32) {
    loop {
        let word = USED.load(Ordering::Acquire);
        if !word.is_null() {
            // SAFETY: where there is memory, it is shared memory, which is there to be written to.
            while unsafe { access::store(word, 1) }.is_ok() {}
        }
        pause();
    }
}

fn attach(number: u32) -> Result<Attached, alloc::string::String> {
    Attached::new(other(), number).map_err(failed("attaching a grant"))
}

/// What can be done with 2 MiB that may only be read.
fn read_only(large: &Attached) -> Outcome {
    let memory = large.memory();
    ensure(
        memory.size() as u64 == LARGE_PAGE_SIZE,
        "it has another size",
    )?;
    let mut bytes = [0; 100];
    for offset in (0..memory.size() - bytes.len()).step_by(4000) {
        memory.read(offset, &mut bytes).map_err(gone)?;
        ensure(
            bytes == [PATTERN; 100],
            "the granter's bytes have not arrived",
        )?;
    }
    let found = query(first_address(large)).map_err(failed("as_query"))?;
    ensure(
        found.page_size == LARGE_PAGE_SIZE,
        "it is not mapped by a large page",
    )?;
    ensure(memory.write(0, b"x") == Err(Gone), "it can be written")?;
    memory.read(0, &mut bytes).map_err(gone)?;
    ensure(bytes[0] == PATTERN, "it was written")?;
    // Nor by another mapping.
    let address = alias(large);
    let mapping = |rights| Mapping {
        address,
        gpa: found.gpa,
        size: PAGE_SIZE,
        rights,
        reserved: 0,
    };
    let writable = mapping(RIGHT_READ | RIGHT_WRITE);
    // SAFETY: nothing else is mapped at the address.
    let refused = unsafe { raw::as_map(0, address::of(&writable), 1) };
    let refused = refused.is_err_and(|undone| undone.errno == Errno::EPERM);
    ensure(refused, "it was mapped writable")?;
    // This one goes when the grant does.
    let readable = mapping(RIGHT_READ);
    // SAFETY: as above.
    unsafe { raw::as_map(0, address::of(&readable), 1) }
        .map_err(|undone| failed("as_map")(undone.errno))?;
    ok("what may be read only can be read only");
    Ok(())
}

fn first_address(attached: &Attached) -> u64 {
    attached.memory().as_ptr() as u64
}

/// An address of nothing else, behind the grant's own.
fn alias(attached: &Attached) -> u64 {
    first_address(attached) + (1 << 30)
}

/// How an address is mapped.
fn query(address: u64) -> Result<Translation, Errno> {
    let mut translation = Translation::default();
    let out = address::virt_to_phys(&raw mut translation, size_of::<Translation>());
    // SAFETY: the call writes to the structure, which is ours.
    unsafe { raw::as_query(0, address, out.ok_or(Errno::EFAULT)?) }?;
    Ok(translation)
}
