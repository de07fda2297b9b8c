//! Hypercalls: decoding, dispatch, counting. The handler of a call is the function of its
//! name in the file of its group.
//!
//! The way of a call: [`crate::vcpu`] takes the call word and the arguments from the exit,
//! [`dispatch`] decodes the word and looks the call up in the table that [`table`] makes
//! from the ABI's definitions, and the handler answers a value or an [`Errno`].

pub mod page;

mod address_space;
mod core;
mod debug;
pub(crate) mod deferred;
mod event;
mod io;
pub mod live_stats;
mod mem;
pub mod repeat;
mod sched;
pub mod stats;
mod table;
mod time;
mod trap;
mod vcpu;

use crate::carrier::Mode;
use crate::console::Console;
use crate::console::input::InputListener;
use crate::device::doorbell::Notifier;
use crate::device::list::DeviceList;
use crate::device::registry::Devices;
use crate::event::Events;
use crate::event::port::Source;
use crate::grant::slots::Slots;
use crate::grant::window::Window;
use crate::grant::{Domain, Grants, Seat};
use crate::memory::{PrivateMemory, Ram};
use crate::monitor::state::Monitor;
use crate::space::shootdown::Shootdown;
use crate::space::{AddressSpaces, SpacesConfig, TablePool};
use crate::time::clock::Clock;
use crate::time::timers::Timers;
use crate::vcpu::shared::Vcpus;
use live_stats::LiveStats;
use pv_abi::convention::ARGUMENTS;
use pv_abi::crash::CrashReport;
use pv_abi::trap::{DebugRegisters, TrapFrame};
use pv_abi::{CallWord, Errno, Features, Gpa};
use repeat::Repeat;
use stats::timestamp;
use std::sync::{Arc, Mutex};

/// What the calls of all vCPUs of a VM share.
#[derive(Debug)]
pub struct Services {
    /// RAM.
    pub ram: Arc<Ram>,
    /// The console.
    pub console: Console,
    /// The features that are offered.
    pub features: Features,
    /// How the guest runs and calls.
    pub mode: Mode,
    /// What the guest said last about a crash.
    pub crash_report: Mutex<Option<GuestReport>>,
    /// What the guest may have logged.
    pub trace_limit: debug::TraceLimit,
    /// The vCPUs.
    pub vcpus: Arc<Vcpus>,
    /// The ports.
    pub events: Arc<Events>,
    /// The clock.
    pub clock: Clock,
    /// The timers.
    pub timers: Timers,
    /// The address spaces.
    pub spaces: Arc<AddressSpaces>,
    /// The grants.
    pub grants: Grants,
    /// The devices.
    pub devices: Devices,
}

/// What [`Services`] are made for.
#[derive(Debug)]
pub struct ServicesConfig<'a> {
    /// RAM.
    pub ram: Arc<Ram>,
    /// The VMM's private pages.
    pub private: Arc<PrivateMemory>,
    /// The monitors, one for each vCPU.
    pub monitors: &'a [Monitor],
    /// Guest-physical address of the kernel's root page table.
    pub root: u64,
    /// Guest-physical address of the event page.
    pub event_page: u64,
    /// The pages for the guest's page tables.
    pub table_pool: TablePool,
    /// How vCPUs are made to forget translations.
    pub shootdown: Box<dyn Shootdown>,
    /// The console.
    pub console: Console,
    /// The features that are offered.
    pub features: Features,
    /// How the guest runs and calls.
    pub mode: Mode,
    /// Which guest of the process this is.
    pub seat: Seat,
    /// Where attached grants lie.
    pub grant_window: Window,
    /// The memory slots of attached grants.
    pub grant_slots: Box<dyn Slots>,
    /// The clock.
    pub clock: Clock,
    /// The devices.
    pub devices: DeviceList,
}

impl Services {
    /// The guest listens to the console's input. What comes from here on it is told; what came before it
    /// is told now.
    pub fn begin_to_listen(&self) {
        if self.console.input().listener_begins() {
            self.input_came();
        }
    }

    /// Those of a VM that has not run yet.
    pub fn new(config: ServicesConfig<'_>) -> Self {
        let vcpu_pages: Vec<u64> = config.monitors.iter().map(Monitor::vcpu_page).collect();
        let private = &config.private;
        let vcpus = Arc::new(Vcpus::new(vcpu_pages.len() as u32));
        let events = Arc::new(Events::new(
            Arc::clone(private),
            config.event_page,
            &vcpu_pages,
        ));
        let spaces = Arc::new(AddressSpaces::new(SpacesConfig {
            memory: Arc::clone(private),
            ram: Arc::clone(&config.ram),
            mode: config.mode,
            root: config.root,
            vcpus: vcpu_pages.len() as u32,
            pool: config.table_pool,
            shootdown: config.shootdown,
        }));
        let domain = Domain {
            ram: Arc::clone(&config.ram),
            spaces: Arc::clone(&spaces),
            events: Arc::clone(&events),
            vcpus: Arc::clone(&vcpus),
            window: config.grant_window,
            slots: config.grant_slots,
        };
        let notifier = Notifier::new(Arc::clone(&events), Arc::clone(&vcpus));
        Self {
            vcpus,
            events,
            devices: Devices::new(config.devices, &config.ram, &notifier),
            timers: Timers::new(config.clock.clone(), vcpu_pages.len() as u32),
            clock: config.clock,
            spaces,
            grants: Grants::join(config.seat, domain),
            ram: config.ram,
            console: config.console,
            features: config.features,
            mode: config.mode,
            crash_report: Mutex::default(),
            trace_limit: debug::TraceLimit::default(),
        }
    }
}

impl InputListener for Services {
    fn is_listening(&self) -> bool {
        self.events.is_bound(Source::Console)
    }

    fn input_came(&self) {
        self.events.raise_source(&self.vcpus, Source::Console);
    }
}

impl Services {
    /// Reads a byte of the guest's memory by its virtual address, on the page tables at `root`.
    pub fn read_virtual_byte(
        &self,
        private: &PrivateMemory,
        root: u64,
        address: u64,
    ) -> Option<u8> {
        let gpa = crate::paging::translate(private, root, address)?;
        let mut byte = [0];
        if gpa < self.ram.size() {
            self.ram.read(Gpa(gpa), &mut byte).ok()?;
        } else {
            private.read(gpa, &mut byte).ok()?;
        }
        Some(byte[0])
    }
}

/// A crash report, taken out of the guest's memory.
#[derive(Clone, Debug)]
pub struct GuestReport {
    /// The report as the guest wrote it.
    pub report: CrashReport,
    /// Its message.
    pub message: String,
}

/// What a call asks of the vCPU loop beside its result.
#[derive(Clone, Debug)]
pub enum Action {
    /// End the VM with this exit code.
    Shutdown(u8),
    /// Start the VM again.
    Reboot,
    /// End the VM as crashed.
    Crash,
    /// Load all registers and go on there.
    Resume(Box<TrapFrame>),
    /// Set the FS base.
    SetTls(u64),
    /// Make these the root page tables of this vCPU.
    SetRoots {
        /// The one that the kernel runs on.
        kernel: u64,
        /// The one that tasks run on, in ring3 mode.
        task: u64,
    },
    /// Set the debug registers.
    SetDebug(DebugRegisters),
    /// Stop this vCPU.
    StopVcpu,
    /// The VM is being stopped while the call waited: do not enter the guest again.
    Interrupted,
    /// The VM is being paused while the call waited: carry the call out again when it goes on.
    Repeat {
        /// The nanoseconds that are left of its time-out, which is its third argument; `None` for
        /// a call that has none.
        timeout: Option<u64>,
    },
}

/// What a handler works with.
#[derive(Debug)]
pub struct CallContext<'a> {
    /// What the VM's vCPUs share.
    pub services: &'a Services,
    /// Number of the calling vCPU.
    pub vcpu: u32,
    /// The calling vCPU's monitor.
    pub monitor: &'a Monitor,
    /// The calling vCPU's counters.
    pub stats: &'a LiveStats,
    /// Set by a handler that wants more than an answer.
    pub action: Option<Action>,
}

/// The argument registers of a call, in the order RDI, RSI, RDX, R10, R8, R9.
pub type Arguments = [u64; ARGUMENTS];

/// Carries out the call that RAX and the argument registers name, and returns what goes
/// into RAX. Whatever the registers hold, the guest gets an answer.
#[inline]
pub fn dispatch(context: &mut CallContext<'_>, word: u64, arguments: &Arguments) -> i64 {
    let start = timestamp();
    let entry = match lookup(word) {
        Ok(entry) => entry,
        Err(_) => return dispatch_rare(context, word, arguments),
    };
    let result = (entry.run)(context, arguments);
    context
        .stats
        .record(entry.index, timestamp().wrapping_sub(start));
    if result.is_err() {
        context.stats.failed.add(1);
    }
    to_register(result)
}

/// Carries out what is not in the table as it is: a repeated call. Refuses all else.
#[cold]
fn dispatch_rare(context: &mut CallContext<'_>, word: u64, arguments: &Arguments) -> i64 {
    let start = timestamp();
    let found = CallWord::decode(word).and_then(|decoded| {
        let entry = table::TABLE.get(usize::from(decoded.number))?.as_ref()?;
        Some((entry, entry.repeated?, Repeat::of(decoded)?))
    });
    let Some((entry, run, repeat)) = found else {
        context.stats.record_unknown();
        return refusal(word).to_result();
    };
    let result = run(context, repeat, arguments);
    context
        .stats
        .record(entry.index, timestamp().wrapping_sub(start));
    if result.is_err() {
        context.stats.failed.add(1);
    }
    to_register(result)
}

/// Carries out once more a call that was left by [`Action::Repeat`], and was counted then.
pub fn repeat(context: &mut CallContext<'_>, word: u64, arguments: &Arguments) -> i64 {
    match lookup(word) {
        Ok(entry) => to_register((entry.run)(context, arguments)),
        Err(errno) => errno.to_result(),
    }
}

#[inline]
fn lookup(word: u64) -> Result<&'static table::Entry, Errno> {
    // The word of a call that is not repeated is its number, so a word that is in the table
    // has no reserved bit and no count.
    match table::TABLE.get(word as usize) {
        Some(Some(entry)) => Ok(entry),
        _ => Err(refusal(word)),
    }
}

/// Why a word that is not in the table is refused.
#[cold]
fn refusal(word: u64) -> Errno {
    match CallWord::decode(word) {
        None => Errno::EINVAL,
        Some(decoded) => {
            let entry = table::TABLE.get(usize::from(decoded.number));
            // It exists, and was called as if it were, or were not, a repeated one.
            if entry.is_some_and(Option::is_some) {
                Errno::EINVAL
            } else {
                Errno::ENOSYS
            }
        }
    }
}

#[inline]
fn to_register(result: Result<u32, Errno>) -> i64 {
    match result {
        Ok(value) => i64::from(value & pv_abi::convention::MAX_RESULT),
        Err(errno) => errno.to_result(),
    }
}

/// Runs `step` over a guest's buffer in pieces that fit on the stack.
fn in_pieces(
    gpa: Gpa,
    size: u32,
    mut step: impl FnMut(Gpa, &mut [u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut piece = [0; 512];
    let mut done = 0;
    while done < size {
        let length = (size - done).min(piece.len() as u32);
        step(Gpa(gpa.0 + u64::from(done)), &mut piece[..length as usize])?;
        done += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
