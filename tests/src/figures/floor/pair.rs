//! A VM with two vCPUs in 64-bit mode and a few bytes of code: what a vCPU can do to another by
//! KVM's means alone, at the privilege at which a guest of Paravane's runs on this host.
#![allow(unsafe_code)]

use super::vm::Vm;
use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_regs, kvm_segment, kvm_sregs};
use kvm_ioctls::{Error, Kvm, VcpuFd};
use std::sync::atomic::{AtomicU64, Ordering};

// Guest-physical addresses, which the page tables map one to one.
const PML4: u64 = 0x1000;
const PDPT: u64 = 0x2000;
const PD: u64 = 0x3000;
const IDT: u64 = 0x4000;
const GDT: u64 = 0x5000;
const TSS: u64 = 0x6000;
const SENDER: u64 = 0x7000;
const SPINNER: u64 = 0x7100;
const HANDLER: u64 = 0x7200;
const STARTER: u64 = 0x7300;
/// The end of the stack of CPL 0, and of that of the code.
const STACK: u64 = 0x9000;
const OWN_STACK: u64 = 0xa000;
const SENT: u64 = 0xb000;
const NOTICED: u64 = 0xb008;
const MEMORY: usize = 2 << 20;

/// The vector of the handler.
pub const VECTOR: u8 = 32;

const KERNEL_CS: u16 = 0x08;
const KERNEL_SS: u16 = 0x10;
const TSS_SELECTOR: u16 = 0x18;
const USER_SS: u16 = 0x2b;
const USER_CS: u16 = 0x33;
/// Null, code and data of CPL 0, the two words of the TSS, data and code of CPL 3.
const GDT_WORDS: [u64; 7] = [
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x0000_8b00_0000_0067 | TSS << 16,
    0,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
];

/// IF, and IOPL 3, so that code at CPL 3 may access ports.
const RFLAGS: u64 = 0x3202;

/// What the second vCPU is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To run, until it is interrupted: the handler notes when.
    Spins,
    /// To be started: it notes when, and exits.
    Starts,
}

/// The VM.
pub struct Pair {
    /// Notes when, and exits.
    pub sender: VcpuFd,
    /// The other one.
    pub receiver: VcpuFd,
    /// What both note.
    pub times: Times,
}

/// The times that the vCPUs note, by the TSC. The VM lives as long as this.
pub struct Times(Vm);

/// `rdtsc; shl rdx, 32; or rax, rdx; mov [address], rax`.
fn note_time(address: u64) -> Vec<u8> {
    let mut code = vec![0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0];
    code.extend([0x48, 0x89, 0x04, 0x25]);
    code.extend((address as u32).to_le_bytes());
    code
}

/// Notes the time and exits by `in eax, 0x10`, again and again.
fn note_and_exit(address: u64) -> Vec<u8> {
    let mut code = note_time(address);
    code.extend([0xe5, 0x10]);
    // `jmp` to the beginning, from behind itself.
    code.extend([0xeb, 0_u8.wrapping_sub(code.len() as u8 + 2)]);
    code
}

impl Pair {
    /// One whose vCPUs run at this CPL, 0 or 3.
    pub fn new(cpl: u8, role: Role) -> Result<Self, Error> {
        let kvm = Kvm::new()?;
        let vm = Vm::new(&kvm, MEMORY)?;
        let words = |words: &[u64]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        // Present, writable, user; and a page of 2 MiB.
        vm.put(PML4, &words(&[PDPT | 7]))?;
        vm.put(PDPT, &words(&[PD | 7]))?;
        vm.put(PD, &words(&[0x80 | 7]))?;
        vm.put(GDT, &words(&GDT_WORDS))?;
        // An interrupt gate.
        let gate = HANDLER & 0xffff | u64::from(KERNEL_CS) << 16 | 0x8e00 << 32;
        vm.put(IDT + 16 * u64::from(VECTOR), &words(&[gate, 0]))?;
        vm.put(TSS + 4, &words(&[STACK]))?;
        vm.put(SENDER, &note_and_exit(SENT))?;
        vm.put(STARTER, &note_and_exit(NOTICED))?;
        // `jmp $`.
        vm.put(SPINNER, &[0xeb, 0xfe])?;
        // It returns by `iretq`.
        let handler = [note_time(NOTICED), vec![0x48, 0xcf]].concat();
        vm.put(HANDLER, &handler)?;
        let cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
        let vcpu = |id, rip| -> Result<VcpuFd, Error> {
            let vcpu = vm.fd.create_vcpu(id)?;
            vcpu.set_cpuid2(&cpuid)?;
            let mut sregs = vcpu.get_sregs()?;
            set_system(&mut sregs, cpl);
            vcpu.set_sregs(&sregs)?;
            vcpu.set_regs(&kvm_regs {
                rip,
                rsp: OWN_STACK,
                rflags: RFLAGS,
                ..Default::default()
            })?;
            Ok(vcpu)
        };
        let sender = vcpu(0, SENDER)?;
        let receiver = match role {
            Role::Spins => vcpu(1, SPINNER)?,
            Role::Starts => vcpu(1, STARTER)?,
        };
        Ok(Self {
            sender,
            receiver,
            times: Times(vm),
        })
    }
}

impl Times {
    /// What the sender noted last; 0 if it has not.
    pub fn sent(&self) -> Result<u64, String> {
        Ok(self.word(SENT)?.load(Ordering::SeqCst))
    }

    /// What the receiver noted since [`Self::forget`]; 0 if it has not.
    pub fn noticed(&self) -> Result<u64, String> {
        Ok(self.word(NOTICED)?.load(Ordering::SeqCst))
    }

    /// Forgets what the receiver noted.
    pub fn forget(&self) -> Result<(), String> {
        self.word(NOTICED)?.store(0, Ordering::SeqCst);
        Ok(())
    }

    fn word(&self, at: u64) -> Result<&AtomicU64, String> {
        let host = self.0.host(at).map_err(|error| error.to_string())?;
        // SAFETY: the word is aligned and in the VM's memory, which lives as long as `self`;
        // on this side nothing else refers to it.
        Ok(unsafe { AtomicU64::from_ptr(host.cast()) })
    }
}

fn set_system(sregs: &mut kvm_sregs, cpl: u8) {
    // PE, MP, ET, NE, WP, PG; PAE; LME and LMA.
    sregs.cr0 = 0x8001_0033;
    sregs.cr3 = PML4;
    sregs.cr4 = 0x20;
    sregs.efer = 0x500;
    let (cs, ss) = match cpl {
        0 => (KERNEL_CS, KERNEL_SS),
        _ => (USER_CS, USER_SS),
    };
    let segment = |selector, type_, long: bool| kvm_segment {
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        dpl: cpl,
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
        limit: 0x67,
        selector: TSS_SELECTOR,
        type_: 0xb,
        present: 1,
        ..Default::default()
    };
    sregs.gdt.base = GDT;
    sregs.gdt.limit = (size_of_val(&GDT_WORDS) - 1) as u16;
    sregs.idt.base = IDT;
    sregs.idt.limit = 0xfff;
}
