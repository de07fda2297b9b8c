//! What a hypercall costs here, by each way that works, beside a bare exit.
//!
//! Each way has a machine of its own with a guest of a few bytes, which calls, or exits, for
//! ever. The time from one exit to the next is one sample: the whole round trip, the guest's
//! part of it included. The ways take turns, so that what disturbs one disturbs all.

use super::RAM;
use super::findings::gate_name;
use crate::cli::exit_code::Failure;
use kvm_bindings::kvm_regs;
use kvm_ioctls::{Kvm, VcpuExit};
use paravane::carrier::{Carrier, Gate, Mode, Privilege};
use paravane::hypercall::page::HypercallPage;
use paravane::layout::{HYPERCALL_PAGE, vcpu_page};
use paravane::memory::MemoryError;
use paravane::monitor::code::Entry;
use paravane::monitor::state::Monitor;
use paravane::paging::{Access, Mapping, Owner};
use paravane::ports;
use paravane::vcpu::{ioctl, registers};
use paravane::vm::VmError;
use paravane::vm::machine::{Machine, MachineError};
use paravane::vm::probe::HostModes;
use pv_abi::Gpa;
use pv_abi::address_space::{IMAGE_LOWEST, PAGE_SIZE};
use pv_abi::convention::CALL_ENTRY_OFFSET;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Samples for each way, where there is time for them.
const SAMPLES: usize = 2000;
/// Samples in a row before the next way takes its turn.
const TURN: usize = 50;
/// The first samples of each way, in which caches fill; they do not count.
const WARM_UP: usize = 50;
/// After this time, the samples that there are have to do.
const TIME: Duration = Duration::from_secs(1);

/// The port of every exit that is not a KVM hypercall. The monitor uses others for traps.
const PORT: u16 = ports::HYPERCALL as u16;

/// Where the guest's code and stack lie in its RAM and in its address space.
const CODE_GPA: u64 = PAGE_SIZE;
const STACK_GPA: u64 = 2 * PAGE_SIZE;
const CODE: u64 = IMAGE_LOWEST;
const STACK: u64 = IMAGE_LOWEST + PAGE_SIZE;

/// The cost of a way.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The way, for people.
    pub way: String,
    /// The mode of a hypercall; a bare exit has none.
    pub mode: Option<Mode>,
    /// Whether it is what `auto` takes.
    pub automatic: bool,
    /// Number of samples.
    pub samples: usize,
    /// The least.
    pub min_ns: u64,
    /// The median.
    pub median_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// Why there are no more samples, if the guest did not go on as it should.
    pub problem: Option<String>,
}

/// Measures every way that works here; `automatic` is the one that `auto` takes.
pub fn measure(kvm: &Kvm, modes: &HostModes, automatic: Mode) -> Result<Vec<Cost>, Failure> {
    let mut subjects = Vec::new();
    for mode in modes.all() {
        subjects.push(Subject::hypercall(kvm, mode)?);
    }
    for privilege in [Privilege::Ring0, Privilege::Ring3] {
        subjects.push(Subject::bare_exit(kvm, privilege)?);
    }

    let start = Instant::now();
    for _ in 0..SAMPLES / TURN {
        for subject in &mut subjects {
            subject.take_turn(start);
        }
        if start.elapsed() >= TIME {
            break;
        }
    }
    Ok(subjects
        .into_iter()
        .map(|subject| subject.cost(automatic))
        .collect())
}

/// One way, with its machine.
struct Subject {
    way: String,
    mode: Option<Mode>,
    machine: Machine,
    samples: Vec<u64>,
    problem: Option<String>,
}

impl Subject {
    fn hypercall(kvm: &Kvm, mode: Mode) -> Result<Self, Failure> {
        let mut code = vec![0xb8]; // mov eax, core_noop
        code.extend(u32::from(pv_abi::calls::number::core_noop).to_le_bytes());
        code.extend([0x48, 0xb9]); // mov rcx, the hypercall page
        code.extend((HYPERCALL_PAGE + CALL_ENTRY_OFFSET).to_le_bytes());
        code.extend([0xff, 0xd1]); // call rcx
        code.extend([0xeb, 0xed]); // jmp to the first instruction
        let way = format!(
            "hypercall, {} by {} ({})",
            mode.privilege,
            mode.carrier,
            gate_name(mode.gate)
        );
        Self::new(kvm, way, mode, &code, Some(mode))
    }

    fn bare_exit(kvm: &Kvm, privilege: Privilege) -> Result<Self, Failure> {
        // out HYPERCALL, al; jmp to it
        let code = [0xe6, ports::HYPERCALL, 0xeb, 0xfc];
        let mode = Mode {
            privilege,
            carrier: Carrier::Pio,
            gate: Gate::Direct,
            syscall_faults: false,
        };
        let way = format!("bare exit by OUT at CPL {}", privilege.cpl());
        Self::new(kvm, way, mode, &code, None)
    }

    fn new(
        kvm: &Kvm,
        way: String,
        mode: Mode,
        code: &[u8],
        reported: Option<Mode>,
    ) -> Result<Self, Failure> {
        let machine = prepare(kvm, mode, code)?;
        Ok(Self {
            way,
            mode: reported,
            machine,
            samples: Vec::with_capacity(SAMPLES),
            problem: None,
        })
    }

    /// Takes samples until the turn or the time is over, or something goes wrong.
    fn take_turn(&mut self, start: Instant) {
        let warm_up = if self.samples.is_empty() { WARM_UP } else { 1 };
        let mut before = Instant::now();
        for sample in 0..warm_up + TURN {
            if self.problem.is_some() {
                return;
            }
            self.problem = self.run_to_exit().err();
            let now = Instant::now();
            // The first exit of a turn took as long as all the others' turns.
            if sample >= warm_up && self.problem.is_none() {
                let time = now.duration_since(before).as_nanos();
                self.samples.push(u64::try_from(time).unwrap_or(u64::MAX));
            }
            before = now;
            if now.duration_since(start) >= 2 * TIME && !self.samples.is_empty() {
                break;
            }
        }
    }

    /// Runs the guest to its next exit, and answers that.
    fn run_to_exit(&mut self) -> Result<(), String> {
        let Some(vcpu) = self.machine.vcpus.first_mut() else {
            return Err("there is no vCPU".to_string());
        };
        loop {
            match vcpu.run() {
                Ok(VcpuExit::IoIn(PORT, data)) => data.fill(0),
                Ok(VcpuExit::IoOut(PORT, _)) => {}
                Ok(VcpuExit::Hypercall(exit)) => *exit.ret = 0,
                Ok(exit) => return Err(format!("unexpected exit {exit:?}")),
                Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => continue,
                Err(error) => return Err(ioctl("KVM_RUN")(error).to_string()),
            }
            return Ok(());
        }
    }

    fn cost(mut self, automatic: Mode) -> Cost {
        self.samples.sort_unstable();
        let quantile = |percent: usize| {
            let last = self.samples.len().saturating_sub(1);
            self.samples.get(last * percent / 100).copied().unwrap_or(0)
        };
        Cost {
            automatic: self.mode == Some(automatic),
            samples: self.samples.len(),
            min_ns: quantile(0),
            median_ns: quantile(50),
            p99_ns: quantile(99),
            problem: self.problem,
            way: self.way,
            mode: self.mode,
        }
    }
}

/// A machine that is about to execute `code` as a guest would that is built with `mode`.
fn prepare(kvm: &Kvm, mode: Mode, code: &[u8]) -> Result<Machine, VmError> {
    let mut machine = Machine::new(kvm, RAM, 1)?;
    let defect = |_| MemoryError::PrivateAccess { gpa: CODE_GPA };
    machine.ram.write(Gpa(CODE_GPA), code).map_err(defect)?;
    let page = HypercallPage::new(mode);
    machine
        .private
        .write(machine.hypercall_page, page.bytes())?;
    let owner = match mode.privilege {
        Privilege::Ring0 => Owner::Supervisor,
        Privilege::Ring3 => Owner::User,
    };
    let vcpu_pages = machine.monitors.iter().map(Monitor::vcpu_page);
    let mut mappings: Vec<_> = (0..)
        .zip(vcpu_pages)
        .map(|(vcpu, gpa)| (vcpu_page(vcpu), gpa, Access::ReadWrite))
        .collect();
    mappings.extend([
        (CODE, CODE_GPA, Access::ReadExecute),
        (STACK, STACK_GPA, Access::ReadWrite),
        (HYPERCALL_PAGE, machine.hypercall_page, Access::ReadExecute),
    ]);
    let mut tables = machine.tables();
    for (address, gpa, access) in mappings {
        tables.map(Mapping {
            address,
            gpa,
            size: PAGE_SIZE,
            access,
            owner,
        })?;
    }
    machine.reset_system(0)?;
    let (Some(vcpu), Some(monitor)) = (machine.vcpus.first_mut(), machine.monitors.first()) else {
        return Err(MachineError::NoVcpu.into());
    };
    monitor.initialize(mode, &page)?;
    registers::set_syscall(vcpu, monitor.syscall_entry(mode.carrier))?;
    let rsp = monitor.prepare_resume(mode.privilege, CODE, STACK + PAGE_SIZE, 0)?;
    let registers = kvm_regs {
        rip: monitor.entry(Entry::Resume),
        rsp,
        rflags: 2,
        ..Default::default()
    };
    vcpu.set_regs(&registers).map_err(ioctl("KVM_SET_REGS"))?;
    Ok(machine)
}
