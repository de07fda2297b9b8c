//! A KVM virtual machine: RAM, private pages and vCPUs, before there is anything in it.
#![allow(unsafe_code)]

use crate::grant::window::Window;
use crate::layout::{MAX_VCPUS, MONITOR_STRIDE};
use crate::memory::{MemoryError, PrivateMemory, Ram};
use crate::monitor::data::host_has_vmx;
use crate::monitor::state::Monitor;
use crate::paging::{PageTables, tables_needed};
use crate::snapshot::Inconsistent;
use crate::space::{TablePool, table_pages};
use crate::vcpu::{VcpuError, ioctl, registers};
use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2, kvm_enable_cap, kvm_userspace_memory_region,
};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use pv_abi::address_space::{LINEAR_MAP_BASE, PAGE_SIZE, STACKS_BASE};
use pv_abi::start_info::MEMORY_MAP_REGIONS;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::sync::Arc;
use thiserror::Error;

/// KVM_CAP_EXIT_HYPERCALL's bit for KVM_HC_MAP_GPA_RANGE.
const EXIT_MAP_GPA_RANGE: u64 = 1 << 12;
const KVM_CAP_EXIT_HYPERCALL: u32 = 201;
const KVM_CAP_DISABLE_QUIRKS2: u32 = 213;
/// KVM_X86_QUIRK_FIX_HYPERCALL_INSN: KVM patches VMCALL to VMMCALL in guest text, and back.
const QUIRK_FIX_HYPERCALL_INSN: u64 = 1 << 5;

/// Where KVM may put its real-mode TSS: the place that VMMs customarily give it.
const REAL_MODE_TSS: usize = 0xfffb_d000;

/// The CPUID leaf by which a guest that may execute CPUID finds this VMM.
const CPUID_LEAF: u32 = 0x4000_0100;
/// Its EBX, ECX and EDX.
const CPUID_SIGNATURE: [u8; 12] = *b"ParavaneVMM\0";

/// Why a machine could not be built.
#[derive(Debug, Error)]
pub enum MachineError {
    /// A KVM ioctl failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// Memory could not be had.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// More vCPUs than the host's KVM gives a VM.
    #[error("{wanted} vCPUs are more than this KVM gives a VM; use at most {most}")]
    TooManyVcpus {
        /// How many were asked for.
        wanted: u32,
        /// How many there can be.
        most: usize,
    },
    /// A VM without a vCPU.
    #[error("a VM has at least one vCPU; use --vcpus 1 or more")]
    NoVcpu,
    /// More memory than the host has.
    #[error("{wanted} bytes of memory are more than this host has; use at most {most}")]
    TooMuchMemory {
        /// How much was asked for.
        wanted: u64,
        /// How much there can be.
        most: u64,
    },
}

/// How large a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// RAM in bytes, a multiple of the page size.
    pub ram_size: u64,
    /// Number of vCPUs.
    pub vcpus: u32,
}

/// Where things are in private memory: guest-physical addresses of pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The root page table.
    pub root: u64,
    /// The hypercall page.
    pub hypercall_page: u64,
    /// The event page.
    pub event_page: u64,
    /// The first page for page tables.
    pub table_pool: u64,
    /// The monitor's pages of each vCPU: data, IDT and vCPU page.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub monitors: Vec<[u64; 3]>,
    /// The first page that is not in use.
    pub next: u64,
    /// How many doorbells the guest has.
    pub doorbells: u32,
}

impl Places {
    fn check(&self, private: &PrivateMemory, vcpus: u32) -> Result<(), Inconsistent> {
        let wrong = |what: &str| Err(Inconsistent(format!("{what} is not in private memory")));
        let end = private.spare().0;
        let is_page =
            |gpa: u64| gpa.is_multiple_of(PAGE_SIZE) && (private.start()..end).contains(&gpa);
        if self.monitors.len() != vcpus as usize {
            return Err(Inconsistent("there is not a monitor for each vCPU".into()));
        }
        if !self.monitors.iter().flatten().all(|&gpa| is_page(gpa)) {
            return wrong("a monitor");
        }
        if ![self.root, self.hypercall_page, self.event_page]
            .into_iter()
            .all(is_page)
        {
            return wrong("a shared page");
        }
        let pool = table_pages(private.start()) * PAGE_SIZE;
        if !is_page(self.table_pool) || end - self.table_pool < pool {
            return wrong("the pool of page tables");
        }
        if self.next > end || self.next < private.start() || !self.next.is_multiple_of(PAGE_SIZE) {
            return wrong("its end");
        }
        Ok(())
    }
}

/// A machine with nothing in it.
#[derive(Debug)]
pub struct Machine {
    // The vCPUs go first, so that they are closed before the memory is unmapped.
    /// The vCPUs, in order.
    pub vcpus: Vec<VcpuFd>,
    /// The VM.
    pub vm: Arc<VmFd>,
    /// RAM.
    pub ram: Ram,
    /// The VMM's private pages.
    pub private: Arc<PrivateMemory>,
    /// The monitors, one for each vCPU.
    pub monitors: Vec<Monitor>,
    /// Guest-physical address of the root page table.
    pub root: u64,
    /// Guest-physical address of the hypercall page, which is not mapped yet.
    pub hypercall_page: u64,
    /// Guest-physical address of the event page, which is not mapped yet.
    pub event_page: u64,
    /// Where grants of other VMs are attached.
    pub grant_window: Window,
    /// The pages for the guest's own page tables.
    pub table_pool: TablePool,
    /// Whether this KVM runs on virtualization hardware; otherwise it is a software KVM.
    pub hardware: bool,
    /// Whether KVM_HC_MAP_GPA_RANGE exits to the VMM.
    pub hypercall_exits: bool,
    /// Frequency of the TSC in Hz; 0 when KVM does not say.
    pub tsc_frequency: u64,
}

impl Machine {
    /// Builds a machine with `ram_size` bytes of RAM (a multiple of the page size) and
    /// `vcpus` vCPUs (at least one). The vCPUs have the monitor's state, at CPL 0.
    pub fn new(kvm: &Kvm, ram_size: u64, vcpus: u32) -> Result<Self, MachineError> {
        check_vcpus(kvm, vcpus)?;
        let ram = Ram::new(ram_size)?;
        let private = Arc::new(PrivateMemory::new(
            ram_size,
            all_private_pages(ram_size, vcpus),
        )?);
        let (vm, hypercall_exits, grant_window) = connect(kvm, &ram, &private)?;

        let mut tables = PageTables::new(&private)?;
        let code = Monitor::install_code(&private)?;
        let monitors = (0..vcpus)
            .map(|vcpu| Monitor::install(&private, &mut tables, code, vcpu))
            .collect::<Result<Vec<_>, _>>()?;
        let root = tables.root();

        let hypercall_page = private.allocate(1)?;
        let event_page = private.allocate(1)?;
        let table_pool = TablePool::new(&private, table_pages(ram_size))?;
        let machine = Self {
            vcpus: Vec::with_capacity(vcpus as usize),
            vm,
            ram,
            private,
            monitors,
            root,
            hypercall_page,
            event_page,
            grant_window,
            table_pool,
            hardware: has_virtualization_hardware(),
            hypercall_exits,
            tsc_frequency: 0,
        };
        machine.with_vcpus(kvm, vcpus)
    }

    /// The machine of a snapshot, with what is in its memory. Its vCPUs are as those of
    /// [`Machine::new`].
    ///
    /// # Errors
    ///
    /// As there; inside, the places cannot have been those.
    pub fn restore(
        kvm: &Kvm,
        memory: &File,
        sizes: Sizes,
        places: &Places,
    ) -> Result<Result<Self, Inconsistent>, MachineError> {
        let Sizes { ram_size, vcpus } = sizes;
        check_vcpus(kvm, vcpus)?;
        check_memory(ram_size)?;
        let ram = Ram::from_file(memory, ram_size)?;
        let private = Arc::new(PrivateMemory::from_file(
            ram_size,
            all_private_pages(ram_size, vcpus),
            memory,
            ram_size,
            places.next,
        )?);
        if let Err(error) = places.check(&private, vcpus) {
            return Ok(Err(error));
        }
        let (vm, hypercall_exits, grant_window) = connect(kvm, &ram, &private)?;
        let monitors = (0..)
            .zip(&places.monitors)
            .map(|(vcpu, &pages)| Monitor::at(&private, vcpu, pages, places.doorbells));
        let monitors = monitors.collect();
        let machine = Self {
            vcpus: Vec::with_capacity(vcpus as usize),
            vm,
            ram,
            private,
            monitors,
            root: places.root,
            hypercall_page: places.hypercall_page,
            event_page: places.event_page,
            grant_window,
            table_pool: TablePool::at(places.table_pool, table_pages(ram_size)),
            hardware: has_virtualization_hardware(),
            hypercall_exits,
            tsc_frequency: 0,
        };
        machine.with_vcpus(kvm, vcpus).map(Ok)
    }

    fn with_vcpus(mut self, kvm: &Kvm, vcpus: u32) -> Result<Self, MachineError> {
        let machine = &mut self;
        // A software KVM lets CPL 3 see the host's CPUID whatever is set here, and asking for
        // the supported leaves takes as long there as the rest of the machine.
        let cpuid = machine.hardware.then(|| cpuid(kvm)).transpose()?;
        for number in 0..vcpus {
            let vcpu = machine
                .vm
                .create_vcpu(number.into())
                .map_err(ioctl("KVM_CREATE_VCPU"))?;
            if let Some(cpuid) = &cpuid {
                vcpu.set_cpuid2(cpuid).map_err(ioctl("KVM_SET_CPUID2"))?;
            }
            machine.vcpus.push(vcpu);
            machine.reset_system(number)?;
        }
        if let Some(vcpu) = machine.vcpus.first() {
            machine.tsc_frequency = vcpu.get_tsc_khz().map_or(0, |khz| u64::from(khz) * 1000);
        }
        Ok(self)
    }

    /// Where things are in private memory.
    pub fn places(&self, doorbells: u32) -> Places {
        Places {
            root: self.root,
            hypercall_page: self.hypercall_page,
            event_page: self.event_page,
            table_pool: self.table_pool.first(),
            monitors: self.monitors.iter().map(Monitor::pages).collect(),
            next: self.private.next(),
            doorbells,
        }
    }

    /// Puts a vCPU into the monitor's state: 64-bit mode at CPL 0, on the monitor's tables.
    pub fn reset_system(&self, number: u32) -> Result<(), VcpuError> {
        let (Some(vcpu), Some(monitor)) = (
            self.vcpus.get(number as usize),
            self.monitors.get(number as usize),
        ) else {
            return Ok(());
        };
        let mut sregs = vcpu.get_sregs().map_err(ioctl("KVM_GET_SREGS"))?;
        registers::set_system(&mut sregs, number, self.root, monitor);
        vcpu.set_sregs(&sregs).map_err(ioctl("KVM_SET_SREGS"))
    }

    /// The address space, to map more into it.
    pub fn tables(&self) -> PageTables<'_> {
        PageTables::existing(&self.private, self.root)
    }
}

fn check_vcpus(kvm: &Kvm, vcpus: u32) -> Result<(), MachineError> {
    let most = kvm.get_max_vcpus().min(MAX_VCPUS as usize);
    if vcpus == 0 {
        return Err(MachineError::NoVcpu);
    }
    if vcpus as usize > most {
        return Err(MachineError::TooManyVcpus {
            wanted: vcpus,
            most,
        });
    }
    Ok(())
}

/// A VM that has this memory, whether KVM_HC_MAP_GPA_RANGE exits from it, and where grants lie.
fn connect(
    kvm: &Kvm,
    ram: &Ram,
    private: &PrivateMemory,
) -> Result<(Arc<VmFd>, bool, Window), MachineError> {
    let vm = Arc::new(kvm.create_vm().map_err(ioctl("KVM_CREATE_VM"))?);
    let hypercall_exits = prepare_hypercalls(kvm, &vm);
    let slots = [
        (0, ram.size(), ram.host_address()),
        (
            private.start(),
            private.size() - PrivateMemory::SPARE_SIZE,
            private.host_address(),
        ),
    ];
    for (slot, (guest_phys_addr, memory_size, userspace_addr)) in (0..).zip(slots) {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr,
            memory_size,
            userspace_addr,
        };
        // SAFETY: the range is a mapping of this process that `ram` or `private` owns; both live
        // in the machine as long as its VM does, and stay mapped.
        unsafe { vm.set_user_memory_region(region) }
            .map_err(ioctl("KVM_SET_USER_MEMORY_REGION"))?;
    }
    let grant_window = Window::behind(private.start() + private.size());
    // An Intel KVM without unrestricted guest wants three pages for real mode, which no
    // guest of ours enters, and complains in the host's log when it has none.
    if grant_window.range().end <= REAL_MODE_TSS as u64 {
        vm.set_tss_address(REAL_MODE_TSS)
            .map_err(ioctl("KVM_SET_TSS_ADDR"))?;
    }
    Ok((vm, hypercall_exits, grant_window))
}

/// Asks for exits by KVM_HC_MAP_GPA_RANGE, and that KVM leaves guest text alone.
fn prepare_hypercalls(kvm: &Kvm, vm: &VmFd) -> bool {
    let enable = |capability: u32, argument: u64| {
        let mut request = kvm_enable_cap {
            cap: capability,
            ..Default::default()
        };
        request.args[0] = argument;
        vm.enable_cap(&request).is_ok()
    };
    let offered = |capability: u32| kvm.check_extension_raw(capability.into()) as u64;
    if offered(KVM_CAP_DISABLE_QUIRKS2) & QUIRK_FIX_HYPERCALL_INSN != 0 {
        enable(KVM_CAP_DISABLE_QUIRKS2, QUIRK_FIX_HYPERCALL_INSN);
    } else {
        // A KVM that patches VMCALL and VMMCALL into each other may do so for ever.
        return false;
    }
    offered(KVM_CAP_EXIT_HYPERCALL) & EXIT_MAP_GPA_RANGE != 0
        && enable(KVM_CAP_EXIT_HYPERCALL, EXIT_MAP_GPA_RANGE)
}

/// The host's CPUID as KVM passes it on, with a leaf of this VMM's own.
fn cpuid(kvm: &Kvm) -> Result<CpuId, MachineError> {
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(ioctl("KVM_GET_SUPPORTED_CPUID"))?;
    let word = |at: usize| {
        CPUID_SIGNATURE
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_le_bytes)
    };
    let leaf = kvm_cpuid_entry2 {
        function: CPUID_LEAF,
        eax: CPUID_LEAF,
        ebx: word(0),
        ecx: word(4),
        edx: word(8),
        ..Default::default()
    };
    // A host with no room for one more leaf still has the start-info page.
    let _ = cpuid.push(leaf);
    Ok(cpuid)
}

/// Whether the CPU has VMX or SVM (AMD APM vol. 3, CPUID leaf 8000_0001h).
fn has_virtualization_hardware() -> bool {
    use core::arch::x86_64::__cpuid;
    const SVM: u32 = 1 << 2;
    host_has_vmx()
        || (__cpuid(0x8000_0000).eax >= 0x8000_0001 && __cpuid(0x8000_0001).ecx & SVM != 0)
}

/// Whether the virtualization hardware is QEMU's emulation of it.
fn is_emulated_by_qemu() -> bool {
    use core::arch::x86_64::__cpuid;
    const HYPERVISOR: u32 = 1 << 31;
    let tcg = || {
        let leaf = __cpuid(0x4000_0000);
        let signature = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes);
        signature.as_flattened() == b"TCGTCGTCGTCG"
    };
    has_virtualization_hardware() && __cpuid(1).ecx & HYPERVISOR != 0 && tcg()
}

/// Whether breakpoints in a guest's debug registers work. A software KVM keeps the registers and
/// sets off nothing; and QEMU's emulated VMRUN loads DR7 without arming what it says.
pub fn has_debug_registers() -> bool {
    has_virtualization_hardware() && !is_emulated_by_qemu()
}

/// Whether code at CPL 3 may access the ports that the TSS's I/O permission bitmap opens. QEMU's
/// emulated VMRUN loads a TSS as KVM has it, busy, and its IN and OUT look only into available ones
/// (target/i386/tcg/system/seg_helper.c, helper_check_io).
pub fn has_io_permission_bitmap() -> bool {
    !is_emulated_by_qemu()
}

/// All private pages of a VM but the spare ones.
pub fn all_private_pages(ram_size: u64, vcpus: u32) -> u64 {
    private_pages(ram_size, vcpus) + table_pages(ram_size)
}

/// An upper bound of the private pages that a VM needs.
fn private_pages(ram_size: u64, vcpus: u32) -> u64 {
    const SHARED: u64 = 9;
    let vcpus = u64::from(vcpus);
    // The image's segments and their holes in the linear map, stacks, windows.
    let ranges = 3 * MEMORY_MAP_REGIONS as u64 + vcpus + 4;
    SHARED
        + vcpus * Monitor::PAGES
        + tables_needed(ranges, ram_size)
        + vcpus * MONITOR_STRIDE / PAGE_SIZE / 512
}

/// The most RAM that the guest's address space and this host allow.
pub fn most_memory() -> u64 {
    let window = STACKS_BASE - LINEAR_MAP_BASE;
    host_memory().unwrap_or(window).min(window)
}

/// RAM and swap of the host, in bytes.
fn host_memory() -> Option<u64> {
    let info = rustix::system::sysinfo();
    let units = info.totalram.checked_add(info.totalswap)?;
    units.checked_mul(u64::from(info.mem_unit))
}

/// Checks that a VM's memory can be had at all.
pub fn check_memory(wanted: u64) -> Result<(), MachineError> {
    let most = most_memory();
    if wanted > most {
        Err(MachineError::TooMuchMemory { wanted, most })
    } else {
        Ok(())
    }
}
