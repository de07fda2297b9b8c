//! What a guest asks for in an element of a call: checked as far as that can be done without
//! looking at the address space.

use crate::paging::{Access, LARGE_PAGE_SIZE};
use pv_abi::Errno;
use pv_abi::address_space::{IMAGE_LOWEST, LINEAR_MAP_BASE, PAGE_SIZE, SHARED_PAGES_BASE};
use pv_abi::mapping::{Mapping, TASK_AREA_END, TASK_AREA_START};
use pv_abi::start_info::{RIGHT_EXECUTE, RIGHT_READ, RIGHT_WRITE};
use std::ops::Range;

/// The kernel's address space.
pub const KERNEL: u32 = 0;

/// The largest element.
const SIZE_MAX: u64 = LARGE_PAGE_SIZE;
/// The largest element of which everything is a multiple of 2 MiB.
const LARGE_SIZE_MAX: u64 = 1 << 30;

// The kernel's part is on both sides of the task area and ends below what is the VMM's.
const _: () = assert!(TASK_AREA_END == LINEAR_MAP_BASE);

/// A range of virtual addresses in the part of an address space that is the guest's to change.
///
/// `others` are further addresses that have to be aligned as the range is.
pub fn range(space: u32, start: u64, size: u64, others: &[u64]) -> Result<Range<u64>, Errno> {
    let all = others.iter().fold(start | size, |all, other| all | other);
    if !all.is_multiple_of(PAGE_SIZE) || size == 0 {
        return Err(Errno::EINVAL);
    }
    let end = start.checked_add(size).ok_or(Errno::EINVAL)?;
    let is_within = |part: Range<u64>| part.start <= start && end <= part.end;
    let is_own = if space == KERNEL {
        is_within(IMAGE_LOWEST..TASK_AREA_START) || is_within(TASK_AREA_END..SHARED_PAGES_BASE)
    } else {
        is_within(TASK_AREA_START..TASK_AREA_END)
    };
    if !is_own {
        return Err(Errno::EINVAL);
    }
    let most = if all.is_multiple_of(LARGE_PAGE_SIZE) {
        LARGE_SIZE_MAX
    } else {
        SIZE_MAX
    };
    if size > most {
        return Err(Errno::E2BIG);
    }
    Ok(start..end)
}

/// Rights as the page tables know them.
pub fn access(rights: u32) -> Result<Access, Errno> {
    const WRITE_EXECUTE: u32 = RIGHT_WRITE | RIGHT_EXECUTE;
    if rights & RIGHT_READ == 0 {
        return Err(Errno::EINVAL);
    }
    match rights & !RIGHT_READ {
        0 => Ok(Access::Read),
        RIGHT_WRITE => Ok(Access::ReadWrite),
        RIGHT_EXECUTE => Ok(Access::ReadExecute),
        WRITE_EXECUTE => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// Rights as the ABI knows them.
pub fn rights(access: Access) -> u32 {
    RIGHT_READ
        | match access {
            Access::Read => 0,
            Access::ReadWrite => RIGHT_WRITE,
            Access::ReadExecute => RIGHT_EXECUTE,
        }
}

/// The range and the access of an element of `as_map` or `as_protect`.
pub fn mapping(space: u32, element: &Mapping) -> Result<(Range<u64>, Access), Errno> {
    if element.reserved != 0 {
        return Err(Errno::EINVAL);
    }
    // A right that is unknown comes before two that exclude each other.
    let access = match access(element.rights) {
        Err(Errno::EINVAL) => return Err(Errno::EINVAL),
        access => access,
    };
    let range = range(space, element.address, element.size, &[element.gpa])?;
    Ok((range, access?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn each_address_space_has_its_own_part() {
        let page = |space, address| range(space, address, PAGE_SIZE, &[]).is_ok();
        for (address, kernels, tasks) in [
            (0, false, false),
            (IMAGE_LOWEST - PAGE_SIZE, false, false),
            (IMAGE_LOWEST, true, false),
            (TASK_AREA_START - PAGE_SIZE, true, false),
            (TASK_AREA_START, false, true),
            (TASK_AREA_END - PAGE_SIZE, false, true),
            (TASK_AREA_END, true, false),
            (SHARED_PAGES_BASE - PAGE_SIZE, true, false),
            (SHARED_PAGES_BASE, false, false),
            (u64::MAX - PAGE_SIZE + 1, false, false),
        ] {
            assert_eq!(page(KERNEL, address), kernels, "{address:#x}");
            assert_eq!(page(1, address), tasks, "{address:#x}");
        }
        for space in [KERNEL, 1] {
            let across = [TASK_AREA_START, TASK_AREA_END].map(|edge| edge - PAGE_SIZE);
            for address in across {
                assert_eq!(
                    range(space, address, 2 * PAGE_SIZE, &[]),
                    Err(Errno::EINVAL)
                );
            }
        }
    }

    #[test]
    fn sizes_are_limited_by_how_all_is_aligned() {
        let start = TASK_AREA_START;
        for (start, size, gpa, expected) in [
            (start, LARGE_PAGE_SIZE, PAGE_SIZE, Ok(())),
            (
                start,
                LARGE_PAGE_SIZE + PAGE_SIZE,
                PAGE_SIZE,
                Err(Errno::E2BIG),
            ),
            (start, GIB, 0, Ok(())),
            (start, GIB + LARGE_PAGE_SIZE, 0, Err(Errno::E2BIG)),
            (start + PAGE_SIZE, GIB, 0, Err(Errno::E2BIG)),
            (start, GIB, PAGE_SIZE, Err(Errno::E2BIG)),
            (start, 0, 0, Err(Errno::EINVAL)),
            (start, PAGE_SIZE, 8, Err(Errno::EINVAL)),
            (start + 1, PAGE_SIZE, 0, Err(Errno::EINVAL)),
            (start, PAGE_SIZE + 1, 0, Err(Errno::EINVAL)),
        ] {
            let found = range(1, start, size, &[gpa]).map(drop);
            assert_eq!(found, expected, "{start:#x} {size:#x} {gpa:#x}");
        }
    }

    #[test]
    fn rights_are_what_they_were_made_of() {
        for access in [Access::Read, Access::ReadWrite, Access::ReadExecute] {
            assert_eq!(super::access(rights(access)), Ok(access));
        }
        assert_eq!(access(7), Err(Errno::EPERM));
        for unknown in [0, 2, 4, 6, 8, 9, 15, u32::MAX] {
            assert_eq!(access(unknown), Err(Errno::EINVAL), "{unknown}");
        }
    }
}
