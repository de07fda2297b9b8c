//! Structure-aware fuzzing of devices: drivers that mix requests as the device type has them with
//! whatever else can be written into rings, descriptors and buffers.
//!
//! Whatever a driver does, the device's thread does not panic, a reset ends what it is doing, it
//! serves again afterwards, and memory that no writable buffer names stays as it was.
//!
//! A test run tries a few drivers; `PARAVANE_FUZZ_CASES=100000 cargo test --release -p paravane --lib
//! fuzz` tries more.

use super::rig::{INDIRECT, NEXT, RAM_SIZE, RINGS, Rig, WRITE};
use crate::device::backend::Backend;
use crate::device::features;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use pv_abi::Gpa;

/// Drivers that are tried in a test run.
const CASES: u32 = 48;

/// Memory that is in no buffer by intention, filled with a pattern.
const CANARY: u64 = 0x78_0000;
const CANARY_SIZE: usize = 0x1_0000;
const CANARY_BYTE: u8 = 0xa5;

/// A piece of a request.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Bytes that the device reads.
    Bytes(Vec<u8>),
    /// Room for what it writes.
    Room(u32),
}

/// What a driver does.
#[derive(Clone, Debug)]
enum Step {
    /// A request as it should be, or nearly.
    Request { queue: usize, parts: Vec<Part> },
    /// A descriptor with anything in it, by its index.
    Descriptor {
        queue: usize,
        index: u16,
        gpa: u64,
        size: u32,
        flags: u16,
        next: u16,
    },
    /// A chain that begins with any descriptor.
    Offer { queue: usize, head: u16 },
    /// Bytes anywhere in the rings or in the buffers, while the device may use them.
    Scribble { gpa: u64, bytes: Vec<u8> },
    /// The doorbell.
    Kick { queue: usize },
    /// The driver looks at what was used.
    Poll { queue: usize },
    /// A reset, and a start with some of the features.
    Restart { features: u64 },
}

/// A request of any kind: for devices that have no better one.
pub(crate) fn any_request() -> BoxedStrategy<Vec<Part>> {
    let part = prop_oneof![
        vec(any::<u8>(), 0..64).prop_map(Part::Bytes),
        (0u32..5000).prop_map(Part::Room),
    ];
    vec(part, 1..5).boxed()
}

fn step(request: BoxedStrategy<Vec<Part>>, queues: usize) -> impl Strategy<Value = Step> {
    let queue = 0..queues;
    let gpa = prop_oneof![
        6 => 0x1_0000u64..0x5_0000,
        6 => 0x20_0000u64..0x70_0000,
        1 => select(vec![0, RAM_SIZE - 1, RAM_SIZE, 1 << 32, u64::MAX - 4095, u64::MAX]),
    ];
    // Not in a descriptor table, where chance could name the canary.
    let ring = (queue.clone(), 0x8000u64..0x1_0000);
    let scribbled = prop_oneof![
        ring.prop_map(|(queue, offset)| RINGS + 0x1_0000 * queue as u64 + offset),
        0x20_0000u64..0x70_0000,
    ];
    let size = prop_oneof![
        8 => 0u32..70_000,
        1 => select(vec![0, 1, 15, 16, RAM_SIZE as u32, 1 << 31, u32::MAX]),
    ];
    let index = prop_oneof![8 => 0u16..32, 1 => any::<u16>()];
    let flags = prop_oneof![
        8 => select(vec![0, NEXT, WRITE, NEXT | WRITE, INDIRECT]),
        1 => any::<u16>(),
    ];
    prop_oneof![
        12 => (queue.clone(), request).prop_map(|(queue, parts)| Step::Request { queue, parts }),
        2 => (queue.clone(), index.clone(), gpa.clone(), size, flags, index.clone()).prop_map(
            |(queue, index, gpa, size, flags, next)| Step::Descriptor {
                queue, index, gpa, size, flags, next,
            }
        ),
        2 => (queue.clone(), index).prop_map(|(queue, head)| Step::Offer { queue, head }),
        2 => (scribbled, vec(any::<u8>(), 1..24))
            .prop_map(|(gpa, bytes)| Step::Scribble { gpa, bytes }),
        6 => queue.clone().prop_map(|queue| Step::Kick { queue }),
        4 => queue.prop_map(|queue| Step::Poll { queue }),
        1 => any::<u64>().prop_map(|features| Step::Restart { features }),
    ]
}

/// Tries drivers on a device. `request` makes what a driver of its type would send; `features` are
/// those that it may be started with.
#[track_caller]
pub(crate) fn fuzz(make: impl Fn() -> Box<dyn Backend>, request: BoxedStrategy<Vec<Part>>) {
    fuzz_and_serve(make, request, |_| {});
}

/// The same, where `serves` has a device that was reset and started again do something.
#[track_caller]
pub(crate) fn fuzz_and_serve(
    make: impl Fn() -> Box<dyn Backend>,
    request: BoxedStrategy<Vec<Part>>,
    serves: impl Fn(&mut Rig),
) {
    let cases = std::env::var("PARAVANE_FUZZ_CASES");
    let cases = cases.ok().and_then(|text| text.parse().ok());
    let mut runner = TestRunner::new(Config {
        cases: cases.unwrap_or(CASES),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let queues = make().queue_sizes().len();
    let steps = vec(step(request, queues), 1..60);
    let result = runner.run(&steps, |steps| {
        let mut rig = Rig::new(make());
        rig.ram
            .write(Gpa(CANARY), &[CANARY_BYTE; CANARY_SIZE])
            .unwrap();
        let (offered, _) = rig.device().offers();
        rig.start(offered);
        for step in &steps {
            take(&mut rig, step, offered);
        }
        // What it is doing ends, and it is as good as new.
        prop_assert_eq!(rig.device().set_status(0), Ok(()));
        prop_assert_eq!(rig.ram.device_writes(), []);
        rig.start(offered);
        serves(&mut rig);
        prop_assert_eq!(rig.device().set_status(0), Ok(()));
        let mut canary = vec![0; CANARY_SIZE];
        rig.ram.read(Gpa(CANARY), &mut canary).unwrap();
        prop_assert!(canary.iter().all(|&byte| byte == CANARY_BYTE));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn take(rig: &mut Rig, step: &Step, offered: u64) {
    match step {
        Step::Request { queue, parts } => {
            // A driver puts what the device reads before what it writes.
            let readable: Vec<&[u8]> = parts
                .iter()
                .filter_map(|part| match part {
                    Part::Bytes(bytes) => Some(bytes.as_slice()),
                    Part::Room(_) => None,
                })
                .collect();
            let writable: Vec<u32> = parts
                .iter()
                .filter_map(|part| match part {
                    Part::Bytes(_) => None,
                    Part::Room(size) => Some(*size),
                })
                .collect();
            rig.add(*queue, &readable, &writable);
        }
        &Step::Descriptor {
            queue,
            index,
            gpa,
            size,
            flags,
            next,
        } => {
            let to_canary = gpa.saturating_add(size.into()) > CANARY && gpa < RAM_SIZE;
            let size = if to_canary { 0 } else { size };
            let queue = &rig.queues[queue];
            queue.describe(&rig.ram, index % queue.size, gpa, size, flags, next);
        }
        &Step::Offer { queue, head } => rig.queues[queue].offer(&rig.ram, head),
        Step::Scribble { gpa, bytes } => {
            // Where there is no RAM, it has not done anything.
            let _ = rig.ram.write(Gpa(*gpa), bytes);
        }
        &Step::Kick { queue } => rig.kick(queue),
        &Step::Poll { queue } => {
            // What it says may be of no request.
            rig.queues[queue].poll_unchecked(&rig.ram);
        }
        &Step::Restart { features } => {
            rig.reset();
            rig.start(features & offered | features::VERSION_1);
        }
    }
}

#[test]
fn entropy() {
    use crate::device::entropy::EntropyOptions;
    use crate::device::spec::DeviceOptions;
    let make = || EntropyOptions::parse("").unwrap().open().unwrap();
    fuzz(make, any_request());
}
