//! The way of an image into memory: where everything goes in RAM, how it is mapped, and what
//! the guest is told about it.

use super::machine::Machine;
use crate::carrier::{Mode, Privilege};
use crate::hypercall::page::HypercallPage;
use crate::image::{Image, SEGMENTS_MAX, Segment};
use crate::layout::{
    COMMAND_LINE, DEVICE_LIST, EVENT_PAGE, HYPERCALL_PAGE, MAX_VCPUS, START_INFO, TRAP_STACK_SIZE,
    VCPU_PAGES, vcpu_page,
};
use crate::memory::MemoryError;
use crate::paging::{Access, LARGE_PAGE_SIZE, Mapping, Owner, translate};
use crate::ports;
use pv_abi::address_space::{LINEAR_MAP_BASE, PAGE_SIZE, STACKS_BASE, STACKS_STRIDE};
use pv_abi::device::{DEVICES, DeviceInfo};
use pv_abi::start_info::{
    COMMAND_LINE_MAX, MEMORY_MAP_REGIONS, MemoryRegion, REGION_FREE, REGION_IMAGE, REGION_INITRD,
    REGION_STACK, RIGHT_EXECUTE, RIGHT_READ, RIGHT_WRITE, START_INFO_MAGIC, StartInfo,
};
use pv_abi::vcpu_page::VCPU_PAGE_SIZE;
use pv_abi::{ABI_MAJOR, ABI_MINOR, Features, Gpa};
use thiserror::Error;
use zerocopy::FromZeros;

/// Why an image, an initrd or a command line could not be put into memory.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The command line does not fit its page.
    #[error("the command line has {size} bytes; at most {COMMAND_LINE_MAX} are possible")]
    CommandLineTooLong {
        /// Its length.
        size: usize,
    },
    /// The command line would end early.
    #[error("the command line has a NUL at byte {at}; it must have none")]
    CommandLineNul {
        /// Where.
        at: usize,
    },
    /// RAM is too small.
    #[error(
        "{what} of {size} bytes does not fit into RAM beside the image: the largest free range \
         has {largest} bytes; use a larger --mem"
    )]
    DoesNotFit {
        /// What does not fit.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The largest free range.
        largest: u64,
    },
    /// An access to RAM failed that was checked before: a defect of the VMM.
    #[error("the VMM's access to RAM at {gpa} failed (a defect of the VMM)")]
    Ram {
        /// The address.
        gpa: Gpa,
    },
    /// The private pages failed.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// What is put into a machine.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The image.
    pub image: &'a Image,
    /// Its command line.
    pub command_line: &'a str,
    /// Its initrd.
    pub initrd: Option<&'a [u8]>,
    /// Its number among the guests of this process.
    pub guest: u32,
    /// How many these are.
    pub guests: u32,
    /// Its devices.
    pub devices: &'a [DeviceInfo],
    /// How many doorbell ports it has; none where KVM has no ioeventfd.
    pub doorbells: u32,
}

/// Where the guest starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// RIP.
    pub entry: u64,
    /// RSP.
    pub stack_top: u64,
    /// RDI.
    pub start_info: u64,
}

/// Checks a command line.
pub fn check_command_line(command_line: &str) -> Result<(), LoadError> {
    if command_line.len() > COMMAND_LINE_MAX {
        return Err(LoadError::CommandLineTooLong {
            size: command_line.len(),
        });
    }
    match command_line.bytes().position(|byte| byte == 0) {
        Some(at) => Err(LoadError::CommandLineNul { at }),
        None => Ok(()),
    }
}

fn pages(size: u64) -> u64 {
    size.next_multiple_of(PAGE_SIZE)
}

fn access(segment: &Segment) -> (Access, u32) {
    if segment.rights.execute {
        (Access::ReadExecute, RIGHT_READ | RIGHT_EXECUTE)
    } else if segment.rights.write {
        (Access::ReadWrite, RIGHT_READ | RIGHT_WRITE)
    } else {
        (Access::Read, RIGHT_READ)
    }
}

fn owner(mode: Mode) -> Owner {
    match mode.privilege {
        Privilege::Ring0 => Owner::Supervisor,
        Privilege::Ring3 => Owner::User,
    }
}

/// The use of RAM, in ascending order, gaps free.
#[derive(Debug)]
struct RamPlan {
    size: u64,
    used: Vec<MemoryRegion>,
}

impl RamPlan {
    fn insert(&mut self, region: MemoryRegion) {
        let at = self.used.partition_point(|other| other.gpa < region.gpa);
        self.used.insert(at, region);
    }

    /// The free ranges, in ascending order.
    fn free(&self) -> Vec<(u64, u64)> {
        let mut free = Vec::with_capacity(self.used.len() + 1);
        let mut end = 0;
        for region in &self.used {
            if region.gpa > end {
                free.push((end, region.gpa - end));
            }
            end = region.gpa + region.size;
        }
        if self.size > end {
            free.push((end, self.size - end));
        }
        free
    }

    /// Takes `size` bytes at the upper end of the highest free range that has them. Page 0
    /// stays free, so that nothing of the VMM's choice lies at guest-physical address 0.
    fn take(&mut self, what: &'static str, region: MemoryRegion) -> Result<u64, LoadError> {
        let free = self.free();
        let found = free.iter().rev().find_map(|&(start, size)| {
            let gpa = (start + size).checked_sub(region.size)?;
            (gpa >= start.max(PAGE_SIZE)).then_some(gpa)
        });
        let Some(gpa) = found else {
            let largest = free.iter().map(|&(_, size)| size).max().unwrap_or(0);
            return Err(LoadError::DoesNotFit {
                what,
                size: region.size,
                largest,
            });
        };
        self.insert(MemoryRegion { gpa, ..region });
        Ok(gpa)
    }

    /// The memory map that the guest sees.
    fn memory_map(&self) -> Vec<MemoryRegion> {
        let mut map = self.used.clone();
        for (gpa, size) in self.free() {
            map.push(MemoryRegion {
                gpa,
                size,
                kind: REGION_FREE,
                ..Default::default()
            });
        }
        map.sort_by_key(|region| region.gpa);
        map
    }
}

/// Puts everything into `machine` for `mode`. The machine's monitors get their data too.
pub fn load(
    machine: &Machine,
    contents: &Contents<'_>,
    mode: Mode,
    features: Features,
) -> Result<Start, LoadError> {
    check_command_line(contents.command_line)?;
    let image = contents.image;
    let vcpus = machine.monitors.len() as u32;
    let mut plan = RamPlan {
        size: machine.ram.size(),
        used: Vec::new(),
    };

    let mut tables = machine.tables();
    for segment in image.segments() {
        let std::ops::Range { start: gpa, end } = segment.page_gpas();
        let size = end - gpa;
        let address = segment.page_addresses().start;
        let (access, rights) = access(segment);
        plan.insert(MemoryRegion {
            gpa,
            size,
            address,
            kind: REGION_IMAGE,
            rights,
        });
        copy_segment(machine, image, segment)?;
        tables.map(Mapping {
            address,
            gpa,
            size,
            access,
            owner: owner(mode),
        })?;
    }

    // Stacks: for vCPU 0 a boot stack, and a trap stack for each. The page below each is
    // never mapped.
    let mut stack = |plan: &mut RamPlan, what, end: u64, size: u64| -> Result<u64, LoadError> {
        let address = end - size;
        let region = MemoryRegion {
            size,
            address,
            kind: REGION_STACK,
            rights: RIGHT_READ | RIGHT_WRITE,
            ..Default::default()
        };
        let gpa = plan.take(what, region)?;
        tables.map(Mapping {
            address,
            gpa,
            size,
            access: Access::ReadWrite,
            owner: owner(mode),
        })?;
        Ok(end)
    };
    let boot_stack_size = image.note().stack_size;
    let boot_stack_top = STACKS_BASE + STACKS_STRIDE / 2;
    let boot_stack = (
        stack(&mut plan, "the boot stack", boot_stack_top, boot_stack_size)?,
        boot_stack_size,
    );
    let mut trap_stacks = Vec::with_capacity(vcpus as usize);
    for vcpu in 0..vcpus {
        let end = STACKS_BASE + u64::from(vcpu) * STACKS_STRIDE + STACKS_STRIDE / 4;
        trap_stacks.push(stack(&mut plan, "a trap stack", end, TRAP_STACK_SIZE)?);
    }

    let (initrd_gpa, initrd_size) = match contents.initrd {
        None | Some([]) => (0, 0),
        Some(bytes) => {
            let region = MemoryRegion {
                size: pages(bytes.len() as u64),
                kind: REGION_INITRD,
                ..Default::default()
            };
            let gpa = plan.take("the initrd", region)?;
            machine
                .ram
                .write(Gpa(gpa), bytes)
                .map_err(|_| LoadError::Ram { gpa: Gpa(gpa) })?;
            (gpa, bytes.len() as u64)
        }
    };

    map_linear(machine, &plan, mode)?;

    let page = HypercallPage::new(mode);
    for (vcpu, (monitor, &trap_stack)) in (0..).zip(machine.monitors.iter().zip(&trap_stacks)) {
        monitor.initialize(mode, &page)?;
        monitor.open_doorbells(mode, contents.doorbells)?;
        monitor.initialize_vcpu_page((vcpu == 0).then_some(boot_stack), trap_stack)?;
    }

    let memory_map = plan.memory_map();
    let mut info = StartInfo::new_zeroed();
    info.magic = START_INFO_MAGIC;
    info.abi_major = ABI_MAJOR;
    info.abi_minor = ABI_MINOR;
    info.size = size_of::<StartInfo>() as u32;
    info.features = features.0;
    info.privilege = mode.privilege.cpl().into();
    info.vcpus = vcpus;
    info.tsc_frequency = machine.tsc_frequency;
    info.ram_size = machine.ram.size();
    info.linear_map = LINEAR_MAP_BASE;
    info.hypercall_page = HYPERCALL_PAGE;
    info.vcpu_pages = VCPU_PAGES;
    info.vcpu_page_stride = VCPU_PAGE_SIZE;
    info.command_line = COMMAND_LINE;
    info.command_line_size = contents.command_line.len() as u64;
    info.initrd_gpa = initrd_gpa;
    info.initrd_size = initrd_size;
    // A guest without randomness still runs; it can ask again by core_entropy.
    let _ = crate::entropy::fill(&mut info.entropy);
    info.memory_map_count = memory_map.len().min(MEMORY_MAP_REGIONS) as u64;
    for (slot, region) in info.memory_map.iter_mut().zip(memory_map) {
        *slot = region;
    }
    info.event_page = EVENT_PAGE;
    info.guest = contents.guest;
    info.guests = contents.guests;
    info.host_processors =
        std::thread::available_parallelism().map_or(1, |processors| processors.get() as u32);
    if !contents.devices.is_empty() {
        info.devices = DEVICE_LIST;
        info.device_count = contents.devices.len() as u32;
    }
    if contents.doorbells > 0 {
        info.doorbell_port = ports::DOORBELLS;
        info.doorbell_count = contents.doorbells as u16;
    }
    map_shared(
        machine,
        mode,
        &info,
        contents.devices,
        contents.command_line,
        &page,
    )?;
    Ok(Start {
        entry: image.entry(),
        stack_top: boot_stack_top,
        start_info: START_INFO,
    })
}

/// Changes the start-info page of a machine that was restored.
pub fn start_info_page(
    machine: &Machine,
    change: impl FnOnce(&mut StartInfo),
) -> Result<(), MemoryError> {
    let found = translate(&machine.private, machine.root, START_INFO);
    let gpa = found.ok_or(MemoryError::PrivateAccess { gpa: START_INFO })?;
    let mut info: StartInfo = machine.private.read_struct(gpa)?;
    change(&mut info);
    machine.private.write_struct(gpa, &info)
}

fn copy_segment(machine: &Machine, image: &Image, segment: &Segment) -> Result<(), LoadError> {
    // RAM is fresh, so what lies behind the file's bytes is zero already.
    let bytes = image.contents(segment);
    let gpa = Gpa(segment.gpa);
    let first = segment.gpa / PAGE_SIZE * PAGE_SIZE;
    let end = (segment.gpa + bytes.len() as u64).next_multiple_of(PAGE_SIZE);
    // All at once, as a fault for each page takes longer.
    machine
        .ram
        .populate(Gpa(first), end - first)
        .map_err(|_| LoadError::Ram { gpa })?;
    machine
        .ram
        .write(gpa, bytes)
        .map_err(|_| LoadError::Ram { gpa })
}

/// Maps all of RAM at its linear address: writable, but for the image's other segments.
fn map_linear(machine: &Machine, plan: &RamPlan, mode: Mode) -> Result<(), LoadError> {
    let mut tables = machine.tables();
    let mut map = |gpa: u64, size: u64, access| {
        tables.map(Mapping {
            address: LINEAR_MAP_BASE + gpa,
            gpa,
            size,
            access,
            owner: owner(mode),
        })
    };
    let mut next = 0;
    for region in &plan.used {
        if region.kind == REGION_IMAGE && region.rights & RIGHT_WRITE == 0 {
            map(next, region.gpa - next, Access::ReadWrite)?;
            map(region.gpa, region.size, Access::Read)?;
            next = region.gpa + region.size;
        }
    }
    map(next, plan.size - next, Access::ReadWrite)?;
    Ok(())
}

/// Fills in and maps the start-info page, the command line, the hypercall page and the vCPU
/// pages.
fn map_shared(
    machine: &Machine,
    mode: Mode,
    info: &StartInfo,
    devices: &[DeviceInfo],
    command_line: &str,
    page: &HypercallPage,
) -> Result<(), LoadError> {
    let private = &machine.private;
    let mut tables = machine.tables();
    let mut map = |address, gpa, access| {
        tables.map(Mapping {
            address,
            gpa,
            size: PAGE_SIZE,
            access,
            owner: owner(mode),
        })
    };
    let gpa = private.allocate(2)?;
    private.write_struct(gpa, info)?;
    private.write(gpa + PAGE_SIZE, command_line.as_bytes())?;
    private.write(machine.hypercall_page, page.bytes())?;
    map(START_INFO, gpa, Access::Read)?;
    map(COMMAND_LINE, gpa + PAGE_SIZE, Access::Read)?;
    map(HYPERCALL_PAGE, machine.hypercall_page, Access::ReadExecute)?;
    map(EVENT_PAGE, machine.event_page, Access::ReadWrite)?;
    if info.devices != 0 {
        let list = private.allocate(1)?;
        for (index, device) in (0..).zip(devices) {
            private.write_struct(list + index * size_of::<DeviceInfo>() as u64, device)?;
        }
        map(info.devices, list, Access::Read)?;
    }
    for (vcpu, monitor) in (0..).zip(&machine.monitors) {
        map(vcpu_page(vcpu), monitor.vcpu_page(), Access::ReadWrite)?;
    }
    Ok(())
}

const _: () = assert!(
    DEVICES * size_of::<DeviceInfo>() <= PAGE_SIZE as usize,
    "the list of devices is one page"
);
// The stacks of a vCPU share a stride: trap stack, guard pages, boot stack.
const _: () = assert!(pv_abi::image_note::STACK_SIZE_MAX < STACKS_STRIDE / 8);
const _: () = assert!(LINEAR_MAP_BASE.is_multiple_of(LARGE_PAGE_SIZE));
// Each segment can have a free range before it; the stacks of all vCPUs adjoin, and so do boot
// stack and initrd, with one more free range.
const _: () = assert!(
    2 * SEGMENTS_MAX + MAX_VCPUS as usize + 4 <= MEMORY_MAP_REGIONS,
    "the map has room"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn region(gpa: u64, pages: u64) -> MemoryRegion {
        MemoryRegion {
            gpa,
            size: pages * PAGE_SIZE,
            kind: REGION_IMAGE,
            ..Default::default()
        }
    }

    #[test]
    fn the_memory_map_covers_ram_without_gaps() {
        let mut plan = RamPlan {
            size: 100 * PAGE_SIZE,
            used: Vec::new(),
        };
        plan.insert(region(50 * PAGE_SIZE, 3));
        plan.insert(region(10 * PAGE_SIZE, 1));
        let top = plan.take("a stack", region(0, 8)).unwrap();
        assert_eq!(top, 92 * PAGE_SIZE);
        let mut end = 0;
        for region in plan.memory_map() {
            assert_eq!(region.gpa, end);
            end += region.size;
        }
        assert_eq!(end, plan.size);
    }

    #[test]
    fn what_does_not_fit_is_told_what_room_there_is() {
        let mut plan = RamPlan {
            size: 10 * PAGE_SIZE,
            used: Vec::new(),
        };
        plan.insert(region(4 * PAGE_SIZE, 1));
        let error = plan.take("the initrd", region(0, 6)).unwrap_err();
        assert!(matches!(error, LoadError::DoesNotFit { size, largest, .. }
            if size == 6 * PAGE_SIZE && largest == 5 * PAGE_SIZE));
    }

    #[test]
    fn nothing_is_placed_at_address_zero() {
        let mut plan = RamPlan {
            size: 4 * PAGE_SIZE,
            used: Vec::new(),
        };
        assert!(plan.take("the initrd", region(0, 4)).is_err());
        assert_eq!(plan.take("the initrd", region(0, 3)).unwrap(), PAGE_SIZE);
    }

    #[test]
    fn a_command_line_is_checked() {
        assert!(check_command_line(&"x".repeat(COMMAND_LINE_MAX)).is_ok());
        assert!(check_command_line(&"x".repeat(COMMAND_LINE_MAX + 1)).is_err());
        assert!(matches!(
            check_command_line("a\0b"),
            Err(LoadError::CommandLineNul { at: 1 })
        ));
    }
}
