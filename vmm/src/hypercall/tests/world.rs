//! A VM as the dispatcher sees it: RAM, console, monitors and private pages, but no KVM.

use super::devices;
use super::slots::RecordedSlots;
use crate::carrier::{Carrier, Gate, Mode, Privilege};
use crate::console::Console;
use crate::console::input::InputBuffer;
use crate::console::output::Output;
use crate::device::features;
use crate::device::list::DeviceList;
use crate::event::pages::Pages;
use crate::event::port::{Kind, Source};
use crate::event::reference::Words;
use crate::grant::window::Window;
use crate::grant::{Domains, GrantedRange, Seat};
use crate::hypercall::live_stats::LiveStats;
use crate::hypercall::page::HypercallPage;
use crate::hypercall::stats::CallStats;
use crate::hypercall::{Action, Arguments, CallContext, Services, ServicesConfig, dispatch};
use crate::layout::{MONITOR_DATA, MONITOR_IDT, MONITOR_STRIDE, monitor_window};
use crate::memory::balloon::while_the_host_has_no_memory;
use crate::memory::dma::DeviceWrite;
use crate::memory::{PrivateMemory, Ram};
use crate::monitor::data::{BOUNCE_FRAMES, InterruptFrame, MonitorData};
use crate::monitor::state::Monitor;
use crate::paging::{Access, Mapping, Owner, PageTables, translate};
use crate::space::shootdown::Shootdown;
use crate::space::{State, TablePool};
use crate::sync::lock;
use crate::time::clock::Clock;
use crate::vm::FEATURES;
use pv_abi::address_space::{LINEAR_MAP_BASE, PAGE_SIZE};
use pv_abi::calls::{CallSpec, number};
use pv_abi::convention::{ARGUMENTS, MAX_RESULT};
use pv_abi::crash::{CRASH_TRAP, CrashReport};
use pv_abi::device::DEVICE_ACKNOWLEDGE;
use pv_abi::event::{EVENT_PORTS, EVENT_SOURCE_SHUTDOWN, EventPage, TIMER_PERIOD_MIN};
use pv_abi::grant::{GRANTS, Offer};
use pv_abi::mapping::{Range, TASK_AREA_START};
use pv_abi::set::Set;
use pv_abi::start_info::{RIGHT_READ, RIGHT_WRITE};
use pv_abi::stats::BatchEntry;
use pv_abi::trap::{DebugRegisters, TRAP_VECTORS, TrapFrame, TrapHandler};
use pv_abi::vcpu_page::{Clock as ClockPage, VcpuPage};
use pv_abi::{CallWord, Errno, Features, Gpa};
use std::io;
use std::mem::{offset_of, size_of};
use std::sync::{Arc, Weak};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) const RAM_SIZE: u64 = 256 << 10;

/// How much of the guest's output is kept.
pub(super) const OUTPUT_LIMIT: usize = 64 << 10;

// What a fresh world has in its RAM, so that every call has something to work on.
/// [`BATCH_COUNT`] calls of `core_noop`.
pub(super) const BATCH: u64 = 0x4000;
pub(super) const BATCH_COUNT: u64 = 3;
/// A handler for each vector.
pub(super) const TABLE: u64 = 0x8000;
/// A `pv_trap_frame`.
pub(super) const FRAME: u64 = 0xc000;
/// A `pv_crash_report`, with [`MESSAGE`].
pub(super) const REPORT: u64 = 0x1_0000;
pub(super) const MESSAGE: &[u8] = b"out of cheese";
pub(super) const MESSAGE_GPA: u64 = 0x1_1001;
/// Room for what a call writes.
pub(super) const BUFFER: u64 = 0x1_8000;
/// A `pv_debug_registers`.
pub(super) const DEBUG: u64 = 0x1_c000;
/// Two ports, of which the second is pending.
pub(super) const POLLED: u64 = 0x1_c100;
/// A `pv_set` of all processors.
pub(super) const PROCESSORS: u64 = 0x1_c200;
/// What was typed on the console.
pub(super) const TYPED: &[u8] = b"hello";

// What a world that is not alone shares with its peer, by the numbers of the grants.
/// The number of the peer among the guests.
pub(super) const PEER: u32 = 1;
/// The grant that this guest gives the peer.
pub(super) const GIVEN: u32 = 0;
/// The grants of the peer's: one that is not attached, and one that is.
pub(super) const OFFERED: u32 = 0;
pub(super) const ATTACHED: u32 = 1;
/// The page that this guest shares with the peer, and the first of two that the peer shares.
pub(super) const SHARED_PAGE: u64 = 0x3_0000;
/// Two `pv_range` of one page each, which nothing else uses.
pub(super) const RANGES: u64 = 0x1_4000;
pub(super) const RANGE_COUNT: u16 = 2;
pub(super) const RANGE_PAGES: [u64; RANGE_COUNT as usize] = [0x3_4000, 0x3_6000];

/// Ports, of each kind one: what `event_send` raises, a timer that is not set, one for
/// interrupts from vCPU to vCPU, and that of `EVENT_SOURCE_GRANT`.
pub(super) const SENT_PORT: u64 = 1;
pub(super) const TIMER_PORT: u64 = 2;
pub(super) const IPI_PORT: u64 = 3;
pub(super) const GRANT_PORT: u64 = 4;

pub(super) const VCPUS: u32 = 3;
/// What the ports of a fresh world are, from port 1 on.
pub(super) const PORT_KINDS: [Kind; 4] = [
    Kind::Alloc,
    Kind::Timer,
    Kind::Ipi,
    Kind::Source(Source::Grant),
];
// What there is of address spaces.
/// An address space that no vCPU is in.
pub(super) const SPACE: u32 = 1;
/// Where two writable pages are mapped in it, and behind them two read-only ones, which nobody
/// else can write either.
pub(super) const MAPPED: u64 = TASK_AREA_START + 0x5000;
pub(super) const MAPPED_PAGES: u64 = 0x3_c000;
/// Elements for the repeated calls, [`RANGE_COUNT`] for each.
pub(super) const TO_MAP: u64 = 0x1_4100;
pub(super) const TO_UNMAP: u64 = 0x1_4200;
pub(super) const TO_PROTECT: u64 = 0x1_4300;
pub(super) const TO_SEAL: u64 = 0x1_4400;
/// A page that is mapped nowhere but in the linear map.
pub(super) const UNMAPPED_PAGE: u64 = 0x3_a000;

/// The vCPU that calls: not the first, so that a confusion of vCPUs shows.
pub(super) const CALLER: u32 = 1;
const PRIVATE_PAGES: u64 = 28;
const TABLE_PAGES: u64 = 16;

/// There is no vCPU that could remember a translation.
#[derive(Debug)]
struct NoVcpus;

impl Shootdown for NoVcpus {
    fn range(&mut self, _gpas: std::ops::Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn everything(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every mode that there is.
pub(super) fn modes() -> Vec<Mode> {
    let mut modes = Vec::new();
    for privilege in [Privilege::Ring0, Privilege::Ring3] {
        for carrier in Carrier::ALL {
            for gate in [Gate::Direct, Gate::Monitor] {
                modes.extend([false, true].map(|syscall_faults| Mode {
                    privilege,
                    carrier,
                    gate,
                    syscall_faults,
                }));
            }
        }
    }
    modes
}

/// Arguments with which a call succeeds in a fresh world.
pub(super) fn good_arguments(call: &CallSpec) -> Arguments {
    let arguments: &[u64] = match call.number {
        number::core_version | number::core_noop => &[],
        number::core_features => &[BUFFER],
        number::core_batch => &[BATCH, BATCH_COUNT, 0],
        number::core_entropy => &[BUFFER, 16],
        number::core_stats => &[BUFFER, 32],
        number::as_create => &[],
        number::as_destroy | number::as_switch => &[SPACE as u64],
        number::as_map => &[SPACE as u64, TO_MAP],
        number::as_unmap => &[SPACE as u64, TO_UNMAP],
        number::as_protect => &[SPACE as u64, TO_PROTECT],
        number::as_seal => &[SPACE as u64, TO_SEAL],
        number::as_query => &[SPACE as u64, MAPPED, BUFFER],
        number::trap_set_table => &[TABLE, TRAP_VECTORS as u64],
        number::trap_set_syscall => &[0x40_1000],
        number::trap_set_tls => &[0x41_0000],
        number::trap_return => &[FRAME],
        number::sched_yield | number::sched_reboot | number::sched_crash => &[],
        number::sched_shutdown => &[7],
        number::mem_populate | number::mem_release | number::mem_hint => &[RANGES],
        number::mem_share => &[PEER as u64, 0x3_8000, 4096, RIGHT_READ as u64],
        number::mem_unshare => &[GIVEN as u64],
        number::mem_attach => &[PEER as u64, OFFERED as u64, BUFFER],
        number::mem_detach => &[PEER as u64, ATTACHED as u64],
        number::mem_offers => &[BUFFER, 64],
        number::io_console_write => &[MESSAGE_GPA, 4],
        number::io_console_read => &[BUFFER, 3, 0],
        number::io_device_status => &[devices::FRESH],
        number::io_device_set_status => &[devices::FRESH, DEVICE_ACKNOWLEDGE as u64],
        number::io_device_set_features => &[devices::DRIVEN, features::VERSION_1],
        number::io_config_read => &[devices::SET_UP, 0, BUFFER, devices::CONFIG_SIZE],
        number::io_queue_setup => &[devices::SET_UP, 0, devices::SETUP],
        number::io_queue_notify => &[devices::SET_UP, 0],
        number::debug_print => &[4, u64::from_le_bytes(*b"abcdefgh"), 0, 0, 0, 0],
        number::debug_crash_report => &[REPORT],
        number::debug_trace_mark => &[1, 2],
        number::debug_echo => &[1, 2, 3, 4, 5, 6],

        number::event_alloc | number::event_bind_timer | number::event_bind_ipi => &[1, 2],
        number::event_bind_vcpu => &[SENT_PORT, 2],
        number::event_send | number::event_mask | number::event_unmask | number::event_close => {
            &[SENT_PORT]
        }
        number::event_bind_source => &[EVENT_SOURCE_SHUTDOWN as u64, 1, 0],
        number::time_oneshot => &[TIMER_PORT, 0],
        number::time_periodic => &[TIMER_PORT, u64::MAX / 2, TIMER_PERIOD_MIN],
        number::time_cancel => &[TIMER_PORT],
        number::time_wallclock => &[BUFFER],

        number::trap_set_upcall => &[0x40_1000],
        number::trap_set_debug => &[DEBUG],
        // It has been kicked, so that it does not wait.
        number::sched_block => &[],
        number::sched_poll => &[POLLED, 2, 0],
        number::sched_yield_to | number::sched_kick | number::vcpu_state => &[2],
        number::sched_spin => &[1000],
        number::vcpu_start => &[2, 0x40_1000, 0x50_0000, 7],
        // The caller itself: the others have no threads that could stop.
        number::vcpu_stop => &[CALLER as u64],
        number::vcpu_set_affinity_hint => &[2, PROCESSORS],

        _ => panic!("say here with which arguments {} succeeds", call.name),
    };
    assert_eq!(arguments.len(), call.arguments.len(), "{}", call.name);
    registers(arguments)
}

/// The call word with which a call succeeds in a fresh world: with the count of its array, if it
/// takes one.
pub(super) fn good_word(call: &CallSpec) -> u64 {
    let count = if call.repeated { RANGE_COUNT } else { 0 };
    CallWord {
        count,
        ..CallWord::single(call.number)
    }
    .encode()
}

/// The argument registers; in those that the call has no use for there is anything.
pub(super) fn registers(arguments: &[u64]) -> Arguments {
    let mut registers = [0xdead_beef_dead_beef; ARGUMENTS];
    registers[..arguments.len()].copy_from_slice(arguments);
    registers
}

/// What RAX says to a guest, which no call leaves in doubt.
pub(super) fn answer(rax: i64) -> Result<u32, Errno> {
    match u32::try_from(rax) {
        Ok(value) if value <= MAX_RESULT => Ok(value),
        _ => match Errno::ALL.iter().find(|errno| errno.to_result() == rax) {
            Some(&errno) => Err(errno),
            None => panic!("{rax:#x} is neither a result nor an error of the ABI"),
        },
    }
}

/// All that a call could have changed, but for counters and for what was typed.
#[derive(PartialEq)]
pub(super) struct Snapshot {
    ports: String,
    ram: Vec<u8>,
    private: Vec<u8>,
    output: Vec<u8>,
    report: String,
    action: String,
    slots: String,
    offers: String,
    devices: String,
}

impl Snapshot {
    /// The names of what is not the same in both.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            ("ports", self.ports == other.ports),
            ("RAM", self.ram == other.ram),
            ("private pages", self.private == other.private),
            ("output", self.output == other.output),
            ("report", self.report == other.report),
            ("action", self.action == other.action),
            ("slots", self.slots == other.slots),
            ("offers", self.offers == other.offers),
            ("devices", self.devices == other.devices),
        ]
        .into_iter()
        .filter_map(|(name, same)| (!same).then_some(name))
        .collect()
    }
}

pub(super) struct World {
    pub services: Arc<Services>,
    pub live: LiveStats,
    /// Where somebody types.
    pub input: Arc<InputBuffer>,
    /// What the last call wants beside its answer.
    pub action: Option<Action>,
    /// Whether the host has random numbers to give.
    pub has_entropy: bool,
    /// Whether the host has memory to give.
    pub has_memory: bool,
    /// The guests of the process.
    pub domains: Arc<Domains>,
    /// Those of them that run beside this one, the peer first.
    pub others: Vec<World>,
    /// What devices are writing.
    pub device_writes: Vec<DeviceWrite>,
    /// The memory slots of attached grants.
    pub slots: Arc<RecordedSlots>,
    /// What the guest sees of its events.
    event_pages: Pages,
    event_page: u64,
    monitors: Vec<Monitor>,
    private: Arc<PrivateMemory>,
    root: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with_output(Output::memory(OUTPUT_LIMIT))
    }

    /// The only guest of its process.
    pub fn in_mode(mode: Mode) -> Self {
        let output = Output::memory(OUTPUT_LIMIT);
        Self::build(mode, output, TABLE_PAGES, Seat::alone())
    }

    pub fn with_output(output: Output) -> Self {
        Self::with_peer(output, TABLE_PAGES)
    }

    /// A world in which page tables may have so many pages.
    pub fn with_table_pages(pages: u64) -> Self {
        Self::with_peer(Output::memory(OUTPUT_LIMIT), pages)
    }

    fn with_peer(output: Output, table_pages: u64) -> Self {
        let domains = Arc::new(Domains::new(3));
        let seat = |guest| Seat {
            domains: Arc::clone(&domains),
            guest,
        };
        let mut world = Self::build(modes()[0], output, table_pages, seat(0));
        world.others.push(Self::in_seat(seat(PEER)));
        world.furnish_grants();
        world
    }

    /// A guest that is not offered these.
    pub fn without(features: Features) -> Self {
        let output = Output::memory(OUTPUT_LIMIT);
        let offered = FEATURES.missing_from(features);
        Self::build_with(modes()[0], output, TABLE_PAGES, Seat::alone(), offered)
    }

    /// One of several guests of a process.
    pub fn in_seat(seat: Seat) -> Self {
        let output = Output::memory(OUTPUT_LIMIT);
        Self::build(modes()[0], output, TABLE_PAGES, seat)
    }

    fn build(mode: Mode, output: Output, table_pages: u64, seat: Seat) -> Self {
        Self::build_with(mode, output, table_pages, seat, FEATURES)
    }

    fn build_with(
        mode: Mode,
        output: Output,
        table_pages: u64,
        seat: Seat,
        features: Features,
    ) -> Self {
        let pages = PRIVATE_PAGES + table_pages;
        let private = Arc::new(PrivateMemory::new(RAM_SIZE, pages).unwrap());
        let mut tables = PageTables::new(&private).unwrap();
        let root = tables.root();
        let code = Monitor::install_code(&private).unwrap();
        let page = HypercallPage::new(mode);
        let hypercall_page = private.allocate(1).unwrap();
        private.write(hypercall_page, page.bytes()).unwrap();
        let mut monitors = Vec::new();
        for vcpu in 0..VCPUS {
            let monitor = Monitor::install(&private, &mut tables, code, vcpu).unwrap();
            monitor.initialize(mode, &page).unwrap();
            monitor.initialize_vcpu_page(None, 0).unwrap();
            monitors.push(monitor);
        }
        let linear = Mapping {
            address: LINEAR_MAP_BASE,
            gpa: 0,
            size: RAM_SIZE,
            access: Access::ReadWrite,
            owner: Owner::User,
        };
        tables.map(linear).unwrap();
        let event_page = private.allocate(1).unwrap();
        let table_pool = TablePool::new(&private, table_pages).unwrap();
        let input = Arc::<InputBuffer>::default();
        input.push(TYPED);
        let slots = Arc::<RecordedSlots>::default();
        let domains = Arc::clone(&seat.domains);
        // Of several guests the first has devices.
        let devices = match (seat.guest, domains.count()) {
            (0, 2..) => devices::list(),
            _ => DeviceList::default(),
        };
        let vcpu_pages: Vec<_> = monitors.iter().map(Monitor::vcpu_page).collect();
        let world = Self {
            services: Arc::new(Services::new(ServicesConfig {
                ram: Arc::new(Ram::new(RAM_SIZE).unwrap()),
                private: Arc::clone(&private),
                monitors: &monitors,
                root,
                event_page,
                table_pool,
                shootdown: Box::new(NoVcpus),
                console: Console::with_input(output, Arc::clone(&input)),
                features,
                mode,
                seat,
                devices,
                grant_window: Window::behind(private.start() + private.size()),
                grant_slots: Box::new(Arc::clone(&slots)),
                clock: Clock::start(1_000_000_000, 0),
            })),
            live: LiveStats::default(),
            input,
            action: None,
            has_entropy: true,
            has_memory: true,
            domains,
            others: Vec::new(),
            device_writes: Vec::new(),
            slots,
            event_pages: Pages::new(Arc::clone(&private), event_page, &vcpu_pages),
            event_page,
            monitors,
            private,
            root,
        };
        let listener: Weak<Services> = Arc::downgrade(&world.services);
        world.input.set_listener(listener);
        world.furnish();
        world
    }

    fn furnish(&self) {
        for kind in PORT_KINDS {
            let Services { events, timers, .. } = &*self.services;
            let given = match kind {
                Kind::Timer => events.bind_timer(timers, CALLER, 0),
                Kind::Ipi => events.bind_ipi(CALLER, 0),
                Kind::Source(source) => events.bind_source(source, CALLER, 0),
                Kind::Alloc | Kind::Free => events.alloc(CALLER, 0),
            };
            given.unwrap();
        }
        self.put_batch(
            BATCH,
            &[(number::core_noop, [].as_slice()); BATCH_COUNT as usize],
        );
        let handlers: [_; TRAP_VECTORS] = std::array::from_fn(|vector| TrapHandler {
            handler: 0x40_0000 + vector as u64 * 0x100,
            flags: 0,
        });
        self.put(TABLE, &handlers);
        let frame = TrapFrame {
            rip: 0x40_1234,
            rsp: 0x50_0000,
            rax: 0xaaaa,
            ..Default::default()
        };
        self.put(FRAME, &frame);
        let report = CrashReport {
            kind: CRASH_TRAP,
            message_size: MESSAGE.len() as u32,
            message_gpa: MESSAGE_GPA,
            frame_valid: 1,
            frame,
            ..Default::default()
        };
        self.put(REPORT, &report);
        self.services.ram.write(Gpa(MESSAGE_GPA), MESSAGE).unwrap();
        let ranges = RANGE_PAGES.map(|start| Range {
            start,
            size: PAGE_SIZE,
        });
        self.put(RANGES, &ranges);
        self.put(DEBUG, &DebugRegisters::default());
        self.put(POLLED, &[TIMER_PORT as u32, SENT_PORT as u32]);
        self.put(PROCESSORS, &Set::default());
        self.furnish_spaces();
        devices::furnish(self);
    }

    /// Has a call that waits find what it waits for.
    pub fn prepare(&mut self, call: &CallSpec) {
        match call.number {
            number::sched_block => self.kick_caller(),
            number::sched_poll => {
                // Nobody waits to be told.
                let _ = self.services.events.send(SENT_PORT as u32).unwrap();
            }
            _ => {}
        }
    }

    /// Kicks the vCPU that calls.
    pub fn kick_caller(&self) {
        self.services.vcpus.kick(CALLER);
    }

    fn furnish_spaces(&self) {
        let page = |start: u64, index: u64| start + index * PAGE_SIZE;
        let mapping = |address, gpa, rights| pv_abi::mapping::Mapping {
            address,
            gpa,
            size: PAGE_SIZE,
            rights,
            reserved: 0,
        };
        let range = |start| Range {
            start,
            size: PAGE_SIZE,
        };
        let (read, write) = (RIGHT_READ, RIGHT_READ | RIGHT_WRITE);
        let rights = [write, write, read, read];
        assert_eq!(self.services.spaces.create(), Ok(SPACE));
        for (index, rights) in (0..).zip(rights) {
            let gpa = page(MAPPED_PAGES, index);
            let element = mapping(page(MAPPED, index), gpa, rights);
            self.space_call(|state| state.map(SPACE, &element));
            let linear = mapping(LINEAR_MAP_BASE + gpa, 0, rights);
            self.space_call(|state| state.protect(0, &linear));
        }
        let free = [0, 1].map(|index| {
            mapping(
                MAPPED + page(0x10_0000, index),
                page(UNMAPPED_PAGE, index),
                write,
            )
        });
        self.put(TO_MAP, &free);
        self.put(TO_UNMAP, &[0, 1].map(|index| range(page(MAPPED, index))));
        let protect = [0, 1].map(|index| mapping(page(MAPPED, index), 0, read));
        self.put(TO_PROTECT, &protect);
        self.put(TO_SEAL, &[2, 3].map(|index| range(page(MAPPED, index))));
    }

    /// Changes address spaces, which succeeds.
    pub fn space_call(&self, action: impl FnOnce(&mut State) -> Result<(), Errno>) {
        self.services.spaces.change(action).unwrap();
    }

    fn furnish_grants(&self) {
        let peer = &self.others[0];
        let page = |index| GrantedRange {
            gpa: SHARED_PAGE + index * PAGE_SIZE,
            size: PAGE_SIZE,
            rights: RIGHT_READ | RIGHT_WRITE,
        };
        let (own, others) = (&self.services.grants, &peer.services.grants);
        assert_eq!(own.share(PEER, page(0)), Ok(GIVEN));
        assert_eq!(others.share(0, page(0)), Ok(OFFERED));
        assert_eq!(others.share(0, page(1)), Ok(ATTACHED));
        own.attach(PEER, ATTACHED).unwrap();
    }

    /// What was counted.
    pub fn stats(&self) -> CallStats {
        self.live.read()
    }

    /// Carries a call out.
    pub fn dispatch(&mut self, word: u64, arguments: &Arguments) -> i64 {
        let mut context = CallContext {
            services: &self.services,
            vcpu: CALLER,
            monitor: &self.monitors[CALLER as usize],
            stats: &self.live,
            action: None,
        };
        let mut dispatch = || dispatch(&mut context, word, arguments);
        let rax = match (self.has_entropy, self.has_memory) {
            (true, true) => dispatch(),
            (false, _) => crate::entropy::while_it_fails(dispatch),
            (true, false) => while_the_host_has_no_memory(dispatch),
        };
        self.action = context.action;
        rax
    }

    pub fn call(&mut self, number: u16, arguments: &[u64]) -> Result<u32, Errno> {
        let word = CallWord::single(number).encode();
        answer(self.dispatch(word, &registers(arguments)))
    }

    /// Puts a structure or an array of them into RAM.
    pub fn put<T: IntoBytes + Immutable + ?Sized>(&self, gpa: u64, value: &T) {
        self.services.ram.write(Gpa(gpa), value.as_bytes()).unwrap();
    }

    pub fn take<T: FromBytes + IntoBytes>(&self, gpa: u64) -> T {
        self.services.ram.read_struct(Gpa(gpa)).unwrap()
    }

    pub fn put_batch(&self, gpa: u64, calls: &[(u16, &[u64])]) {
        for (index, (number, arguments)) in (0..).zip(calls) {
            let entry = BatchEntry {
                word: CallWord::single(*number).encode(),
                arguments: registers(arguments),
                result: NOT_CARRIED_OUT,
            };
            self.put(gpa + index * size_of::<BatchEntry>() as u64, &entry);
        }
    }

    /// The result fields of the first `count` elements of a batch; `None`: not carried out.
    pub fn batch_results(&self, gpa: u64, count: u64) -> Vec<Option<Result<u32, Errno>>> {
        (0..count)
            .map(|index| self.take::<BatchEntry>(gpa + index * size_of::<BatchEntry>() as u64))
            .map(|entry| (entry.result != NOT_CARRIED_OUT).then(|| answer(entry.result)))
            .collect()
    }

    pub fn ram(&self) -> Vec<u8> {
        let mut bytes = vec![0; RAM_SIZE as usize];
        self.services.ram.read(Gpa(0), &mut bytes).unwrap();
        bytes
    }

    /// What the guest wrote to the console.
    pub fn output(&self) -> Vec<u8> {
        self.services.console.output().captured()
    }

    pub fn report(&self) -> String {
        format!("{:?}", lock(&self.services.crash_report))
    }

    /// Where the calling vCPU's monitor enters the guest: one address for each vector and, the
    /// last one, for SYSCALL.
    pub fn handlers(&self) -> Vec<u64> {
        let private = self.private();
        let rip = |frame| word_at(&private, self.handler_offset(frame));
        (0..BOUNCE_FRAMES).map(rip).collect()
    }

    /// Where the gates of the calling vCPU's IDT lead to, as offsets in the monitor's code.
    pub fn gates(&self) -> Vec<u64> {
        let private = self.private();
        (0..TRAP_VECTORS)
            .map(|vector| {
                let gate = self.offset_of(MONITOR_IDT) + 16 * vector;
                let (low, high) = (word_at(&private, gate), word_at(&private, gate + 8));
                let address = low & 0xffff | low >> 48 << 16 | high << 32;
                address - monitor_window(CALLER)
            })
            .collect()
    }

    /// The private pages of all vCPUs, without what [`Self::handlers`] and [`Self::gates`] tell.
    pub fn private_but_handlers(&self) -> Vec<u8> {
        let mut private = self.private();
        self.erase_events(&mut private);
        for frame in 0..BOUNCE_FRAMES {
            let at = self.handler_offset(frame);
            private[at..at + 8].fill(0);
        }
        for vector in 0..TRAP_VECTORS {
            let at = self.offset_of(MONITOR_IDT) + 16 * vector;
            for part in [0..2, 6..12] {
                private[at + part.start..at + part.end].fill(0);
            }
        }
        private
    }

    /// Which pages the window of a vCPU's monitor shows.
    pub fn monitor_pages(&self, vcpu: u32) -> Vec<u64> {
        (0..MONITOR_STRIDE / PAGE_SIZE)
            .filter_map(|page| {
                let address = monitor_window(vcpu) + page * PAGE_SIZE;
                translate(&self.private, self.root, address)
            })
            .collect()
    }

    /// The words of the ports, which [`Self::private_but_handlers`] leaves out.
    pub fn event_words(&self) -> Words {
        Words::of(&self.event_pages)
    }

    fn erase_events(&self, private: &mut [u8]) {
        let mut erase = |gpa: u64, size: usize| {
            let at = (gpa - self.private.start()) as usize;
            private[at..at + size].fill(0);
        };
        erase(self.event_page, size_of::<EventPage>());
        for monitor in &self.monitors {
            let page = monitor.vcpu_page();
            erase(page + offset_of!(VcpuPage, upcall_pending) as u64, 1);
            erase(page + offset_of!(VcpuPage, event_selector) as u64, 8);
        }
    }

    /// What each port is, and when each vCPU has a timer.
    fn ports(&self) -> String {
        let Services { events, timers, .. } = &*self.services;
        let owners: Vec<_> = (0..EVENT_PORTS as u32)
            .filter_map(|port| Some((port, events.owner(port).ok()?)))
            .collect();
        let deadlines: Vec<_> = (0..VCPUS).map(|vcpu| timers.next_deadline(vcpu)).collect();
        format!("{owners:?} {deadlines:?}")
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            ports: self.ports(),
            ram: self.ram(),
            private: self.private(),
            output: self.output(),
            report: self.report(),
            action: format!("{:?}", self.action),
            slots: self.attached(),
            offers: format!("{:?}", self.offers()),
            devices: devices::state(&self.services.devices, &self.services.ram),
        }
    }

    /// What is attached, with the peer's addresses in its RAM.
    fn attached(&self) -> String {
        let mut slots = self.slots.attached();
        if let Some(peer) = self.others.first() {
            let start = peer.services.ram.host_address();
            for (_, address, ..) in slots.values_mut() {
                *address = address.wrapping_sub(start);
            }
        }
        format!("{slots:?}")
    }

    /// What other guests offer this one, and what this one offers its peer.
    fn offers(&self) -> [Vec<Offer>; 2] {
        let of = |world: &Self| {
            let mut offers = vec![Offer::default(); 2 * GRANTS];
            let count = world.services.grants.offers(&mut offers);
            offers.truncate(count);
            offers
        };
        [of(self), self.others.first().map(of).unwrap_or_default()]
    }

    fn private(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.private.size() as usize];
        let start = self.private.start();
        self.private.read(start, &mut bytes).unwrap();
        // The clocks of two worlds began at different times; no call changes one.
        for monitor in &self.monitors {
            let clock = monitor.vcpu_page() - start + offset_of!(VcpuPage, clock) as u64;
            bytes[clock as usize..][..size_of::<ClockPage>()].fill(0);
        }
        bytes
    }

    /// The place of a page of the caller's monitor window in the private region.
    fn offset_of(&self, page: u64) -> usize {
        let address = monitor_window(CALLER) + page;
        let gpa = translate(&self.private, self.root, address).unwrap();
        (gpa - self.private.start()) as usize
    }

    fn handler_offset(&self, frame: usize) -> usize {
        self.offset_of(MONITOR_DATA)
            + offset_of!(MonitorData, bounce)
            + frame * size_of::<InterruptFrame>()
            + offset_of!(InterruptFrame, rip)
    }
}

/// What the result field of an element holds until the VMM writes it; no result is this.
const NOT_CARRIED_OUT: i64 = i64::MIN;

fn word_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
