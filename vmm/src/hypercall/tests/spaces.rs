//! How the calls of the `as` group fail.

use super::World;
use super::errors::{Provocation, bad_structs, fresh, poked};
use super::world::{
    BUFFER, CALLER, MAPPED, MAPPED_PAGES, RAM_SIZE, RANGE_COUNT, SPACE, TO_MAP, TO_PROTECT,
    TO_SEAL, TO_UNMAP, UNMAPPED_PAGE,
};
use pv_abi::Errno::{self, *};
use pv_abi::Gpa;
use pv_abi::address_space::{
    IMAGE_LOWEST, LINEAR_MAP_BASE, MONITOR_BASE, PAGE_SIZE, SHARED_PAGES_BASE,
};
use pv_abi::calls::number;
use pv_abi::mapping::{
    ADDRESS_SPACES, LARGE_PAGE_SIZE, Mapping, Range, TASK_AREA_END, TASK_AREA_START, Translation,
};
use pv_abi::start_info::{RIGHT_EXECUTE, RIGHT_READ, RIGHT_WRITE};
use std::mem::size_of;

const SPACE_ARGUMENT: u64 = SPACE as u64;
/// Numbers of address spaces that there are not.
const NO_SPACES: [u64; 3] = [2, ADDRESS_SPACES as u64, u32::MAX as u64];
const WRITE: u32 = RIGHT_READ | RIGHT_WRITE;
const EXECUTE: u32 = RIGHT_READ | RIGHT_EXECUTE;
const GIB: u64 = 1 << 30;

/// Memory of another guest.
const FOREIGN: u64 = 1 << 40;

/// Each way to make a call of the group fail with an error.
pub(super) fn provocations(call: u16, errno: Errno) -> Vec<Provocation> {
    match (call, errno) {
        (number::as_create, ENOSPC) => {
            let world = World::with_table_pages(2 * u64::from(ADDRESS_SPACES));
            while world.services.spaces.create().is_ok() {}
            vec![(world, vec![])]
        }
        (number::as_create, ENOMEM) => vec![(without_tables(), vec![])],

        (number::as_destroy | number::as_switch, ENOENT) => {
            NO_SPACES.map(|space| (World::new(), vec![space])).into()
        }
        (number::as_destroy, EBUSY) => [0, CALLER]
            .map(|vcpu| {
                let world = World::new();
                world.services.spaces.switch(vcpu, SPACE).unwrap();
                (world, vec![SPACE_ARGUMENT])
            })
            .into(),
        (number::as_destroy, EPERM) => fresh(&[&[0]]),

        (number::as_query, ENOENT) => {
            let nothing = [
                0,
                IMAGE_LOWEST,
                MAPPED - 1,
                LINEAR_MAP_BASE + RAM_SIZE,
                SHARED_PAGES_BASE,
                MONITOR_BASE,
                u64::MAX,
            ];
            let nowhere =
                nothing.map(|address| (World::new(), vec![SPACE_ARGUMENT, address, BUFFER]));
            let kernels = (World::new(), vec![0, MAPPED, BUFFER]);
            NO_SPACES
                .map(|space| (World::new(), vec![space, MAPPED, BUFFER]))
                .into_iter()
                .chain(nowhere)
                .chain([kernels])
                .collect()
        }
        (number::as_query, EFAULT) => {
            let mut provocations = bad_structs(size_of::<Translation>(), |gpa| {
                vec![SPACE_ARGUMENT, MAPPED, gpa]
            });
            provocations.push((
                sealed(),
                vec![SPACE_ARGUMENT, MAPPED, MAPPED_PAGES + 2 * PAGE_SIZE],
            ));
            provocations
        }

        (number::as_map | number::as_unmap | number::as_protect | number::as_seal, _) => {
            elements(call, errno)
        }
        _ => Vec::new(),
    }
}

/// The same for the repeated calls.
fn elements(call: u16, errno: Errno) -> Vec<Provocation> {
    let list = match call {
        number::as_map => TO_MAP,
        number::as_unmap => TO_UNMAP,
        number::as_protect => TO_PROTECT,
        _ => TO_SEAL,
    };
    let of_mappings = matches!(call, number::as_map | number::as_protect);
    let size = if of_mappings {
        size_of::<Mapping>()
    } else {
        size_of::<Range>()
    };
    match (call, errno) {
        (_, ENOENT) => {
            let spaces = NO_SPACES.map(|space| (World::new(), vec![space, list]));
            let unmapped = [
                (MAPPED - PAGE_SIZE, PAGE_SIZE),
                (MAPPED, 5 * PAGE_SIZE),
                (TASK_AREA_END - GIB, GIB),
            ];
            let unmapped = unmapped
                .into_iter()
                .filter(|_| matches!(call, number::as_protect | number::as_seal))
                .map(|(start, size)| ranged(list, start, size));
            spaces.into_iter().chain(unmapped).collect()
        }
        (_, EFAULT) => {
            let arrays = bad_structs(size * usize::from(RANGE_COUNT), |gpa| {
                vec![SPACE_ARGUMENT, gpa]
            });
            let gpas = [
                (RAM_SIZE, PAGE_SIZE),
                (RAM_SIZE - PAGE_SIZE, 2 * PAGE_SIZE),
                (0, LARGE_PAGE_SIZE),
                (FOREIGN, PAGE_SIZE),
                (PAGE_SIZE.wrapping_neg(), PAGE_SIZE),
                (PAGE_SIZE.wrapping_neg(), 2 * PAGE_SIZE),
            ];
            let gpas = gpas
                .into_iter()
                .filter(|_| call == number::as_map)
                .map(|(gpa, size)| {
                    with_mapping(
                        World::new(),
                        Mapping {
                            gpa,
                            size,
                            ..free()
                        },
                        list,
                    )
                });
            arrays.into_iter().chain(gpas).collect()
        }
        (_, EINVAL) => {
            let mut provocations = bad_ranges(list);
            if of_mappings {
                provocations.extend(bad_mappings(call, list));
            }
            provocations
        }
        (_, E2BIG) => [
            LARGE_PAGE_SIZE + PAGE_SIZE,
            GIB,
            GIB + LARGE_PAGE_SIZE,
            1 << 40,
        ]
        .into_iter()
        .map(|size| ranged(list, TASK_AREA_START + PAGE_SIZE, size))
        .chain([
            ranged(list, TASK_AREA_START, GIB + LARGE_PAGE_SIZE),
            ranged(list, TASK_AREA_START, 1 << 40),
        ])
        .collect(),
        (number::as_map, EEXIST) => [(MAPPED, 1), (MAPPED - PAGE_SIZE, 2), (MAPPED, 5)]
            .map(|(address, pages)| {
                let mapping = Mapping {
                    address,
                    gpa: 0,
                    size: pages * PAGE_SIZE,
                    ..free()
                };
                with_mapping(World::new(), mapping, list)
            })
            .into(),
        (number::as_map, ENOMEM) => {
            let address = TASK_AREA_START + GIB;
            vec![with_mapping(
                without_tables(),
                Mapping { address, ..free() },
                list,
            )]
        }
        (number::as_unmap | number::as_protect, ENOMEM) => {
            let (world, part) = without_tables_but_large_page();
            let mapping = Mapping {
                address: part,
                gpa: 0,
                ..free()
            };
            let provocation = match call {
                number::as_unmap => with_range(world, part, PAGE_SIZE, list),
                _ => with_mapping(world, mapping, list),
            };
            vec![provocation]
        }
        (number::as_seal, EBUSY) => {
            let mut world = World::new();
            let ram = &world.services.ram;
            // Of the two pages that the call is to seal, the second.
            let write = ram.begin_device_write(Gpa(MAPPED_PAGES + 3 * PAGE_SIZE + 8), 1);
            world.device_writes.push(write.unwrap());
            vec![with_range(
                world,
                MAPPED + 2 * PAGE_SIZE,
                2 * PAGE_SIZE,
                list,
            )]
        }
        (_, EPERM) => forbidden(call, list),
        _ => Vec::new(),
    }
}

fn forbidden(call: u16, list: u64) -> Vec<Provocation> {
    let sealed_gpa = MAPPED_PAGES + 2 * PAGE_SIZE;
    let sealed_address = MAPPED + 2 * PAGE_SIZE;
    let map = |world, gpa, rights| {
        with_mapping(
            world,
            Mapping {
                gpa,
                rights,
                ..free()
            },
            list,
        )
    };
    let protect = |world, address, rights| {
        let mapping = Mapping {
            address,
            gpa: 0,
            rights,
            ..free()
        };
        with_mapping(world, mapping, list)
    };
    match call {
        number::as_map => vec![
            map(World::new(), UNMAPPED_PAGE, WRITE | EXECUTE),
            // The linear map has it writable.
            map(World::new(), UNMAPPED_PAGE, EXECUTE),
            map(executable(), sealed_gpa, WRITE),
            map(sealed(), sealed_gpa, WRITE),
            map(attached(RIGHT_READ), FOREIGN, WRITE),
            map(attached(WRITE), FOREIGN, EXECUTE),
        ],
        number::as_protect => vec![
            protect(World::new(), MAPPED, WRITE | EXECUTE),
            protect(World::new(), MAPPED, EXECUTE),
            protect(sealed(), sealed_address, WRITE),
            protect(sealed(), sealed_address, EXECUTE),
            protect(foreign_page(RIGHT_READ), MAPPED - PAGE_SIZE, WRITE),
            protect(foreign_page(WRITE), MAPPED - PAGE_SIZE, EXECUTE),
        ],
        number::as_unmap => vec![
            with_range(sealed(), sealed_address, PAGE_SIZE, list),
            with_range(sealed(), MAPPED, 4 * PAGE_SIZE, list),
        ],
        _ => vec![
            with_range(World::new(), MAPPED, PAGE_SIZE, list),
            with_range(World::new(), MAPPED, 4 * PAGE_SIZE, list),
            with_range(
                foreign_page(RIGHT_READ),
                MAPPED - PAGE_SIZE,
                PAGE_SIZE,
                list,
            ),
        ],
    }
}

/// An element of `as_map` with which it succeeds.
fn free() -> Mapping {
    Mapping {
        address: MAPPED + LARGE_PAGE_SIZE,
        gpa: UNMAPPED_PAGE,
        size: PAGE_SIZE,
        rights: RIGHT_READ,
        reserved: 0,
    }
}

/// A world whose first element is this one.
fn with_mapping(world: World, mapping: Mapping, list: u64) -> Provocation {
    world.put(list, &mapping);
    (world, vec![SPACE_ARGUMENT, list])
}

/// The same of a call that takes ranges.
fn with_range(world: World, start: u64, size: u64, list: u64) -> Provocation {
    world.put(list, &Range { start, size });
    (world, vec![SPACE_ARGUMENT, list])
}

/// A world whose first element has this range, in whatever kind of element.
fn ranged(list: u64, start: u64, size: u64) -> Provocation {
    let world = World::new();
    match list {
        TO_MAP | TO_PROTECT => {
            let mut element: Mapping = world.take(list);
            (element.address, element.size) = (start, size);
            with_mapping(world, element, list)
        }
        _ => with_range(world, start, size, list),
    }
}

fn bad_ranges(list: u64) -> Vec<Provocation> {
    let page = PAGE_SIZE;
    let mut provocations: Vec<_> = [
        (MAPPED + 1, page),
        (MAPPED, page + 1),
        (MAPPED, 0),
        (MAPPED, 1),
        (0, page),
        (IMAGE_LOWEST, page),
        (TASK_AREA_START - page, 2 * page),
        (TASK_AREA_END - page, 2 * page),
        (TASK_AREA_END, page),
        (SHARED_PAGES_BASE, page),
        (page.wrapping_neg(), page),
        (page.wrapping_neg(), 2 * page),
    ]
    .map(|(start, size)| ranged(list, start, size))
    .into();
    // The kernel's part is another one.
    for start in [
        0,
        IMAGE_LOWEST - page,
        TASK_AREA_START,
        MAPPED,
        SHARED_PAGES_BASE,
        MONITOR_BASE,
    ] {
        let (world, mut arguments) = ranged(list, start, page);
        arguments[0] = 0;
        provocations.push((world, arguments));
    }
    provocations
}

fn bad_mappings(call: u16, list: u64) -> Vec<Provocation> {
    let good: Mapping = World::new().take(list);
    let mut bad = Vec::from([0, 2, 4, 6, 8, 9, u32::MAX].map(|rights| Mapping { rights, ..good }));
    bad.extend([1, 1 << 31].map(|reserved| Mapping { reserved, ..good }));
    let gpas: &[u64] = match call {
        number::as_map => &[1, 8, PAGE_SIZE - 1],
        _ => &[1, PAGE_SIZE, UNMAPPED_PAGE],
    };
    bad.extend(gpas.iter().map(|&gpa| Mapping { gpa, ..good }));
    bad.into_iter()
        .map(|mapping| poked(list, mapping, &[SPACE_ARGUMENT, list]))
        .collect()
}

/// A world in which no more table can be had.
fn without_tables() -> World {
    let world = World::new();
    while world.services.spaces.create().is_ok() {}
    world
}

/// The same with 2 MiB mapped as one page, and the address of a part of it.
fn without_tables_but_large_page() -> (World, u64) {
    let world = World::new();
    let address = TASK_AREA_START + LARGE_PAGE_SIZE;
    let spaces = &world.services.spaces;
    spaces.attach_range(FOREIGN, LARGE_PAGE_SIZE, WRITE);
    let mapping = Mapping {
        address,
        gpa: FOREIGN,
        size: LARGE_PAGE_SIZE,
        rights: WRITE,
        reserved: 0,
    };
    world.space_call(|state| state.map(SPACE, &mapping));
    while world.services.spaces.create().is_ok() {}
    (world, address + 5 * PAGE_SIZE)
}

/// A world in which the first read-only page is sealed.
fn sealed() -> World {
    let world = World::new();
    let range: Range = world.take(TO_SEAL);
    world.space_call(|state| state.seal(SPACE, &range));
    world
}

/// A world in which it is executable.
fn executable() -> World {
    let world = World::new();
    let range: Range = world.take(TO_SEAL);
    let mapping = Mapping {
        address: range.start,
        gpa: 0,
        rights: EXECUTE,
        ..free()
    };
    world.space_call(|state| state.protect(SPACE, &mapping));
    world
}

/// A world with a page of another guest's.
fn attached(rights: u32) -> World {
    let world = World::new();
    world
        .services
        .spaces
        .attach_range(FOREIGN, PAGE_SIZE, rights);
    world
}

/// The same, with the page mapped before the others.
fn foreign_page(rights: u32) -> World {
    let world = attached(rights);
    let mapping = Mapping {
        address: MAPPED - PAGE_SIZE,
        gpa: FOREIGN,
        ..free()
    };
    world.space_call(|state| state.map(SPACE, &mapping));
    world
}
