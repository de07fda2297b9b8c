//! The CPU that a deprivileged kernel believes it has.

use super::is_system;
use iced_x86::Register;

/// Its registers. What no row looks at is not there.
#[derive(Clone, Debug)]
pub struct VirtualCpu {
    /// CR0 to CR8.
    pub cr: [u64; 9],
    /// DR0 to DR7.
    pub dr: [u64; 8],
    /// Limit and base of the GDT.
    pub gdtr: (u16, u64),
    /// Limit and base of the IDT.
    pub idtr: (u16, u64),
    /// Selector of the LDT.
    pub ldtr: u16,
    /// Selector of the TSS.
    pub tr: u16,
    /// RFLAGS.IF.
    pub interrupts: bool,
    /// XCR0.
    pub xcr0: u64,
    /// MSR_GS_BASE and MSR_KERNEL_GS_BASE.
    pub gs: (u64, u64),
    msrs: Vec<(u32, u64)>,
    port: u64,
}

/// MSRs that there is room for: a guest must not make the VMM grow.
const MOST_MSRS: usize = 64;

impl Default for VirtualCpu {
    /// One whose every register differs from what the real CPU has there.
    fn default() -> Self {
        let mut cr = [0; 9];
        // PG, AM, WP, NE, ET, TS, MP, PE: a kernel that switches the FPU lazily.
        cr[0] = 0x8005_003b;
        Self {
            cr,
            dr: [0; 8],
            gdtr: (0x7f, 0xffff_8000_0000_1000),
            idtr: (0xfff, 0xffff_8000_0000_2000),
            ldtr: 0x50,
            tr: 0x40,
            interrupts: false,
            xcr0: 1,
            gs: (0, 0),
            msrs: Vec::new(),
            port: 0,
        }
    }
}

impl VirtualCpu {
    /// The control or debug register of this name.
    pub fn system_register(&mut self, register: Register) -> Option<&mut u64> {
        if !is_system(register) {
            return None;
        }
        let number = register.number();
        if register.is_cr() {
            self.cr.get_mut(number)
        } else {
            self.dr.get_mut(number)
        }
    }

    /// RDMSR; one that was never written is 0.
    pub fn read_msr(&self, index: u32) -> u64 {
        let found = self.msrs.iter().find(|(number, _)| *number == index);
        found.map_or(0, |&(_, value)| value)
    }

    /// WRMSR.
    pub fn write_msr(&mut self, index: u32, value: u64) {
        if let Some((_, old)) = self.msrs.iter_mut().find(|(number, _)| *number == index) {
            *old = value;
        } else if self.msrs.len() < MOST_MSRS {
            self.msrs.push((index, value));
        }
    }

    /// SWAPGS.
    pub fn swap_gs(&mut self) {
        self.gs = (self.gs.1, self.gs.0);
    }

    /// IN from the only device there is, which answers what it was told last.
    pub fn read_port(&self) -> u64 {
        self.port
    }

    /// OUT to it.
    pub fn write_port(&mut self, value: u64) {
        self.port = value;
    }
}
