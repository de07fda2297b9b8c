//! What a hostile guest puts into its registers and its memory: often nearly right, so that it
//! gets far, and sometimes anything.

use super::model::{RESERVED_BITS, is_modelled};
use super::world::{RAM_SIZE, World, modes};
use crate::carrier::Mode;
use crate::hypercall::Arguments;
use proptest::array::uniform6;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use pv_abi::CALLS;
use pv_abi::address_space::{LOWER_HALF_END, PAGE_SIZE};
use pv_abi::calls::{CallSpec, by_number, number};
use pv_abi::crash::CrashReport;
use pv_abi::mapping::Range;
use pv_abi::stats::BatchEntry;
use pv_abi::trap::{TrapFrame, TrapHandler};
use std::fmt;
use std::mem::size_of;
use std::sync::LazyLock;

/// Structures lie at multiples of this in RAM, and addresses in registers point there: batches
/// at every fourth one, and so on with what else there is in [`Plant`].
const SITE: u64 = 0x4000;
const SITES: u64 = RAM_SIZE / SITE;

/// The registers of a call.
#[derive(Clone)]
pub(super) struct Call {
    pub word: u64,
    pub arguments: Arguments,
}

// On one line, by name: a failed test prints many of them.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u16::try_from(self.word).ok().and_then(by_number) {
            Some(call) => f.write_str(call.name)?,
            None => write!(f, "{:#x}", self.word)?,
        }
        write!(f, "{:x?}", self.arguments)
    }
}

/// What is planted at a site.
#[derive(Clone, Debug)]
pub(super) enum Plant {
    Batch(Vec<Call>),
    Table(Vec<(u64, u64)>),
    Report(Box<CrashReport>),
    Frame {
        rip: u64,
        rsp: u64,
        /// Starts and sizes of an array of `pv_range`, at [`RANGES`] in the site.
        ranges: Vec<(u64, u64)>,
    },
}

/// Where the ranges of [`Plant::Frame`] are, from the beginning of its site.
const RANGES: u64 = SITE / 2;

impl Plant {
    pub fn put(&self, world: &World, gpa: u64) {
        match self {
            Self::Batch(calls) => {
                for (index, call) in (0..).zip(calls) {
                    let entry = BatchEntry {
                        word: call.word,
                        arguments: call.arguments,
                        result: 0,
                    };
                    world.put(gpa + index * size_of::<BatchEntry>() as u64, &entry);
                }
            }
            Self::Table(entries) => {
                for (index, &(handler, flags)) in (0..).zip(entries) {
                    let at = gpa + index * size_of::<TrapHandler>() as u64;
                    world.put(at, &TrapHandler { handler, flags });
                }
            }
            Self::Report(report) => world.put(gpa, report.as_ref()),
            Self::Frame { rip, rsp, ranges } => {
                let frame = TrapFrame {
                    rip: *rip,
                    rsp: *rsp,
                    rflags: u64::MAX,
                    ..Default::default()
                };
                world.put(gpa, &frame);
                for (index, &(start, size)) in (0..).zip(ranges) {
                    let at = gpa + RANGES + index * size_of::<Range>() as u64;
                    world.put(at, &Range { start, size });
                }
            }
        }
    }
}

/// Plants for all of RAM, one for each site.
#[derive(Clone, Debug)]
pub(super) struct Memory(Vec<Plant>);

impl Memory {
    /// Overwrites RAM: noise, and the plants in it.
    pub fn put(&self, world: &World) {
        world.put(0, NOISE.as_slice());
        for (site, plant) in (0..).zip(&self.0) {
            plant.put(world, site * SITE);
        }
    }
}

/// Bytes without a pattern (xorshift64), the same for every world.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let words = (0..RAM_SIZE / 8).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().collect()
});

pub(super) fn mode() -> impl Strategy<Value = Mode> {
    select(modes())
}

/// A guest-physical address, and much that is none.
fn gpa() -> BoxedStrategy<u64> {
    let offset = prop_oneof![4 => Just(0), 2 => (0u64..64).prop_map(|n| n * 8), 1 => 0..SITE];
    let near_a_site = (0..SITES, offset).prop_map(|(site, offset)| site * SITE + offset);
    let near_the_end = (0u64..600).prop_map(|offset| RAM_SIZE + 8 - offset);
    let nowhere = select(vec![
        0,
        1,
        RAM_SIZE,
        1 << 32,
        1 << 32 | SITE,
        1 << 63,
        u64::MAX - 63,
        u64::MAX - 7,
        u64::MAX,
    ]);
    prop_oneof![12 => near_a_site, 3 => near_the_end, 2 => nowhere, 1 => any::<u64>()].boxed()
}

/// Where there is what a call takes.
fn site_for(call: &CallSpec) -> BoxedStrategy<u64> {
    let mut offset = 0;
    let kind = match call.number {
        number::core_batch => 0,
        number::trap_set_table => 1,
        number::debug_crash_report => 2,
        number::trap_return => 3,
        number::mem_populate
        | number::mem_release
        | number::mem_hint
        | number::as_unmap
        | number::as_seal => {
            offset = RANGES;
            3
        }
        _ => return (0..SITES).prop_map(|site| site * SITE).boxed(),
    };
    (0..SITES / 4)
        .prop_map(move |four| (4 * four + kind) * SITE + offset)
        .boxed()
}

/// A count, a size, flags or a code, and much that is none.
fn small() -> BoxedStrategy<u64> {
    let limits = select(vec![
        31, 32, 33, 40, 41, 119, 120, 256, 257, 512, 513, 1024, 1025, 4095, 4096, 4097,
    ]);
    let huge = select(vec![
        RAM_SIZE,
        RAM_SIZE + 1,
        i32::MAX as u64,
        1 << 31,
        u32::MAX.into(),
        1 << 32,
        1 << 32 | 8,
        u64::MAX,
    ]);
    prop_oneof![8 => 0u64..48, 4 => limits, 1 => huge, 1 => any::<u64>()].boxed()
}

/// A virtual address, and much that is none.
fn address() -> BoxedStrategy<u64> {
    let edges = select(vec![
        0,
        LOWER_HALF_END - 1,
        LOWER_HALF_END,
        0xffff_8000_0000_0000,
        u64::MAX,
    ]);
    prop_oneof![6 => 0..LOWER_HALF_END, 1 => edges, 1 => any::<u64>()].boxed()
}

/// Registers that suit the arguments of `call`.
fn fitting(call: &CallSpec) -> impl Strategy<Value = Arguments> + use<> {
    let mut registers: Vec<_> = call
        .arguments
        .iter()
        .map(|argument| match (argument.rust_type, argument.name) {
            ("Gpa", _) => prop_oneof![1 => site_for(call), 1 => gpa()].boxed(),
            ("u32", "flags") => prop_oneof![4 => 0u64..2, 1 => small()].boxed(),
            ("u32", _) => small(),
            _ => address(),
        })
        .collect();
    registers.resize_with(6, || any::<u64>().boxed());
    registers.prop_map(|registers| registers.try_into().unwrap())
}

/// A call of `calls` with arguments that are likely to suit it.
fn likely_call(calls: Vec<CallSpec>) -> impl Strategy<Value = Call> {
    select(calls).prop_flat_map(|call| {
        let elements = match call.repeated {
            true => (1u64..6, 0u64..3).boxed(),
            false => Just((0, 0)).boxed(),
        };
        (elements, fitting(&call)).prop_map(move |((count, start), arguments)| Call {
            word: u64::from(call.number) | count << 32 | start << 48,
            arguments,
        })
    })
}

/// Any register contents, with a bias to what makes a call.
fn unlikely_call(calls: Vec<CallSpec>) -> impl Strategy<Value = Call> {
    let reserved = select(
        (0..64)
            .map(|bit| 1 << bit)
            .filter(|bit| bit & RESERVED_BITS != 0)
            .collect::<Vec<u64>>(),
    );
    let numbers: Vec<_> = calls.iter().map(|call| u64::from(call.number)).collect();
    let known = numbers.clone();
    let number = select(numbers);
    let word = prop_oneof![
        4 => number.clone(),
        1 => any::<u16>()
            .prop_map(u64::from)
            .prop_filter("another call", move |&number| {
                known.contains(&number) || by_number(number as u16).is_none()
            }),
        1 => (number.clone(), reserved).prop_map(|(number, bit)| number | bit),
        1 => (number, 0u64..4096, 0u64..4096)
            .prop_map(|(number, count, start)| number | count << 32 | start << 48),
        1 => any::<u64>().prop_map(|word| word | 1 << 31),
    ];
    let register = prop_oneof![gpa(), small(), address(), any::<u64>()];
    (word, uniform6(register)).prop_map(|(word, arguments)| Call { word, arguments })
}

fn some_call(among: impl Fn(&CallSpec) -> bool) -> impl Strategy<Value = Call> {
    let calls: Vec<_> = CALLS.iter().filter(|call| among(call)).copied().collect();
    prop_oneof![4 => likely_call(calls.clone()), 1 => unlikely_call(calls)]
}

/// A call of which the model knows what it does, or none.
pub(super) fn call() -> impl Strategy<Value = Call> {
    some_call(is_modelled)
}

/// Any call.
pub(super) fn any_call() -> impl Strategy<Value = Call> {
    some_call(|_| true)
}

/// A batch call whose array is the one at `site`.
pub(super) fn batch_call(site: u64) -> impl Strategy<Value = Call> {
    (0u64..513, 0u64..2).prop_map(move |(count, flags)| Call {
        word: number::core_batch.into(),
        arguments: [site * SITE, count, flags, 0, 0, 0],
    })
}

fn batch(calls: std::ops::Range<usize>) -> impl Strategy<Value = Plant> {
    vec(call(), calls).prop_map(Plant::Batch)
}

fn table() -> impl Strategy<Value = Plant> {
    let good = vec((0..LOWER_HALF_END, Just(0)), 32);
    let damage = vec((0usize..32, address(), 0u64..2), 0..2);
    (good, damage).prop_map(|(mut entries, damage)| {
        for (index, handler, flags) in damage {
            entries[index] = (handler, flags);
        }
        Plant::Table(entries)
    })
}

fn report() -> impl Strategy<Value = Plant> {
    let reserved = prop_oneof![8 => Just(0), 1 => any::<u32>()];
    let size = prop_oneof![8 => 0u32..1030, 1 => any::<u32>()];
    (0u32..4, size, gpa(), 0u32..3, reserved).prop_map(
        |(kind, message_size, message_gpa, frame_valid, reserved)| {
            Plant::Report(Box::new(CrashReport {
                kind,
                message_size,
                message_gpa,
                frame_valid,
                reserved,
                ..Default::default()
            }))
        },
    )
}

/// The start and the size of a range, most often one of pages of RAM.
fn range() -> impl Strategy<Value = (u64, u64)> {
    let pages = RAM_SIZE / PAGE_SIZE;
    let good = (0..pages, 1..4u64)
        .prop_map(move |(page, count)| (page * PAGE_SIZE, count.min(pages - page) * PAGE_SIZE));
    let any_pages =
        (0..pages + 2, 0..600u64).prop_map(|(page, count)| (page * PAGE_SIZE, count * PAGE_SIZE));
    prop_oneof![8 => good, 1 => any_pages, 1 => (gpa(), small())]
}

fn frame() -> impl Strategy<Value = Plant> {
    (address(), address(), vec(range(), 6)).prop_map(|(rip, rsp, ranges)| Plant::Frame {
        rip,
        rsp,
        ranges,
    })
}

pub(super) fn memory() -> impl Strategy<Value = Memory> {
    let four = (batch(0..8), table(), report(), frame());
    vec(four, SITES as usize / 4).prop_map(|plants| {
        let plants = plants.into_iter();
        Memory(plants.flat_map(|(a, b, c, d)| [a, b, c, d]).collect())
    })
}

/// Memory with a batch at its start that has as many elements as a batch may have.
pub(super) fn memory_with_a_long_batch() -> impl Strategy<Value = Memory> {
    (memory(), batch(512..513)).prop_map(|(mut memory, batch)| {
        // It is two sites long: a few elements in its middle are a trap table.
        memory.0[0] = batch;
        memory
    })
}
