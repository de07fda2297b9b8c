//! Where everything lies in a raw VM. Guest-virtual and guest-physical addresses are the same but
//! in [`PAGES`].

use std::ops::Range;

/// Bytes of memory.
pub const MEMORY: u64 = 16 << 20;

// Page tables.
pub const PML4: u64 = 0x1000;
pub const PDPT: u64 = 0x2000;
pub const PD: u64 = 0x3000;
/// The page table of [`PAGES`].
pub const PT: u64 = 0x4000;
/// That of the first 2 MiB, where code, stacks and tables are: in pages of 4 KiB, as in a kernel.
/// An exit whose instruction KVM has to decode costs by the depth of the page tables.
pub const FIRST_PT: u64 = 0x20000;

pub const IDT: u64 = 0x5000;
pub const GDT: u64 = 0x6000;
pub const TSS: u64 = 0x7000;
/// The end of the stack on which traps from CPL 3 arrive.
pub const TRAP_STACK: u64 = 0x9000;
/// The end of the stack of the code, and of a second vCPU's.
pub const STACK: u64 = 0xb000;
pub const OTHER_STACK: u64 = 0xd000;
/// The gates' code.
pub const STUBS: u64 = 0xe000;
/// The time at which something was noticed elsewhere; 0 until then. In reach of real mode.
pub const NOTICED: u64 = 0xf200;
/// What the code of a row works with; R14 has its address.
pub const DATA: u64 = 0x10000;
/// The row's own handler.
pub const HANDLER: u64 = 0x12000;
pub const CODE: u64 = 0x13000;
/// The code of a second vCPU.
pub const OTHER_CODE: u64 = 0x18000;
/// Samples, eight bytes each, to the end of memory.
pub const SAMPLES: u64 = 0x40_0000;
/// The most samples of one run: those that the command takes, and their warm-up.
pub const MOST_SAMPLES: u64 = (MEMORY - SAMPLES) / 8;

/// An address that no page table maps.
pub const UNMAPPED: u64 = 0x4000_0000;

/// Addresses that are mapped by pages of 4 KiB, to physical memory at [`PAGES_AT`].
pub const PAGES: Range<u64> = 0x2000_0000..0x2020_0000;
pub const PAGES_AT: u64 = 0x20_0000;
/// The second of these pages, whose entry rows change, and the third.
pub const PAGE: u64 = PAGES.start + 0x1000;
pub const OTHER_PAGE: u64 = PAGES.start + 0x2000;

/// An address without memory behind it.
pub const MMIO: u64 = 0x1000_0000;

// Offsets in DATA.
/// The GDT's and the IDT's pseudo-descriptors.
pub const DATA_GDTR: u64 = 0x00;
pub const DATA_IDTR: u64 = 0x10;
/// A descriptor of INVPCID, an IDT that has no gate: zeros.
pub const DATA_ZEROS: u64 = 0x20;
/// What an instruction stores its answer in.
pub const DATA_ANSWER: u64 = 0x40;
/// Bytes for string I/O.
pub const DATA_BYTES: u64 = 0x80;
/// An XSAVE area.
pub const DATA_XSAVE: u64 = 0x400;
/// A word that a handler sets.
pub const DATA_FLAG: u64 = 0x200;

/// The code ends by an OUT to this port, at CPL 0.
pub const DONE_PORT: u16 = 0x11;
/// What the gates exit by.
pub const TRAP_PORT: u16 = 0x12;
/// A port that the VMM answers.
pub const USER_PORT: u16 = 0x10;
/// A port by which an interrupt, or an NMI, is asked for.
pub const INTERRUPT_PORT: u16 = 0x16;
pub const NMI_PORT: u16 = 0x18;
/// The vector of interrupts.
pub const VECTOR: u8 = 0x40;
/// A port that an ioeventfd takes.
pub const KERNEL_PORT: u16 = 0x14;

// Selectors.
pub const KERNEL_CS: u16 = 0x08;
pub const KERNEL_SS: u16 = 0x10;
pub const TSS_SELECTOR: u16 = 0x18;
pub const USER_SS: u16 = 0x2b;
pub const USER_CS: u16 = 0x33;
pub const LDT_SELECTOR: u16 = 0x38;
