//! The register state that a vCPU starts with: 64-bit mode, paging on, the monitor's tables.

use crate::carrier::Privilege;
use crate::layout::vcpu_page;
use crate::monitor::data::{
    GDT_ENTRIES, KERNEL_CS, KERNEL_SS, STAR, TSS_LIMIT, TSS_SELECTOR, guest_selectors,
};
use crate::monitor::state::{IDT_LIMIT, Monitor};
use crate::vcpu::{VcpuError, ioctl};
use kvm_bindings::{Msrs, kvm_fpu, kvm_msr_entry, kvm_segment, kvm_sregs};
use kvm_ioctls::VcpuFd;

const CR0_PE: u64 = 1 << 0;
const CR0_MP: u64 = 1 << 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const EFER_SCE: u64 = 1 << 0;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const EFER_NXE: u64 = 1 << 11;

const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_SFMASK: u32 = 0xc000_0084;

/// What SYSCALL clears: TF, IF, DF, IOPL, NT and AC, so that the monitor runs undisturbed.
const SYSCALL_MASK: u64 = 0x4_7700;

const TYPE_CODE: u8 = 0xb;
const TYPE_DATA: u8 = 0x3;
const TYPE_BUSY_TSS: u8 = 0xb;

fn segment(selector: u16, kind: u8, dpl: u8, long: bool) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_: kind,
        present: 1,
        dpl,
        db: u8::from(!long),
        s: 1,
        l: u8::from(long),
        g: 1,
        ..Default::default()
    }
}

/// Sets what 64-bit code at CPL 0 needs into `sregs`, which KVM filled in.
pub fn set_system(sregs: &mut kvm_sregs, vcpu: u32, root: u64, monitor: &Monitor) {
    sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    sregs.cr3 = root;
    sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    sregs.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    let unused = kvm_segment {
        unusable: 1,
        type_: TYPE_DATA,
        s: 1,
        ..Default::default()
    };
    sregs.ds = unused;
    sregs.es = unused;
    sregs.fs = kvm_segment {
        base: 0,
        ..segment(0, TYPE_DATA, 0, false)
    };
    sregs.gs = kvm_segment {
        base: vcpu_page(vcpu),
        ..segment(0, TYPE_DATA, 0, false)
    };
    sregs.ldt = unused;
    set_monitor_code(sregs);
    sregs.tr = kvm_segment {
        base: monitor.tss_base(),
        limit: TSS_LIMIT,
        selector: TSS_SELECTOR,
        type_: TYPE_BUSY_TSS,
        present: 1,
        ..Default::default()
    };
    sregs.gdt.base = monitor.gdt_base();
    sregs.gdt.limit = (GDT_ENTRIES * 8 - 1) as u16;
    sregs.idt.base = monitor.idt_base();
    sregs.idt.limit = IDT_LIMIT;
}

/// Puts the vCPU at CPL 0, on the monitor's segments.
pub fn set_monitor_code(sregs: &mut kvm_sregs) {
    sregs.cs = segment(KERNEL_CS, TYPE_CODE, 0, true);
    sregs.ss = segment(KERNEL_SS, TYPE_DATA, 0, false);
}

/// Puts the vCPU at the guest kernel's privilege, on its segments.
pub fn set_guest_code(sregs: &mut kvm_sregs, privilege: Privilege) {
    let (cs, ss) = guest_selectors(privilege);
    sregs.cs = segment(cs, TYPE_CODE, privilege.cpl(), true);
    sregs.ss = segment(ss, TYPE_DATA, privilege.cpl(), false);
}

/// Puts the floating-point and vector units into the state that code is entered with.
pub fn set_floating_point(vcpu: &VcpuFd) -> Result<(), VcpuError> {
    // As FNINIT and a reset leave the control words (Intel SDM vol. 3A, table 10-1).
    let state = kvm_fpu {
        fcw: 0x37f,
        mxcsr: 0x1f80,
        ..Default::default()
    };
    vcpu.set_fpu(&state).map_err(ioctl("KVM_SET_FPU"))
}

/// Sets the MSRs of SYSCALL, so that it enters the monitor at `lstar`.
pub fn set_syscall(vcpu: &VcpuFd, lstar: u64) -> Result<(), VcpuError> {
    let entry = |index, data| kvm_msr_entry {
        index,
        data,
        ..Default::default()
    };
    let entries = [
        entry(MSR_STAR, STAR),
        entry(MSR_LSTAR, lstar),
        entry(MSR_SFMASK, SYSCALL_MASK),
    ];
    let failed = |errno| ioctl("KVM_SET_MSRS")(kvm_ioctls::Error::new(errno));
    let msrs = Msrs::from_entries(&entries).map_err(|_| failed(libc::ENOMEM))?;
    match vcpu.set_msrs(&msrs) {
        Ok(count) if count == entries.len() => Ok(()),
        Ok(_) => Err(failed(libc::EINVAL)),
        Err(error) => Err(failed(error.errno())),
    }
}
