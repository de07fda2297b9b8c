//! Running a raw VM to the end of its code, and answering its exits.
#![allow(unsafe_code)]

use super::floor;
use super::layout::*;
use super::vm::{Memory, RawVm, registers};
use crate::bench::watch::Watch;
use crate::vcpu::kick::Kicker;
use crate::vcpu::run_page::RunPage;
use kvm_bindings::{kvm_interrupt, kvm_regs, kvm_sregs};
use kvm_ioctls::{SyncReg, VcpuExit, VcpuFd};
use vmm_sys_util::ioctl::ioctl_with_ref;

/// How the code ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It said that it is done.
    Done,
    /// It did what it cannot: a sentence.
    Failed(String),
    /// The bench is to stop.
    Interrupted,
}

/// The trap of code at CPL 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrapFrame {
    /// The vector.
    pub vector: u64,
    /// The error code; 0 for a vector that has none.
    pub error_code: u64,
    /// Where the code goes on.
    pub rip: u64,
    /// Its CS.
    pub cs: u64,
    /// Its RFLAGS.
    pub rflags: u64,
    /// Its RSP.
    pub rsp: u64,
    /// Its SS.
    pub ss: u64,
}

/// Where the frame of a trap from CPL 3 lies.
const FRAME: u64 = TRAP_STACK - 56;

impl TrapFrame {
    fn read(memory: &Memory, at: u64) -> Result<Self, String> {
        let mut bytes = [0; 56];
        memory.get(at, &mut bytes)?;
        let mut words = bytes.chunks_exact(8).map(|chunk| {
            let chunk = chunk.try_into();
            chunk.map(u64::from_le_bytes).unwrap_or(0)
        });
        let mut next = || words.next().unwrap_or(0);
        Ok(Self {
            vector: next(),
            error_code: next(),
            rip: next(),
            cs: next(),
            rflags: next(),
            rsp: next(),
            ss: next(),
        })
    }

    fn write(&self, memory: &Memory) -> Result<(), String> {
        // Vector and error code are not needed any more.
        memory.put_words(
            FRAME + 16,
            &[self.rip, self.cs, self.rflags, self.rsp, self.ss],
        )
    }
}

/// What a VMM does about traps of code at CPL 3.
pub trait Emulate {
    /// Emulates what trapped: changes the frame, the registers and the memory as the instruction
    /// would. Whether a register was changed.
    fn trap(
        &mut self,
        frame: &mut TrapFrame,
        registers: &mut kvm_regs,
        memory: &Memory,
    ) -> Result<bool, String>;
}

/// A VM that is run with the means to interrupt it.
pub struct Runner<'a> {
    /// The VM.
    pub vm: &'a mut RawVm,
    /// When to give up.
    pub watch: &'a Watch,
    /// How often the VM was left for the VMM.
    pub exits: u64,
}

impl<'a> Runner<'a> {
    /// One that has not run yet.
    pub fn new(vm: &'a mut RawVm, watch: &'a Watch) -> Self {
        Self {
            vm,
            watch,
            exits: 0,
        }
    }

    /// Has vCPU 0 execute `code` to its end, with R13 as given. What traps from CPL 3 is
    /// `emulator`'s; without one it is the end.
    pub fn run(
        &mut self,
        code: &[u8],
        r13: u64,
        mut emulator: Option<&mut impl Emulate>,
    ) -> Result<End, String> {
        self.vm.memory.put(CODE, code)?;
        let memory = self.vm.memory.clone();
        let Some(vcpu) = self.vm.vcpus.first_mut() else {
            return Err("there is no vCPU".into());
        };
        finish_exit(vcpu);
        // What ran before may have ended at another CPL.
        begin(vcpu, &self.vm.system, self.vm.flags, CODE, r13)?;
        if emulator.is_some() {
            vcpu.set_sync_valid_reg(SyncReg::Register);
        }
        // SAFETY: the page is used no longer than the vCPU, which is borrowed meanwhile.
        let mut page = self.vm.bare_loop.then(|| unsafe { RunPage::new(vcpu) });
        let kicker = Kicker::default();
        let immediate_exit = &raw mut vcpu.get_kvm_run().immediate_exit;
        // SAFETY: the run page is mapped as long as the vCPU lives, which is longer.
        let _registration = unsafe { kicker.register(immediate_exit, std::ptr::null()) };
        self.watch.during(&kicker, || {
            loop {
                if let Some(page) = &mut page {
                    self.exits += floor::run(page)?;
                }
                // The floor's last exit is looked at once more.
                let exit = next(vcpu)?;
                self.exits += 1;
                match exit {
                    Exit::Answered => {}
                    Exit::Done => return Ok(End::Done),
                    Exit::Interrupted => {
                        if self.watch.stopped() {
                            return Ok(End::Interrupted);
                        }
                        if self.watch.expired() {
                            return Ok(End::Failed("it does not come back from the guest".into()));
                        }
                        vcpu.set_kvm_immediate_exit(0);
                    }
                    Exit::Failed(sentence) => return Ok(End::Failed(sentence)),
                    Exit::Trap => match &mut emulator {
                        Some(emulator) => {
                            let mut frame = TrapFrame::read(&memory, FRAME)?;
                            // INT3 is how the code ends.
                            if frame.vector == 3 {
                                return Ok(End::Done);
                            }
                            let mut registers = vcpu.sync_regs().regs;
                            match emulator.trap(&mut frame, &mut registers, &memory) {
                                Ok(true) => {
                                    vcpu.sync_regs_mut().regs = registers;
                                    vcpu.set_sync_dirty_reg(SyncReg::Register);
                                }
                                Ok(false) => {}
                                Err(reason) => return Ok(End::Failed(reason)),
                            }
                            frame.write(&memory)?;
                        }
                        None => {
                            let rsp = vcpu.get_regs().map_or(0, |registers| registers.rsp);
                            let frame = TrapFrame::read(&memory, rsp)?;
                            if frame.vector == 3 {
                                return Ok(End::Done);
                            }
                            let name = vector_name(frame.vector);
                            return Ok(End::Failed(format!("it is {name} here")));
                        }
                    },
                }
            }
        })
    }
}

/// A vector's name.
pub fn vector_name(vector: u64) -> String {
    let name = match vector {
        0 => "#DE",
        1 => "#DB",
        2 => "an NMI",
        6 => "#UD",
        7 => "#NM",
        8 => "#DF",
        10 => "#TS",
        11 => "#NP",
        12 => "#SS",
        13 => "#GP",
        14 => "#PF",
        16 => "#MF",
        17 => "#AC",
        vector => return format!("a trap with vector {vector}"),
    };
    name.to_owned()
}

/// Points a vCPU at code, with R13 as given.
pub fn begin(
    vcpu: &VcpuFd,
    system: &kvm_sregs,
    flags: u64,
    rip: u64,
    r13: u64,
) -> Result<(), String> {
    vcpu.set_sregs(system)
        .map_err(|error| format!("KVM_SET_SREGS: {error}"))?;
    let registers = kvm_regs {
        r13,
        ..registers(rip, STACK, flags)
    };
    vcpu.set_regs(&registers)
        .map_err(|error| format!("KVM_SET_REGS: {error}"))
}

/// Lets KVM complete an exit, so that the vCPU can be pointed somewhere else.
pub fn finish_exit(vcpu: &mut VcpuFd) {
    vcpu.set_kvm_immediate_exit(1);
    // It ends by EINTR.
    let _ = vcpu.run();
    vcpu.set_kvm_immediate_exit(0);
}

/// `_IOW(KVMIO, 0x86, struct kvm_interrupt)` (Linux, `include/uapi/linux/kvm.h`), which
/// kvm-ioctls does not have.
mod request {
    #![allow(missing_docs, reason = "the macro makes an undocumented function")]
    use kvm_bindings::{KVMIO, kvm_interrupt};
    use vmm_sys_util::ioctl_iow_nr;
    ioctl_iow_nr!(KVM_INTERRUPT, KVMIO, 0x86, kvm_interrupt);
}

/// Injects an interrupt, in a VM without an interrupt controller.
fn inject(vcpu: &VcpuFd) -> std::io::Result<()> {
    let interrupt = kvm_interrupt { irq: VECTOR.into() };
    // SAFETY: the struct is the one that this ioctl reads, and lives as long as the call.
    let injected = unsafe { ioctl_with_ref(vcpu, request::KVM_INTERRUPT(), &interrupt) };
    match injected {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// What an exit was.
pub enum Exit {
    /// An access that is answered already.
    Answered,
    /// The code's end.
    Done,
    /// A gate's code tells of a trap.
    Trap,
    /// A signal came.
    Interrupted,
    /// Nothing to go on after.
    Failed(String),
}

/// Runs a vCPU to its next exit, and answers what only wants an answer.
pub fn next(vcpu: &mut VcpuFd) -> Result<Exit, String> {
    Ok(match vcpu.run() {
        Ok(VcpuExit::IoOut(TRAP_PORT, _)) => Exit::Trap,
        Ok(VcpuExit::IoOut(DONE_PORT, _)) => Exit::Done,
        Ok(VcpuExit::IoOut(INTERRUPT_PORT, _)) => match inject(vcpu) {
            Ok(()) => Exit::Answered,
            Err(error) => Exit::Failed(format!("KVM_INTERRUPT: {error}")),
        },
        Ok(VcpuExit::IoOut(NMI_PORT, _)) => match vcpu.nmi() {
            Ok(()) => Exit::Answered,
            Err(error) => Exit::Failed(format!("KVM_NMI: {error}")),
        },
        Ok(VcpuExit::IoOut(..) | VcpuExit::MmioWrite(..) | VcpuExit::Hlt) => Exit::Answered,
        Ok(VcpuExit::IoIn(_, data) | VcpuExit::MmioRead(_, data)) => {
            data.fill(0);
            Exit::Answered
        }
        Ok(VcpuExit::Hypercall(exit)) => {
            *exit.ret = 0;
            Exit::Answered
        }
        Ok(VcpuExit::X86Rdmsr(exit)) => {
            (*exit.error, *exit.data) = (0, 0);
            Exit::Answered
        }
        Ok(VcpuExit::X86Wrmsr(exit)) => {
            *exit.error = 0;
            Exit::Answered
        }
        Ok(VcpuExit::Intr) => Exit::Interrupted,
        Ok(VcpuExit::InternalError) => {
            Exit::Failed("this KVM cannot execute it (KVM_EXIT_INTERNAL_ERROR)".into())
        }
        Ok(VcpuExit::Shutdown) => Exit::Failed("it ends in a triple fault here".into()),
        Ok(exit) => Exit::Failed(format!("an unexpected exit: {exit:?}")),
        Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Exit::Interrupted,
        Err(error) => Exit::Failed(format!("KVM_RUN: {error}")),
    })
}
