//! The ABI's reference, written down a second time as a model of a VM: whatever a guest does,
//! the dispatcher answers what the model answers, and changes what the model changes.
//!
//! Where several errors apply, which one is told is no part of the ABI; here it is the one that
//! the handlers tell.

use super::world::{CALLER, OUTPUT_LIMIT, PORT_KINDS, VCPUS, World};
use crate::event::port::{Kind, Source};
use crate::event::reference::Reference;
use crate::hypercall::{Action, Arguments, GuestReport};
use crate::monitor::data::{BOUNCE_FRAMES, BOUNCE_SYSCALL};
use crate::vm::FEATURES;
use pv_abi::address_space::{LOWER_HALF_END, MONITOR_BASE, PAGE_SIZE};
use pv_abi::calls::{CallSpec, by_number, number};
use pv_abi::crash::{CRASH_PANIC, CRASH_TRAP, CrashReport};
use pv_abi::event::TIMER_PERIOD_MIN;
use pv_abi::grant::{Attachment, GRANTS, Offer};
use pv_abi::mapping::{LARGE_PAGE_SIZE, Range};
use pv_abi::stats::{BATCH_MAX, BATCH_STOP_ON_ERROR, BatchEntry, Stats};
use pv_abi::time::Wallclock;
use pv_abi::trap::{DebugRegisters, TRAP_VECTORS, TrapFrame, TrapHandler};
use pv_abi::{Errno, Errno::*};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::{offset_of, size_of};
use zerocopy::{FromBytes, IntoBytes};

/// Bits of the call word that must be zero.
pub(super) const RESERVED_BITS: u64 = 0xf000_f000_ffff_0000;

/// The most bytes that a call moves to or from the console.
const CONSOLE_MAX: usize = 4096;

/// Whether the model knows what `call` does. It does not know address spaces, which have a model
/// of their own (`space/tests/model.rs`), nor other vCPUs, nor what the calling one waits for.
pub(super) fn is_modelled(call: &CallSpec) -> bool {
    !matches!(
        call.number,
        number::as_create
            | number::as_destroy
            | number::as_switch
            | number::as_map
            | number::as_unmap
            | number::as_protect
            | number::as_seal
            | number::as_query
            | number::trap_set_upcall
            | number::sched_block
            | number::sched_poll
            | number::sched_kick
            | number::vcpu_start
            | number::vcpu_stop
            | number::vcpu_state
            | number::vcpu_set_affinity_hint
    )
}

pub(super) struct Model {
    pub ram: Vec<u8>,
    pub handlers: [u64; BOUNCE_FRAMES],
    pub stats: Stats,
    /// Call words that lead to no call.
    pub unknown: u64,
    /// How often each call was made.
    pub made: BTreeMap<&'static str, u64>,
    pub output: Vec<u8>,
    /// What was typed; nothing more comes.
    pub input: VecDeque<u8>,
    pub report: Option<GuestReport>,
    pub action: Option<Action>,
    pub ports: Reference,
    /// The call took random bytes for something else, or what an earlier call has written for a call
    /// that is not modelled: no model foresees what it did.
    pub unforeseeable: bool,
    // The addresses of random bytes that this call has written.
    random: BTreeSet<u64>,
    // What this call has said to be of no use: starts and sizes.
    hinted: Vec<(u64, u64)>,
}

impl Model {
    /// A model of `world` as it is, with its input at an end.
    pub fn of(world: &World, typed: &[u8]) -> Self {
        Self {
            ram: world.ram(),
            handlers: [0; BOUNCE_FRAMES],
            stats: Stats::default(),
            unknown: 0,
            made: BTreeMap::new(),
            output: world.output(),
            input: typed.iter().copied().collect(),
            report: None,
            action: None,
            ports: fresh_ports(),
            unforeseeable: false,
            random: BTreeSet::new(),
            hinted: Vec::new(),
        }
    }

    /// Carries out a call to which the VMM has answered `answered`: a repeated call may end early,
    /// when its time is over, and no model foresees that.
    pub fn dispatch(&mut self, word: u64, arguments: &Arguments, answered: i64) -> i64 {
        self.action = None;
        let call = find(word);
        match call {
            Ok(call) => *self.made.entry(call.name).or_default() += 1,
            Err(_) => self.unknown += 1,
        }
        let result = call.and_then(|call| match Elements::of(word) {
            _ if !call.repeated => self.run(call, arguments),
            Some(elements) => self.repeat(call, elements, arguments[0], answered),
            // Without a count there is nothing to do.
            None => Err(EINVAL),
        });
        // A call is counted when it is done: core_stats does not count itself.
        self.stats.hypercalls += 1;
        self.stats.exits += 1;
        self.stats.failed_hypercalls += u64::from(result.is_err());
        rax(result)
    }

    /// Takes the random bytes that the last call has written from the RAM they are in.
    pub fn adopt_random_bytes(&mut self, ram: &[u8]) {
        for address in std::mem::take(&mut self.random) {
            self.ram[address as usize] = ram[address as usize];
        }
        for (start, size) in std::mem::take(&mut self.hinted) {
            let range = start as usize..(start + size) as usize;
            for (byte, &found) in self.ram[range.clone()].iter_mut().zip(&ram[range]) {
                // What it held, or zero.
                assert!(found == *byte || found == 0);
                *byte = found;
            }
        }
    }

    fn run(&mut self, call: &CallSpec, registers: &Arguments) -> Result<u32, Errno> {
        for (argument, &register) in call.arguments.iter().zip(registers) {
            if argument.rust_type == "u32" && register > u32::MAX.into() {
                return Err(EINVAL);
            }
        }
        let &[a, b, c, d, e, f] = registers;
        match call.number {
            number::core_version => Ok(0x1_0003),
            number::core_features => self.put_struct(a, &FEATURES.0).map(|()| 0),
            number::core_batch => self.batch(a, b, c),
            number::core_entropy => self.entropy(a, b),
            number::core_stats if b < 32 => Err(EINVAL),
            number::core_stats => self.put_struct(a, &self.stats.clone()).map(|()| 32),
            number::core_noop
            | number::sched_yield
            | number::sched_spin
            | number::debug_trace_mark => Ok(0),
            number::sched_yield_to if a < VCPUS.into() => Ok(0),
            number::sched_yield_to => Err(EINVAL),
            number::trap_set_table => self.set_table(a, b),
            number::trap_set_syscall => {
                self.handlers[BOUNCE_SYSCALL] = lower_half(a)?;
                Ok(0)
            }
            number::trap_set_tls => self.act(Action::SetTls(lower_half(a)?)),
            number::trap_set_debug => {
                let registers: DebugRegisters = self.get_struct(a)?;
                let DebugRegisters {
                    address, control, ..
                } = registers;
                // L0 to L3, LE, R/W and LEN: nothing that is reserved, nor GD.
                let reserved = !0xffff_0455 & control;
                let below = |&address: &u64| address < MONITOR_BASE - 8;
                if reserved != 0 || registers.reserved != [0; 3] || !address.iter().all(below) {
                    return Err(EINVAL);
                }
                self.act(Action::SetDebug(registers))
            }
            number::trap_return => {
                let frame: TrapFrame = self.get_struct(a)?;
                lower_half(frame.rip)?;
                lower_half(frame.rsp)?;
                self.act(Action::Resume(Box::new(frame)))
            }
            number::sched_shutdown if a > 119 => Err(EINVAL),
            number::sched_shutdown => self.act(Action::Shutdown(a as u8)),
            number::sched_reboot => self.act(Action::Reboot),
            number::sched_crash => self.act(Action::Crash),
            number::io_console_write => {
                let bytes = self.get(a, b)?;
                Ok(self.print(&bytes[..bytes.len().min(CONSOLE_MAX)]))
            }
            number::io_console_read => self.console_read(a, b),
            number::debug_print => {
                let bytes = [b, c, d, e, f].map(u64::to_le_bytes).concat();
                Ok(self.print(bytes.get(..a as usize).ok_or(E2BIG)?))
            }
            number::debug_crash_report => self.crash_report(a),
            number::debug_echo => Ok([(a, 1), (b, 2), (c, 3), (d, 4), (e, 5), (f, 6)]
                .map(|(value, weight)| (u128::from(value) * weight % (1 << 31)) as u32)
                .into_iter()
                .fold(0, |sum, term| (sum + term) % (1 << 31))),
            number::event_alloc
            | number::event_bind_timer
            | number::event_bind_ipi
            | number::event_bind_vcpu
            | number::event_send
            | number::event_mask
            | number::event_unmask
            | number::event_close
            | number::event_bind_source => self.event(call.number, [a, b, c].map(|w| w as u32)),
            number::time_oneshot => self.set_timer(a, b, None),
            number::time_periodic => self.set_timer(a, b, Some(c)),
            number::time_cancel => self.ports.cancel_timer(a as u32),
            number::time_wallclock => {
                self.check_structs::<Wallclock>(a, 1)?;
                // As unforeseeable as these.
                self.random.extend(a..a + size_of::<Wallclock>() as u64);
                Ok(0)
            }
            number::mem_share => {
                self.check_pages(b, c)?;
                // To read, or to read and write; but there is no other guest.
                Err(if d == 1 || d == 3 { ENOENT } else { EINVAL })
            }
            number::mem_unshare | number::mem_detach => Err(ENOENT),
            number::mem_attach => {
                self.check_structs::<Attachment>(c, 1)?;
                Err(ENOENT)
            }
            number::mem_offers if b > GRANTS as u64 => Err(E2BIG),
            number::mem_offers => self.check_structs::<Offer>(a, b).map(|()| 0),
            // It has no devices.
            number::io_device_status
            | number::io_device_set_status
            | number::io_device_set_features
            | number::io_config_read
            | number::io_queue_setup
            | number::io_queue_notify => Err(ENOENT),
            _ => panic!("write down here what {} does", call.name),
        }
    }

    /// A repeated call of the mem group, whose array is at `gpa`.
    fn repeat(
        &mut self,
        call: &CallSpec,
        elements: Elements,
        gpa: u64,
        answered: i64,
    ) -> Result<u32, Errno> {
        self.check_structs::<Range>(gpa, elements.count)?;
        self.range(call, gpa, elements.start)?;
        // That many it has done, for whatever reason not more.
        let done = (answered.max(0) as u64).clamp(elements.start + 1, elements.count);
        for index in elements.start + 1..done {
            self.range(call, gpa, index)?;
        }
        Ok(done as u32)
    }

    fn range(&mut self, call: &CallSpec, array: u64, index: u64) -> Result<(), Errno> {
        let Range { start, size } = self.get_struct(array + index * size_of::<Range>() as u64)?;
        self.check_pages(start, size)?;
        match call.number {
            number::mem_populate => {}
            number::mem_release => self.put(start, &vec![0; size as usize])?,
            // What it holds or zeros.
            number::mem_hint => self.hinted.push((start, size)),
            _ => panic!("write down here what {} does", call.name),
        }
        Ok(())
    }

    fn check_pages(&self, gpa: u64, size: u64) -> Result<(), Errno> {
        if !(gpa | size).is_multiple_of(PAGE_SIZE) || size == 0 {
            return Err(EINVAL);
        }
        if size > LARGE_PAGE_SIZE {
            return Err(E2BIG);
        }
        self.check(gpa, size)
    }

    /// A call of the event group; its arguments have 32 bits each.
    fn event(&mut self, call: u16, [a, b, c]: [u32; 3]) -> Result<u32, Errno> {
        let ports = &mut self.ports;
        match call {
            number::event_alloc => ports.give(Kind::Alloc, a, b),
            number::event_bind_timer => ports.give(Kind::Timer, a, b),
            number::event_bind_ipi => ports.give(Kind::Ipi, a, b),
            number::event_bind_vcpu => ports.bind_vcpu(a, b),
            number::event_send => ports.send(a),
            number::event_mask => ports.mask(a),
            number::event_unmask => ports.unmask(a),
            number::event_close => ports.close(a),
            _ => {
                // It has no devices.
                let source = Source::of(a)
                    .filter(|source| Source::OF_EVERY_VM.contains(source))
                    .ok_or(EINVAL)?;
                let port = ports.give(Kind::Source(source), b, c)?;
                // All that was typed is there, and the end of the input.
                if source == Source::Console {
                    ports.raise_source(source);
                }
                Ok(port)
            }
        }
    }

    fn set_timer(&mut self, port: u64, first: u64, period: Option<u64>) -> Result<u32, Errno> {
        /// Later than any test ends, in nanoseconds.
        const LATER: u64 = 1 << 43;
        if period.is_some_and(|period| period < TIMER_PERIOD_MIN) {
            return Err(EINVAL);
        }
        let may_come = |time: u64| (1..LATER).contains(&time);
        let result = self
            .ports
            .set_timer(port as u32, first == 0, period.is_some());
        self.unforeseeable |= result.is_ok() && (may_come(first) || period.is_some_and(may_come));
        result
    }

    fn batch(&mut self, entries: u64, count: u64, flags: u64) -> Result<u32, Errno> {
        if count > BATCH_MAX.into() {
            return Err(E2BIG);
        }
        if count == 0 || flags & !u64::from(BATCH_STOP_ON_ERROR) != 0 {
            return Err(EINVAL);
        }
        self.check_structs::<BatchEntry>(entries, count)?;
        for index in 0..count {
            let gpa = entries + index * size_of::<BatchEntry>() as u64;
            let entry: BatchEntry = self.get_struct(gpa)?;
            let result = match find(entry.word) {
                Ok(_) if Elements::of(entry.word).is_some() => Err(EINVAL),
                Ok(call) if !call.batchable => Err(EPERM),
                Ok(call) if !is_modelled(call) => {
                    self.unforeseeable = true;
                    Ok(0)
                }
                Ok(call) => self.run(call, &entry.arguments),
                Err(errno) => Err(errno),
            };
            self.stats.batched_calls += 1;
            let field = gpa + offset_of!(BatchEntry, result) as u64;
            self.put_struct(field, &rax(result))?;
            if result.is_err() && flags != 0 {
                return Ok(index as u32 + 1);
            }
        }
        Ok(count as u32)
    }

    fn entropy(&mut self, buffer: u64, size: u64) -> Result<u32, Errno> {
        if size > 256 {
            return Err(E2BIG);
        }
        self.check(buffer, size)?;
        self.random.extend(buffer..buffer + size);
        Ok(size as u32)
    }

    fn set_table(&mut self, table: u64, count: u64) -> Result<u32, Errno> {
        if count > TRAP_VECTORS as u64 {
            return Err(E2BIG);
        }
        self.check_structs::<TrapHandler>(table, count)?;
        let mut handlers = [0; TRAP_VECTORS];
        for (index, handler) in (0..count).zip(&mut handlers) {
            let entry: TrapHandler =
                self.get_struct(table + index * size_of::<TrapHandler>() as u64)?;
            if entry.flags != 0 {
                return Err(EINVAL);
            }
            *handler = lower_half(entry.handler)?;
        }
        self.handlers[..TRAP_VECTORS].copy_from_slice(&handlers);
        Ok(0)
    }

    fn console_read(&mut self, buffer: u64, size: u64) -> Result<u32, Errno> {
        self.check(buffer, size)?;
        if size == 0 {
            return Ok(0);
        }
        if self.input.is_empty() {
            return Err(EPIPE);
        }
        let count = self.input.len().min(size as usize).min(CONSOLE_MAX);
        let bytes: Vec<_> = self.input.drain(..count).collect();
        self.put(buffer, &bytes)?;
        Ok(count as u32)
    }

    fn crash_report(&mut self, gpa: u64) -> Result<u32, Errno> {
        let report: CrashReport = self.get_struct(gpa)?;
        let kind_is_known = report.kind == CRASH_PANIC || report.kind == CRASH_TRAP;
        if !kind_is_known || report.frame_valid > 1 || report.reserved != 0 {
            return Err(EINVAL);
        }
        let message = match report.message_size {
            0 => Vec::new(),
            1..=1024 => self.get(report.message_gpa, report.message_size.into())?,
            _ => return Err(E2BIG),
        };
        let message = String::from_utf8_lossy(&message).into_owned();
        self.report = Some(GuestReport { report, message });
        Ok(0)
    }

    fn act(&mut self, action: Action) -> Result<u32, Errno> {
        self.action = Some(action);
        Ok(0)
    }

    fn print(&mut self, bytes: &[u8]) -> u32 {
        self.output.extend_from_slice(bytes);
        self.output.truncate(OUTPUT_LIMIT);
        bytes.len() as u32
    }

    fn check(&self, gpa: u64, size: u64) -> Result<(), Errno> {
        let end = u128::from(gpa) + u128::from(size);
        if end > self.ram.len() as u128 {
            return Err(EFAULT);
        }
        Ok(())
    }

    fn check_structs<T>(&self, gpa: u64, count: u64) -> Result<(), Errno> {
        if !gpa.is_multiple_of(8) {
            return Err(EFAULT);
        }
        self.check(gpa, count * size_of::<T>() as u64)
    }

    fn get(&mut self, gpa: u64, size: u64) -> Result<Vec<u8>, Errno> {
        self.check(gpa, size)?;
        self.unforeseeable |= self.random.range(gpa..gpa + size).next().is_some();
        let hinted = &mut self.hinted.iter();
        self.unforeseeable |= hinted.any(|(start, all)| *start < gpa + size && gpa < start + all);
        Ok(self.ram[gpa as usize..(gpa + size) as usize].to_vec())
    }

    fn get_struct<T: FromBytes>(&mut self, gpa: u64) -> Result<T, Errno> {
        self.check_structs::<T>(gpa, 1)?;
        let bytes = self.get(gpa, size_of::<T>() as u64)?;
        Ok(T::read_from_bytes(&bytes).unwrap())
    }

    fn put(&mut self, gpa: u64, bytes: &[u8]) -> Result<(), Errno> {
        let size = bytes.len() as u64;
        self.check(gpa, size)?;
        let overwritten: Vec<_> = self.random.range(gpa..gpa + size).copied().collect();
        for address in overwritten {
            self.random.remove(&address);
        }
        self.ram[gpa as usize..(gpa + size) as usize].copy_from_slice(bytes);
        Ok(())
    }

    fn put_struct<T: IntoBytes + zerocopy::Immutable>(
        &mut self,
        gpa: u64,
        value: &T,
    ) -> Result<(), Errno> {
        self.check_structs::<T>(gpa, 1)?;
        self.put(gpa, value.as_bytes())
    }
}

/// The ports of a fresh world.
fn fresh_ports() -> Reference {
    let mut ports = Reference::new(VCPUS);
    for kind in PORT_KINDS {
        ports.give(kind, CALLER, 0).unwrap();
    }
    ports
}

fn find(word: u64) -> Result<&'static CallSpec, Errno> {
    if word & RESERVED_BITS != 0 {
        return Err(EINVAL);
    }
    let call = by_number(word as u16).ok_or(ENOSYS)?;
    // A range of elements belongs to a repeated call, which may be made without one in vain.
    let has_elements = word >> 32 != 0;
    if has_elements && (!call.repeated || Elements::of(word).is_none()) {
        return Err(EINVAL);
    }
    Ok(call)
}

/// The elements that a repeated call is to do.
#[derive(Clone, Copy)]
struct Elements {
    start: u64,
    count: u64,
}

impl Elements {
    /// Those that a call word names; `None` for an empty range.
    fn of(word: u64) -> Option<Self> {
        let (start, count) = (word >> 48 & 0xfff, word >> 32 & 0xfff);
        (start < count).then_some(Self { start, count })
    }
}

fn lower_half(address: u64) -> Result<u64, Errno> {
    if address < LOWER_HALF_END {
        Ok(address)
    } else {
        Err(EINVAL)
    }
}

fn rax(result: Result<u32, Errno>) -> i64 {
    match result {
        Ok(value) => value.into(),
        Err(errno) => -i64::from(errno as u16),
    }
}
