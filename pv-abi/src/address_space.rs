//! The guest's virtual address space at entry.
//!
//! Everything lies in the lower half, because a software KVM keeps the upper half of a
//! deprivileged guest's address space for the host. Guest code takes the addresses from
//! the start-info page; these constants say where the VMM puts things, so that an image
//! can be refused when it wants to lie there itself.
//!
//! | from | what | rights |
//! |---|---|---|
//! | the ELF's own addresses | the image, each segment with its own rights | R, RW or RX |
//! | [`TASK_AREA_START`](crate::mapping::TASK_AREA_START) | the tasks of an address space | as the guest maps it |
//! | [`LINEAR_MAP_BASE`] | all of RAM | RW, read-only where the image is not writable; never executable |
//! | [`STACKS_BASE`] | boot and trap stacks, a guard page below each | RW |
//! | [`SHARED_PAGES_BASE`] | start-info (R), hypercall page (RX), vCPU pages (RW) | as said |
//! | [`MONITOR_BASE`] | the VMM's monitor | none for the guest |

/// Size of a page, in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// Lowest virtual address an image's segment may have. Below it nothing is ever mapped,
/// so that a null pointer faults.
pub const IMAGE_LOWEST: u64 = 0x1_0000;

/// Where the linear map of RAM begins.
pub const LINEAR_MAP_BASE: u64 = 0x4000_0000_0000;

/// Where the stacks of vCPU 0 begin; those of vCPU `n` are `n *` [`STACKS_STRIDE`] further.
pub const STACKS_BASE: u64 = 0x6000_0000_0000;

/// Distance between the stacks of two vCPUs.
pub const STACKS_STRIDE: u64 = 0x1_0000_0000;

/// Where the pages begin that the VMM shares with the guest.
pub const SHARED_PAGES_BASE: u64 = 0x7000_0000_0000;

/// Where the VMM's monitor begins, which the guest can neither read nor write.
pub const MONITOR_BASE: u64 = 0x7e00_0000_0000;

/// One past the highest address of the lower half.
pub const LOWER_HALF_END: u64 = 0x8000_0000_0000;
