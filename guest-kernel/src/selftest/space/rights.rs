//! Rights, and pages that keep them for ever.

use super::memory::Pages;
use super::{Current, HERE, is_gone, is_read_only, read, text, write};
use crate::provoke;
use crate::selftest::catch::catch_page_fault;
use crate::selftest::{Outcome, ensure, ensure_eq};
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::hypercall::raw;
use paravane_sdk::space::{AddressSpace, Rights};
use paravane_sdk::{Errno, Gpa};

const KERNEL: &AddressSpace = AddressSpace::KERNEL;

/// MOV EAX, imm32; RET.
fn code(value: u32) -> u64 {
    0xb8 | u64::from(value) << 8 | 0xc3 << 40
}

fn call(address: u64) -> u64 {
    let function = core::ptr::with_exposed_provenance::<()>(address as usize);
    // SAFETY: the test has put the code of such a function there.
    let function: extern "C" fn() -> u64 = unsafe { core::mem::transmute(function) };
    function()
}

pub fn a_page_can_be_made_read_only_and_writable_again() -> Outcome {
    let pages = Pages::new(1);
    let space = Current::new().map_err(text)?;
    // SAFETY: the page is this test's.
    unsafe { space.map(HERE, pages.gpa(0), PAGE_SIZE, Rights::READ_WRITE) }.map_err(text)?;
    for value in 0..20 {
        write(HERE, value);
        // SAFETY: as above.
        unsafe { space.protect(HERE, PAGE_SIZE, Rights::READ) }.map_err(text)?;
        is_read_only(HERE)?;
        ensure_eq!(read(HERE), value, "the word");
        // SAFETY: as above.
        unsafe { space.protect(HERE, PAGE_SIZE, Rights::READ_WRITE) }.map_err(text)?;
    }
    Ok(())
}

pub fn code_can_be_executed_once_nobody_can_write_it() -> Outcome {
    let pages = Pages::new(1);
    let linear = pages.address(0);
    let space = Current::new().map_err(text)?;
    for value in 1..10 {
        write(linear, code(value));
        // SAFETY: the page is this test's, and nothing else is in it.
        unsafe {
            KERNEL
                .protect(linear, PAGE_SIZE, Rights::READ)
                .map_err(text)?;
            space
                .map(HERE, pages.gpa(0), PAGE_SIZE, Rights::READ_EXECUTE)
                .map_err(text)?;
        }
        ensure_eq!(call(HERE), value.into(), "the result of the code");
        is_read_only(HERE)?;
        is_read_only(linear)?;
        // SAFETY: as above.
        unsafe {
            space.unmap(HERE, PAGE_SIZE).map_err(text)?;
            KERNEL
                .protect(linear, PAGE_SIZE, Rights::READ_WRITE)
                .map_err(text)?;
        }
        is_gone(HERE)?;
    }
    Ok(())
}

pub fn no_page_is_writable_and_executable() -> Outcome {
    let pages = Pages::new(1);
    let (linear, gpa) = (pages.address(0), pages.gpa(0));
    write(linear, code(1));
    let space = Current::new().map_err(text)?;
    let refused = Err(Errno::EPERM);
    // SAFETY: the page is this test's, and nothing else is in it.
    unsafe {
        let map = |address, rights| space.map(address, gpa, PAGE_SIZE, rights);
        let both = map(HERE, Rights::from_bits(7));
        ensure_eq!(both, refused, "the answer to a mapping with both rights");
        let execute = map(HERE, Rights::READ_EXECUTE);
        ensure_eq!(execute, refused, "the answer while the linear map writes");
        KERNEL
            .protect(linear, PAGE_SIZE, Rights::READ)
            .map_err(text)?;
        map(HERE, Rights::READ_WRITE).map_err(text)?;
        let execute = map(HERE + PAGE_SIZE, Rights::READ_EXECUTE);
        ensure_eq!(execute, refused, "the answer while another mapping writes");
        let itself = space.protect(HERE, PAGE_SIZE, Rights::READ_EXECUTE);
        ensure_eq!(itself, Ok(()), "the answer when the mapping itself changes");
        let write = KERNEL.protect(linear, PAGE_SIZE, Rights::READ_WRITE);
        ensure_eq!(write, refused, "the answer while it is executable");
        space.unmap(HERE, PAGE_SIZE).map_err(text)?;
        KERNEL
            .protect(linear, PAGE_SIZE, Rights::READ_WRITE)
            .map_err(text)?;
        // What is not executable does not execute.
        map(HERE, Rights::READ_WRITE).map_err(text)?;
        let fault = catch_page_fault(provoke::execute, HERE)?;
        ensure!(fault.fetch, "the #PF of executing is {fault:x?}");
    }
    Ok(())
}

pub fn a_sealed_page_stays_as_it_is() -> Outcome {
    let pages = Pages::new(1).leak();
    let (linear, gpa) = (pages.address(0), pages.gpa(0));
    write(linear + 8, 0x5ea1);
    let space = Current::new().map_err(text)?;
    let refused = Err(Errno::EPERM);
    // SAFETY: the page is this test's for ever, and nobody needs to write to it.
    unsafe {
        space
            .map(HERE, gpa, PAGE_SIZE, Rights::READ)
            .map_err(text)?;
        let early = space.seal(HERE, PAGE_SIZE);
        ensure_eq!(early, refused, "the answer while the linear map writes");
        KERNEL
            .protect(linear, PAGE_SIZE, Rights::READ)
            .map_err(text)?;
        space.seal(HERE, PAGE_SIZE).map_err(text)?;
        for (what, answer) in [
            ("unmap", space.unmap(HERE, PAGE_SIZE)),
            (
                "protect",
                space.protect(HERE, PAGE_SIZE, Rights::READ_WRITE),
            ),
            (
                "protect the linear map",
                KERNEL.protect(linear, PAGE_SIZE, Rights::READ_WRITE),
            ),
            (
                "map",
                space.map(HERE + PAGE_SIZE, gpa, PAGE_SIZE, Rights::READ_WRITE),
            ),
        ] {
            ensure_eq!(answer, refused, "the answer to {what}");
        }
        for gpa in [gpa.0, gpa.0 + PAGE_SIZE - 8] {
            let stats = raw::core_stats(Gpa(gpa), 32);
            ensure_eq!(stats, Err(Errno::EFAULT), "core_stats into the page");
        }
    }
    ensure!(
        space.query(HERE).is_some_and(|found| found.sealed),
        "as_query does not say that it is sealed"
    );
    is_read_only(HERE)?;
    ensure_eq!(read(HERE + 8), 0x5ea1, "the word");
    Ok(())
}
