//! KVM_RUN and the page that KVM shares with it: the few instructions around every exit.
//!
//! `kvm_ioctls::VcpuFd::run` decodes every kind of exit into an enum in memory; a hypercall
//! needs two comparisons. What is not a hypercall is decoded here too, once, when it ends the
//! VM.
#![allow(unsafe_code)]

use super::exit::FatalExit;
use crate::ports;
use kvm_bindings::{
    KVM_EXIT_FAIL_ENTRY, KVM_EXIT_HLT, KVM_EXIT_HYPERCALL, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_IO,
    KVM_EXIT_IO_OUT, KVM_EXIT_MMIO, KVM_EXIT_SHUTDOWN, kvm_run,
};
use kvm_ioctls::VcpuFd;
use serde::{Deserialize, Serialize};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;

/// `_IO(KVMIO, 0x80)` (Linux, include/uapi/linux/kvm.h).
const KVM_RUN: u64 = 0xae80;

/// KVM_HC_MAP_GPA_RANGE (Linux, include/uapi/linux/kvm_para.h).
const KVM_HC_MAP_GPA_RANGE: u64 = 12;

/// The first eight bytes of KVM_EXIT_IO's part of the page when it is a hypercall: direction
/// IN, four bytes, the port, once.
const HYPERCALL_IO: u64 = 4 << 8 | (ports::HYPERCALL as u64) << 16 | 1 << 32;

/// A hypercall that waits for its answer: where the answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carried {
    /// The data of a port read.
    ByPort,
    /// The return value of a KVM hypercall.
    ByHypercall,
}

/// The run page of a vCPU.
#[derive(Debug)]
pub struct RunPage {
    run: NonNull<kvm_run>,
    fd: RawFd,
}

// SAFETY: the page is used by whoever has the RunPage, and it moves together with its vCPU.
unsafe impl Send for RunPage {}

impl RunPage {
    /// The run page of `vcpu`.
    ///
    /// # Safety
    ///
    /// It must not be used after `vcpu` is dropped.
    pub unsafe fn new(vcpu: &mut VcpuFd) -> Self {
        let fd = vcpu.as_raw_fd();
        Self {
            run: NonNull::from(vcpu.get_kvm_run()),
            fd,
        }
    }

    /// Where a store of 1 makes KVM_RUN return at once.
    pub fn immediate_exit(&self) -> *mut u8 {
        // SAFETY: the page is mapped (the contract of `new`).
        unsafe { &raw mut (*self.run.as_ptr()).immediate_exit }
    }

    /// Runs the vCPU until it exits. `Some` for a hypercall; `None` for any other exit.
    #[inline]
    pub fn run(&mut self) -> io::Result<Option<Carried>> {
        kvm_run_ioctl(self.fd)?;
        let run = self.run.as_ptr();
        // SAFETY: the page is mapped, the kernel has written the exit reason, and the reason
        // says which member of the union it has written. All members are plain numbers.
        let carried = unsafe {
            match (*run).exit_reason {
                KVM_EXIT_IO => {
                    let io = (&raw const (*run).__bindgen_anon_1.io).cast::<u64>().read();
                    (io == HYPERCALL_IO).then_some(Carried::ByPort)
                }
                KVM_EXIT_HYPERCALL => ((*run).__bindgen_anon_1.hypercall.nr
                    == KVM_HC_MAP_GPA_RANGE)
                    .then_some(Carried::ByHypercall),
                _ => None,
            }
        };
        Ok(carried)
    }

    /// Answers the hypercall that the vCPU has exited for. The guest sees the answer when the
    /// vCPU runs again.
    #[inline]
    pub fn answer(&mut self, carried: Carried, result: i64) {
        let run = self.run.as_ptr();
        // SAFETY: the page is mapped. For a port read the kernel has put the offset of its
        // data there, which lies in the mapping and has room for the four bytes that `run`
        // found the access to have.
        unsafe {
            match carried {
                Carried::ByPort => {
                    let offset = (*run).__bindgen_anon_1.io.data_offset as usize;
                    run.cast::<u8>()
                        .add(offset)
                        .cast::<u32>()
                        .write_unaligned(result as u32);
                }
                Carried::ByHypercall => (*run).__bindgen_anon_1.hypercall.ret = result as u64,
            }
        }
    }

    /// Whether the last exit was the monitor's, on its way into a task with an event waiting.
    pub fn is_upcall_request(&self) -> bool {
        let upcall = FatalExit::Io {
            port: ports::UPCALL.into(),
            write: true,
        };
        self.fatal_exit() == upcall
    }

    /// Whether the last exit was for an access to guest-physical memory in `range` that is not
    /// there. If it is a read, it gives zeros when the vCPU runs again; a write does nothing.
    pub fn is_access_to(&mut self, range: Range<u64>) -> bool {
        let run = self.run.as_ptr();
        // SAFETY: as in `run`.
        unsafe {
            if (*run).exit_reason != KVM_EXIT_MMIO {
                return false;
            }
            let mmio = &mut (*run).__bindgen_anon_1.mmio;
            mmio.data = [0; 8];
            range.contains(&mmio.phys_addr)
        }
    }

    /// What the last exit was, when it was no hypercall.
    pub fn fatal_exit(&self) -> FatalExit {
        let run = self.run.as_ptr();
        // SAFETY: as in `run`.
        unsafe {
            let detail = &(*run).__bindgen_anon_1;
            match (*run).exit_reason {
                KVM_EXIT_IO => {
                    let write = u32::from(detail.io.direction) == KVM_EXIT_IO_OUT;
                    io_exit(detail.io.port, write)
                }
                KVM_EXIT_MMIO => FatalExit::Mmio {
                    gpa: detail.mmio.phys_addr,
                    write: detail.mmio.is_write != 0,
                },
                KVM_EXIT_HLT => FatalExit::Halt,
                KVM_EXIT_SHUTDOWN => FatalExit::TripleFault,
                KVM_EXIT_INTERNAL_ERROR => FatalExit::InternalError {
                    suberror: detail.internal.suberror,
                },
                KVM_EXIT_FAIL_ENTRY => FatalExit::FailEntry {
                    reason: detail.fail_entry.hardware_entry_failure_reason,
                },
                reason => FatalExit::Other { reason },
            }
        }
    }
}

/// KVM_RUN, without the C library around it: its variable arguments and its errno cost a
/// hypercall about twenty instructions.
#[inline]
fn kvm_run_ioctl(fd: RawFd) -> io::Result<()> {
    let result: i64;
    // SAFETY: the kernel writes only to the run page and to the guest's memory, behind neither
    // of which there is a Rust reference. The registers are those of a system call on x86-64
    // (System V ABI, AMD64 supplement, A.2.1).
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") libc::SYS_ioctl => result,
            in("rdi") i64::from(fd),
            in("rsi") KVM_RUN,
            in("rdx") 0,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result as i32))
    } else {
        Ok(())
    }
}

fn io_exit(port: u16, write: bool) -> FatalExit {
    let monitors = [
        (ports::UNHANDLED_TRAP, FatalExit::UnhandledTrap),
        (ports::DOUBLE_TRAP, FatalExit::DoubleTrap),
        (ports::DOUBLE_FAULT, FatalExit::DoubleFault),
    ];
    monitors
        .into_iter()
        .find(|(monitor_port, _)| write && u16::from(*monitor_port) == port)
        .map_or(FatalExit::Io { port, write }, |(_, exit)| exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitors_ports_are_its_reports() {
        assert_eq!(
            io_exit(u16::from(ports::DOUBLE_TRAP), true),
            FatalExit::DoubleTrap
        );
        assert_eq!(
            io_exit(0x3f8, true),
            FatalExit::Io {
                port: 0x3f8,
                write: true
            }
        );
        let read = FatalExit::Io {
            port: u16::from(ports::DOUBLE_TRAP),
            write: false,
        };
        assert_eq!(io_exit(u16::from(ports::DOUBLE_TRAP), false), read);
    }

    #[test]
    fn a_hypercalls_io_is_in_of_four_bytes_once() {
        let bytes = HYPERCALL_IO.to_le_bytes();
        assert_eq!(bytes, [0, 4, ports::HYPERCALL, 0, 1, 0, 0, 0]);
    }
}
