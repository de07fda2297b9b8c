//! A raw VM: memory, page tables that map it one to one, tables with a gate for each vector, and
//! vCPUs in 64-bit mode.
#![allow(unsafe_code)]

use super::layout::*;
use crate::vcpu::kvm_stats::ExitCounter;
use kvm_bindings::{
    KVM_CAP_X86_USER_SPACE_MSR, KVM_MAX_CPUID_ENTRIES, KVM_MSR_EXIT_REASON_FILTER,
    KVM_MSR_EXIT_REASON_INVAL, KVM_MSR_EXIT_REASON_UNKNOWN, Msrs, kvm_enable_cap, kvm_msr_entry,
    kvm_regs, kvm_segment, kvm_sregs, kvm_userspace_memory_region,
};
use kvm_ioctls::{IoEventAddress, Kvm, NoDatamatch, VcpuFd, VmFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

/// KVM_CAP_EXIT_HYPERCALL, and its bit for KVM_HC_MAP_GPA_RANGE (KVM's documentation, 8.33).
const KVM_CAP_EXIT_HYPERCALL: u32 = 201;
const EXIT_MAP_GPA_RANGE: u64 = 1 << 12;

const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_SFMASK: u32 = 0xc000_0084;
/// The x2APIC's spurious-interrupt vector register (Intel SDM, vol. 3, table 11-6).
const MSR_X2APIC_SVR: u32 = 0x80f;

/// What a raw VM needs beside memory and a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The CPL of its code.
    pub cpl: u8,
    /// Number of vCPUs.
    pub vcpus: u64,
    /// Whether KVM has the interrupt controllers; the APIC is in x2APIC mode.
    pub irqchip: bool,
    /// Whether interrupts are on.
    pub interrupts: bool,
    /// Bits of CR4 beside those that every raw VM has.
    pub cr4: u64,
    /// Whether MSRs that KVM does not know exit to the VMM.
    pub user_msrs: bool,
    /// Whether an eventfd takes what is written to [`KERNEL_PORT`].
    pub doorbell: bool,
    /// Whether KVM_HC_MAP_GPA_RANGE exits to the VMM.
    pub hypercalls: bool,
    /// Whether the VMM does nothing about hypercalls but KVM_RUN.
    pub bare_loop: bool,
    /// Whether the code is a kernel's for all that it is at CPL 3: SYSCALL traps.
    pub deprivileged_kernel: bool,
}

impl Config {
    /// The least.
    pub const fn new(cpl: u8) -> Self {
        Self {
            cpl,
            vcpus: 1,
            irqchip: false,
            interrupts: false,
            cr4: 0,
            user_msrs: false,
            doorbell: false,
            hypercalls: false,
            bare_loop: false,
            deprivileged_kernel: false,
        }
    }
}

/// The VM.
pub struct RawVm {
    // The vCPUs go first, so that they are closed before the memory is unmapped.
    /// Its vCPUs, in the state of [`Config`], with nothing to execute yet.
    pub vcpus: Vec<VcpuFd>,
    // Nobody asks it anything, but the vCPUs are its.
    _fd: VmFd,
    /// Its memory.
    pub memory: Memory,
    /// The system registers with which a vCPU begins.
    pub system: kvm_sregs,
    /// Whether the VMM does nothing about hypercalls but KVM_RUN.
    pub bare_loop: bool,
    /// The RFLAGS with which a vCPU begins.
    pub flags: u64,
    // It is rung as long as the VM lives.
    _doorbell: Option<EventFd>,
}

/// A raw VM's memory.
#[derive(Clone, Debug)]
pub struct Memory(GuestMemoryMmap);

impl Memory {
    /// All zero.
    pub fn new() -> Result<Self, String> {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY as usize)]);
        memory
            .map(Self)
            .map_err(|error| format!("cannot map {MEMORY} bytes of memory: {error}"))
    }

    /// Writes bytes.
    pub fn put(&self, at: u64, bytes: &[u8]) -> Result<(), String> {
        self.0
            .write_slice(bytes, GuestAddress(at))
            .map_err(|error| format!("the VM's memory at {at:#x}: {error}"))
    }

    /// Writes words.
    pub fn put_words(&self, at: u64, words: &[u64]) -> Result<(), String> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(at, &bytes)
    }

    /// Reads bytes.
    pub fn get(&self, at: u64, bytes: &mut [u8]) -> Result<(), String> {
        self.0
            .read_slice(bytes, GuestAddress(at))
            .map_err(|error| format!("the VM's memory at {at:#x}: {error}"))
    }

    /// Reads a word.
    pub fn word(&self, at: u64) -> Result<u64, String> {
        let mut bytes = [0; 8];
        self.get(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads words.
    pub fn words(&self, at: u64, count: usize) -> Result<Vec<u64>, String> {
        let mut bytes = vec![0; 8 * count];
        self.get(at, &mut bytes)?;
        let word = |chunk: &[u8]| chunk.try_into().map(u64::from_le_bytes).unwrap_or(0);
        Ok(bytes.chunks_exact(8).map(word).collect())
    }

    /// Where the memory is in this process.
    fn host_address(&self) -> Result<*mut u8, String> {
        self.0
            .get_host_address(GuestAddress(0))
            .map_err(|error| format!("the VM's memory: {error}"))
    }
}

/// Names what failed.
fn failed(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> String {
    move |error| format!("{what}: {error}")
}

impl RawVm {
    /// Builds one.
    pub fn new(kvm: &Kvm, config: Config) -> Result<Self, String> {
        let fd = kvm.create_vm().map_err(failed("KVM_CREATE_VM"))?;
        let memory = Memory::new()?;
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: MEMORY,
            userspace_addr: memory.host_address()? as u64,
        };
        // SAFETY: the range is that of `memory`, which is dropped behind the VM and its vCPUs.
        unsafe { fd.set_user_memory_region(region) }
            .map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
        // An Intel KVM without unrestricted guest complains in the host's log when it has none.
        // Nothing here enters real mode.
        let _ = fd.set_tss_address(0xfffb_d000);
        if config.irqchip {
            fd.create_irq_chip().map_err(failed("KVM_CREATE_IRQCHIP"))?;
        }
        let enable = |cap, argument, name| {
            let mut enable = kvm_enable_cap {
                cap,
                ..Default::default()
            };
            enable.args[0] = argument;
            fd.enable_cap(&enable).map_err(failed(name))
        };
        if config.user_msrs {
            let reasons = KVM_MSR_EXIT_REASON_UNKNOWN
                | KVM_MSR_EXIT_REASON_INVAL
                | KVM_MSR_EXIT_REASON_FILTER;
            enable(
                KVM_CAP_X86_USER_SPACE_MSR,
                reasons.into(),
                "KVM_CAP_X86_USER_SPACE_MSR",
            )?;
        }
        if config.hypercalls {
            enable(
                KVM_CAP_EXIT_HYPERCALL,
                EXIT_MAP_GPA_RANGE,
                "KVM_CAP_EXIT_HYPERCALL",
            )?;
        }
        let doorbell = match config.doorbell {
            true => Some(doorbell(&fd)?),
            false => None,
        };
        fill(&memory)?;
        let vcpus: Vec<_> = (0..config.vcpus)
            .map(|number| vcpu(kvm, &fd, number, config))
            .collect::<Result<_, _>>()?;
        let Some(first) = vcpus.first() else {
            return Err("a VM has at least one vCPU".into());
        };
        let system = first.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
        Ok(Self {
            _fd: fd,
            vcpus,
            system,
            bare_loop: config.bare_loop,
            // At CPL 3 IF, which is not the code's to change; IOPL 3 where it may use ports.
            flags: match (config.cpl, config.deprivileged_kernel) {
                (0, _) if !config.interrupts => 0x2,
                (0, _) | (_, true) => 0x202,
                (_, false) => 0x3202,
            },
            memory,
            _doorbell: doorbell,
        })
    }

    /// The counter of a vCPU's exits.
    pub fn exit_counter(&self, vcpu: usize) -> Option<ExitCounter> {
        ExitCounter::of(self.vcpus.get(vcpu)?)
    }

    /// Puts a handler of the row's own, at the code's CPL or at CPL 0, behind a vector.
    pub fn set_handler(&self, vector: u8, code: &[u8]) -> Result<(), String> {
        self.memory.put(HANDLER, code)?;
        self.memory
            .put_words(IDT + 16 * u64::from(vector), &gate(HANDLER, vector))
    }
}

/// An eventfd behind [`KERNEL_PORT`].
fn doorbell(fd: &VmFd) -> Result<EventFd, String> {
    let event = EventFd::new(libc::EFD_NONBLOCK).map_err(|error| format!("eventfd: {error}"))?;
    fd.register_ioevent(
        &event,
        &IoEventAddress::Pio(KERNEL_PORT.into()),
        NoDatamatch,
    )
    .map_err(failed("KVM_IOEVENTFD"))?;
    Ok(event)
}

/// Null, code and data of CPL 0, the TSS, data and code of CPL 3, an LDT.
const GDT_WORDS: [u64; 9] = [
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x0000_8b00_0000_0067 | TSS << 16,
    0,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
    0x0000_8200_0000_000f | DATA << 16,
    0,
];
/// Bytes of a TSS, and of the part of the I/O permission bitmap that is there.
const TSS_SIZE: u32 = 0x68;
const IO_BITMAP: u32 = 32;
/// Bytes of the IDT.
const IDT_SIZE: u64 = 16 * 256;

/// An interrupt gate; those of INT3 and of the vector of INT n are open to CPL 3.
fn gate(handler: u64, vector: u8) -> [u64; 2] {
    let dpl = match vector {
        3 | 0x30 => 3,
        _ => 0,
    };
    let low = handler & 0xffff
        | u64::from(KERNEL_CS) << 16
        | (0x8e00 | dpl << 13) << 32
        | (handler >> 16 & 0xffff) << 48;
    [low, handler >> 32]
}

/// What every raw VM has in its memory.
fn fill(memory: &Memory) -> Result<(), String> {
    // Present, writable, user.
    const TABLE: u64 = 7;
    memory.put_words(PML4, &[PDPT | TABLE])?;
    memory.put_words(PDPT, &[PD | TABLE])?;
    // The whole first GiB, in pages of 2 MiB.
    let large: Vec<u64> = (0..512).map(|index| index << 21 | 0x80 | TABLE).collect();
    memory.put_words(PD, &large)?;
    memory.put_words(PD, &[FIRST_PT | TABLE])?;
    let first: Vec<u64> = (0..512).map(|index| index << 12 | TABLE).collect();
    memory.put_words(FIRST_PT, &first)?;
    memory.put_words(PD + 8 * (PAGES.start >> 21), &[PT | TABLE])?;
    let small: Vec<u64> = (0..512)
        .map(|index| (PAGES_AT + (index << 12)) | TABLE)
        .collect();
    memory.put_words(PT, &small)?;

    memory.put_words(GDT, &GDT_WORDS)?;
    memory.put_words(TSS + 4, &[TRAP_STACK])?;
    // The I/O permission bitmap allows the first ports, where the TSS is long enough to have it.
    memory.put(TSS + 0x66, &[TSS_SIZE as u8, 0])?;
    memory.put(TSS + u64::from(TSS_SIZE + IO_BITMAP), &[0xff])?;
    for vector in 0..=255 {
        let stub = STUBS + 16 * u64::from(vector);
        memory.put(stub, &stub_code(vector))?;
        memory.put_words(IDT + 16 * u64::from(vector), &gate(stub, vector))?;
    }
    let pseudo = |limit: u64, base: u64| -> [u64; 2] {
        // Two bytes of limit, eight of base.
        [limit | base << 16, base >> 48]
    };
    let gdt_limit = size_of_val(&GDT_WORDS) as u64 - 1;
    memory.put_words(DATA + DATA_GDTR, &pseudo(gdt_limit, GDT))?;
    memory.put_words(DATA + DATA_IDTR, &pseudo(IDT_SIZE - 1, IDT))
}

/// Exceptions that push an error code (Intel SDM, vol. 3, table 6-1).
const WITH_ERROR_CODE: [u8; 10] = [8, 10, 11, 12, 13, 14, 17, 21, 29, 30];

/// Tells the VMM of a trap, whose frame is on the stack behind the vector and the error code, and
/// returns from it.
fn stub_code(vector: u8) -> Vec<u8> {
    let mut code = Vec::with_capacity(16);
    if !WITH_ERROR_CODE.contains(&vector) {
        code.extend([0x6a, 0]); // push 0
    }
    code.push(0x68); // push vector
    code.extend(u32::from(vector).to_le_bytes());
    code.extend([0xe6, TRAP_PORT as u8]); // out TRAP_PORT, al
    code.extend([0x48, 0x83, 0xc4, 16]); // add rsp, 16
    code.extend([0x48, 0xcf]); // iretq
    code
}

fn vcpu(kvm: &Kvm, fd: &VmFd, number: u64, config: Config) -> Result<VcpuFd, String> {
    let vcpu = fd.create_vcpu(number).map_err(failed("KVM_CREATE_VCPU"))?;
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(failed("KVM_GET_SUPPORTED_CPUID"))?;
    for entry in cpuid.as_mut_slice() {
        // The APIC's id: of leaf 1, and the x2APIC's.
        match entry.function {
            1 => entry.ebx = entry.ebx & 0x00ff_ffff | (number as u32) << 24,
            0xb | 0x1f => entry.edx = number as u32,
            _ => {}
        }
    }
    vcpu.set_cpuid2(&cpuid).map_err(failed("KVM_SET_CPUID2"))?;
    let mut sregs = vcpu.get_sregs().map_err(failed("KVM_GET_SREGS"))?;
    set_system(&mut sregs, config);
    vcpu.set_sregs(&sregs).map_err(failed("KVM_SET_SREGS"))?;
    let mut msrs = vec![
        // SYSCALL loads KERNEL_CS and the selector behind it, SYSRET the two behind 0x23.
        (MSR_STAR, u64::from(KERNEL_CS) << 32 | 0x23 << 48),
        (MSR_LSTAR, HANDLER),
        (MSR_SFMASK, 0x200),
    ];
    if config.irqchip {
        msrs.push((MSR_X2APIC_SVR, 0x1ff));
    }
    let entries: Vec<_> = msrs
        .iter()
        .map(|&(index, data)| kvm_msr_entry {
            index,
            data,
            ..Default::default()
        })
        .collect();
    let list = Msrs::from_entries(&entries).map_err(|error| format!("MSRs: {error:?}"))?;
    match vcpu.set_msrs(&list) {
        Ok(count) if count == entries.len() => {}
        Ok(count) => {
            let index = msrs.get(count).map_or(0, |&(index, _)| index);
            return Err(format!("KVM_SET_MSRS refuses MSR {index:#x}"));
        }
        Err(error) => return Err(failed("KVM_SET_MSRS")(error)),
    }
    Ok(vcpu)
}

fn set_system(sregs: &mut kvm_sregs, config: Config) {
    // PE, MP, ET, NE, WP, PG; PAE, OSFXSR, OSXMMEXCPT; SCE, LME and LMA.
    sregs.cr0 = 0x8001_0033;
    sregs.cr3 = PML4;
    sregs.cr4 = 0x620 | config.cr4;
    sregs.efer = if config.deprivileged_kernel {
        0x500
    } else {
        0x501
    };
    if config.irqchip {
        // Enabled, and in x2APIC mode.
        sregs.apic_base |= 0xc00;
    }
    let (cs, ss) = match config.cpl {
        0 => (KERNEL_CS, KERNEL_SS),
        _ => (USER_CS, USER_SS),
    };
    let segment = |selector, type_, long: bool| kvm_segment {
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        dpl: config.cpl,
        s: 1,
        l: u8::from(long),
        db: u8::from(!long),
        g: 1,
        ..Default::default()
    };
    sregs.cs = segment(cs, 0xb, true);
    let data = segment(ss, 0x3, false);
    (sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs) = (data, data, data, data, data);
    sregs.tr = kvm_segment {
        base: TSS,
        // A kernel that is deprivileged may access no port.
        limit: match config.deprivileged_kernel {
            true => TSS_SIZE - 1,
            false => TSS_SIZE + IO_BITMAP,
        },
        selector: TSS_SELECTOR,
        type_: 0xb,
        present: 1,
        ..Default::default()
    };
    sregs.gdt.base = GDT;
    sregs.gdt.limit = (size_of_val(&GDT_WORDS) - 1) as u16;
    sregs.idt.base = IDT;
    sregs.idt.limit = (IDT_SIZE - 1) as u16;
}

/// Registers of code that begins at `rip`.
pub fn registers(rip: u64, stack: u64, rflags: u64) -> kvm_regs {
    kvm_regs {
        rip,
        rsp: stack,
        rflags,
        r12: SAMPLES,
        r14: DATA,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gates_code_fits_its_place() {
        for vector in 0..=255 {
            assert!(stub_code(vector).len() <= 16, "{vector}");
        }
    }

    #[test]
    fn a_gate_has_its_handler_and_its_dpl() {
        let [low, high] = gate(0x1234_5678_9abc_def0, 0x30);
        assert_eq!(
            (low & 0xffff, low >> 48, high),
            (0xdef0, 0x9abc, 0x1234_5678)
        );
        assert_eq!(low >> 45 & 3, 3);
        assert_eq!(gate(0, 13)[0] >> 45 & 3, 0);
    }
}
