//! The monitor's data page of a vCPU: the frames by which it enters guest code, the GDT and
//! the TSS. `monitor.s` has the same offsets.

use crate::carrier::Privilege;
use crate::layout::{MONITOR_DATA, MONITOR_VCPU_PAGE, monitor_window, vcpu_page};
use crate::ports;
use pv_abi::device::DOORBELLS;
use pv_abi::trap::{TRAP_VECTORS, TrapState};
use pv_abi::vcpu_page::VcpuPage;
use std::mem::{offset_of, size_of};
use std::sync::LazyLock;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// A frame that IRETQ pops (Intel SDM vol. 3A, 6.14.3).
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, FromBytes, Immutable, KnownLayout,
)]
pub struct InterruptFrame {
    /// Instruction pointer.
    pub rip: u64,
    /// Code segment selector.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment selector.
    pub ss: u64,
}

/// Index of SYSCALL's bounce frame, behind those of the vectors.
pub const BOUNCE_SYSCALL: usize = TRAP_VECTORS;
/// Number of bounce frames.
pub const BOUNCE_FRAMES: usize = TRAP_VECTORS + 1;

/// The part of the data page that `monitor.s` uses.
#[repr(C)]
#[derive(Clone, Copy, Debug, IntoBytes, FromZeros, Immutable, KnownLayout)]
pub struct MonitorData {
    /// How each trap enters its handler.
    pub bounce: [InterruptFrame; BOUNCE_FRAMES],
    // The monitor pushes RBX here, directly below the return frame.
    scratch: [u64; 11],
    /// How a hypercall returns to the hypercall page.
    pub return_frame: InterruptFrame,
    reserved0: [u64; 3],
    /// How the VMM resumes code of its choice.
    pub resume_frame: InterruptFrame,
    reserved1: [u64; 3],
    /// The instruction behind the hypercall page's SYSCALL.
    pub hypercall_rip: u64,
    /// Used by the monitor while it delivers a #PF.
    saved_rax: u64,
    /// Selector of the guest's code segment.
    pub guest_cs: u64,
    /// Selector of the guest's stack segment.
    pub guest_ss: u64,
    /// LSTAR.
    pub syscall_entry: u64,
    /// The instruction behind the SYSCALL of the hypercall page's task entry.
    pub task_entry_rip: u64,
    /// 1 while a task runs.
    pub in_task: u64,
    /// The root page table of the kernel; 0 where tasks run on the same.
    pub kernel_cr3: u64,
    /// The root page table of tasks; 0 likewise.
    pub task_cr3: u64,
    /// The GS base of the kernel.
    pub gs_base: u64,
    saved_rcx: u64,
    saved_rdx: u64,
    /// How a task is entered.
    pub task_frame: InterruptFrame,
    /// The handler of upcalls, which only the VMM reads; 0 for none.
    pub upcall_handler: u64,
    reserved2: [u64; 14],
    /// The GDT.
    pub gdt: [u64; GDT_ENTRIES],
    reserved3: [u64; 22],
    /// The TSS and its I/O permission bitmap.
    pub tss: Tss,
}

const _: () = {
    const TRAP: usize = offset_of!(VcpuPage, trap);
    assert!(size_of::<InterruptFrame>() == 40, "monitor.s: BOUNCE_SIZE");
    assert!(
        offset_of!(InterruptFrame, rsp) == 24,
        "monitor.s: BOUNCE_RSP"
    );
    assert!(
        offset_of!(MonitorData, bounce) == 0x000,
        "monitor.s: DATA_BOUNCE"
    );
    assert!(
        offset_of!(MonitorData, return_frame) == 0x580,
        "monitor.s: DATA_RETURN_FRAME"
    );
    assert!(
        offset_of!(MonitorData, resume_frame) == 0x5c0,
        "monitor.s: DATA_RESUME_FRAME"
    );
    assert!(
        offset_of!(MonitorData, hypercall_rip) == 0x600,
        "monitor.s: DATA_HYPERCALL_RIP"
    );
    assert!(
        offset_of!(MonitorData, saved_rax) == 0x608,
        "monitor.s: DATA_SAVED_RAX"
    );
    assert!(
        offset_of!(MonitorData, guest_cs) == 0x610,
        "monitor.s: DATA_GUEST_CS"
    );
    assert!(
        offset_of!(MonitorData, guest_ss) == 0x618,
        "monitor.s: DATA_GUEST_SS"
    );
    assert!(
        offset_of!(MonitorData, syscall_entry) == 0x620,
        "monitor.s: DATA_SYSCALL_ENTRY"
    );
    assert!(
        offset_of!(MonitorData, task_entry_rip) == 0x628,
        "monitor.s: DATA_TASK_ENTRY_RIP"
    );
    assert!(
        offset_of!(MonitorData, in_task) == 0x630,
        "monitor.s: DATA_IN_TASK"
    );
    assert!(
        offset_of!(MonitorData, kernel_cr3) == 0x638,
        "monitor.s: DATA_KERNEL_CR3"
    );
    assert!(
        offset_of!(MonitorData, task_cr3) == 0x640,
        "monitor.s: DATA_TASK_CR3"
    );
    assert!(
        offset_of!(MonitorData, gs_base) == 0x648,
        "monitor.s: DATA_GS_BASE"
    );
    assert!(
        offset_of!(MonitorData, saved_rcx) == 0x650,
        "monitor.s: DATA_SAVED_RCX"
    );
    assert!(
        offset_of!(MonitorData, saved_rdx) == 0x658,
        "monitor.s: DATA_SAVED_RDX"
    );
    assert!(
        offset_of!(MonitorData, task_frame) == 0x660,
        "monitor.s: DATA_TASK_FRAME"
    );
    assert!(
        offset_of!(MonitorData, tss) + offset_of!(Tss, io_map_base) == 0x866,
        "monitor.s: DATA_IO_MAP_BASE"
    );
    assert!(offset_of!(Tss, io_map) == 104, "monitor.s: IO_MAP_OPEN");
    assert!(
        offset_of!(VcpuPage, upcall_mask) == 12,
        "monitor.s: UPCALL_MASK"
    );
    assert!(
        offset_of!(VcpuPage, upcall_pending) == 13,
        "monitor.s: UPCALL_PENDING"
    );
    assert!(offset_of!(VcpuPage, task) == 400, "monitor.s: TASK_RIP");
    assert!(
        TRAP + offset_of!(TrapState, from_task) == 312,
        "monitor.s: TRAP_FROM_TASK"
    );
    // The #DF stack is the rest of the page.
    assert!(size_of::<MonitorData>() < 0xc00);
    assert!(
        TRAP + offset_of!(TrapState, busy) == 288,
        "monitor.s: TRAP_BUSY"
    );
    assert!(
        TRAP + offset_of!(TrapState, vector) == 292,
        "monitor.s: TRAP_VECTOR"
    );
    assert!(
        TRAP + offset_of!(TrapState, cr2) == 296,
        "monitor.s: TRAP_CR2"
    );
    assert!(
        TRAP + offset_of!(TrapState, reserved) == 304,
        "monitor.s: TRAP_SECOND"
    );
    assert!(
        TRAP + offset_of!(TrapState, rip) == 360,
        "monitor.s: TRAP_RIP"
    );
    assert!(
        TRAP + offset_of!(TrapState, ss) == 392,
        "monitor.s: TRAP_SS"
    );
};

/// Number of 8-byte entries of the GDT.
pub const GDT_ENTRIES: usize = 10;

// The selectors are Linux's, because a software KVM runs CPL 3 code on the host's own GDT:
// an IRETQ that the guest executes natively must find the same selectors there.
/// Selector of the monitor's code, and of the guest kernel's in ring0 mode.
pub const KERNEL_CS: u16 = 0x10;
/// Selector of the monitor's stack, and of the guest kernel's in ring0 mode.
pub const KERNEL_SS: u16 = 0x18;
/// Selector of the guest kernel's stack in ring3 mode.
pub const USER_SS: u16 = 0x2b;
/// Selector of the guest kernel's code in ring3 mode.
pub const USER_CS: u16 = 0x33;
/// Selector of the TSS.
pub const TSS_SELECTOR: u16 = 0x40;

/// STAR: SYSCALL loads [`KERNEL_CS`] and [`KERNEL_SS`] (Intel SDM vol. 3A, 5.8.8).
pub const STAR: u64 = (0x23 << 48) | ((KERNEL_CS as u64) << 32);

/// RFLAGS of code that is entered afresh. At CPL 3 IF is set, because a software KVM may not
/// keep it there. At CPL 0 with SVM it is clear, which spares KVM the question at each exit
/// whether it could inject an interrupt (docs/decisions/0003-hot-path.md). With VMX it is set: a
/// host's interrupt ends VMX non-root operation whatever IF is (Intel SDM vol. 3C, 25.2), but
/// not in every implementation, and a guest that spins would keep the processor for ever.
pub fn fresh_rflags(privilege: Privilege) -> u64 {
    const IF: u64 = 1 << 9;
    let interruptible = privilege == Privilege::Ring3 || host_has_vmx();
    0x002 | if interruptible { IF } else { 0 }
}

/// Whether the CPU has VMX (Intel SDM vol. 2A, CPUID leaf 1).
pub fn host_has_vmx() -> bool {
    const VMX: u32 = 1 << 5;
    // CPUID traps where this host is itself a guest.
    static HAS_VMX: LazyLock<bool> =
        LazyLock::new(|| core::arch::x86_64::__cpuid(1).ecx & VMX != 0);
    *HAS_VMX
}

/// The selectors of the guest kernel's code and stack.
pub const fn guest_selectors(privilege: Privilege) -> (u16, u16) {
    match privilege {
        Privilege::Ring0 => (KERNEL_CS, KERNEL_SS),
        Privilege::Ring3 => (USER_CS, USER_SS),
    }
}

/// The 64-bit TSS (Intel SDM vol. 3A, 8.7) with a bitmap of the ports of calls and doorbells.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, IntoBytes, FromZeros, Immutable, KnownLayout)]
pub struct Tss {
    reserved0: u32,
    rsp: [u64; 3],
    reserved1: u64,
    ist: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    io_map_base: u16,
    /// One bit a port, set: denied.
    io_map: [u8; IO_MAP_SIZE],
    // The CPU reads one byte past the last port's (Intel SDM vol. 1, 19.5.2).
    io_map_end: [u8; 8],
}

/// Size of the bitmap: the doorbells are the last ports that it knows.
const IO_MAP_SIZE: usize = (ports::DOORBELLS as usize + DOORBELLS) / 8;

/// Offset of the TSS's field that says where the I/O permission bitmap is.
pub const TSS_IO_MAP_BASE: usize = offset_of!(Tss, io_map_base);
/// Where the bitmap is, in that field.
pub const IO_MAP_OPEN: u16 = offset_of!(Tss, io_map) as u16;

/// Last byte of the TSS, relative to its start.
pub const TSS_LIMIT: u32 = size_of::<Tss>() as u32 - 1;

const _: () = assert!(offset_of!(Tss, io_map) == 104 && size_of::<Tss>() == 112 + IO_MAP_SIZE);

/// IST entry of all exceptions in ring0 mode: they must not push below the guest's RSP,
/// where there may be a red zone or no stack.
pub const IST_TRAP: u8 = 1;
/// IST entry of #DF.
pub const IST_DOUBLE_FAULT: u8 = 2;

/// What the data page of a vCPU holds at the start.
pub fn initial(
    vcpu: u32,
    privilege: Privilege,
    hypercall_rip: u64,
    task_entry_rip: u64,
    direct_io: bool,
) -> MonitorData {
    let window = monitor_window(vcpu);
    let trap_end =
        window + MONITOR_VCPU_PAGE + (offset_of!(VcpuPage, trap) + size_of::<TrapState>()) as u64;
    let tss_base = window + MONITOR_DATA + offset_of!(MonitorData, tss) as u64;
    let (cs, ss) = guest_selectors(privilege);
    let frame = |rip| InterruptFrame {
        rip,
        cs: cs.into(),
        rflags: fresh_rflags(privilege),
        rsp: 0,
        ss: ss.into(),
    };

    let mut data = MonitorData::new_zeroed();
    data.bounce = [frame(0); BOUNCE_FRAMES];
    data.return_frame = frame(hypercall_rip);
    data.resume_frame = frame(0);
    data.hypercall_rip = hypercall_rip;
    data.task_entry_rip = task_entry_rip;
    data.gs_base = vcpu_page(vcpu);
    data.task_frame = InterruptFrame {
        cs: USER_CS.into(),
        rflags: fresh_rflags(Privilege::Ring3),
        ss: USER_SS.into(),
        ..Default::default()
    };
    data.guest_cs = cs.into();
    data.guest_ss = ss.into();
    data.gdt = gdt(tss_base);
    data.tss.rsp[0] = trap_end;
    data.tss.ist[IST_TRAP as usize - 1] = trap_end;
    data.tss.ist[IST_DOUBLE_FAULT as usize - 1] = window + MONITOR_DATA + 0x1000;
    data.tss.io_map_base = offset_of!(Tss, io_map) as u16;
    data.tss.io_map = [0xff; IO_MAP_SIZE];
    data.tss.io_map_end = [0xff; 8];
    if direct_io {
        // IN of 4 bytes needs the permission for four ports.
        let first = usize::from(ports::HYPERCALL);
        for port in first..first + 4 {
            data.tss.io_map[port / 8] &= !(1 << (port % 8));
        }
    }
    data
}

/// The part of the I/O permission bitmap that doorbells are in, for a guest kernel at CPL 3 that has
/// so many.
pub fn doorbell_map(count: u32) -> [u8; DOORBELLS / 8] {
    let mut map = [0xff; DOORBELLS / 8];
    for doorbell in 0..DOORBELLS.min(count as usize) {
        map[doorbell / 8] &= !(1 << (doorbell % 8));
    }
    map
}

/// Where that part is in the data page.
pub const DOORBELL_MAP: usize =
    offset_of!(MonitorData, tss) + offset_of!(Tss, io_map) + ports::DOORBELLS as usize / 8;

fn gdt(tss_base: u64) -> [u64; GDT_ENTRIES] {
    // Present, S, accessed; code: L and readable; data: writable (Intel SDM vol. 3A, 3.4.5).
    const CODE: u64 = 0x00af_9b00_0000_ffff;
    const DATA: u64 = 0x00cf_9300_0000_ffff;
    const DPL3: u64 = 3 << 45;
    // A busy 64-bit TSS (Intel SDM vol. 3A, 8.2.3).
    let tss_low = u64::from(TSS_LIMIT)
        | (tss_base & 0xff_ffff) << 16
        | 0x8b << 40
        | (tss_base >> 24 & 0xff) << 56;
    let mut gdt = [0; GDT_ENTRIES];
    gdt[usize::from(KERNEL_CS / 8)] = CODE;
    gdt[usize::from(KERNEL_SS / 8)] = DATA;
    gdt[usize::from(USER_SS / 8)] = DATA | DPL3;
    gdt[usize::from(USER_CS / 8)] = CODE | DPL3;
    gdt[usize::from(TSS_SELECTOR / 8)] = tss_low;
    gdt[usize::from(TSS_SELECTOR / 8) + 1] = tss_base >> 32;
    gdt
}

/// A 64-bit interrupt gate (Intel SDM vol. 3A, 6.14.1).
pub fn interrupt_gate(offset: u64, ist: u8, dpl: u8) -> [u64; 2] {
    const INTERRUPT_GATE: u64 = 0xe;
    const PRESENT: u64 = 1;
    let low = offset & 0xffff
        | u64::from(KERNEL_CS) << 16
        | u64::from(ist & 7) << 32
        | INTERRUPT_GATE << 40
        | u64::from(dpl & 3) << 45
        | PRESENT << 47
        | (offset >> 16 & 0xffff) << 48;
    [low, offset >> 32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_holds_its_offset_in_three_parts() {
        let [low, high] = interrupt_gate(0x1122_3344_5566_7788, 2, 3);
        assert_eq!(low & 0xffff, 0x7788);
        assert_eq!(low >> 48, 0x5566);
        assert_eq!(high, 0x1122_3344);
        assert_eq!(low >> 32 & 7, 2);
        assert_eq!(low >> 45 & 3, 3);
        assert_eq!(low >> 47 & 1, 1);
    }

    #[test]
    fn only_a_direct_gate_and_doorbells_open_ports_to_cpl_3() {
        let open_ports = |map: &[u8]| -> Vec<usize> {
            let ports = 0..map.len() * 8;
            ports
                .filter(|port| map[port / 8] & 1 << (port % 8) == 0)
                .collect()
        };
        let map = |direct_io| initial(0, Privilege::Ring3, 0, 0, direct_io).tss.io_map;
        assert!(open_ports(&map(false)).is_empty());
        assert_eq!(open_ports(&map(true)), [0x50, 0x51, 0x52, 0x53]);
        assert!(open_ports(&doorbell_map(0)).is_empty());
        assert_eq!(open_ports(&doorbell_map(3)), [0, 1, 2]);
        let all: Vec<_> = (0..DOORBELLS).collect();
        assert_eq!(open_ports(&doorbell_map(u32::MAX)), all);
    }
}
