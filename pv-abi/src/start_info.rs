//! The start-info page: what a guest is told at entry (RDI points to it). Read-only.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// [`StartInfo::magic`]: the ASCII bytes `PARAVANE`.
pub const START_INFO_MAGIC: u64 = u64::from_le_bytes(*b"PARAVANE");

/// Most regions that [`StartInfo::memory_map`] holds.
pub const MEMORY_MAP_REGIONS: usize = 120;

/// Longest command line, in bytes, without the terminating NUL.
pub const COMMAND_LINE_MAX: usize = 2047;

/// [`MemoryRegion::kind`]: RAM that the guest may use as it likes.
pub const REGION_FREE: u32 = 1;
/// [`MemoryRegion::kind`]: a segment of the image.
pub const REGION_IMAGE: u32 = 2;
/// [`MemoryRegion::kind`]: a boot stack or a trap stack.
pub const REGION_STACK: u32 = 3;
/// [`MemoryRegion::kind`]: the initrd.
pub const REGION_INITRD: u32 = 4;

/// [`MemoryRegion::rights`]: readable at [`MemoryRegion::address`].
pub const RIGHT_READ: u32 = 1;
/// [`MemoryRegion::rights`]: writable at [`MemoryRegion::address`].
pub const RIGHT_WRITE: u32 = 2;
/// [`MemoryRegion::rights`]: executable at [`MemoryRegion::address`].
pub const RIGHT_EXECUTE: u32 = 4;

/// One range of RAM and what it is used for at entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct MemoryRegion {
    /// Guest-physical address of the first byte; a multiple of the page size.
    pub gpa: u64,
    /// Size in bytes; a multiple of the page size.
    pub size: u64,
    /// Virtual address of the first byte outside of the linear map; 0 when there is none.
    pub address: u64,
    /// `REGION_*`.
    pub kind: u32,
    /// Rights at `address`: `RIGHT_*`, 0 when there is no such address.
    pub rights: u32,
}

/// What a guest is told at entry. Addresses are virtual unless their name ends in `gpa`.
///
/// The first bytes of a 4096-byte page whose rest is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct StartInfo {
    /// [`START_INFO_MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`](crate::ABI_MAJOR) of the VMM.
    pub abi_major: u16,
    /// [`ABI_MINOR`](crate::ABI_MINOR) of the VMM.
    pub abi_minor: u16,
    /// Bytes of this struct that the VMM filled in.
    pub size: u32,
    /// The features offered, see [`Features`](crate::Features).
    pub features: u64,
    /// The privilege level (CPL) that the guest kernel runs at: 0 or 3.
    pub privilege: u32,
    /// Number of vCPUs of the VM.
    pub vcpus: u32,
    /// Frequency of the TSC, in Hz; 0 when it is not known.
    pub tsc_frequency: u64,
    /// Size of RAM in bytes. RAM begins at guest-physical address 0.
    pub ram_size: u64,
    /// Where RAM's linear map begins: address = this + guest-physical address.
    pub linear_map: u64,
    /// The hypercall page, see [`convention`](crate::convention).
    pub hypercall_page: u64,
    /// The vCPU page of vCPU 0. At entry the GS base holds the running vCPU's.
    pub vcpu_pages: u64,
    /// Distance between the vCPU pages of two vCPUs, in bytes.
    pub vcpu_page_stride: u64,
    /// The command line, UTF-8, NUL-terminated.
    pub command_line: u64,
    /// Length of the command line in bytes, without the NUL.
    pub command_line_size: u64,
    /// Guest-physical address of the initrd; 0 when there is none.
    pub initrd_gpa: u64,
    /// Size of the initrd in bytes; 0 when there is none.
    pub initrd_size: u64,
    /// Random bytes of the host's, fresh at each boot, for this guest alone.
    pub entropy: [u8; 32],
    /// The list of devices; 0 while there is none.
    pub devices: u64,
    /// Number of devices.
    pub device_count: u32,
    /// First port of the doorbells; 0 while there is none.
    pub doorbell_port: u16,
    /// Number of doorbell ports.
    pub doorbell_count: u16,
    /// Entries of `memory_map` that are in use, in ascending order, together all of RAM.
    pub memory_map_count: u64,
    /// The ranges of RAM.
    pub memory_map: [MemoryRegion; MEMORY_MAP_REGIONS],
    /// The event page.
    pub event_page: u64,
    /// Number of this guest among those of its VMM.
    pub guest: u32,
    /// Number of guests of this VMM.
    pub guests: u32,
    /// Number of processors of the host that the VM may use.
    pub host_processors: u32,
    /// Zero.
    pub reserved: u32,
}

pin_layout!(MemoryRegion, size 32 { gpa @ 0, size @ 8, address @ 16, kind @ 24, rights @ 28 });
pin_layout!(StartInfo, size 4032 {
    magic @ 0,
    abi_major @ 8,
    abi_minor @ 10,
    size @ 12,
    features @ 16,
    privilege @ 24,
    vcpus @ 28,
    tsc_frequency @ 32,
    ram_size @ 40,
    linear_map @ 48,
    hypercall_page @ 56,
    vcpu_pages @ 64,
    vcpu_page_stride @ 72,
    command_line @ 80,
    command_line_size @ 88,
    initrd_gpa @ 96,
    initrd_size @ 104,
    entropy @ 112,
    devices @ 144,
    device_count @ 152,
    doorbell_port @ 156,
    doorbell_count @ 158,
    memory_map_count @ 160,
    memory_map @ 168,
    event_page @ 4008,
    guest @ 4016,
    guests @ 4020,
    host_processors @ 4024,
});
