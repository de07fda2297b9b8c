//! Page tables are limited, and what was given back can be had again.

use super::rig::*;
use crate::carrier::Privilege;
use crate::space::frames::Right;
use crate::sync::lock;
use pv_abi::Errno;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping::{ADDRESS_SPACES, LARGE_PAGE_SIZE};

/// Maps one page in each of `count` regions of 2 MiB, until one cannot be: how many could.
fn scatter(rig: &Rig, space: u32, count: u64) -> u64 {
    (0..count)
        .take_while(|region| {
            let address = TASKS + region * LARGE_PAGE_SIZE;
            match rig.map(space, address, PAGE_SIZE, PAGE_SIZE, READ) {
                Ok(()) => true,
                Err(errno) => {
                    assert_eq!(errno, Errno::ENOMEM);
                    false
                }
            }
        })
        .count() as u64
}

#[test]
fn tables_run_out_and_come_back_when_the_address_space_goes() {
    for privilege in [Privilege::Ring0, Privilege::Ring3] {
        let rig = Rig::with_tables(privilege, 20);
        let mut first = None;
        for _ in 0..4 {
            let space = rig.spaces.create().unwrap();
            let fits = scatter(&rig, space, 30);
            assert_eq!(*first.get_or_insert(fits), fits);
            assert!(fits < 20);
            // What failed left nothing behind.
            let before = rig.tables_in_use();
            let far = rig.map(space, TASKS + (1 << 42), PAGE_SIZE, PAGE_SIZE, READ);
            assert_eq!(far, Err(Errno::ENOMEM));
            assert_eq!(rig.tables_in_use(), before);
            let (root, _) = rig.roots(space);
            assert!(rig.access(root, TASKS).is_some());
            rig.spaces.destroy(space).unwrap();
            assert_eq!(rig.tables_in_use(), 0);
        }
    }
}

#[test]
fn tables_in_which_nothing_is_mapped_any_more_are_taken_back() {
    let rig = Rig::with_tables(Privilege::Ring3, 20);
    let space = rig.spaces.create().unwrap();
    let (_, task) = rig.roots(space);
    // In each round other addresses, and more than there are tables for all of them.
    for round in 0..10 {
        let base = TASKS + round * (1 << 30);
        for region in 0..10 {
            let address = base + region * LARGE_PAGE_SIZE;
            rig.map(space, address, PAGE_SIZE, PAGE_SIZE, READ).unwrap();
            assert!(rig.access(task, address).is_some());
        }
        for region in 0..10 {
            let address = base + region * LARGE_PAGE_SIZE;
            rig.unmap(space, address, PAGE_SIZE).unwrap();
            assert!(rig.access(task, address).is_none());
        }
    }
    let (forgotten, _) = rig.shot();
    assert!((1..=10).contains(&forgotten), "{forgotten}");
}

#[test]
fn a_table_that_is_used_again_is_not_taken_back() {
    let rig = Rig::with_tables(Privilege::Ring3, 12);
    let space = rig.spaces.create().unwrap();
    let (_, task) = rig.roots(space);
    let page = |region: u64| TASKS + region * LARGE_PAGE_SIZE;
    rig.map(space, page(0), PAGE_SIZE, PAGE_SIZE, READ).unwrap();
    rig.unmap(space, page(0), PAGE_SIZE).unwrap();
    rig.map(space, page(0), PAGE_SIZE, PAGE_SIZE, READ).unwrap();
    let fits = (1..30)
        .take_while(|&region| {
            rig.map(space, page(region), PAGE_SIZE, PAGE_SIZE, READ)
                .is_ok()
        })
        .count();
    assert!(fits > 0);
    assert!(rig.access(task, page(0)).is_some());
}

#[test]
fn a_split_needs_a_table() {
    let rig = Rig::with_tables(Privilege::Ring0, 4);
    let space = rig.spaces.create().unwrap();
    rig.map(space, TASKS, 0, 3 * LARGE_PAGE_SIZE, READ).unwrap();
    // Root, pointers and directory are there, so one table is left.
    rig.unmap(space, TASKS, PAGE_SIZE).unwrap();
    let second = TASKS + LARGE_PAGE_SIZE;
    let unmap = rig.unmap(space, second, PAGE_SIZE);
    assert_eq!(unmap, Err(Errno::ENOMEM));
    let protect = rig.protect(space, second, PAGE_SIZE, WRITE);
    assert_eq!(protect, Err(Errno::ENOMEM));
    assert_eq!(rig.page_size(space, second), Ok(LARGE_PAGE_SIZE));
    // It takes none where all of it is unmapped.
    rig.unmap(space, second, LARGE_PAGE_SIZE).unwrap();
}

#[test]
fn the_table_of_a_split_is_taken_back_like_any_other() {
    let rig = Rig::with_tables(Privilege::Ring0, 4);
    let space = rig.spaces.create().unwrap();
    for _ in 0..5 {
        for region in 0..2 {
            let address = TASKS + region * LARGE_PAGE_SIZE;
            rig.map(space, address, 0, LARGE_PAGE_SIZE, READ).unwrap();
            rig.unmap(space, address, PAGE_SIZE).unwrap();
            rig.unmap(space, address, LARGE_PAGE_SIZE).unwrap();
        }
    }
}

#[test]
fn there_are_so_many_address_spaces_and_no_more() {
    let rig = Rig::with_tables(Privilege::Ring0, u64::from(ADDRESS_SPACES) + 10);
    for number in 1..ADDRESS_SPACES {
        assert_eq!(rig.spaces.create(), Ok(number));
    }
    assert_eq!(rig.spaces.create(), Err(Errno::ENOSPC));
    rig.spaces.destroy(77).unwrap();
    assert_eq!(rig.spaces.create(), Ok(77));
    assert_eq!(rig.spaces.create(), Err(Errno::ENOSPC));
}

#[test]
fn a_page_can_be_mapped_as_often_as_can_be_counted() {
    let rig = Rig::with_tables(Privilege::Ring0, 200);
    let space = rig.spaces.create().unwrap();
    let mut mapped = 0u64;
    let answer = loop {
        // The first page of RAM again and again.
        let result = rig.change(|state| {
            for _ in 0..512 {
                let address = TASKS + mapped * PAGE_SIZE;
                state.map(space, &element(address, 0, PAGE_SIZE, WRITE))?;
                mapped += 1;
            }
            Ok(())
        });
        if result.is_err() {
            break result;
        }
    };
    assert_eq!((answer, mapped), (Err(Errno::ENOMEM), u16::MAX.into()));
    rig.spaces.destroy(space).unwrap();
    let mut state = lock(&rig.spaces.state);
    assert!(!state.frames().any(0..PAGE_SIZE, Right::Write));
}
