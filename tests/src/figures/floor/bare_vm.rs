//! A VM with one vCPU in real mode and a few bytes of code.

use super::vm::Vm;
use kvm_bindings::kvm_regs;
use kvm_ioctls::{Error, Kvm, VcpuFd};

/// Where the code lies, and how much memory there is.
const CODE: u64 = 0x1000;
const MEMORY: usize = 0x2000;

/// The VM.
pub struct BareVm {
    /// Its vCPU, about to execute the code.
    pub vcpu: VcpuFd,
    // It owns what the vCPU runs in.
    _vm: Vm,
}

impl BareVm {
    /// One that executes `code`.
    pub fn new(code: &[u8]) -> Result<Self, Error> {
        let vm = Vm::new(&Kvm::new()?, MEMORY)?;
        vm.put(CODE, code)?;
        let vcpu = vm.fd.create_vcpu(0)?;
        let mut sregs = vcpu.get_sregs()?;
        sregs.cs.base = 0;
        sregs.cs.selector = 0;
        vcpu.set_sregs(&sregs)?;
        vcpu.set_regs(&kvm_regs {
            rip: CODE,
            rsp: MEMORY as u64,
            rflags: 2,
            ..Default::default()
        })?;
        Ok(Self { vcpu, _vm: vm })
    }
}
