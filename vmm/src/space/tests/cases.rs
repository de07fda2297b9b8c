//! What each call does, and what it costs.

use super::rig::*;
use crate::carrier::Privilege;
use crate::paging::{Access, Owner};
use crate::sync::lock;
use pv_abi::address_space::{MONITOR_BASE, PAGE_SIZE, SHARED_PAGES_BASE};
use pv_abi::mapping::{
    LARGE_PAGE_SIZE, TASK_AREA_END, TRANSLATION_SEALED, TRANSLATION_TASK, Translation,
};
use pv_abi::{Errno, Gpa};

/// RAM that nothing but the linear map has, 2 MiB of it.
const FREE: u64 = LARGE_PAGE_SIZE;

#[test]
fn a_task_reaches_its_own_pages_and_no_others() {
    for privilege in [Privilege::Ring0, Privilege::Ring3] {
        let rig = Rig::new(privilege);
        let space = rig.spaces.create().unwrap();
        rig.map(space, TASKS, FREE, PAGE_SIZE, WRITE).unwrap();
        let (kernel, task) = rig.roots(space);
        let page = (FREE, Access::ReadWrite, Owner::User);
        assert_eq!(rig.access(kernel, TASKS), Some(page));
        assert_eq!(rig.access(rig.root, TASKS), None);
        let (_, _, text_owner) = rig.access(kernel, TEXT.0).unwrap();
        match privilege {
            // The bit of the entry is what keeps the task away from the kernel.
            Privilege::Ring0 => {
                assert_eq!((task, text_owner), (0, Owner::Supervisor));
            }
            // The kernel runs at the same privilege: the root is.
            Privilege::Ring3 => {
                assert_eq!(text_owner, Owner::User);
                assert_eq!(rig.access(task, TASKS), Some(page));
                for address in [TEXT.0, STACK.0, LINEAR, SHARED_PAGES_BASE] {
                    assert_eq!(rig.access(task, address), None, "{address:#x}");
                }
                let monitor = rig.access(task, MONITOR_BASE).unwrap();
                assert_eq!(monitor.2, Owner::Supervisor);
            }
        }
    }
}

#[test]
fn what_the_kernel_maps_later_every_address_space_has() {
    let rig = Rig::new(Privilege::Ring3);
    let before = rig.spaces.create().unwrap();
    // A slot of the root table that was empty.
    let address = 0x6800_0000_0000;
    rig.map(0, address, FREE, PAGE_SIZE, READ).unwrap();
    let after = rig.spaces.create().unwrap();
    for space in [0, before, after] {
        let (kernel, task) = rig.roots(space);
        assert_eq!(rig.access(kernel, address).map(|page| page.0), Some(FREE));
        if task != 0 {
            assert_eq!(rig.access(task, address), None);
        }
    }
    rig.unmap(0, address, PAGE_SIZE).unwrap();
    for space in [0, before, after] {
        assert_eq!(rig.access(rig.roots(space).0, address), None);
    }
}

#[test]
fn two_megabytes_are_one_page_until_a_part_of_them_changes() {
    let rig = Rig::new(Privilege::Ring0);
    let space = rig.spaces.create().unwrap();
    rig.map(space, TASKS, FREE, 2 * LARGE_PAGE_SIZE, WRITE)
        .unwrap();
    assert_eq!(rig.page_size(space, TASKS + 5), Ok(LARGE_PAGE_SIZE));
    // All of it, and so no split.
    rig.protect(space, TASKS, LARGE_PAGE_SIZE, READ).unwrap();
    assert_eq!(rig.page_size(space, TASKS), Ok(LARGE_PAGE_SIZE));
    // The access that a part has already is no change.
    rig.protect(space, TASKS, PAGE_SIZE, READ).unwrap();
    assert_eq!(rig.page_size(space, TASKS), Ok(LARGE_PAGE_SIZE));
    let (root, _) = rig.roots(space);
    rig.access(root, TASKS + 5 * PAGE_SIZE);
    rig.unmap(space, TASKS + 5 * PAGE_SIZE, PAGE_SIZE).unwrap();
    assert_eq!(rig.access(root, TASKS + 5 * PAGE_SIZE), None);
    assert_eq!(
        rig.access(root, TASKS + 6 * PAGE_SIZE),
        Some((FREE + 6 * PAGE_SIZE, Access::Read, Owner::User))
    );
    assert_eq!(rig.page_size(space, TASKS), Ok(PAGE_SIZE));
    assert_eq!(
        rig.page_size(space, TASKS + LARGE_PAGE_SIZE),
        Ok(LARGE_PAGE_SIZE)
    );
}

#[test]
fn a_range_that_is_a_part_of_two_large_pages_splits_both() {
    let rig = Rig::new(Privilege::Ring0);
    let space = rig.spaces.create().unwrap();
    rig.map(space, TASKS, 0, 2 * LARGE_PAGE_SIZE, READ).unwrap();
    let middle = TASKS + LARGE_PAGE_SIZE;
    rig.unmap(space, middle - PAGE_SIZE, 2 * PAGE_SIZE).unwrap();
    let (root, _) = rig.roots(space);
    for (address, mapped) in [
        (middle - 2 * PAGE_SIZE, true),
        (middle - PAGE_SIZE, false),
        (middle, false),
        (middle + PAGE_SIZE, true),
    ] {
        assert_eq!(rig.access(root, address).is_some(), mapped, "{address:#x}");
    }
}

#[test]
fn a_large_page_goes_where_small_ones_were_and_the_other_way_round() {
    let rig = Rig::new(Privilege::Ring0);
    let space = rig.spaces.create().unwrap();
    let (root, _) = rig.roots(space);
    for _ in 0..3 {
        rig.map(space, TASKS, FREE + PAGE_SIZE, PAGE_SIZE, READ)
            .unwrap();
        assert!(rig.access(root, TASKS).is_some());
        rig.unmap(space, TASKS, PAGE_SIZE).unwrap();
        rig.map(space, TASKS, FREE, LARGE_PAGE_SIZE, READ).unwrap();
        assert_eq!(rig.page_size(space, TASKS), Ok(LARGE_PAGE_SIZE));
        assert!(rig.access(root, TASKS).is_some());
        rig.unmap(space, TASKS, LARGE_PAGE_SIZE).unwrap();
        assert_eq!(rig.access(root, TASKS), None);
        // Another one at once.
        rig.map(space, TASKS, 2 * FREE, LARGE_PAGE_SIZE, READ)
            .unwrap();
        assert_eq!(rig.access(root, TASKS).map(|page| page.0), Some(2 * FREE));
        rig.unmap(space, TASKS, LARGE_PAGE_SIZE).unwrap();
    }
}

#[test]
fn mapping_costs_no_shootdown_and_unmapping_one_of_a_range() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    for page in 0..100 {
        let offset = page * PAGE_SIZE;
        rig.map(space, TASKS + offset, FREE + offset, PAGE_SIZE, WRITE)
            .unwrap();
    }
    assert_eq!(rig.shot(), (0, 0));
    rig.change(|state| {
        for page in (0..100).step_by(3) {
            state.unmap(space, &range(TASKS + page * PAGE_SIZE, PAGE_SIZE))?;
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(rig.shot(), (0, 1));
    rig.spaces.destroy(space).unwrap();
    assert_eq!(rig.shot(), (0, 1));
}

#[test]
fn a_page_is_executable_or_writable_whoever_maps_it() {
    let rig = Rig::new(Privilege::Ring3);
    let (one, other) = (rig.spaces.create().unwrap(), rig.spaces.create().unwrap());
    // The linear map has it writable.
    let refused = rig.map(one, TASKS, FREE, PAGE_SIZE, EXECUTE);
    assert_eq!(refused, Err(Errno::EPERM));
    rig.protect(0, LINEAR + FREE, PAGE_SIZE, READ).unwrap();
    rig.map(one, TASKS, FREE, PAGE_SIZE, EXECUTE).unwrap();
    for result in [
        rig.protect(0, LINEAR + FREE, PAGE_SIZE, WRITE),
        rig.map(other, TASKS, FREE, PAGE_SIZE, WRITE),
        rig.map(other, TASKS, 0, LARGE_PAGE_SIZE, EXECUTE),
        rig.map(0, 0x6000_1000_0000, FREE, LARGE_PAGE_SIZE, WRITE),
        rig.protect(one, TASKS, PAGE_SIZE, 7),
    ] {
        assert_eq!(result, Err(Errno::EPERM));
    }
    rig.map(other, TASKS, FREE, PAGE_SIZE, READ).unwrap();
    rig.protect(one, TASKS, PAGE_SIZE, READ).unwrap();
    rig.protect(other, TASKS, PAGE_SIZE, WRITE).unwrap();
    assert_eq!(
        rig.protect(one, TASKS, PAGE_SIZE, EXECUTE),
        Err(Errno::EPERM)
    );
    rig.spaces.destroy(other).unwrap();
    rig.protect(one, TASKS, PAGE_SIZE, EXECUTE).unwrap();
}

#[test]
fn what_the_image_has_mapped_counts_too() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    for (gpa, rights) in [(TEXT.1, WRITE), (DATA.1, EXECUTE), (STACK.1, EXECUTE)] {
        rig.protect(0, LINEAR + gpa, PAGE_SIZE, READ).unwrap();
        let result = rig.map(space, TASKS, gpa, PAGE_SIZE, rights);
        assert_eq!(result, Err(Errno::EPERM), "{gpa:#x}");
    }
    rig.unmap(0, DATA.0, DATA.2).unwrap();
    rig.map(space, TASKS, DATA.1, PAGE_SIZE, EXECUTE).unwrap();
}

#[test]
fn what_was_mapped_first_is_counted_before_it_is_unmapped() {
    let rig = Rig::new(Privilege::Ring3);
    rig.unmap(0, TEXT.0, TEXT.2).unwrap();
    rig.map(0, TEXT.0, TEXT.1, TEXT.2, WRITE).unwrap();
}

#[test]
fn a_page_that_is_mapped_twice_in_a_range_changes_in_both_places() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    rig.protect(0, LINEAR + FREE, PAGE_SIZE, READ).unwrap();
    for page in 0..2 {
        rig.map(space, TASKS + page * PAGE_SIZE, FREE, PAGE_SIZE, WRITE)
            .unwrap();
    }
    let one = rig.protect(space, TASKS, PAGE_SIZE, EXECUTE);
    assert_eq!(one, Err(Errno::EPERM));
    rig.protect(space, TASKS, 2 * PAGE_SIZE, EXECUTE).unwrap();
    rig.protect(space, TASKS, 2 * PAGE_SIZE, WRITE).unwrap();
}

#[test]
fn a_linear_page_and_its_alias_change_together() {
    let rig = Rig::new(Privilege::Ring3);
    // The page behind it in the linear map is another mapping of the same page of RAM.
    let alias = LINEAR + FREE + PAGE_SIZE;
    rig.unmap(0, alias, PAGE_SIZE).unwrap();
    rig.map(0, alias, FREE, PAGE_SIZE, WRITE).unwrap();
    let one = rig.protect(0, alias, PAGE_SIZE, EXECUTE);
    assert_eq!(one, Err(Errno::EPERM));
    let both = 2 * PAGE_SIZE;
    rig.protect(0, LINEAR + FREE, both, EXECUTE).unwrap();
    let one = rig.protect(0, LINEAR + FREE, PAGE_SIZE, WRITE);
    assert_eq!(one, Err(Errno::EPERM));
    rig.protect(0, LINEAR + FREE, both, WRITE).unwrap();
}

#[test]
fn a_refused_change_of_a_part_is_not_counted() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    rig.map(space, TASKS, FREE, LARGE_PAGE_SIZE, WRITE).unwrap();
    let part = rig.protect(space, TASKS + PAGE_SIZE, PAGE_SIZE, EXECUTE);
    assert_eq!(part, Err(Errno::EPERM), "the linear map has it writable");
    rig.unmap(space, TASKS, LARGE_PAGE_SIZE).unwrap();
    rig.protect(0, LINEAR + FREE, LARGE_PAGE_SIZE, READ)
        .unwrap();
    rig.map(space, TASKS, FREE, LARGE_PAGE_SIZE, EXECUTE)
        .unwrap();
}

#[test]
fn a_sealed_page_stays_as_it_is() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    let write = |value: u8| rig.ram.write(Gpa(FREE + 100), &[value]);
    write(1).unwrap();
    rig.map(space, TASKS, FREE, 2 * PAGE_SIZE, READ).unwrap();
    let writable = rig.seal(space, TASKS, PAGE_SIZE);
    assert_eq!(writable, Err(Errno::EPERM), "the linear map writes");
    rig.protect(0, LINEAR + FREE, 2 * PAGE_SIZE, READ).unwrap();
    rig.seal(space, TASKS, PAGE_SIZE).unwrap();
    rig.seal(space, TASKS, PAGE_SIZE).unwrap();
    let other = rig.spaces.create().unwrap();
    for result in [
        rig.unmap(space, TASKS, PAGE_SIZE),
        rig.unmap(space, TASKS, 2 * PAGE_SIZE),
        rig.unmap(0, LINEAR + FREE, PAGE_SIZE),
        rig.protect(space, TASKS, PAGE_SIZE, WRITE),
        rig.protect(space, TASKS, PAGE_SIZE, EXECUTE),
        rig.protect(0, LINEAR + FREE, PAGE_SIZE, WRITE),
        rig.map(other, TASKS, FREE, PAGE_SIZE, WRITE),
        rig.map(other, TASKS, FREE, LARGE_PAGE_SIZE, WRITE),
    ] {
        assert_eq!(result, Err(Errno::EPERM));
    }
    assert_eq!(write(2), Err(Errno::EFAULT));
    assert_eq!(rig.ram.write(Gpa(FREE - 1), &[0; 2]), Err(Errno::EFAULT));
    assert_eq!(rig.ram.write(Gpa(FREE + PAGE_SIZE), &[3]), Ok(()));
    rig.map(other, TASKS, FREE, PAGE_SIZE, EXECUTE).unwrap();
    let sealed = Translation {
        gpa: FREE + 8,
        page_size: PAGE_SIZE,
        rights: EXECUTE,
        flags: TRANSLATION_SEALED | TRANSLATION_TASK,
    };
    let found = rig.spaces.query(other, TASKS + 8).unwrap();
    assert_eq!(format!("{found:?}"), format!("{sealed:?}"));
    // An address space ends with all that it has.
    rig.spaces.destroy(space).unwrap();
    rig.spaces.destroy(other).unwrap();
    let mut byte = [0];
    rig.ram.read(Gpa(FREE + 100), &mut byte).unwrap();
    assert_eq!(byte, [1]);
}

#[test]
fn an_address_space_that_a_vcpu_is_in_stays() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    let roots = rig.spaces.switch(1, space).unwrap();
    assert_eq!((roots.kernel, roots.task), rig.roots(space));
    assert_eq!(rig.spaces.destroy(space), Err(Errno::EBUSY));
    rig.spaces.reset_vcpu(1);
    rig.spaces.destroy(space).unwrap();
    assert_eq!(rig.spaces.destroy(space), Err(Errno::ENOENT));
    assert_eq!(rig.spaces.switch(0, space).err(), Some(Errno::ENOENT));
    let kernel = rig.spaces.switch(0, 0).unwrap();
    assert_eq!((kernel.kernel, kernel.task), (rig.root, 0));
    assert_eq!(rig.spaces.destroy(0), Err(Errno::EPERM));
}

#[test]
fn nothing_of_the_vmms_is_the_guests_to_see_or_to_change() {
    let rig = Rig::new(Privilege::Ring3);
    for address in [SHARED_PAGES_BASE, MONITOR_BASE, u64::MAX, 1 << 63, 0] {
        assert_eq!(rig.spaces.query(0, address).err(), Some(Errno::ENOENT));
        let address = address & !(PAGE_SIZE - 1);
        assert_eq!(rig.unmap(0, address, PAGE_SIZE), Err(Errno::EINVAL));
    }
    let space = rig.spaces.create().unwrap();
    for gpa in [
        rig.private_gpa,
        rig.root,
        RAM_SIZE,
        RAM_SIZE - PAGE_SIZE + (1 << 32),
        !(PAGE_SIZE - 1),
    ] {
        let result = rig.map(space, TASKS, gpa, PAGE_SIZE, READ);
        assert_eq!(result, Err(Errno::EFAULT), "{gpa:#x}");
    }
    let across = rig.map(space, TASKS, RAM_SIZE - PAGE_SIZE, 2 * PAGE_SIZE, READ);
    assert_eq!(across, Err(Errno::EFAULT));
}

#[test]
fn a_host_that_refuses_a_shootdown_is_no_success() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    rig.map(space, TASKS, FREE, PAGE_SIZE, READ).unwrap();
    lock(&rig.shadow).refuses = true;
    assert_eq!(rig.unmap(space, TASKS, PAGE_SIZE), Err(Errno::EIO));
}

#[test]
fn the_end_of_the_task_area_is_as_good_as_its_beginning() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    let last = TASK_AREA_END - LARGE_PAGE_SIZE;
    rig.map(space, last, FREE, LARGE_PAGE_SIZE, READ).unwrap();
    let (_, task) = rig.roots(space);
    assert!(rig.access(task, TASK_AREA_END - 1).is_some());
    rig.spaces.destroy(space).unwrap();
    assert_eq!(rig.tables_in_use(), 0);
}
