//! The monitor's code, assembled from `monitor.s`, and where its entry points are.
#![allow(unsafe_code)]

use crate::carrier::Mode;
use crate::hypercall::page::HypercallPage;
use pv_abi::trap::TRAP_VECTORS;

core::arch::global_asm!(include_str!("monitor.s"));

unsafe extern "C" {
    static paravane_monitor_start: u8;
    static paravane_monitor_end: u8;
    static paravane_monitor_double_fault: u8;
    static paravane_monitor_resume: u8;
    static paravane_monitor_syscall_pio: u8;
    static paravane_monitor_syscall_vmcall: u8;
    static paravane_monitor_syscall_vmmcall: u8;
    static paravane_monitor_probe_native: u8;
    static paravane_monitor_fault_or_syscall: u8;
    static paravane_monitor_probe_vmcall: u8;
    static paravane_monitor_probe_vmmcall: u8;
    static paravane_monitor_task_entry: u8;
    static paravane_monitor_task_go: u8;
    static paravane_monitor_task_entry_end: u8;
    static paravane_monitor_carried_pio: u8;
    static paravane_monitor_carried_vmcall: u8;
    static paravane_monitor_carried_vmmcall: u8;
}

/// A checksum of the code of the VMM that runs in a VM of this mode: where it can be interrupted, and
/// what that means, is known of this code alone.
pub fn checksum(mode: Mode) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes());
    hasher.update(HypercallPage::new(mode).bytes());
    hasher.finalize()
}

/// An entry point of the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// IRETQ from the resume frame.
    Resume,
    /// The #DF handler.
    DoubleFault,
    /// LSTAR where the carrier is port I/O.
    SyscallPio,
    /// LSTAR where the carrier is VMCALL.
    SyscallVmcall,
    /// LSTAR where the carrier is VMMCALL.
    SyscallVmmcall,
    /// The #PF gate where SYSCALL does not enter CPL 0.
    FaultOrSyscall,
    /// Probe: an SSE instruction, then an exit.
    ProbeNative,
    /// Probe: VMCALL, then an exit.
    ProbeVmcall,
    /// Probe: VMMCALL, then an exit.
    ProbeVmmcall,
    /// Where the entry of a task begins.
    TaskEntry,
    /// Where the entry of a task goes on when no upcall is due.
    TaskGo,
    /// One past the end of the task entry's code.
    TaskEntryEnd,
    /// Behind the carrier of a hypercall by port I/O.
    CarriedPio,
    /// Behind VMCALL.
    CarriedVmcall,
    /// Behind VMMCALL.
    CarriedVmmcall,
}

/// Bytes that the code may take in a vCPU's window.
pub const CODE_WINDOW: u64 = 0x2000;

/// The monitor's code.
pub fn bytes() -> &'static [u8] {
    let start = &raw const paravane_monitor_start;
    let end = &raw const paravane_monitor_end;
    // SAFETY: both symbols delimit one piece of read-only data of this program (monitor.s).
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// The offset of an entry point from the start of the code.
pub fn offset(entry: Entry) -> u64 {
    let address = match entry {
        Entry::Resume => &raw const paravane_monitor_resume,
        Entry::DoubleFault => &raw const paravane_monitor_double_fault,
        Entry::SyscallPio => &raw const paravane_monitor_syscall_pio,
        Entry::SyscallVmcall => &raw const paravane_monitor_syscall_vmcall,
        Entry::SyscallVmmcall => &raw const paravane_monitor_syscall_vmmcall,
        Entry::FaultOrSyscall => &raw const paravane_monitor_fault_or_syscall,
        Entry::ProbeNative => &raw const paravane_monitor_probe_native,
        Entry::ProbeVmcall => &raw const paravane_monitor_probe_vmcall,
        Entry::ProbeVmmcall => &raw const paravane_monitor_probe_vmmcall,
        Entry::TaskEntry => &raw const paravane_monitor_task_entry,
        Entry::TaskGo => &raw const paravane_monitor_task_go,
        Entry::TaskEntryEnd => &raw const paravane_monitor_task_entry_end,
        Entry::CarriedPio => &raw const paravane_monitor_carried_pio,
        Entry::CarriedVmcall => &raw const paravane_monitor_carried_vmcall,
        Entry::CarriedVmmcall => &raw const paravane_monitor_carried_vmmcall,
    };
    offset_of(address)
}

fn offset_of(symbol: *const u8) -> u64 {
    symbol as u64 - &raw const paravane_monitor_start as u64
}

macro_rules! vector_entries {
    ($function:ident, $prefix:literal, $doc:literal) => {
        vector_entries!(@ $function, $prefix, $doc,
            v0 "0" v1 "1" v2 "2" v3 "3" v4 "4" v5 "5" v6 "6" v7 "7" v8 "8" v9 "9" v10 "10"
            v11 "11" v12 "12" v13 "13" v14 "14" v15 "15" v16 "16" v17 "17" v18 "18" v19 "19"
            v20 "20" v21 "21" v22 "22" v23 "23" v24 "24" v25 "25" v26 "26" v27 "27" v28 "28"
            v29 "29" v30 "30" v31 "31");
    };
    (@ $function:ident, $prefix:literal, $doc:literal, $($id:ident $vector:literal)*) => {
        #[doc = $doc]
        pub fn $function(vector: usize) -> Option<u64> {
            unsafe extern "C" {
                $(#[link_name = concat!($prefix, $vector)] static $id: u8;)*
            }
            let entries: [*const u8; TRAP_VECTORS] = [$(&raw const $id),*];
            entries.get(vector).map(|&symbol| offset_of(symbol))
        }
    };
}

vector_entries!(
    trap_entry,
    "paravane_monitor_trap_",
    "The offset of the gate that delivers `vector` to the guest's handler."
);
vector_entries!(
    unhandled_entry,
    "paravane_monitor_unhandled_",
    "The offset of the gate of a `vector` without a handler."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_fits_its_window() {
        assert!(!bytes().is_empty());
        assert!(
            bytes().len() as u64 <= CODE_WINDOW,
            "{} bytes",
            bytes().len()
        );
    }

    #[test]
    fn the_resume_entry_is_an_iretq() {
        let start = offset(Entry::Resume) as usize;
        assert_eq!(&bytes()[start..start + 2], [0x48, 0xcf]);
    }

    #[test]
    fn every_vector_has_its_own_gates() {
        let mut gates: Vec<_> = (0..TRAP_VECTORS)
            .flat_map(|vector| [trap_entry(vector), unhandled_entry(vector)])
            .collect();
        assert!(gates.iter().all(Option::is_some));
        gates.sort();
        gates.dedup();
        assert_eq!(gates.len(), 2 * TRAP_VECTORS);
        assert_eq!(trap_entry(TRAP_VECTORS), None);
    }
}
