//! Whatever a guest asks for, in whatever order: each call answers what the [`Model`] says, and
//! every vCPU, however much it remembers, reaches what the model says and nothing else.

use super::model::{Expected, Model, access};
use super::rig::*;
use crate::carrier::Privilege;
use crate::paging::Owner;
use crate::sync::lock;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use pv_abi::Errno;
use pv_abi::address_space::{MONITOR_BASE, PAGE_SIZE, SHARED_PAGES_BASE};
use pv_abi::mapping::{LARGE_PAGE_SIZE, Mapping, Range, TASK_AREA_END};

/// A call of a guest.
#[derive(Clone, Debug)]
enum Call {
    Create,
    Destroy(u32),
    Switch(u32, u32),
    Map(u32, Element),
    Protect(u32, Element),
    Unmap(u32, Element),
    Seal(u32, Element),
}

/// What the elements of all repeated calls are made of.
#[derive(Clone, Copy, Debug)]
struct Element {
    address: u64,
    gpa: u64,
    size: u64,
    rights: u32,
    reserved: u32,
}

impl Element {
    fn mapping(self) -> Mapping {
        Mapping {
            address: self.address,
            gpa: self.gpa,
            size: self.size,
            rights: self.rights,
            reserved: self.reserved,
        }
    }

    fn range(self) -> Range {
        Range {
            start: self.address,
            size: self.size,
        }
    }
}

/// Where something is mapped: 4 MiB from each of these.
const BASES: [u64; 6] = [
    0x40_0000,
    0x6800_0000_0000,
    LINEAR,
    TASKS,
    TASKS + (1 << 30),
    TASK_AREA_END - 2 * LARGE_PAGE_SIZE,
];

/// Pages at edges: of 2 MiB, and of the image's text.
fn page() -> impl Strategy<Value = u64> {
    select(vec![
        0u64, 0, 1, 2, 3, 0x100, 0x101, 0x104, 0x1fe, 0x1ff, 0x200, 0x200, 0x201, 0x3ff,
    ])
}

fn address(space: u32) -> impl Strategy<Value = u64> {
    let own: Vec<u64> = if space == 0 {
        BASES[..3].to_vec()
    } else {
        BASES[3..].to_vec()
    };
    prop_oneof![
        20 => (select(own), page()).prop_map(|(base, page)| base + page * PAGE_SIZE),
        1 => (select(&BASES), page()).prop_map(|(base, page)| base + page * PAGE_SIZE),
        1 => select(vec![0, 0x1_0000, 0x40_0001, SHARED_PAGES_BASE, MONITOR_BASE, u64::MAX - 0xfff]),
    ]
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        10 => select(vec![1u64, 1, 2, 3, 5, 0x1ff, 0x200, 0x200, 0x400]).prop_map(|pages| pages * PAGE_SIZE),
        1 => select(vec![0, 1, 0x1800, 0x201_000, 1 << 30, (1 << 30) + 0x20_0000, u64::MAX - 0xfff]),
    ]
}

fn gpa() -> impl Strategy<Value = u64> {
    prop_oneof![
        10 => (0u64..4, page()).prop_map(|(block, page)| (block * LARGE_PAGE_SIZE + page * PAGE_SIZE) % RAM_SIZE),
        5 => (0u64..4).prop_map(|block| block * LARGE_PAGE_SIZE),
        1 => select(vec![RAM_SIZE - PAGE_SIZE, RAM_SIZE, 1 << 30, 0x1001, u64::MAX - 0xfff]),
    ]
}

fn element(space: u32) -> impl Strategy<Value = Element> {
    let rights = prop_oneof![12 => select(vec![1u32, 3, 5]), 1 => select(vec![0u32, 2, 4, 7, 9])];
    let reserved = prop_oneof![30 => Just(0u32), 1 => Just(1)];
    (address(space), gpa(), size(), rights, reserved).prop_map(
        |(address, gpa, size, rights, reserved)| Element {
            address,
            gpa,
            size,
            rights,
            reserved,
        },
    )
}

fn space() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0u32), 6 => Just(1), 6 => Just(2), 1 => Just(3), 1 => Just(1024)]
}

fn with_element(make: fn(u32, Element) -> Call) -> impl Strategy<Value = Call> {
    space().prop_flat_map(move |space| element(space).prop_map(move |element| make(space, element)))
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => Just(Call::Create),
        1 => space().prop_map(Call::Destroy),
        1 => (0..VCPUS, space()).prop_map(|(vcpu, space)| Call::Switch(vcpu, space)),
        12 => with_element(Call::Map),
        8 => with_element(|space, element| Call::Protect(space, Element { gpa: element.gpa & 1, ..element })),
        8 => with_element(Call::Unmap),
        1 => with_element(Call::Seal),
    ]
}

fn carry_out(rig: &Rig, model: &mut Model, call: &Call) -> (Answer, Expected) {
    match call {
        Call::Create => {
            let number = rig.spaces.create();
            assert_eq!(number, Ok(model.create()));
            (Ok(()), Expected::new())
        }
        &Call::Destroy(space) => (rig.spaces.destroy(space), model.destroy(space)),
        &Call::Switch(vcpu, space) => (
            rig.spaces.switch(vcpu, space).map(drop),
            model.switch(vcpu, space),
        ),
        Call::Map(space, element) => {
            let element = element.mapping();
            (
                rig.change(|state| state.map(*space, &element)),
                model.map(*space, &element),
            )
        }
        Call::Protect(space, element) => {
            let element = element.mapping();
            (
                rig.change(|state| state.protect(*space, &element)),
                model.protect(*space, &element),
            )
        }
        Call::Unmap(space, element) => {
            let element = element.range();
            (
                rig.change(|state| state.unmap(*space, &element)),
                model.unmap(*space, &element),
            )
        }
        Call::Seal(space, element) => {
            let element = element.range();
            (
                rig.change(|state| state.seal(*space, &element)),
                model.seal(*space, &element),
            )
        }
    }
}

/// Looks at every place where a call can have changed something, with both roots of each address
/// space.
fn check(rig: &Rig, model: &Model, privilege: Privilege) {
    let pages = [
        0, 1, 2, 3, 4, 7, 0x100, 0x101, 0x104, 0x105, 0x1fd, 0x1fe, 0x1ff, 0x200, 0x201, 0x202,
        0x205, 0x300, 0x3fe, 0x3ff,
    ];
    for &space in model.spaces.keys() {
        let (kernel, task) = rig.roots(space);
        for address in BASES
            .iter()
            .flat_map(|base| pages.map(|page| base + page * PAGE_SIZE + 8))
        {
            let page = model.page(space, address);
            let is_task = (TASKS..TASK_AREA_END).contains(&address);
            let owner = if is_task || privilege == Privilege::Ring3 {
                Owner::User
            } else {
                Owner::Supervisor
            };
            let expected = page.map(|page| (page.gpa + 8, access(page), owner));
            assert_eq!(
                rig.access(kernel, address),
                expected,
                "{address:#x} of {space}"
            );
            if task != 0 {
                let expected = expected.filter(|_| is_task);
                assert_eq!(
                    rig.access(task, address),
                    expected,
                    "a task's {address:#x} of {space}"
                );
            }
            assert_eq!(
                format!("{:?}", rig.spaces.query(space, address)),
                format!("{:?}", model.query(space, address)),
                "{address:#x} of {space}"
            );
        }
    }
}

fn run(privilege: Privilege, calls: &[Call]) {
    let rig = Rig::new(privilege);
    let mut model = Model::new();
    for space in 1..3 {
        assert_eq!((rig.spaces.create(), model.create()), (Ok(space), space));
    }
    let at_start = rig.tables_in_use();
    check(&rig, &model, privilege);
    for call in calls {
        let (answer, expected) = carry_out(&rig, &mut model, call);
        match answer {
            Ok(()) => assert!(expected.is_empty(), "{call:x?} succeeds, not {expected:?}"),
            Err(errno) => assert!(
                expected.contains(&(errno as u16)),
                "{call:x?} fails with {}, not one of {expected:?}",
                errno.name()
            ),
        }
        check(&rig, &model, privilege);
    }
    // What was taken is given back.
    for vcpu in 0..VCPUS {
        rig.spaces.reset_vcpu(vcpu);
    }
    for space in 1..=model.spaces.keys().last().copied().unwrap_or(0) {
        let answer = rig.spaces.destroy(space);
        assert!(matches!(answer, Ok(()) | Err(Errno::ENOENT)));
    }
    let kernels = |state: &crate::space::State| state.pool.in_use();
    let kept = kernels(&lock(&rig.spaces.state));
    // Only those of the kernel's own ranges: three tables for each of two of the bases, and those
    // that splits of the linear map took.
    assert!(
        kept <= 6 + 4,
        "{kept} tables are still in use, {at_start} were"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_vcpu_reaches_what_it_should(
        calls in vec(call(), 1..40),
        ring0 in any::<bool>(),
    ) {
        let privilege = if ring0 { Privilege::Ring0 } else { Privilege::Ring3 };
        run(privilege, &calls);
    }
}
