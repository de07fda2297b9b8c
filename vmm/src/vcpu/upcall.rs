//! Delivering upcalls: the guest is entered at its handler as by a trap.
//!
//! No interrupt is injected, so that the guest's interrupt flag, an interrupt controller and its
//! EOI play no part, and a hypercall costs nothing more for it (docs/decisions/0006-upcalls.md).
//! The vCPU has been kicked out of the guest, and its registers say where it was:
//!
//! - in the guest's code: the handler is entered there;
//! - in the hypercall page, where a call in the handler would disturb the one under way: the
//!   page's code is set back or forward first;
//! - in the monitor, behind a carrier or on the way into a task: as if it had left it already;
//! - in the monitor elsewhere: on the way to the guest's trap code, which looks at
//!   `upcall_pending` itself, or to an exit, at which the upcall is delivered.

use super::sync_regs::Handed;
use super::{Vcpu, VcpuError, ioctl, registers};
use crate::carrier::{Carrier, Privilege};
use crate::hypercall::Services;
use crate::hypercall::page::{Adjustment, SAVED_RBX};
use crate::monitor::code::Entry;
use crate::monitor::data::{InterruptFrame, fresh_rflags, guest_selectors};
use kvm_bindings::{kvm_regs, kvm_sregs};
use pv_abi::address_space::LOWER_HALF_END;
use pv_abi::trap::{TrapState, UPCALL_VECTOR};
use pv_abi::vcpu_page::{TaskState, VcpuPage};
use std::mem::{offset_of, size_of};
use std::time::Duration;

/// How soon it is tried again where it cannot be told whether KVM has a breakpoint for the guest.
const LOOK_AGAIN: Duration = Duration::from_micros(50);

/// How often a vCPU that is to rest is let go on from one place behind an INT3.
const BREAKPOINT_LOOKS: u32 = 4;

/// What became of an upcall that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The guest enters its handler.
    Done,
    /// The guest looks for itself, when it unmasks upcalls or at the end of its trap code.
    ByGuest,
    /// The guest is about to exit, and it is to be tried again then.
    AtExit,
}

/// Who was interrupted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interrupted {
    /// The kernel, in its own code.
    Kernel,
    /// The kernel, by now in the monitor on its way back: the segments are the monitor's.
    Returning,
    /// A task, or the monitor on its way into one.
    Task,
}

impl Vcpu {
    /// Whether the guest wants to be told now: an event waits, and upcalls are not masked.
    pub(super) fn upcall_due(&self, services: &Services) -> Result<bool, VcpuError> {
        if !services.events.upcall_pending(self.monitor.vcpu()) {
            return Ok(false);
        }
        let mask: u8 = self.monitor.read_page(offset_of!(VcpuPage, upcall_mask))?;
        Ok(mask == 0 && self.monitor.upcall_handler()?.is_some())
    }

    /// The monitor has found an event on its way into a task: delivers the upcall, or lets the
    /// task go.
    #[cold]
    pub(super) fn upcall_or_task(&mut self, services: &Services) -> Result<(), VcpuError> {
        self.complete()?;
        if self.upcall_due(services)? && self.deliver_upcall(services)? == Delivery::Done {
            return Ok(());
        }
        let mut registers = self.general()?;
        registers.rip = self.monitor.entry(Entry::TaskGo);
        self.sync.set(&registers);
        Ok(())
    }

    /// Delivers an upcall that is due.
    #[cold]
    pub(super) fn deliver_upcall(&mut self, services: &Services) -> Result<Delivery, VcpuError> {
        let busy: u32 = self
            .monitor
            .read_page(offset_of!(VcpuPage, trap) + offset_of!(TrapState, busy))?;
        if busy != 0 {
            return Ok(Delivery::ByGuest);
        }
        let Some(handler) = self.monitor.upcall_handler()? else {
            return Ok(Delivery::ByGuest);
        };
        // KVM forgets an exception that it was about to inject when registers are set. The guest's
        // trap code looks for itself behind it.
        let handed = match self.sync.take() {
            Some(handed) => handed,
            // It was no kick that ended KVM_RUN, but a timer.
            None => Handed {
                exception_waits: self.exception_waits()?,
                registers: self.general()?,
            },
        };
        if handed.exception_waits {
            return Ok(Delivery::ByGuest);
        }
        let mut registers = handed.registers;
        if self.breakpoint_may_wait(services, registers.rip) {
            services.timers.look_again(self.monitor.vcpu(), LOOK_AGAIN);
            return Ok(Delivery::AtExit);
        }
        let who = match self.locate(&mut registers)? {
            Ok(who) => who,
            Err(delivery) => return Ok(delivery),
        };

        let from_task = who == Interrupted::Task;
        let (cs, ss) = guest_selectors(if from_task {
            Privilege::Ring3
        } else {
            self.mode.privilege
        });
        let state = TrapState {
            busy: 1,
            vector: UPCALL_VECTOR,
            from_task: from_task.into(),
            rip: registers.rip,
            cs: cs.into(),
            rflags: registers.rflags,
            rsp: registers.rsp,
            ss: ss.into(),
            ..Default::default()
        };
        self.monitor
            .write_page(offset_of!(VcpuPage, trap), &state)?;
        self.monitor
            .write_page(offset_of!(VcpuPage, upcall_mask), &1u8)?;

        if who != Interrupted::Kernel {
            let mut sregs = self.system()?;
            registers::set_guest_code(&mut sregs, self.mode.privilege);
            if from_task {
                self.leave_task(&mut sregs)?;
            }
            self.sync.set_system(&sregs);
        }
        registers.rip = handler;
        registers.rflags = fresh_rflags(self.mode.privilege);
        self.sync.set(&registers);
        self.sync.forget_undelivered();
        Ok(Delivery::Done)
    }

    /// Whether KVM has an exception for the guest.
    fn exception_waits(&self) -> Result<bool, VcpuError> {
        let events = self
            .fd
            .get_vcpu_events()
            .map_err(ioctl("KVM_GET_VCPU_EVENTS"))?;
        Ok(events.exception.injected != 0 || events.exception.pending != 0)
    }

    /// Whether KVM may have an exception for the guest that it does not tell, and that so would be
    /// lost if the vCPU were saved here. Then it is looked again soon.
    pub(super) fn cannot_rest_here(&mut self, services: &Services) -> Result<bool, VcpuError> {
        if self.hardware {
            return Ok(false);
        }
        let rip = self.general()?.rip;
        let looks = match self.breakpoint {
            Some((before, looks)) if before == rip => looks + 1,
            _ => 1,
        };
        // What stays behind an INT3 though it was let go on has none waiting.
        let waits = looks <= BREAKPOINT_LOOKS && self.breakpoint_may_wait(services, rip);
        self.breakpoint = waits.then_some((rip, looks));
        if waits {
            services.timers.look_again(self.monitor.vcpu(), LOOK_AGAIN);
        }
        Ok(waits)
    }

    /// Whether a software KVM may have an INT3 for the guest, which it does not tell
    /// (Linux, kvm_vcpu_ioctl_x86_get_vcpu_events): RIP is behind it already.
    fn breakpoint_may_wait(&self, services: &Services, rip: u64) -> bool {
        const INT3: u8 = 0xcc;
        !self.hardware
            && !self.monitor.contains(rip)
            && rip.checked_sub(1).and_then(|before| {
                services.read_virtual_byte(self.monitor.memory(), self.root, before)
            }) == Some(INT3)
    }

    /// Finds out who was interrupted, and makes the registers those of whoever it was.
    fn locate(&self, regs: &mut kvm_regs) -> Result<Result<Interrupted, Delivery>, VcpuError> {
        let monitor = &self.monitor;
        let rip = regs.rip;
        let at = |entry| monitor.entry(entry);
        if (at(Entry::TaskEntry)..at(Entry::TaskEntryEnd)).contains(&rip) {
            let task: TaskState = monitor.read_page(offset_of!(VcpuPage, task))?;
            regs.rip = task.rip & (LOWER_HALF_END - 1);
            regs.rflags = task.rflags & super::RESTORED_RFLAGS | fresh_rflags(Privilege::Ring3);
            regs.rsp = task.rsp;
            regs.rcx = task.rcx;
            regs.r11 = task.r11;
            return Ok(Ok(Interrupted::Task));
        }
        if !monitor.contains(rip) {
            if monitor.in_task()? {
                return Ok(Ok(Interrupted::Task));
            }
            self.adjust(regs)?;
            return Ok(Ok(Interrupted::Kernel));
        }
        if rip == at(Entry::Resume) {
            set_frame(regs, &monitor.resume_frame()?);
            return Ok(Ok(Interrupted::Returning));
        }
        let carried = at(match self.mode.carrier {
            Carrier::Pio => Entry::CarriedPio,
            Carrier::Vmcall => Entry::CarriedVmcall,
            Carrier::Vmmcall => Entry::CarriedVmmcall,
        });
        // Behind VMCALL are a POP of RBX and the IRETQ; behind IN, the IRETQ alone.
        let pops = u64::from(self.mode.carrier != Carrier::Pio);
        if rip == carried && pops != 0 {
            regs.rbx = monitor.pushed_rbx()?;
        } else if rip != carried + pops {
            // A gate, whose way leads to the guest's trap code; or a call, which exits.
            return Ok(Err(Delivery::AtExit));
        }
        set_frame(regs, &monitor.return_frame()?);
        Ok(Ok(Interrupted::Returning))
    }

    /// Sets code of the hypercall page back or forward to where it may be interrupted.
    fn adjust(&self, registers: &mut kvm_regs) -> Result<(), VcpuError> {
        let saved = |index| -> Result<u64, VcpuError> {
            Ok(self
                .monitor
                .read_page(offset_of!(VcpuPage, call) + index * size_of::<u64>())?)
        };
        match self.sequence.adjustment(registers.rip) {
            Adjustment::None => {}
            Adjustment::Restart(entry) => registers.rip = entry,
            Adjustment::RestartClobbered(entry) => {
                registers.rip = entry;
                registers.rax = saved(0)?;
                registers.rbx = saved(SAVED_RBX)?;
            }
            Adjustment::Finish(next) => {
                registers.rip = next;
                registers.rbx = saved(SAVED_RBX)?;
            }
        }
        Ok(())
    }

    /// What the monitor does when a task is interrupted by a trap.
    fn leave_task(&self, sregs: &mut kvm_sregs) -> Result<(), VcpuError> {
        if sregs.cr3 != self.root {
            sregs.cr3 = self.root;
            self.monitor.open_io_map()?;
        }
        sregs.gs.base = crate::layout::vcpu_page(self.monitor.vcpu());
        Ok(self.monitor.leave_task()?)
    }
}

fn set_frame(registers: &mut kvm_regs, frame: &InterruptFrame) {
    registers.rip = frame.rip;
    registers.rflags = frame.rflags;
    registers.rsp = frame.rsp;
}
