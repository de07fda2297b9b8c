//! Memory that guests share.

use super::rig::*;
use crate::carrier::Privilege;
use pv_abi::Errno;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping::LARGE_PAGE_SIZE;

/// Where memory of another guest is attached.
const WINDOW: u64 = 1 << 40;
const SIZE: u64 = LARGE_PAGE_SIZE;
/// RAM of this guest.
const OWN: u64 = LARGE_PAGE_SIZE;

#[test]
fn an_attached_range_can_be_mapped_with_the_rights_of_the_grant() {
    for (rights, writable) in [(READ, Err(Errno::EPERM)), (WRITE, Ok(()))] {
        let rig = Rig::new(Privilege::Ring3);
        let space = rig.spaces.create().unwrap();
        let early = rig.map(space, TASKS, WINDOW, PAGE_SIZE, READ);
        assert_eq!(early, Err(Errno::EFAULT));
        rig.spaces.attach_range(WINDOW, 4 * PAGE_SIZE, rights);
        rig.map(space, TASKS, WINDOW, 2 * PAGE_SIZE, READ).unwrap();
        assert_eq!(rig.protect(space, TASKS, PAGE_SIZE, WRITE), writable);
        let executable = rig.protect(space, TASKS, PAGE_SIZE, EXECUTE);
        assert_eq!(executable, Err(Errno::EPERM));
        assert_eq!(
            rig.seal(space, TASKS + PAGE_SIZE, PAGE_SIZE),
            Err(Errno::EPERM)
        );
        let further = rig.map(space, TASKS + SIZE, WINDOW, 5 * PAGE_SIZE, READ);
        assert_eq!(further, Err(Errno::EFAULT));
    }
}

#[test]
fn what_is_detached_is_mapped_nowhere_any_more() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    rig.spaces.attach_range(WINDOW, SIZE, WRITE);
    rig.spaces.attach_range(WINDOW + SIZE, PAGE_SIZE, READ);
    rig.map(space, TASKS, WINDOW, SIZE, WRITE).unwrap();
    rig.map(space, TASKS + SIZE, WINDOW + 3 * PAGE_SIZE, PAGE_SIZE, READ)
        .unwrap();
    let kernel = 0x6800_0000_0000;
    rig.map(0, kernel, WINDOW, PAGE_SIZE, READ).unwrap();
    let other = TASKS + 2 * SIZE;
    rig.map(space, other, WINDOW + SIZE, PAGE_SIZE, READ)
        .unwrap();
    let (root, task) = rig.roots(space);
    for address in [TASKS, TASKS + SIZE, kernel, other] {
        assert!(rig.access(root, address).is_some());
    }
    rig.spaces.detach_range(WINDOW, SIZE);
    for address in [TASKS, TASKS + SIZE, kernel] {
        assert_eq!(rig.access(root, address), None, "{address:#x}");
        assert_eq!(rig.access(task, address), None, "{address:#x}");
    }
    assert!(rig.access(task, other).is_some());
    let late = rig.map(space, TASKS, WINDOW, PAGE_SIZE, READ);
    assert_eq!(late, Err(Errno::EFAULT));
    rig.spaces.destroy(space).unwrap();
}

#[test]
fn what_is_shared_is_neither_released_nor_made_what_it_must_not_be() {
    let rig = Rig::new(Privilege::Ring3);
    let space = rig.spaces.create().unwrap();
    let release = || rig.spaces.releasing(OWN, PAGE_SIZE, || ());
    release().unwrap();
    rig.protect(0, LINEAR + OWN, 2 * PAGE_SIZE, READ).unwrap();
    rig.map(space, TASKS, OWN, 2 * PAGE_SIZE, READ).unwrap();
    for rights in [READ, WRITE] {
        rig.spaces.share_begin(OWN, PAGE_SIZE, rights).unwrap();
        assert_eq!(release(), Err(Errno::EPERM));
        rig.spaces
            .releasing(OWN + PAGE_SIZE, PAGE_SIZE, || ())
            .unwrap();
        rig.spaces.share_end(OWN, PAGE_SIZE, rights);
        release().unwrap();
    }
    rig.spaces.share_begin(OWN, PAGE_SIZE, WRITE).unwrap();
    let executable = rig.protect(space, TASKS, PAGE_SIZE, EXECUTE);
    assert_eq!(executable, Err(Errno::EPERM));
    assert_eq!(rig.seal(space, TASKS, PAGE_SIZE), Err(Errno::EPERM));
    rig.spaces.share_end(OWN, PAGE_SIZE, WRITE);
    rig.protect(space, TASKS, PAGE_SIZE, EXECUTE).unwrap();
    for rights in [READ, WRITE] {
        let result = rig.spaces.share_begin(OWN, 2 * PAGE_SIZE, rights);
        assert_eq!(result, Err(Errno::EPERM), "a page is executable");
    }
    assert_eq!(release(), Err(Errno::EPERM));
    rig.protect(space, TASKS, PAGE_SIZE, READ).unwrap();
    rig.seal(space, TASKS, PAGE_SIZE).unwrap();
    assert_eq!(release(), Err(Errno::EPERM));
    rig.spaces.share_begin(OWN, PAGE_SIZE, READ).unwrap();
    let writable = rig.spaces.share_begin(OWN, PAGE_SIZE, WRITE);
    assert_eq!(writable, Err(Errno::EPERM), "it is sealed");
}

#[test]
fn the_linear_map_can_make_a_page_executable_too() {
    let rig = Rig::new(Privilege::Ring3);
    rig.protect(0, LINEAR + OWN, PAGE_SIZE, EXECUTE).unwrap();
    let release = rig.spaces.releasing(OWN, PAGE_SIZE, || ());
    assert_eq!(release, Err(Errno::EPERM));
    let share = rig.spaces.share_begin(OWN, PAGE_SIZE, READ);
    assert_eq!(share, Err(Errno::EPERM));
}
