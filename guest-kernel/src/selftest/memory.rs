//! The memory map, the linear map and the rights of everything that is mapped.

#![allow(unsafe_code)]

use super::catch::catch_page_fault;
use super::{Group, Outcome, ensure, ensure_eq, tests};
use crate::provoke;
use alloc::boxed::Box;
use alloc::format;
use core::hint::black_box;
use paravane_sdk::abi::Gpa;
use paravane_sdk::abi::address_space::{IMAGE_LOWEST, MONITOR_BASE, PAGE_SIZE};
use paravane_sdk::memory_map::{self, Kind};
use paravane_sdk::start_info::{self, Privilege};
use paravane_sdk::trap::PageFault;
use paravane_sdk::{address, vcpu};

pub const GROUP: Group = Group {
    name: "memory",
    tests: tests![
        map_is_all_of_ram,
        image_is_in_the_map,
        linear_map_covers_ram,
        linear_map_is_the_same_memory,
        text_is_read_only,
        constants_are_read_only,
        data_is_not_executable,
        linear_map_is_not_executable,
        shared_pages_are_read_only,
        stacks_have_guard_pages,
        low_addresses_are_not_mapped,
        monitor_is_out_of_reach,
    ],
};

/// RET.
const RETURN: u8 = 0xc3;

static CONSTANT: u64 = 0x7061_7261_7661_6e65;
static mut VARIABLE: [u64; 2] = [RETURN as u64, 0];

fn text() -> u64 {
    provoke::read as *const () as u64
}

/// Where the linear map shows what is at an address.
fn alias(address: u64) -> Result<u64, &'static str> {
    let gpa = address::virt_to_phys(
        core::ptr::with_exposed_provenance::<u8>(address as usize),
        8,
    )
    .ok_or("an address of the image is in no region")?;
    Ok(start_info::get().page().linear_map + gpa.0)
}

fn map_is_all_of_ram() -> Outcome {
    let mut end = 0;
    for region in memory_map::regions() {
        ensure_eq!(region.gpa.0, end, "the beginning of a region");
        ensure!(region.size > 0, "the region at {end:#x} is empty");
        ensure_eq!(region.size % PAGE_SIZE, 0, "the region's size, modulo 4096");
        ensure!(
            !matches!(region.kind, Kind::Other(_)),
            "the region at {end:#x} has {:?}",
            region.kind
        );
        end += region.size;
    }
    ensure_eq!(
        end,
        start_info::get().ram_size(),
        "the end of the last region"
    );
    Ok(())
}

fn image_is_in_the_map() -> Outcome {
    for (address, rights) in [
        (text(), "r-x"),
        (&raw const CONSTANT as u64, "r--"),
        (&raw const VARIABLE as u64, "rw-"),
        (vcpu::boot_stack().start, "rw-"),
    ] {
        let region = memory_map::regions()
            .find(|region| {
                let start = region.address.unwrap_or(u64::MAX);
                (start..start.saturating_add(region.size)).contains(&address)
            })
            .ok_or_else(|| format!("{address:#x} is in no region"))?;
        ensure_eq!(
            format!("{}", region.rights),
            rights,
            "the rights at {address:#x}"
        );
    }
    Ok(())
}

fn linear_map_covers_ram() -> Outcome {
    for region in memory_map::regions() {
        for gpa in [region.gpa.0, region.gpa.0 + region.size - 8] {
            let address = address::phys_to_virt(Gpa(gpa), 8).ok_or("RAM is not in the map")?;
            provoke::read(address as u64);
        }
    }
    Ok(())
}

fn linear_map_is_the_same_memory() -> Outcome {
    let alias = alias(&raw const VARIABLE as u64)? + 8;
    let alias = core::ptr::with_exposed_provenance_mut::<u64>(alias as usize);
    // SAFETY: nothing else accesses the second element.
    let found = unsafe {
        alias.write_volatile(0x1234_5678);
        (&raw const VARIABLE[1]).read_volatile()
    };
    ensure_eq!(found, 0x1234_5678, "a variable written in the linear map");
    Ok(())
}

fn refuses_to_write(address: u64) -> Outcome {
    // SAFETY: the function writes what is there already.
    let fault = unsafe { catch_page_fault(provoke::write, address) }?;
    let expected = PageFault {
        address,
        present: true,
        write: true,
        user: start_info::get().privilege() == Privilege::Ring3,
        fetch: false,
    };
    ensure_eq!(fault, expected, "the #PF of writing {address:#x}");
    Ok(())
}

fn refuses_to_execute(address: u64) -> Outcome {
    // SAFETY: there is a RET, or nothing that could be executed.
    let fault = unsafe { catch_page_fault(provoke::execute, address) }?;
    let expected = PageFault {
        address,
        present: true,
        write: false,
        user: start_info::get().privilege() == Privilege::Ring3,
        fetch: true,
    };
    ensure_eq!(fault, expected, "the #PF of executing {address:#x}");
    Ok(())
}

fn is_not_mapped(address: u64) -> Outcome {
    // SAFETY: it is an address at which nobody keeps anything.
    let fault = unsafe { catch_page_fault(provoke::clear, address) }?;
    let expected = PageFault {
        address,
        present: false,
        write: true,
        user: start_info::get().privilege() == Privilege::Ring3,
        fetch: false,
    };
    ensure_eq!(fault, expected, "the #PF of writing {address:#x}");
    Ok(())
}

fn text_is_read_only() -> Outcome {
    refuses_to_write(text() & !7)?;
    refuses_to_write(alias(text() & !7)?)
}

fn constants_are_read_only() -> Outcome {
    refuses_to_write(&raw const CONSTANT as u64)?;
    refuses_to_write(alias(&raw const CONSTANT as u64)?)
}

fn data_is_not_executable() -> Outcome {
    let on_the_stack = black_box([RETURN; 16]);
    let on_the_heap = Box::new(black_box([RETURN; 16]));
    let constant: &'static [u8] = &[RETURN; 16];
    refuses_to_execute(on_the_stack.as_ptr() as u64)?;
    refuses_to_execute(on_the_heap.as_ptr() as u64)?;
    refuses_to_execute(constant.as_ptr() as u64)?;
    refuses_to_execute(&raw const VARIABLE as u64)
}

fn linear_map_is_not_executable() -> Outcome {
    refuses_to_execute(alias(text())?)
}

fn shared_pages_are_read_only() -> Outcome {
    let page = start_info::get().page();
    refuses_to_write(core::ptr::from_ref(page) as u64)?;
    refuses_to_write(page.hypercall_page)
}

fn stacks_have_guard_pages() -> Outcome {
    is_not_mapped(vcpu::boot_stack().start - 8)?;
    is_not_mapped(vcpu::trap_stack().start - 8)
}

fn low_addresses_are_not_mapped() -> Outcome {
    is_not_mapped(0)?;
    is_not_mapped(IMAGE_LOWEST - 8)
}

/// At CPL 3 the hardware keeps the guest away from the monitor. At CPL 0 it cannot.
fn monitor_is_out_of_reach() -> Outcome {
    if start_info::get().privilege() == Privilege::Ring3 {
        // SAFETY: it does not even read, or harmlessly.
        let fault = unsafe { catch_page_fault(provoke::read, MONITOR_BASE) }?;
        ensure_eq!(fault.address, MONITOR_BASE, "the #PF's address");
    }
    Ok(())
}
