//! Address spaces: mappings, their rights, and that they are gone when they are gone.

#![allow(unsafe_code)]

mod large;
mod memory;
mod rights;
mod shootdown;

use super::catch::catch_page_fault;
use super::{Group, Outcome, ensure, ensure_eq, tests};
use crate::provoke;
use alloc::format;
use alloc::vec::Vec;
use large::{large_and_small_pages_take_turns, two_megabytes_are_one_page_until_a_part_changes};
use memory::Pages;
use paravane_sdk::abi::address_space::{LINEAR_MAP_BASE, PAGE_SIZE, SHARED_PAGES_BASE};
use paravane_sdk::abi::mapping::Range;
use paravane_sdk::hypercall::raw;
use paravane_sdk::space::{AddressSpace, Mapping, Rights, TASK_AREA, element};
use paravane_sdk::{Errno, Gpa, stats};
use rights::{
    a_page_can_be_made_read_only_and_writable_again, a_sealed_page_stays_as_it_is,
    code_can_be_executed_once_nobody_can_write_it, no_page_is_writable_and_executable,
};
use shootdown::{
    no_read_succeeds_after_a_split, no_read_succeeds_after_an_unmap,
    no_write_succeeds_after_a_protect,
};

pub const GROUP: Group = Group {
    name: "space",
    tests: tests![
        a_page_is_the_same_by_each_of_its_addresses,
        what_is_unmapped_faults,
        address_spaces_do_not_see_each_other,
        what_the_kernel_maps_is_everywhere,
        a_query_says_how_an_address_is_mapped,
        an_address_space_in_use_is_not_ended,
        what_is_not_the_guests_cannot_be_mapped,
        many_pages_are_one_exit,
        many_elements_go_on_until_they_are_done,
        a_page_can_be_made_read_only_and_writable_again,
        code_can_be_executed_once_nobody_can_write_it,
        no_page_is_writable_and_executable,
        a_sealed_page_stays_as_it_is,
        two_megabytes_are_one_page_until_a_part_changes,
        large_and_small_pages_take_turns,
        no_read_succeeds_after_an_unmap,
        no_write_succeeds_after_a_protect,
        no_read_succeeds_after_a_split,
    ],
};

/// Where the tests map things.
const HERE: u64 = TASK_AREA.start + 0x1234_5000;

/// A new address space, which is the current one of this vCPU for as long as this lives.
struct Current(AddressSpace);

impl Current {
    fn new() -> Result<Self, Errno> {
        let space = AddressSpace::new()?;
        space.switch()?;
        Ok(Self(space))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // The kernel's address space is always there.
        let _ = AddressSpace::KERNEL.switch();
    }
}

impl core::ops::Deref for Current {
    type Target = AddressSpace;

    fn deref(&self) -> &AddressSpace {
        &self.0
    }
}

fn pointer(address: u64) -> *mut u64 {
    core::ptr::with_exposed_provenance_mut(address as usize)
}

/// Reads a word that is mapped.
fn read(address: u64) -> u64 {
    provoke::read(address)
}

/// Writes a word of a page that a test owns, where it is mapped writable.
fn write(address: u64, value: u64) {
    // SAFETY: the caller has mapped it, and nothing but the tests uses it.
    unsafe { pointer(address).write_volatile(value) }
}

/// That nothing is mapped at an address.
fn is_gone(address: u64) -> Outcome {
    // SAFETY: a read is harmless.
    let fault = unsafe { catch_page_fault(provoke::read, address) }?;
    ensure_eq!(fault.address, address, "the address of the #PF");
    ensure!(
        !fault.present,
        "the #PF at {address:#x} is not for a missing page"
    );
    Ok(())
}

/// That an address cannot be written.
fn is_read_only(address: u64) -> Outcome {
    // SAFETY: it writes what is there already.
    let fault = unsafe { catch_page_fault(provoke::write, address) }?;
    ensure!(
        fault.present && fault.write,
        "the #PF of a write to {address:#x} is {fault:x?}"
    );
    Ok(())
}

fn a_page_is_the_same_by_each_of_its_addresses() -> Outcome {
    let pages = Pages::new(1);
    let space = Current::new().map_err(text)?;
    let aliases = [HERE, HERE + PAGE_SIZE, HERE + (1 << 40)];
    for address in aliases {
        // SAFETY: the page is this test's.
        unsafe { space.map(address, pages.gpa(0), PAGE_SIZE, Rights::READ_WRITE) }.map_err(text)?;
    }
    for (value, &written) in (1..).zip(&aliases) {
        write(written + 8, value);
        for &address in &aliases {
            ensure_eq!(read(address + 8), value, "the word at {address:#x}");
        }
        ensure_eq!(read(pages.address(0) + 8), value, "the word of the heap");
    }
    Ok(())
}

fn what_is_unmapped_faults() -> Outcome {
    let pages = Pages::new(3);
    let space = Current::new().map_err(text)?;
    for round in 0..20 {
        // SAFETY: the pages are this test's.
        unsafe { space.map(HERE, pages.gpa(0), 3 * PAGE_SIZE, Rights::READ_WRITE) }
            .map_err(text)?;
        for page in 0..3 {
            write(HERE + page * PAGE_SIZE, round);
        }
        // SAFETY: as above.
        unsafe { space.unmap(HERE + PAGE_SIZE, PAGE_SIZE) }.map_err(text)?;
        is_gone(HERE + PAGE_SIZE)?;
        ensure_eq!(read(HERE), round, "the page before it");
        ensure_eq!(read(HERE + 2 * PAGE_SIZE), round, "the page behind it");
        // What is not mapped stays so.
        // SAFETY: as above.
        unsafe { space.unmap(HERE, 3 * PAGE_SIZE) }.map_err(text)?;
        is_gone(HERE)?;
        is_gone(HERE + 2 * PAGE_SIZE)?;
    }
    Ok(())
}

fn address_spaces_do_not_see_each_other() -> Outcome {
    let pages = Pages::new(2);
    let spaces = [AddressSpace::new(), AddressSpace::new()];
    let [Ok(one), Ok(other)] = spaces else {
        return Err(format!("as_create: {spaces:?}"));
    };
    for (space, page) in [(&one, 0), (&other, 1)] {
        write(pages.address(page), 100 + page as u64);
        // SAFETY: the page is this test's.
        unsafe { space.map(HERE, pages.gpa(page), PAGE_SIZE, Rights::READ) }.map_err(text)?;
    }
    for _ in 0..10 {
        for (space, expected) in [(&one, 100), (&other, 101)] {
            space.switch().map_err(text)?;
            ensure_eq!(read(HERE), expected, "the word of {space:?}");
        }
        AddressSpace::KERNEL.switch().map_err(text)?;
        is_gone(HERE)?;
    }
    Ok(())
}

fn what_the_kernel_maps_is_everywhere() -> Outcome {
    const KERNEL_ADDRESS: u64 = 0x6f00_0000_0000;
    let pages = Pages::new(1);
    write(pages.address(0), 77);
    let before = Current::new().map_err(text)?;
    // SAFETY: the page is this test's.
    unsafe { AddressSpace::KERNEL.map(KERNEL_ADDRESS, pages.gpa(0), PAGE_SIZE, Rights::READ) }
        .map_err(text)?;
    ensure_eq!(read(KERNEL_ADDRESS), 77, "the word");
    let after = AddressSpace::new().map_err(text)?;
    after.switch().map_err(text)?;
    ensure_eq!(
        read(KERNEL_ADDRESS),
        77,
        "the word in a later address space"
    );
    before.switch().map_err(text)?;
    let translation = before.query(KERNEL_ADDRESS);
    ensure!(
        translation.is_some_and(|found| !found.task),
        "it is mapped as {translation:x?}"
    );
    // SAFETY: as above.
    unsafe { AddressSpace::KERNEL.unmap(KERNEL_ADDRESS, PAGE_SIZE) }.map_err(text)?;
    is_gone(KERNEL_ADDRESS)
}

fn a_query_says_how_an_address_is_mapped() -> Outcome {
    let pages = Pages::new(1);
    let space = AddressSpace::new().map_err(text)?;
    ensure_eq!(space.query(HERE), None, "the translation of nothing");
    // SAFETY: the page is this test's.
    unsafe { space.map(HERE, pages.gpa(0), PAGE_SIZE, Rights::READ_WRITE) }.map_err(text)?;
    let found = space.query(HERE + 5).ok_or("it is mapped nowhere")?;
    ensure_eq!(
        found.gpa,
        Gpa(pages.gpa(0).0 + 5),
        "the guest-physical address"
    );
    ensure_eq!(found.page_size, PAGE_SIZE, "the page size");
    ensure_eq!(format!("{}", found.rights), "rw-", "the rights");
    ensure!(found.task && !found.sealed, "it is {found:x?}");
    let text_page = space.query(a_query_says_how_an_address_is_mapped as *const () as u64);
    let rights = text_page.map(|found| format!("{}", found.rights));
    ensure_eq!(rights.as_deref(), Some("r-x"), "the rights of the text");
    ensure_eq!(
        AddressSpace::KERNEL.query(HERE),
        None,
        "the kernel's translation"
    );
    for address in [0, SHARED_PAGES_BASE, u64::MAX] {
        let found = AddressSpace::KERNEL.query(address);
        ensure_eq!(found, None, "the translation of {address:#x}");
    }
    Ok(())
}

fn an_address_space_in_use_is_not_ended() -> Outcome {
    let number = {
        let space = Current::new().map_err(text)?;
        let number = space.number();
        // SAFETY: the VMM refuses it.
        let ended = unsafe { raw::as_destroy(number) };
        ensure_eq!(ended, Err(Errno::EBUSY), "as_destroy of the current one");
        number
    };
    ensure_eq!(
        raw::as_switch(number),
        Err(Errno::ENOENT),
        "as_switch to one that ended"
    );
    // SAFETY: the VMM refuses both.
    let (again, kernels) = unsafe { (raw::as_destroy(number), raw::as_destroy(0)) };
    ensure_eq!(again, Err(Errno::ENOENT), "as_destroy of one that ended");
    ensure_eq!(kernels, Err(Errno::EPERM), "as_destroy of the kernel's");
    Ok(())
}

fn what_is_not_the_guests_cannot_be_mapped() -> Outcome {
    let pages = Pages::new(1);
    let space = AddressSpace::new().map_err(text)?;
    let ram = paravane_sdk::start_info::get().ram_size();
    let (page, gpa) = (PAGE_SIZE, pages.gpa(0));
    for (space, address, gpa, size, expected) in [
        (&space, HERE, Gpa(ram), page, Errno::EFAULT),
        (&space, HERE, Gpa(ram - page), 2 * page, Errno::EFAULT),
        (&space, HERE, Gpa(u64::MAX - page + 1), page, Errno::EFAULT),
        (&space, TASK_AREA.end, gpa, page, Errno::EINVAL),
        (&space, TASK_AREA.start - page, gpa, page, Errno::EINVAL),
        (AddressSpace::KERNEL, HERE, gpa, page, Errno::EINVAL),
        (
            AddressSpace::KERNEL,
            SHARED_PAGES_BASE,
            gpa,
            page,
            Errno::EINVAL,
        ),
        (AddressSpace::KERNEL, 0, gpa, page, Errno::EINVAL),
        (
            AddressSpace::KERNEL,
            LINEAR_MAP_BASE,
            gpa,
            page,
            Errno::EEXIST,
        ),
        (&space, HERE + 1, gpa, page, Errno::EINVAL),
        (&space, HERE, gpa, 0, Errno::EINVAL),
        (&space, HERE, gpa, (2 << 20) + page, Errno::E2BIG),
    ] {
        // SAFETY: the VMM refuses it.
        let result = unsafe { space.map(address, gpa, size, Rights::READ) };
        let what = format!("{size:#x} bytes of {gpa} at {address:#x}");
        ensure_eq!(result, Err(expected), "the answer to {what}");
    }
    Ok(())
}

/// How many calls something makes, each with an exit.
fn calls_of(body: impl FnOnce() -> Outcome) -> Result<u64, alloc::string::String> {
    let before = stats::read().map_err(text)?;
    body()?;
    let after = stats::read().map_err(text)?;
    Ok(after.hypercalls - before.hypercalls - 1)
}

fn many_pages_are_one_exit() -> Outcome {
    // One page off, so that it is 512 pages and not one of 2 MiB.
    let pages = Pages::new(513);
    let space = Current::new().map_err(text)?;
    let gpa = if pages.gpa(0).0.is_multiple_of(2 << 20) {
        pages.gpa(1)
    } else {
        pages.gpa(0)
    };
    let size = 512 * PAGE_SIZE;
    let at = TASK_AREA.start;
    let calls = calls_of(|| {
        // SAFETY: the pages are this test's.
        unsafe { space.map(at, gpa, size, Rights::READ_WRITE) }.map_err(text)
    })?;
    ensure_eq!(calls, 1, "the number of calls that map 512 pages");
    for page in 0..512 {
        write(at + page * PAGE_SIZE, page);
    }
    let translation = space.query(at).ok_or("it is mapped nowhere")?;
    ensure_eq!(translation.page_size, PAGE_SIZE, "the page size");
    let calls = calls_of(|| {
        // SAFETY: as above.
        unsafe { space.unmap(at, size) }.map_err(text)
    })?;
    ensure_eq!(calls, 1, "the number of calls that unmap 512 pages");
    is_gone(at)?;
    is_gone(at + size - PAGE_SIZE)
}

fn many_elements_go_on_until_they_are_done() -> Outcome {
    let pages = Pages::new(4);
    let space = Current::new().map_err(text)?;
    // Each in a region of 2 MiB of its own, and each page often.
    let address = |index: u64| HERE + index * (1 << 16);
    let elements: Vec<Mapping> = (0..1000)
        .map(|index| {
            let gpa = pages.gpa(index as usize % 4);
            element(address(index), gpa, PAGE_SIZE, Rights::READ_WRITE)
        })
        .collect();
    // SAFETY: the pages are this test's.
    unsafe { space.map_all(&elements) }.map_err(text)?;
    for index in 0..1000 {
        write(address(index) + 8 * (index / 4), index);
    }
    for index in 0..1000 {
        let found = read(address(index) + 8 * (index / 4));
        ensure_eq!(found, index, "the word at {:#x}", address(index));
    }
    // The last element but two fails; those before it are done.
    let mut ranges: Vec<Range> = (0..1000)
        .map(|index| Range {
            start: address(index),
            size: PAGE_SIZE,
        })
        .collect();
    ranges[997].size = 1;
    // SAFETY: as above.
    let undone = unsafe { space.unmap_all(&ranges) };
    let undone = undone.map_err(|undone| (undone.done, undone.errno));
    ensure_eq!(undone, Err((997, Errno::EINVAL)), "the answer");
    for index in [0, 1, 500, 996] {
        is_gone(address(index))?;
    }
    for index in 997..1000 {
        read(address(index));
    }
    Ok(())
}

fn text(error: impl core::fmt::Display) -> alloc::string::String {
    format!("{error}")
}
