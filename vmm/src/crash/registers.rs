//! The registers of crashed guest code.

use super::unwind;
use crate::hypercall::GuestReport;
use crate::layout::HYPERCALL_PAGE;
use crate::vcpu::CrashState;
use crate::vcpu::exit::FatalExit;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::trap::{TrapFrame, VECTOR_PF};
use serde::{Serialize, Serializer};
use std::fmt;

/// The general registers, and what the trap says, where there was one.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct CrashRegisters {
    /// The registers, with the trap's vector, error code and CR2.
    #[serde(serialize_with = "as_hexadecimal")]
    pub frame: TrapFrame,
    /// CR3.
    pub cr3: u64,
    /// Whether the frame is one of a trap.
    pub trapped: bool,
}

fn as_hexadecimal<S: Serializer>(frame: &TrapFrame, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        named(frame)
            .into_iter()
            .map(|(name, value)| (name, format!("{value:#x}"))),
    )
}

fn named(frame: &TrapFrame) -> [(&'static str, u64); 18] {
    [
        ("rax", frame.rax),
        ("rbx", frame.rbx),
        ("rcx", frame.rcx),
        ("rdx", frame.rdx),
        ("rsi", frame.rsi),
        ("rdi", frame.rdi),
        ("rbp", frame.rbp),
        ("rsp", frame.rsp),
        ("r8", frame.r8),
        ("r9", frame.r9),
        ("r10", frame.r10),
        ("r11", frame.r11),
        ("r12", frame.r12),
        ("r13", frame.r13),
        ("r14", frame.r14),
        ("r15", frame.r15),
        ("rip", frame.rip),
        ("rflags", frame.rflags),
    ]
}

impl CrashRegisters {
    /// Finds the registers of the guest's own code: those that it reported, those of the trap
    /// that the monitor could not deliver, or those of the vCPU.
    pub fn of_guest_code(
        state: &CrashState,
        report: Option<&GuestReport>,
        read_virtual: &dyn Fn(u64) -> Option<u64>,
    ) -> Self {
        let cr3 = state.system.cr3;
        if let Some(report) = report.filter(|report| report.report.frame_valid == 1) {
            return Self {
                frame: report.report.frame,
                cr3,
                trapped: true,
            };
        }
        let registers = &state.registers;
        let mut frame = TrapFrame {
            rax: registers.rax,
            rbx: registers.rbx,
            rcx: registers.rcx,
            rdx: registers.rdx,
            rsi: registers.rsi,
            rdi: registers.rdi,
            rbp: registers.rbp,
            rsp: registers.rsp,
            r8: registers.r8,
            r9: registers.r9,
            r10: registers.r10,
            r11: registers.r11,
            r12: registers.r12,
            r13: registers.r13,
            r14: registers.r14,
            r15: registers.r15,
            rip: registers.rip,
            rflags: registers.rflags,
            ..Default::default()
        };
        if let Some(trap) = &state.trap {
            // The trap that could not be delivered, which for a double trap is the second.
            frame.vector = match state.exit {
                Some(FatalExit::DoubleTrap) => trap.reserved,
                _ => trap.vector.into(),
            };
            frame.error = trap.error;
            if frame.vector == u64::from(VECTOR_PF) {
                frame.cr2 = state.system.cr2;
            }
            return Self {
                frame,
                cr3,
                trapped: true,
            };
        }
        leave_hypercall_page(&mut frame, read_virtual);
        Self {
            frame,
            cr3,
            trapped: false,
        }
    }

    /// What the unwinder starts from.
    pub fn for_unwinding(&self) -> unwind::Registers {
        let frame = &self.frame;
        unwind::Registers {
            rip: frame.rip,
            rsp: frame.rsp,
            rbp: frame.rbp,
            rax: frame.rax,
            rbx: frame.rbx,
            rcx: frame.rcx,
            rdx: frame.rdx,
            rsi: frame.rsi,
            rdi: frame.rdi,
            r8: frame.r8,
            r9: frame.r9,
            r10: frame.r10,
            r11: frame.r11,
            r12: frame.r12,
            r13: frame.r13,
            r14: frame.r14,
            r15: frame.r15,
        }
    }
}

/// Whether the CPU pushes an error code for a vector (Intel SDM vol. 3A, table 6-1).
fn has_error_code(vector: u64) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21)
}

/// Steps out of the hypercall page, to where the guest called it.
fn leave_hypercall_page(frame: &mut TrapFrame, read_virtual: &dyn Fn(u64) -> Option<u64>) {
    if !(HYPERCALL_PAGE..HYPERCALL_PAGE + PAGE_SIZE).contains(&frame.rip) {
        return;
    }
    // The page has pushed RBX where the carrier needs it (hypercall/page.rs), and then RBX
    // itself holds the carrier's argument, zero.
    const POP_RBX: u64 = 0x5b;
    let at_pop = read_virtual(frame.rip).is_some_and(|code| code & 0xff == POP_RBX);
    if at_pop {
        let Some(rbx) = read_virtual(frame.rsp) else {
            return;
        };
        frame.rbx = rbx;
        frame.rsp = frame.rsp.wrapping_add(8);
    }
    let Some(rip) = read_virtual(frame.rsp) else {
        return;
    };
    frame.rip = rip;
    frame.rsp = frame.rsp.wrapping_add(8);
}

impl fmt::Display for CrashRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in named(&self.frame).chunks(3) {
            for (column, (name, value)) in row.iter().enumerate() {
                let separator = if column == 0 { "  " } else { "   " };
                write!(f, "{separator}{:>6} {value:016x}", name.to_uppercase())?;
            }
            writeln!(f)?;
        }
        if self.trapped {
            let TrapFrame {
                vector, error, cr2, ..
            } = self.frame;
            write!(f, "  vector {vector}")?;
            if has_error_code(vector) {
                write!(f, "   error code {error:#x}")?;
            }
            if vector == u64::from(VECTOR_PF) {
                write!(f, "   CR2 {cr2:016x}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvm_bindings::{kvm_regs, kvm_sregs};

    fn state(rip: u64, rsp: u64) -> CrashState {
        CrashState {
            exit: None,
            registers: kvm_regs {
                rip,
                rsp,
                ..Default::default()
            },
            system: kvm_sregs::default(),
            trap: None,
        }
    }

    #[test]
    fn a_crash_inside_the_hypercall_page_is_shown_at_its_caller() {
        let memory = |address| match address {
            0x1000 => Some(0x40_1234),
            _ => Some(0xc3),
        };
        let found =
            CrashRegisters::of_guest_code(&state(HYPERCALL_PAGE + 6, 0x1000), None, &memory);
        assert_eq!((found.frame.rip, found.frame.rsp), (0x40_1234, 0x1008));
    }

    #[test]
    fn the_register_that_the_page_saved_is_restored() {
        let memory = |address| match address {
            0x1000 => Some(77),
            0x1008 => Some(0x40_1234),
            _ => Some(0xc35b),
        };
        let found =
            CrashRegisters::of_guest_code(&state(HYPERCALL_PAGE + 20, 0x1000), None, &memory);
        let frame = found.frame;
        assert_eq!((frame.rip, frame.rsp, frame.rbx), (0x40_1234, 0x1010, 77));
    }

    #[test]
    fn a_crash_elsewhere_is_shown_where_it_is() {
        let found = CrashRegisters::of_guest_code(&state(0x40_0000, 8), None, &|_| None);
        assert_eq!((found.frame.rip, found.frame.rsp), (0x40_0000, 8));
    }
}
