//! The way of a hypercall through the dispatcher allocates nothing, so that a call costs the
//! same whatever the host's memory is like. A program of its own, as it counts allocations.
#![allow(unsafe_code)]

use paravane::carrier::{Carrier, Gate, Mode, Privilege};
use paravane::console::Console;
use paravane::console::output::Output;
use paravane::device::list::DeviceList;
use paravane::grant::Seat;
use paravane::grant::slots::{GrantedMemory, SlotError, Slots};
use paravane::grant::window::Window;
use paravane::hypercall::live_stats::LiveStats;
use paravane::hypercall::page::HypercallPage;
use paravane::hypercall::{CallContext, Services, ServicesConfig, dispatch};
use paravane::memory::{PrivateMemory, Ram};
use paravane::monitor::state::Monitor;
use paravane::paging::PageTables;
use paravane::space::TablePool;
use paravane::space::shootdown::Shootdown;
use paravane::time::clock::Clock;
use paravane::vm::FEATURES;
use pv_abi::Gpa;
use pv_abi::calls::number;
use pv_abi::stats::BatchEntry;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::OpenOptions;
use std::hint::black_box;
use std::io;
use std::mem::size_of;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use zerocopy::IntoBytes;

/// The system's allocator, which counts.
struct Counting;

thread_local! {
    // Of this thread alone: the test harness allocates on its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no counter any more, and nothing that is measured.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every method is the system allocator's own, called with the same arguments; to count
// neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps this method's contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: likewise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: likewise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: likewise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `action` makes.
fn allocations_of(action: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    action();
    ALLOCATIONS.get() - before
}

const RAM_SIZE: u64 = 64 << 10;
const BATCH: u64 = 0x4000;
const BATCH_COUNT: u64 = 64;

/// Memory slots for a guest that is alone.
#[derive(Debug)]
struct NoSlots;

impl Slots for NoSlots {
    fn insert(&self, position: usize, _memory: GrantedMemory) -> Result<(), SlotError> {
        Err(SlotError::Position(position))
    }

    fn remove(&self, position: usize) -> Result<(), SlotError> {
        Err(SlotError::Position(position))
    }
}

/// There is no vCPU that could remember anything.
#[derive(Debug)]
struct NoVcpus;

impl Shootdown for NoVcpus {
    fn range(&mut self, _gpas: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn everything(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct World {
    services: Services,
    monitor: Monitor,
    stats: LiveStats,
}

impl World {
    fn new(output: Output) -> Self {
        let mode = Mode {
            privilege: Privilege::Ring3,
            carrier: Carrier::Pio,
            gate: Gate::Monitor,
            syscall_faults: false,
        };
        let private = Arc::new(PrivateMemory::new(RAM_SIZE, 16).unwrap());
        let mut tables = PageTables::new(&private).unwrap();
        let root = tables.root();
        let code = Monitor::install_code(&private).unwrap();
        let monitor = Monitor::install(&private, &mut tables, code, 0).unwrap();
        monitor.initialize(mode, &HypercallPage::new(mode)).unwrap();
        let ram = Ram::new(RAM_SIZE).unwrap();
        for index in 0..BATCH_COUNT {
            let entry = BatchEntry {
                word: number::core_noop.into(),
                ..Default::default()
            };
            let gpa = Gpa(BATCH + index * size_of::<BatchEntry>() as u64);
            ram.write(gpa, entry.as_bytes()).unwrap();
        }
        Self {
            services: Services::new(ServicesConfig {
                ram: Arc::new(ram),
                private: Arc::clone(&private),
                monitors: std::slice::from_ref(&monitor),
                root,
                event_page: private.allocate(1).unwrap(),
                table_pool: TablePool::new(&private, 0).unwrap(),
                shootdown: Box::new(NoVcpus),
                console: Console::new(output),
                features: FEATURES,
                mode,
                seat: Seat::alone(),
                devices: DeviceList::default(),
                grant_window: Window::behind(private.start() + private.size()),
                grant_slots: Box::new(NoSlots),
                clock: Clock::start(1_000_000_000, 0),
            }),
            monitor,
            stats: LiveStats::default(),
        }
    }

    fn in_memory() -> Self {
        Self::new(Output::Memory {
            bytes: Mutex::new(Vec::with_capacity(1 << 20)),
            limit: 1 << 20,
        })
    }

    /// Makes a call many times, the first time included: what it answers, and how many
    /// allocations there were.
    fn call(&mut self, number: u16, arguments: [u64; 6]) -> (i64, u64) {
        self.call_times(200, number, arguments)
    }

    fn call_times(&mut self, times: u32, number: u16, arguments: [u64; 6]) -> (i64, u64) {
        let mut context = CallContext {
            services: &self.services,
            vcpu: 0,
            monitor: &self.monitor,
            stats: &self.stats,
            action: None,
        };
        let mut answer = 0;
        let allocations = allocations_of(|| {
            for _ in 0..times {
                answer = dispatch(&mut context, number.into(), &arguments);
            }
        });
        (answer, allocations)
    }
}

/// Makes a call once, which may allocate: what it answers.
fn first_call(world: &mut World, number: u16, arguments: [u64; 6]) -> u64 {
    let (answer, _) = world.call_times(1, number, arguments);
    answer.try_into().unwrap()
}

#[test]
fn allocations_are_counted() {
    assert_ne!(allocations_of(|| drop(black_box(Box::new(1)))), 0);
}

#[test]
fn a_noop_allocates_nothing() {
    assert_eq!(World::in_memory().call(number::core_noop, [0; 6]), (0, 0));
}

#[test]
fn a_call_with_six_arguments_allocates_nothing() {
    let answer = World::in_memory().call(number::debug_echo, [1, 10, 100, 1000, 10_000, 100_000]);
    assert_eq!(answer, (654_321, 0));
}

#[test]
fn a_call_that_fails_allocates_nothing() {
    let mut world = World::in_memory();
    let efault = pv_abi::Errno::EFAULT.to_result();
    let enosys = pv_abi::Errno::ENOSYS.to_result();
    assert_eq!(world.call(number::core_features, [1; 6]), (efault, 0));
    assert_eq!(world.call(u16::MAX, [1; 6]), (enosys, 0));
}

#[test]
fn a_batch_allocates_nothing() {
    let answer = World::in_memory().call(number::core_batch, [BATCH, BATCH_COUNT, 0, 0, 0, 0]);
    assert_eq!(answer, (BATCH_COUNT as i64, 0));
}

#[test]
fn console_output_allocates_nothing() {
    let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
    for mut world in [World::in_memory(), World::new(Output::File(null))] {
        assert_eq!(
            world.call(number::io_console_write, [0, 4096, 0, 0, 0, 0]),
            (4096, 0)
        );
        assert_eq!(
            world.call(number::debug_print, [40, 1, 2, 3, 4, 5]),
            (40, 0)
        );
    }
}

#[test]
fn a_trace_mark_that_nobody_follows_allocates_nothing() {
    assert_eq!(
        World::in_memory().call(number::debug_trace_mark, [1, 2, 0, 0, 0, 0]),
        (0, 0)
    );
}

#[test]
fn events_allocate_nothing() {
    let mut world = World::in_memory();
    let port = first_call(&mut world, number::event_alloc, [0, 1, 0, 0, 0, 0]);
    for call in [number::event_send, number::event_mask, number::event_unmask] {
        let (answer, allocations) = world.call(call, [port, 0, 0, 0, 0, 0]);
        assert_eq!((answer, allocations), (0, 0), "call {call:#x}");
    }
}

#[test]
fn a_timer_allocates_nothing_once_it_is_bound() {
    let mut world = World::in_memory();
    let mut bind = || first_call(&mut world, number::event_bind_timer, [0, 1, 0, 0, 0, 0]);
    let [early, late] = [bind(), bind()];
    let far = u64::MAX / 2;
    for (call, arguments) in [
        (number::time_oneshot, [late, far, 0]),
        (number::time_oneshot, [early, 1, 0]),
        (number::time_periodic, [early, far, 50_000]),
        (number::event_bind_vcpu, [early, 0, 0]),
        (number::time_wallclock, [BATCH, 0, 0]),
    ] {
        let [a, b, c] = arguments;
        assert_eq!(
            world.call(call, [a, b, c, 0, 0, 0]),
            (0, 0),
            "call {call:#x}"
        );
    }
    assert_eq!(world.call(number::time_cancel, [early, 0, 0, 0, 0, 0]).1, 0);
}
