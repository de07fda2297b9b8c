//! Handlers of the `mem` group: memory given back to the host, and memory shared between guests.

use super::CallContext;
use super::repeat::Repeat;
use crate::grant::GrantedRange;
use crate::memory::Ram;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::grant::{Attachment, GRANTS, Offer};
use pv_abi::mapping::{LARGE_PAGE_SIZE, Range};
use pv_abi::start_info::{RIGHT_READ, RIGHT_WRITE};
use pv_abi::{Errno, Gpa};
use zerocopy::{FromZeros, IntoBytes};

/// The largest range that a call of this group takes, in bytes.
const RANGE_MAX: u64 = LARGE_PAGE_SIZE;

pub(super) fn mem_populate(
    context: &mut CallContext<'_>,
    repeat: Repeat,
    elements: Gpa,
) -> Result<u32, Errno> {
    let ram = &context.services.ram;
    each_range(ram, repeat, elements, |gpa, size| ram.populate(gpa, size))
}

pub(super) fn mem_release(
    context: &mut CallContext<'_>,
    repeat: Repeat,
    elements: Gpa,
) -> Result<u32, Errno> {
    let services = context.services;
    each_range(&services.ram, repeat, elements, |gpa, size| {
        let ram = &services.ram;
        services
            .spaces
            .releasing(gpa.0, size, || ram.release(gpa, size))?
    })
}

pub(super) fn mem_hint(
    context: &mut CallContext<'_>,
    repeat: Repeat,
    elements: Gpa,
) -> Result<u32, Errno> {
    let services = context.services;
    each_range(&services.ram, repeat, elements, |gpa, size| {
        let ram = &services.ram;
        services
            .spaces
            .releasing(gpa.0, size, || ram.hint_free(gpa, size))?
    })
}

pub(super) fn mem_share(
    context: &mut CallContext<'_>,
    guest: u32,
    gpa: Gpa,
    size: u64,
    rights: u32,
) -> Result<u32, Errno> {
    check_range(&context.services.ram, gpa, size)?;
    if rights != RIGHT_READ && rights != RIGHT_READ | RIGHT_WRITE {
        return Err(Errno::EINVAL);
    }
    let range = GrantedRange {
        gpa: gpa.0,
        size,
        rights,
    };
    context.services.grants.share(guest, range)
}

pub(super) fn mem_unshare(context: &mut CallContext<'_>, grant: u32) -> Result<u32, Errno> {
    context.services.grants.unshare(grant).map(u32::from)
}

pub(super) fn mem_attach(
    context: &mut CallContext<'_>,
    guest: u32,
    grant: u32,
    out: Gpa,
) -> Result<u32, Errno> {
    let services = context.services;
    services.ram.check_array::<Attachment>(out, 1)?;
    let attachment = services.grants.attach(guest, grant)?;
    if let Err(errno) = services.ram.write_struct(out, &attachment) {
        // The guest does not know where it is, so it is not attached.
        let _ = services.grants.detach(guest, grant);
        return Err(errno);
    }
    Ok(0)
}

pub(super) fn mem_detach(
    context: &mut CallContext<'_>,
    guest: u32,
    grant: u32,
) -> Result<u32, Errno> {
    context.services.grants.detach(guest, grant).map(|()| 0)
}

pub(super) fn mem_offers(
    context: &mut CallContext<'_>,
    out: Gpa,
    count: u32,
) -> Result<u32, Errno> {
    let mut offers = <[Offer; GRANTS]>::new_zeroed();
    let room = offers.get_mut(..count as usize).ok_or(Errno::E2BIG)?;
    let services = context.services;
    services.ram.check_array::<Offer>(out, count)?;
    let written = services.grants.offers(room);
    let offers = offers.get(..written).unwrap_or_default();
    services.ram.write(out, offers.as_bytes())?;
    Ok(written as u32)
}

/// Does something with each range of an array.
fn each_range(
    ram: &Ram,
    repeat: Repeat,
    elements: Gpa,
    mut step: impl FnMut(Gpa, u64) -> Result<(), Errno>,
) -> Result<u32, Errno> {
    ram.check_array::<Range>(elements, repeat.count())?;
    repeat.each(|index| {
        let at = elements.0 + u64::from(index) * size_of::<Range>() as u64;
        let Range { start, size } = ram.read_struct(Gpa(at))?;
        check_range(ram, Gpa(start), size)?;
        step(Gpa(start), size)
    })
}

/// Checks a range of pages of RAM.
fn check_range(ram: &Ram, gpa: Gpa, size: u64) -> Result<(), Errno> {
    let aligned = gpa.0.is_multiple_of(PAGE_SIZE) && size.is_multiple_of(PAGE_SIZE);
    if !aligned || size == 0 {
        Err(Errno::EINVAL)
    } else if size > RANGE_MAX {
        Err(Errno::E2BIG)
    } else {
        ram.check_range(gpa, size)
    }
}
