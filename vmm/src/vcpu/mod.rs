//! A vCPU: the loop around KVM_RUN.
//!
//! A hypercall costs one system call, the KVM_RUN itself: the registers come with the exit
//! (KVM_CAP_SYNC_REGS), and the result goes back with the next KVM_RUN as the value that IN
//! read or that the KVM hypercall returned. Nothing on that path allocates, formats or takes
//! a lock that another VM can hold.
#![allow(unsafe_code)]

pub mod exit;
pub mod kick;
pub mod registers;

use crate::carrier::Mode;
use crate::hypercall::stats::CallStats;
use crate::hypercall::{Action, Arguments, CallContext, Services, dispatch};
use crate::memory::MemoryError;
use crate::monitor::code::Entry;
use crate::monitor::state::Monitor;
use crate::ports;
use exit::{ExitCounts, ExitReason, FatalExit};
use kick::Kicker;
use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::{SyncReg, VcpuExit, VcpuFd};
use pv_abi::trap::{TrapFrame, TrapState};
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// KVM_HC_MAP_GPA_RANGE (Linux, include/uapi/linux/kvm_para.h).
const KVM_HC_MAP_GPA_RANGE: u64 = 12;

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
pub(crate) fn ioctl(name: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> VcpuError {
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
    fd: VcpuFd,
    mode: Mode,
    monitor: Monitor,
    /// Counters of calls.
    pub stats: CallStats,
    /// Counters of exits.
    pub exits: ExitCounts,
}

/// Where the result of a hypercall goes.
enum Answer {
    /// The data of a port read.
    Port(*mut u8),
    /// The return value of a KVM hypercall.
    Hypercall(*mut u64),
}

impl Vcpu {
    /// A vCPU that runs in `mode`.
    pub fn new(fd: VcpuFd, mode: Mode, monitor: Monitor) -> Self {
        Self {
            fd,
            mode,
            monitor,
            stats: CallStats::default(),
            exits: ExitCounts::default(),
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
        self.fd.set_sync_valid_reg(SyncReg::Register);
        let immediate_exit = &raw mut self.fd.get_kvm_run().immediate_exit;
        // SAFETY: the run page is mapped as long as `self.fd` lives, and the registration is
        // dropped when this function returns.
        let _registration = unsafe { kicker.register(immediate_exit) };
        loop {
            if let Some(ending) = self.run_once(services, stopping)? {
                return Ok(ending);
            }
        }
    }

    #[inline]
    fn run_once(
        &mut self,
        services: &Services,
        stopping: &AtomicBool,
    ) -> Result<Option<Ending>, VcpuError> {
        let answer = match self.fd.run() {
            Ok(VcpuExit::IoIn(port, data))
                if port == u16::from(ports::HYPERCALL) && data.len() == 4 =>
            {
                Answer::Port(data.as_mut_ptr())
            }
            Ok(VcpuExit::Hypercall(exit)) if exit.nr == KVM_HC_MAP_GPA_RANGE => {
                Answer::Hypercall(exit.ret)
            }
            Ok(other) => {
                let exit = fatal_exit(&other);
                return self.crash(Some(exit)).map(Some);
            }
            Err(error) => return self.interrupted(error, stopping),
        };
        self.stats.exits += 1;
        self.exits.record(ExitReason::Hypercall);

        let registers = &self.fd.sync_regs_mut().regs;
        let arguments: Arguments = [
            registers.rdi,
            registers.rsi,
            registers.rdx,
            registers.r10,
            registers.r8,
            registers.r9,
        ];
        let word = match answer {
            Answer::Port(_) => registers.rax,
            // RAX holds KVM's own call number.
            Answer::Hypercall(_) => registers.r11,
        };
        let mut context = CallContext {
            services,
            monitor: &self.monitor,
            stats: &mut self.stats,
            action: None,
        };
        let result = dispatch(&mut context, word, &arguments);
        let action = context.action;
        match answer {
            // SAFETY: the pointer came from this exit's data, 4 bytes in the run page, which
            // is mapped as long as `self.fd` lives; nothing has run the vCPU since.
            Answer::Port(data) => unsafe { data.cast::<u32>().write_unaligned(result as u32) },
            // SAFETY: likewise, the exit's return value.
            Answer::Hypercall(value) => unsafe { value.write(result as u64) },
        }
        match action {
            None => Ok(None),
            Some(action) => self.act(action),
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
        error: kvm_ioctls::Error,
        stopping: &AtomicBool,
    ) -> Result<Option<Ending>, VcpuError> {
        match error.errno() {
            libc::EINTR => {
                self.exits.record(ExitReason::Signal);
                if stopping.load(Ordering::SeqCst) {
                    return Ok(Some(Ending::Stopped));
                }
                self.fd.set_kvm_immediate_exit(0);
                Ok(None)
            }
            libc::EAGAIN => Ok(None),
            // A store that the host's mapping forbids; not possible with RAM as it is mapped,
            // and reported as what the guest did.
            libc::EFAULT => self
                .crash(Some(FatalExit::Mmio {
                    gpa: 0,
                    write: true,
                }))
                .map(Some),
            _ => Err(ioctl("KVM_RUN")(error)),
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
            self.stats.exits += 1;
            self.exits.record(exit.reason());
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

fn fatal_exit(exit: &VcpuExit<'_>) -> FatalExit {
    let monitor_port = |port: u16| {
        [
            (ports::UNHANDLED_TRAP, FatalExit::UnhandledTrap),
            (ports::DOUBLE_TRAP, FatalExit::DoubleTrap),
            (ports::DOUBLE_FAULT, FatalExit::DoubleFault),
        ]
        .into_iter()
        .find_map(|(number, exit)| (u16::from(number) == port).then_some(exit))
    };
    match exit {
        VcpuExit::IoOut(port, _) => monitor_port(*port).unwrap_or(FatalExit::Io {
            port: *port,
            write: true,
        }),
        VcpuExit::IoIn(port, _) => FatalExit::Io {
            port: *port,
            write: false,
        },
        VcpuExit::MmioRead(gpa, _) => FatalExit::Mmio {
            gpa: *gpa,
            write: false,
        },
        VcpuExit::MmioWrite(gpa, _) => FatalExit::Mmio {
            gpa: *gpa,
            write: true,
        },
        VcpuExit::Hlt => FatalExit::Halt,
        VcpuExit::Shutdown => FatalExit::TripleFault,
        VcpuExit::InternalError => FatalExit::InternalError { suberror: 0 },
        VcpuExit::FailEntry(reason, _) => FatalExit::FailEntry { reason: *reason },
        VcpuExit::Unsupported(reason) => FatalExit::Other { reason: *reason },
        _ => FatalExit::Other { reason: 0 },
    }
}
