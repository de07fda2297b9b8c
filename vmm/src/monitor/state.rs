//! The monitor's pages of one vCPU, and how the VMM changes them while the vCPU is stopped.

use super::code::{self, Entry};
use super::data::{
    self, BOUNCE_SYSCALL, InterruptFrame, MonitorData, fresh_rflags, guest_selectors,
    interrupt_gate,
};
use crate::carrier::{Carrier, Mode, Privilege};
use crate::hypercall::page::HypercallPage;
use crate::layout::{
    MONITOR_DATA, MONITOR_IDT, MONITOR_VCPU_PAGE, TRAP_STACK_SIZE, monitor_window, vcpu_page,
};
use crate::memory::{MemoryError, PrivateMemory};
use crate::paging::{Access, Mapping, Owner, PageTables};
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::trap::{TRAP_VECTORS, TrapState, VECTOR_BP, VECTOR_DF, VECTOR_OF, VECTOR_PF};
use pv_abi::vcpu_page::VcpuPage;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use zerocopy::FromZeros;

/// Last byte of the IDT: only the vectors that have gates.
pub const IDT_LIMIT: u16 = (TRAP_VECTORS * 16 - 1) as u16;

/// The monitor of one vCPU.
#[derive(Debug, Clone)]
pub struct Monitor {
    memory: Arc<PrivateMemory>,
    vcpu: u32,
    data: u64,
    idt: u64,
    vcpu_page: u64,
    /// How many doorbells the guest has.
    doorbells: Arc<AtomicU32>,
}

impl Monitor {
    /// Private pages that [`Monitor::install`] takes for each vCPU, beside the code's.
    pub const PAGES: u64 = 3;

    /// Places the monitor's code, once for a VM.
    pub fn install_code(memory: &PrivateMemory) -> Result<u64, MemoryError> {
        let gpa = memory.allocate(code::CODE_WINDOW / PAGE_SIZE)?;
        memory.write(gpa, code::bytes())?;
        Ok(gpa)
    }

    /// Takes the pages of a vCPU and maps its window.
    pub fn install(
        memory: &Arc<PrivateMemory>,
        tables: &mut PageTables<'_>,
        code: u64,
        vcpu: u32,
    ) -> Result<Self, MemoryError> {
        let monitor = Self {
            memory: Arc::clone(memory),
            vcpu,
            data: memory.allocate(1)?,
            idt: memory.allocate(1)?,
            vcpu_page: memory.allocate(1)?,
            doorbells: Arc::default(),
        };
        let window = monitor_window(vcpu);
        let mut map = |offset, gpa, size, access| {
            tables.map(Mapping {
                address: window + offset,
                gpa,
                size,
                access,
                owner: Owner::Supervisor,
            })
        };
        map(0, code, code::CODE_WINDOW, Access::ReadExecute)?;
        map(MONITOR_DATA, monitor.data, PAGE_SIZE, Access::ReadWrite)?;
        map(MONITOR_IDT, monitor.idt, PAGE_SIZE, Access::Read)?;
        map(
            MONITOR_VCPU_PAGE,
            monitor.vcpu_page,
            PAGE_SIZE,
            Access::ReadWrite,
        )?;
        Ok(monitor)
    }

    /// The monitor of a vCPU that was restored, whose data page, IDT and vCPU page are these.
    pub fn at(memory: &Arc<PrivateMemory>, vcpu: u32, pages: [u64; 3], doorbells: u32) -> Self {
        let [data, idt, vcpu_page] = pages;
        Self {
            memory: Arc::clone(memory),
            vcpu,
            data,
            idt,
            vcpu_page,
            doorbells: Arc::new(AtomicU32::new(doorbells)),
        }
    }

    /// Guest-physical addresses of its data page, its IDT and its vCPU page.
    pub fn pages(&self) -> [u64; 3] {
        [self.data, self.idt, self.vcpu_page]
    }

    /// How many doorbells its guest has.
    pub fn doorbells(&self) -> u32 {
        self.doorbells.load(Ordering::Relaxed)
    }

    /// Fills in the data for `mode`: no handler is registered.
    pub fn initialize(&self, mode: Mode, page: &HypercallPage) -> Result<(), MemoryError> {
        let syscall_entry = self.syscall_entry(mode.carrier);
        let direct_io = mode.privilege == Privilege::Ring3 && !mode.calls_by_monitor();
        let mut data = data::initial(
            self.vcpu,
            mode.privilege,
            page.syscall_return_address(),
            page.task_entry_return_address(),
            direct_io,
        );
        data.syscall_entry = syscall_entry;
        self.memory.write_struct(self.data, &data)?;
        for vector in 0..TRAP_VECTORS {
            self.set_gate(mode, vector, false)?;
        }
        Ok(())
    }

    /// The private pages.
    pub fn memory(&self) -> &PrivateMemory {
        &self.memory
    }

    /// Number of the vCPU.
    pub fn vcpu(&self) -> u32 {
        self.vcpu
    }

    /// Sets the root page tables between which the monitor switches when a task is entered and
    /// left. Both are 0 where tasks run on the kernel's.
    pub fn set_roots(&self, kernel: u64, task: u64) -> Result<(), MemoryError> {
        self.write_data(offset_of!(MonitorData, kernel_cr3), &kernel)?;
        self.write_data(offset_of!(MonitorData, task_cr3), &task)
    }

    /// Whether a task runs, or is about to.
    pub fn in_task(&self) -> Result<bool, MemoryError> {
        let in_task: u64 = self
            .memory
            .read_struct(self.data + offset_of!(MonitorData, in_task) as u64)?;
        Ok(in_task != 0)
    }

    /// Notes that the task was left without the monitor's help.
    pub fn leave_task(&self) -> Result<(), MemoryError> {
        self.write_data(offset_of!(MonitorData, in_task), &0u64)
    }

    /// Lets a guest kernel at CPL 3 ring so many doorbells, also when the vCPU is started again. At
    /// CPL 0 it may anyway, and its tasks may not.
    pub fn open_doorbells(&self, mode: Mode, count: u32) -> Result<(), MemoryError> {
        self.doorbells.store(count, Ordering::Relaxed);
        match mode.privilege {
            Privilege::Ring0 => Ok(()),
            Privilege::Ring3 => self.write_data(data::DOORBELL_MAP, &data::doorbell_map(count)),
        }
    }

    /// Opens or closes the I/O permission bitmap, as the monitor does when it leaves or enters a
    /// task that has page tables of its own.
    pub fn open_io_map(&self) -> Result<(), MemoryError> {
        let offset = offset_of!(MonitorData, tss) + data::TSS_IO_MAP_BASE;
        self.write_data(offset, &data::IO_MAP_OPEN)
    }

    fn write_data<T: zerocopy::IntoBytes + zerocopy::Immutable>(
        &self,
        offset: usize,
        value: &T,
    ) -> Result<(), MemoryError> {
        self.memory.write_struct(self.data + offset as u64, value)
    }

    /// Reads a field of the vCPU page, which the guest may be changing.
    pub fn read_page<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
        &self,
        offset: usize,
    ) -> Result<T, MemoryError> {
        self.memory.read_struct(self.vcpu_page + offset as u64)
    }

    /// Writes a field of the vCPU page.
    pub fn write_page<T: zerocopy::IntoBytes + zerocopy::Immutable>(
        &self,
        offset: usize,
        value: &T,
    ) -> Result<(), MemoryError> {
        self.memory
            .write_struct(self.vcpu_page + offset as u64, value)
    }

    /// Guest-physical address of the vCPU page.
    pub fn vcpu_page(&self) -> u64 {
        self.vcpu_page
    }

    /// Fills in the VMM's fields of the vCPU page.
    pub fn initialize_vcpu_page(
        &self,
        boot_stack: Option<(u64, u64)>,
        trap_stack_top: u64,
    ) -> Result<(), MemoryError> {
        let mut page = VcpuPage::new_zeroed();
        page.self_address = vcpu_page(self.vcpu);
        page.vcpu_id = self.vcpu;
        page.upcall_mask = 1;
        if let Some((top, size)) = boot_stack {
            page.boot_stack_top = top;
            page.boot_stack_size = size;
        }
        page.trap_stack_top = trap_stack_top;
        page.trap_stack_size = TRAP_STACK_SIZE;
        self.memory.write_struct(self.vcpu_page, &page)
    }

    /// Where this process has `VcpuPage::call`, as long as this monitor lives.
    pub fn call_area(&self) -> *const u64 {
        let offset = self.vcpu_page - self.memory.start() + offset_of!(VcpuPage, call) as u64;
        (self.memory.host_address() + offset) as *const u64
    }

    /// Base address of the GDT.
    pub fn gdt_base(&self) -> u64 {
        self.data_address(offset_of!(MonitorData, gdt))
    }

    /// Base address of the TSS.
    pub fn tss_base(&self) -> u64 {
        self.data_address(offset_of!(MonitorData, tss))
    }

    /// Base address of the IDT.
    pub fn idt_base(&self) -> u64 {
        monitor_window(self.vcpu) + MONITOR_IDT
    }

    /// Address of one of the monitor's entry points.
    pub fn entry(&self, entry: Entry) -> u64 {
        monitor_window(self.vcpu) + code::offset(entry)
    }

    /// Value of LSTAR for a carrier.
    pub fn syscall_entry(&self, carrier: Carrier) -> u64 {
        self.entry(match carrier {
            Carrier::Pio => Entry::SyscallPio,
            Carrier::Vmcall => Entry::SyscallVmcall,
            Carrier::Vmmcall => Entry::SyscallVmmcall,
        })
    }

    /// Top of a stack that the monitor's own code may use while no guest code runs.
    pub fn stack_top(&self) -> u64 {
        monitor_window(self.vcpu) + MONITOR_DATA + PAGE_SIZE
    }

    fn data_address(&self, offset: usize) -> u64 {
        monitor_window(self.vcpu) + MONITOR_DATA + offset as u64
    }

    /// Registers the handler of a vector; `None` removes it. The address is in the lower half.
    pub fn set_handler(
        &self,
        mode: Mode,
        vector: usize,
        handler: Option<u64>,
    ) -> Result<(), MemoryError> {
        // The frame first: a gate must never lead to a frame without an address.
        self.set_bounce(vector, handler.unwrap_or(0))?;
        self.set_gate(mode, vector, handler.is_some())
    }

    /// Registers the handler of upcalls; `None` removes it. The address is in the lower half.
    pub fn set_upcall_handler(&self, handler: Option<u64>) -> Result<(), MemoryError> {
        self.write_data(
            offset_of!(MonitorData, upcall_handler),
            &handler.unwrap_or(0),
        )
    }

    /// The handler of upcalls.
    pub fn upcall_handler(&self) -> Result<Option<u64>, MemoryError> {
        let handler: u64 = self
            .memory
            .read_struct(self.data + offset_of!(MonitorData, upcall_handler) as u64)?;
        Ok((handler != 0).then_some(handler))
    }

    /// Makes the data and the vCPU page as they were before the vCPU was started first.
    pub fn reset(&self, mode: Mode) -> Result<(), MemoryError> {
        self.initialize(mode, &HypercallPage::new(mode))?;
        self.open_doorbells(mode, self.doorbells.load(Ordering::Relaxed))?;
        // Events that wait stay: they are the VM's, and the clock is.
        self.write_page(offset_of!(VcpuPage, upcall_mask), &1u8)?;
        self.write_page(offset_of!(VcpuPage, trap), &TrapState::default())?;
        self.write_page(offset_of!(VcpuPage, deadline), &0u64)?;
        self.write_page(offset_of!(VcpuPage, deferred_count), &0u32)
    }

    /// Registers the handler of SYSCALL; `None` removes it. The address is in the lower half.
    pub fn set_syscall_handler(&self, handler: Option<u64>) -> Result<(), MemoryError> {
        self.set_bounce(BOUNCE_SYSCALL, handler.unwrap_or(0))
    }

    fn set_bounce(&self, index: usize, rip: u64) -> Result<(), MemoryError> {
        let offset = offset_of!(MonitorData, bounce)
            + index * size_of::<InterruptFrame>()
            + offset_of!(InterruptFrame, rip);
        self.memory.write_struct(self.data + offset as u64, &rip)
    }

    fn set_gate(&self, mode: Mode, vector: usize, handled: bool) -> Result<(), MemoryError> {
        let number = vector as u32;
        let target = if number == VECTOR_DF {
            Some(code::offset(Entry::DoubleFault))
        } else if number == VECTOR_PF && mode.syscall_faults {
            // It looks itself whether there is a handler.
            Some(code::offset(Entry::FaultOrSyscall))
        } else if handled {
            code::trap_entry(vector)
        } else {
            code::unhandled_entry(vector)
        };
        let Some(target) = target else {
            return Err(MemoryError::PrivateAccess { gpa: self.idt });
        };
        let ist = match mode.privilege {
            _ if number == VECTOR_DF => data::IST_DOUBLE_FAULT,
            Privilege::Ring0 => data::IST_TRAP,
            // A trap from CPL 3 takes RSP0, which is the same address; and a software KVM
            // need not know the IST.
            Privilege::Ring3 => 0,
        };
        // INT3 and INTO are the guest's to execute; INT n with any other vector is not.
        let dpl = if number == VECTOR_BP || number == VECTOR_OF {
            3
        } else {
            0
        };
        let gate = interrupt_gate(monitor_window(self.vcpu) + target, ist, dpl);
        self.memory
            .write_struct(self.idt + vector as u64 * 16, &gate)
    }

    /// Prepares the resume frame; RSP for [`Entry::Resume`] is returned.
    pub fn prepare_resume(
        &self,
        privilege: Privilege,
        rip: u64,
        rsp: u64,
        rflags: u64,
    ) -> Result<u64, MemoryError> {
        let (cs, ss) = guest_selectors(privilege);
        let frame = InterruptFrame {
            rip,
            cs: cs.into(),
            rflags: rflags | fresh_rflags(privilege),
            rsp,
            ss: ss.into(),
        };
        let offset = offset_of!(MonitorData, resume_frame);
        self.memory
            .write_struct(self.data + offset as u64, &frame)?;
        Ok(self.data_address(offset))
    }

    /// The trap that was being delivered, as the CPU and the monitor left it.
    pub fn trap_state(&self) -> Result<TrapState, MemoryError> {
        self.memory
            .read_struct(self.vcpu_page + offset_of!(VcpuPage, trap) as u64)
    }

    /// How the VMM's last resumption enters the guest.
    pub fn resume_frame(&self) -> Result<InterruptFrame, MemoryError> {
        let offset = offset_of!(MonitorData, resume_frame);
        self.memory.read_struct(self.data + offset as u64)
    }

    /// What the monitor has pushed below the return frame: RBX, while a carrier needs it.
    pub fn pushed_rbx(&self) -> Result<u64, MemoryError> {
        let offset = offset_of!(MonitorData, return_frame) - 8;
        self.memory.read_struct(self.data + offset as u64)
    }

    /// Whether an address is in the monitor's code.
    pub fn contains(&self, rip: u64) -> bool {
        let window = monitor_window(self.vcpu);
        (window..window + code::CODE_WINDOW).contains(&rip)
    }

    /// How the hypercall that is under way returns to the guest.
    pub fn return_frame(&self) -> Result<InterruptFrame, MemoryError> {
        let offset = offset_of!(MonitorData, return_frame);
        self.memory.read_struct(self.data + offset as u64)
    }
}
