//! A vCPU: the loop around KVM_RUN.
//!
//! A hypercall costs one system call, the KVM_RUN itself: the hypercall page leaves the call in
//! the vCPU page, and the result goes back with the next KVM_RUN as the value that IN read or
//! that the KVM hypercall returned. Nothing on that path allocates, formats or takes
//! a lock that another VM can hold.
#![allow(unsafe_code)]

pub mod affinity;
pub mod call_area;
pub mod exit;
pub mod kick;
pub mod kvm_stats;
pub mod registers;
pub mod rest;
pub mod run_page;
pub mod saved;
pub mod shared;
pub mod steal;
mod sync_regs;
pub mod unfinished;
mod upcall;

use crate::carrier::Mode;
use crate::hypercall::deferred::drain_deferred;
use crate::hypercall::page::Sequence;
use crate::hypercall::{Action, CallContext, Services, dispatch};
use crate::memory::MemoryError;
use crate::monitor::code::Entry;
use crate::monitor::state::Monitor;
use call_area::CallArea;
use exit::{ExitReason, FatalExit};
use kvm_bindings::{kvm_debugregs, kvm_regs, kvm_sregs};
use kvm_ioctls::VcpuFd;
use kvm_stats::ExitCounter;
use pv_abi::trap::{DebugRegisters, TrapFrame, TrapState};
use pv_abi::vcpu_page::{RUN_STATE_RUNNING, RUN_STATE_STOPPED, VcpuPage};
use run_page::RunPage;
use saved::Resting;
use shared::{StartAt, VcpuShared};
use std::io;
use std::mem::offset_of;
use std::time::Duration;
use sync_regs::SyncRegs;
use thiserror::Error;
use unfinished::UnfinishedCall;
use upcall::Delivery;

/// RFLAGS that `trap_return` restores: CF, PF, AF, ZF, SF, TF, DF, OF, RF, AC and ID.
const RESTORED_RFLAGS: u64 = 0x25_0dd5;

/// Why a vCPU cannot be run.
#[derive(Debug, Error)]
pub enum VcpuError {
    /// A KVM ioctl failed.
    #[error("{ioctl} failed: {source}")]
    Kvm {
        /// Its name.
        ioctl: &'static str,
        /// What the kernel said.
        source: kvm_ioctls::Error,
    },
    /// The monitor's pages could not be accessed.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// There is no timer for its thread.
    #[error(
        "cannot create a timer for vCPU {vcpu}: {source}; raise the limit of pending signals \
         (ulimit -i)"
    )]
    Timer {
        /// Number of the vCPU.
        vcpu: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Names the ioctl that failed.
pub fn ioctl(name: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> VcpuError {
    move |source| VcpuError::Kvm {
        ioctl: name,
        source,
    }
}

/// How a vCPU's run ended.
#[derive(Debug)]
pub enum Ending {
    /// The guest ended the VM with this exit code.
    Shutdown(u8),
    /// The guest wants to start again.
    Reboot,
    /// The guest ended itself as crashed, or did what it cannot go on after.
    Crash(Box<CrashState>),
    /// Somebody outside wanted it to stop.
    Stopped,
}

/// The state of a vCPU that crashed.
#[derive(Clone, Debug)]
pub struct CrashState {
    /// What KVM or the monitor said; `None` when the guest itself said that it crashed.
    pub exit: Option<FatalExit>,
    /// General-purpose registers, RIP and RFLAGS of the guest's code.
    pub registers: kvm_regs,
    /// Control registers.
    pub system: kvm_sregs,
    /// The trap, where the monitor reported one.
    pub trap: Option<TrapState>,
}

/// How a vCPU left the guest for good, or for now.
#[derive(Debug)]
enum Left {
    /// The VM ends.
    End(Ending),
    /// The vCPU was stopped, by itself or by another.
    Stopped,
}

/// A vCPU with all that its thread needs.
#[derive(Debug)]
pub struct Vcpu {
    page: RunPage,
    sync: SyncRegs,
    call: CallArea,
    fd: VcpuFd,
    mode: Mode,
    monitor: Monitor,
    /// Where the hypercall page can be interrupted.
    sequence: Sequence,
    /// Whether KVM runs on virtualization hardware.
    hardware: bool,
    /// The page tables that every vCPU starts on.
    boot_root: u64,
    /// The page tables that the kernel runs on now.
    root: u64,
    /// Whether the vCPU is as `Machine` made it.
    fresh: bool,
    /// Whether KVM has yet to complete the instruction of the last exit.
    incomplete: bool,
    /// The place behind an INT3 at which it was to rest last, and how often.
    breakpoint: Option<(u64, u32)>,
    /// That it was restored and has not gone on yet, with the call that it is to repeat.
    revived: Option<Option<UnfinishedCall>>,
}

impl Vcpu {
    /// Where KVM counts its exits.
    pub fn exit_counter(&self) -> Option<ExitCounter> {
        ExitCounter::of(&self.fd)
    }

    /// A vCPU that runs in `mode`, and starts on the page tables at `root`.
    pub fn new(
        mut fd: VcpuFd,
        mode: Mode,
        monitor: Monitor,
        sequence: Sequence,
        root: u64,
        hardware: bool,
    ) -> Self {
        // SAFETY: both go into the same struct, and `fd` is dropped with it.
        let page = unsafe { RunPage::new(&mut fd) };
        // SAFETY: likewise.
        let sync = unsafe { SyncRegs::new(&mut fd) };
        // SAFETY: `monitor` goes into the same struct, and keeps its pages mapped.
        let call = unsafe { CallArea::new(monitor.call_area()) };
        Self {
            page,
            sync,
            call,
            fd,
            mode,
            monitor,
            sequence,
            hardware,
            boot_root: root,
            root,
            fresh: true,
            incomplete: false,
            breakpoint: None,
            revived: None,
        }
    }

    /// Lives the life of the vCPU: waits until it is started, runs it until it is stopped, and so
    /// on, until the VM ends. `Some` says that this vCPU ended it.
    pub fn live(&mut self, services: &Services) -> Result<Option<Ending>, VcpuError> {
        let number = self.monitor.vcpu();
        let Some(shared) = services.vcpus.get(number) else {
            return Ok(None);
        };
        shared.adopt_thread();
        let _presence = services.vcpus.rest.enter(number);
        let _timers = services
            .timers
            .attach(number)
            .map_err(|source| VcpuError::Timer {
                vcpu: number,
                source,
            })?;
        // SAFETY: the run page is mapped as long as `self.fd` lives, and the registration is
        // dropped when this function returns.
        let _registration = unsafe {
            shared
                .kicker
                .register(self.page.immediate_exit(), self.sync.wish())
        };
        loop {
            let left = match self.revived.take() {
                Some(call) => self.go_on(call, services, shared)?,
                None => {
                    let Some(start) = self.wait_for_start(services, shared) else {
                        return Ok(None);
                    };
                    self.start_at(start, services)?;
                    self.set_run_state(shared, RUN_STATE_RUNNING)?;
                    self.run(services, shared)?
                }
            };
            match left {
                // Another vCPU ended it, or somebody outside.
                Left::End(Ending::Stopped) => return Ok(None),
                Left::End(ending) => return Ok(Some(ending)),
                Left::Stopped => {
                    self.monitor
                        .write_page(offset_of!(VcpuPage, run_state), &RUN_STATE_STOPPED)?;
                    services.spaces.reset_vcpu(number);
                    if !services.vcpus.has_stopped(number) {
                        return Ok(Some(Ending::Shutdown(0)));
                    }
                }
            }
        }
    }

    /// Waits until the vCPU is started; `None` when the VM ends.
    fn wait_for_start(&mut self, services: &Services, shared: &VcpuShared) -> Option<StartAt> {
        let number = self.monitor.vcpu();
        loop {
            if services.vcpus.stopping() {
                return None;
            }
            if services.vcpus.rest.is_wanted() {
                self.rest(Resting::Stopped, services, shared);
                continue;
            }
            // Timers run though nobody is there to be told: another vCPU may poll their ports.
            services.timers.run_due(number, services);
            let until = services.timers.next_deadline(number);
            if let Some(start) = shared.take_start() {
                return Some(start);
            }
            let time =
                until.map(|until| Duration::from_nanos(until.saturating_sub(services.clock.now())));
            shared.park(time, || {
                services.vcpus.stopping()
                    || services.vcpus.rest.is_wanted()
                    || shared.state() != RUN_STATE_STOPPED
                    || services.timers.next_deadline(number) != until
            });
        }
    }

    fn set_run_state(&self, shared: &VcpuShared, state: u32) -> Result<(), VcpuError> {
        shared.set_state(state);
        Ok(self
            .monitor
            .write_page(offset_of!(VcpuPage, run_state), &state)?)
    }

    /// Points the vCPU at guest code.
    fn start_at(&mut self, at: StartAt, services: &Services) -> Result<(), VcpuError> {
        let registers = kvm_regs {
            rdi: at.argument,
            ..Default::default()
        };
        if !std::mem::replace(&mut self.fresh, false) {
            self.reset(services)?;
        }
        self.enter_by_resume(registers, at.entry, at.stack, 0)
    }

    /// Makes the vCPU as it was before it was started first.
    fn reset(&mut self, services: &Services) -> Result<(), VcpuError> {
        self.complete()?;
        self.root = self.boot_root;
        let mut sregs = self.system()?;
        registers::set_system(&mut sregs, self.monitor.vcpu(), self.root, &self.monitor);
        self.sync.set_system(&sregs);
        self.sync.forget_undelivered();
        registers::set_floating_point(&self.fd)?;
        self.set_debug_registers(&DebugRegisters::default())?;
        self.monitor.reset(services.mode)?;
        Ok(())
    }

    /// Goes on where the vCPU was saved.
    fn go_on(
        &mut self,
        call: Option<UnfinishedCall>,
        services: &Services,
        shared: &VcpuShared,
    ) -> Result<Left, VcpuError> {
        if let Some(call) = call
            && let Some(left) = self.repeat(call, services, shared)?
        {
            return Ok(left);
        }
        shared.note_attention();
        self.run(services, shared)
    }

    /// Runs the guest until the VM ends or the vCPU is stopped.
    fn run(&mut self, services: &Services, shared: &VcpuShared) -> Result<Left, VcpuError> {
        loop {
            if shared.wants_attention()
                && let Some(left) = self.attend(services, shared)?
            {
                return Ok(left);
            }
            let carried = match self.page.run() {
                Ok(Some(carried)) => carried,
                Ok(None) if self.page.is_upcall_request() => {
                    self.incomplete = true;
                    self.upcall_or_task(services)?;
                    shared.note_attention();
                    continue;
                }
                // A grant was taken back, or detached by another vCPU, when this access had got past
                // the guest's page tables and no further. The next one is a #PF.
                Ok(None) if self.page.is_access_to(services.grants.window()) => {
                    self.incomplete = true;
                    shared.stats.record_exit(ExitReason::Mmio);
                    continue;
                }
                Ok(None) => {
                    self.incomplete = true;
                    let exit = self.page.fatal_exit();
                    return self.crash(Some(exit), shared).map(Left::End);
                }
                Err(error) => {
                    self.incomplete = false;
                    match self.interrupted(&error, shared)? {
                        Some(ending) => return Ok(Left::End(ending)),
                        None => continue,
                    }
                }
            };
            let (word, arguments) = (self.call.call_word(), self.call.arguments());
            let mut context = CallContext {
                services,
                vcpu: self.monitor.vcpu(),
                monitor: &self.monitor,
                stats: &shared.stats,
                action: None,
            };
            if self.call.deferred() != 0 {
                drain_deferred(&mut context);
            }
            let result = dispatch(&mut context, word, &arguments);
            self.page.answer(carried, result);
            self.incomplete = true;
            // Looked at in place: moving it out costs every call a copy.
            if context.action.is_some()
                && let Some(action) = context.action.take()
            {
                let call = UnfinishedCall::new(carried, word, arguments);
                if let Some(left) = self.conclude(call, action, services, shared)? {
                    return Ok(left);
                }
                shared.note_attention();
            }
        }
    }

    /// Looks at all that others want of this vCPU, before it enters the guest.
    #[cold]
    fn attend(
        &mut self,
        services: &Services,
        shared: &VcpuShared,
    ) -> Result<Option<Left>, VcpuError> {
        loop {
            // First: what comes behind this is looked at, or calls for attention again.
            shared.take_attention();
            if services.vcpus.stopping() {
                return Ok(Some(Left::End(Ending::Stopped)));
            }
            if shared.stop_requested() {
                return Ok(Some(Left::Stopped));
            }
            if services.vcpus.rest.is_wanted() {
                if self.cannot_rest_here(services)? {
                    self.sync.forget();
                    return Ok(None);
                }
                self.rest(Resting::Running, services, shared);
                continue;
            }
            services.timers.run_due(self.monitor.vcpu(), services);
            if !self.upcall_due(services)? {
                // Or each exit would bring registers that nobody wants.
                self.sync.forget();
                return Ok(None);
            }
            if self.incomplete {
                // A kick that comes meanwhile is lost, an alarm's for one: look at all of it again.
                self.complete()?;
                continue;
            }
            if self.deliver_upcall(services)? == Delivery::AtExit {
                // This is looked at behind the exit.
                shared.note_attention();
            }
            return Ok(None);
        }
    }

    /// Completes the instruction of the last exit, so that registers can be read and set. A kick
    /// that comes meanwhile is lost: whoever goes on with the guest looks at everything first.
    fn complete(&mut self) -> Result<(), VcpuError> {
        if std::mem::replace(&mut self.incomplete, false) {
            finish_exit(&mut self.fd)?;
        }
        Ok(())
    }

    #[cold]
    fn act(&mut self, action: Action, shared: &VcpuShared) -> Result<Option<Left>, VcpuError> {
        match action {
            Action::Shutdown(code) => Ok(Some(Left::End(Ending::Shutdown(code)))),
            Action::Reboot => Ok(Some(Left::End(Ending::Reboot))),
            Action::Crash => self
                .crash(None, shared)
                .map(|ending| Some(Left::End(ending))),
            // A call that is to be repeated was, before this.
            Action::Interrupted | Action::Repeat { .. } => Ok(Some(Left::End(Ending::Stopped))),
            Action::StopVcpu => Ok(Some(Left::Stopped)),
            // It does not touch what completing the exit does.
            Action::SetTls(base) => {
                let mut sregs = self.system()?;
                sregs.fs.base = base;
                self.sync.set_system(&sregs);
                Ok(None)
            }
            Action::SetRoots { kernel, task } => {
                self.complete()?;
                let mut sregs = self.system()?;
                sregs.cr3 = kernel;
                self.sync.set_system(&sregs);
                self.root = kernel;
                let own = if task == 0 { 0 } else { kernel };
                self.monitor.set_roots(own, task)?;
                Ok(None)
            }
            Action::SetDebug(registers) => {
                self.complete()?;
                self.set_debug_registers(&registers)?;
                Ok(None)
            }
            Action::Resume(frame) => {
                self.complete()?;
                let registers = general_registers(&frame);
                let rflags = frame.rflags & RESTORED_RFLAGS;
                self.resume(registers, frame.rip, frame.rsp, rflags)?;
                Ok(None)
            }
        }
    }

    /// KVM_RUN ended otherwise than by an exit.
    #[cold]
    fn interrupted(
        &mut self,
        error: &io::Error,
        shared: &VcpuShared,
    ) -> Result<Option<Ending>, VcpuError> {
        match error.raw_os_error() {
            Some(libc::EINTR) => {
                shared.stats.record_exit(ExitReason::Signal);
                self.fd.set_kvm_immediate_exit(0);
                // A timer has no other way to say that it is due.
                shared.note_attention();
                Ok(None)
            }
            Some(libc::EAGAIN) => Ok(None),
            // An access that the host's mapping forbids. RAM is mapped so that there is none,
            // and if there is one all the same, it was the guest's.
            Some(libc::EFAULT) => self
                .crash(
                    Some(FatalExit::Mmio {
                        gpa: 0,
                        write: true,
                    }),
                    shared,
                )
                .map(Some),
            errno => {
                let errno = errno.unwrap_or(libc::EIO);
                Err(ioctl("KVM_RUN")(kvm_ioctls::Error::new(errno)))
            }
        }
    }

    fn set_debug_registers(&self, registers: &DebugRegisters) -> Result<(), VcpuError> {
        // DR6 and DR7 as after a reset (Intel SDM vol. 3A, table 10-1).
        let debug = kvm_debugregs {
            db: registers.address,
            dr6: 0xffff_0ff0,
            dr7: registers.control | 0x400,
            ..Default::default()
        };
        self.fd
            .set_debug_regs(&debug)
            .map_err(ioctl("KVM_SET_DEBUGREGS"))
    }

    /// The system registers.
    fn system(&self) -> Result<kvm_sregs, VcpuError> {
        match self.sync.system_to_be() {
            Some(registers) => Ok(registers),
            None => self.fd.get_sregs().map_err(ioctl("KVM_GET_SREGS")),
        }
    }

    /// The general registers, and RIP and RFLAGS.
    fn general(&self) -> Result<kvm_regs, VcpuError> {
        match self.sync.general_to_be() {
            Some(registers) => Ok(registers),
            None => self.fd.get_regs().map_err(ioctl("KVM_GET_REGS")),
        }
    }

    /// Enters guest code with all registers as given, by way of the monitor's IRETQ.
    fn resume(
        &mut self,
        registers: kvm_regs,
        rip: u64,
        rsp: u64,
        rflags: u64,
    ) -> Result<(), VcpuError> {
        let mut sregs = self.system()?;
        registers::set_monitor_code(&mut sregs);
        self.sync.set_system(&sregs);
        self.enter_by_resume(registers, rip, rsp, rflags)
    }

    /// As [`Vcpu::resume`], for a vCPU that is on the monitor's segments already.
    fn enter_by_resume(
        &mut self,
        mut registers: kvm_regs,
        rip: u64,
        rsp: u64,
        rflags: u64,
    ) -> Result<(), VcpuError> {
        let frame = self
            .monitor
            .prepare_resume(self.mode.privilege, rip, rsp, rflags)?;
        registers.rip = self.monitor.entry(Entry::Resume);
        registers.rsp = frame;
        registers.rflags = 2;
        self.sync.forget();
        self.sync.set(&registers);
        Ok(())
    }

    #[cold]
    fn crash(&mut self, exit: Option<FatalExit>, shared: &VcpuShared) -> Result<Ending, VcpuError> {
        if let Some(exit) = &exit {
            shared.stats.record_exit(exit.reason());
        }
        let reported_by_monitor = matches!(
            exit,
            Some(FatalExit::UnhandledTrap | FatalExit::DoubleTrap | FatalExit::DoubleFault)
        );
        if exit.is_none() || reported_by_monitor {
            self.complete()?;
        }
        let mut registers = self.general()?;
        let system = self.system()?;
        let mut trap = None;
        if reported_by_monitor {
            let state = self.monitor.trap_state()?;
            if exit != Some(FatalExit::DoubleFault) {
                registers.rip = state.rip;
                registers.rsp = state.rsp;
                registers.rflags = state.rflags;
            }
            trap = Some(state);
        } else if exit.is_none() && self.mode.calls_by_monitor() {
            // The call is still inside the monitor, whose return frame has the guest's RSP.
            let frame = self.monitor.return_frame()?;
            registers.rip = frame.rip;
            registers.rsp = frame.rsp;
        }
        Ok(Ending::Crash(Box::new(CrashState {
            exit,
            registers,
            system,
            trap,
        })))
    }
}

/// Completes the instruction of the last exit, so that registers can be read and set.
pub(crate) fn finish_exit(vcpu: &mut VcpuFd) -> Result<(), VcpuError> {
    vcpu.set_kvm_immediate_exit(1);
    let result = vcpu.run().map(|_| ());
    vcpu.set_kvm_immediate_exit(0);
    match result {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Ok(()),
        Err(error) => Err(ioctl("KVM_RUN")(error)),
    }
}

fn general_registers(frame: &TrapFrame) -> kvm_regs {
    kvm_regs {
        rax: frame.rax,
        rbx: frame.rbx,
        rcx: frame.rcx,
        rdx: frame.rdx,
        rsi: frame.rsi,
        rdi: frame.rdi,
        rbp: frame.rbp,
        r8: frame.r8,
        r9: frame.r9,
        r10: frame.r10,
        r11: frame.r11,
        r12: frame.r12,
        r13: frame.r13,
        r14: frame.r14,
        r15: frame.r15,
        ..Default::default()
    }
}
