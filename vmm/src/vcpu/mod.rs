//! A vCPU: the loop around KVM_RUN.
//!
//! A hypercall costs one system call, the KVM_RUN itself: the hypercall page leaves the call in
//! the vCPU page, and the result goes back with the next KVM_RUN as the value that IN read or
//! that the KVM hypercall returned. Nothing on that path allocates, formats or takes
//! a lock that another VM can hold.
#![allow(unsafe_code)]

pub mod call_area;
pub mod exit;
pub mod kick;
pub mod registers;
pub mod run_page;
pub mod shared;

use crate::carrier::Mode;
use crate::hypercall::stats::CallStats;
use crate::hypercall::{Action, CallContext, Services, dispatch};
use crate::memory::MemoryError;
use crate::monitor::code::Entry;
use crate::monitor::state::Monitor;
use call_area::CallArea;
use exit::{ExitReason, FatalExit};
use kick::Kicker;
use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::VcpuFd;
use pv_abi::trap::{TrapFrame, TrapState};
use run_page::RunPage;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

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

/// A vCPU with all that its thread needs.
#[derive(Debug)]
pub struct Vcpu {
    page: RunPage,
    call: CallArea,
    fd: VcpuFd,
    mode: Mode,
    monitor: Monitor,
    /// Counters of calls and exits.
    pub stats: CallStats,
}

impl Vcpu {
    /// A vCPU that runs in `mode`.
    pub fn new(mut fd: VcpuFd, mode: Mode, monitor: Monitor) -> Self {
        // SAFETY: both go into the same struct, and `fd` is dropped with it.
        let page = unsafe { RunPage::new(&mut fd) };
        // SAFETY: `monitor` goes into the same struct, and keeps its pages mapped.
        let call = unsafe { CallArea::new(monitor.call_area()) };
        Self {
            page,
            call,
            fd,
            mode,
            monitor,
            stats: CallStats::default(),
        }
    }

    /// Points the vCPU at guest code: the first instruction of a guest.
    pub fn start_at(&mut self, entry: u64, stack_top: u64, rdi: u64) -> Result<(), VcpuError> {
        let registers = kvm_regs {
            rdi,
            ..Default::default()
        };
        self.resume(registers, entry, stack_top, 0)
    }

    /// Runs the guest until it ends or `stopping` is set and the kicker kicks.
    pub fn run(
        &mut self,
        services: &Services,
        kicker: &Kicker,
        stopping: &AtomicBool,
    ) -> Result<Ending, VcpuError> {
        // SAFETY: the run page is mapped as long as `self.fd` lives, and the registration is
        // dropped when this function returns.
        let _registration = unsafe { kicker.register(self.page.immediate_exit()) };
        loop {
            let carried = match self.page.run() {
                Ok(Some(carried)) => carried,
                Ok(None) => return self.crash(Some(self.page.fatal_exit())),
                Err(error) => match self.interrupted(&error, stopping)? {
                    Some(ending) => return Ok(ending),
                    None => continue,
                },
            };
            let (word, arguments) = (self.call.call_word(), self.call.arguments());
            let mut context = CallContext {
                services,
                vcpu: self.monitor.vcpu(),
                monitor: &self.monitor,
                stats: &mut self.stats,
                action: None,
            };
            let result = dispatch(&mut context, word, &arguments);
            self.page.answer(carried, result);
            // Looked at in place: moving it out costs every call a copy.
            if context.action.is_some()
                && let Some(action) = context.action.take()
                && let Some(ending) = self.act(action)?
            {
                return Ok(ending);
            }
        }
    }

    #[cold]
    fn act(&mut self, action: Action) -> Result<Option<Ending>, VcpuError> {
        match action {
            Action::Shutdown(code) => Ok(Some(Ending::Shutdown(code))),
            Action::Reboot => Ok(Some(Ending::Reboot)),
            Action::Crash => self.crash(None).map(Some),
            Action::Interrupted => Ok(Some(Ending::Stopped)),
            Action::SetTls(base) => {
                finish_exit(&mut self.fd)?;
                let mut sregs = self.system()?;
                sregs.fs.base = base;
                self.fd.set_sregs(&sregs).map_err(ioctl("KVM_SET_SREGS"))?;
                Ok(None)
            }
            Action::SetRoots { .. } => Ok(None),
            Action::Resume(frame) => {
                finish_exit(&mut self.fd)?;
                let registers = general_registers(&frame);
                let rflags = frame.rflags & RESTORED_RFLAGS;
                self.resume(registers, frame.rip, frame.rsp, rflags)?;
                Ok(None)
            }
        }
    }

    #[cold]
    fn interrupted(
        &mut self,
        error: &io::Error,
        stopping: &AtomicBool,
    ) -> Result<Option<Ending>, VcpuError> {
        match error.raw_os_error() {
            Some(libc::EINTR) => {
                self.stats.other_exits.record(ExitReason::Signal);
                if stopping.load(Ordering::SeqCst) {
                    return Ok(Some(Ending::Stopped));
                }
                self.fd.set_kvm_immediate_exit(0);
                Ok(None)
            }
            Some(libc::EAGAIN) => Ok(None),
            // An access that the host's mapping forbids. RAM is mapped so that there is none,
            // and if there is one all the same, it was the guest's.
            Some(libc::EFAULT) => self
                .crash(Some(FatalExit::Mmio {
                    gpa: 0,
                    write: true,
                }))
                .map(Some),
            errno => {
                let errno = errno.unwrap_or(libc::EIO);
                Err(ioctl("KVM_RUN")(kvm_ioctls::Error::new(errno)))
            }
        }
    }

    fn system(&self) -> Result<kvm_sregs, VcpuError> {
        self.fd.get_sregs().map_err(ioctl("KVM_GET_SREGS"))
    }

    /// Enters guest code with all registers as given, by way of the monitor's IRETQ.
    fn resume(
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
        let mut sregs = self.system()?;
        registers::set_monitor_code(&mut sregs);
        self.fd.set_sregs(&sregs).map_err(ioctl("KVM_SET_SREGS"))?;
        self.fd.set_regs(&registers).map_err(ioctl("KVM_SET_REGS"))
    }

    #[cold]
    fn crash(&mut self, exit: Option<FatalExit>) -> Result<Ending, VcpuError> {
        if let Some(exit) = &exit {
            self.stats.other_exits.record(exit.reason());
        }
        let reported_by_monitor = matches!(
            exit,
            Some(FatalExit::UnhandledTrap | FatalExit::DoubleTrap | FatalExit::DoubleFault)
        );
        if exit.is_none() || reported_by_monitor {
            finish_exit(&mut self.fd)?;
        }
        let mut registers = self.fd.get_regs().map_err(ioctl("KVM_GET_REGS"))?;
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
