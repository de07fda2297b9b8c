//! Virtual and guest-physical addresses: calls take the latter.

use crate::{memory_map, start_info};
use pv_abi::Gpa;

/// The guest-physical address of `size` bytes at a virtual one; `None` where they are not one
/// piece of RAM.
///
/// Valid for everything that the guest was given at entry: RAM through the linear map, the
/// image's segments and the stacks.
pub fn virt_to_phys<T>(address: *const T, size: usize) -> Option<Gpa> {
    let page = start_info::get().page();
    let (first, size) = (address.expose_provenance() as u64, size as u64);
    if let Some(offset) = within(first, size, page.linear_map, page.ram_size) {
        return Some(Gpa(offset));
    }
    memory_map::regions().find_map(|region| {
        let offset = within(first, size, region.address?, region.size)?;
        Some(Gpa(region.gpa.0 + offset))
    })
}

/// The address in the linear map of `size` bytes of RAM; `None` where they are not all in RAM.
///
/// What is read-only at its own address is read-only there too.
pub fn phys_to_virt(gpa: Gpa, size: usize) -> Option<*mut u8> {
    let page = start_info::get().page();
    let offset = within(gpa.0, size as u64, 0, page.ram_size)?;
    Some(core::ptr::with_exposed_provenance_mut(
        (page.linear_map + offset) as usize,
    ))
}

/// The guest-physical address of a value, for a call that reads it.
///
/// # Panics
///
/// Where the value is in no region, such as one in a page that the VMM shares.
pub fn of<T: ?Sized>(value: &T) -> Gpa {
    let size = size_of_val(value);
    match virt_to_phys(core::ptr::from_ref(value).cast::<u8>(), size) {
        Some(gpa) => gpa,
        None => panic!(
            "the {size} bytes at {:p} are in no region of the memory map",
            core::ptr::from_ref(value)
        ),
    }
}

/// The offset of `first` from `base`, where `size` bytes from there are within `limit` bytes
/// from `base`.
fn within(first: u64, size: u64, base: u64, limit: u64) -> Option<u64> {
    let offset = first.checked_sub(base)?;
    (offset.checked_add(size)? <= limit).then_some(offset)
}
