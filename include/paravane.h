/*
 * The Paravane ABI, version 1.0, for guests written in C11. docs/abi.md is the reference.
 *
 * Generated from pv-abi/src by `cargo run -p pv-abi --features render --example generate`;
 * edit the definitions there.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef PARAVANE_H
#define PARAVANE_H

#include <stddef.h>
#include <stdint.h>

/* A guest-physical address, in bytes. */
typedef uint64_t pv_gpa_t;

/* A layout that these refuse is not the published one: the compiler lays structs out
   differently from the x86-64 System V ABI, or packing is in force. */
#define PV_PIN_SIZE(name, size) \
    _Static_assert(sizeof(struct name) == (size), "size of " #name)
#define PV_PIN_OFFSET(name, field, offset) \
    _Static_assert(offsetof(struct name, field) == (offset), "offset of " #name "." #field)

/* Error codes: a failed call returns the negated number. */

/* The caller may not do this, or not here (for example inside a batch). */
#define PV_EPERM 1
/* The VMM could not carry the call out for a reason of the host's. */
#define PV_EIO 5
/* A count or size is larger than the call takes. */
#define PV_E2BIG 7
/* Nothing is there now; try again later. */
#define PV_EAGAIN 11
/* The VMM will spend no more memory on this guest. */
#define PV_ENOMEM 12
/* A guest-physical address is past the end of RAM, wraps around, or is not aligned. */
#define PV_EFAULT 14
/*
 * An argument, a reserved bit or a reserved field has a value that the call does not take.
 */
#define PV_EINVAL 22
/* The other end is closed, for good. */
#define PV_EPIPE 32
/* There is no such call. */
#define PV_ENOSYS 38

/* Feature bits. */

/* `core_batch`: many calls in one exit. */
#define PV_FEATURE_BATCH (UINT64_C(1) << 0)
/* `core_entropy`: random bytes from the host. */
#define PV_FEATURE_ENTROPY (UINT64_C(1) << 1)
/*
 * `trap_set_table`: faults and exceptions enter the guest's own handlers without an exit.
 */
#define PV_FEATURE_TRAP_TABLE (UINT64_C(1) << 2)
/*
 * `trap_set_syscall`: the SYSCALL instruction enters the guest's own handler without an
 * exit.
 */
#define PV_FEATURE_SYSCALL_ENTRY (UINT64_C(1) << 3)
/* `trap_set_tls`: a thread pointer in the FS base. */
#define PV_FEATURE_TLS (UINT64_C(1) << 4)
/* The trap-return entry of the hypercall page: a return from a trap without an exit. */
#define PV_FEATURE_DIRECT_RETURN (UINT64_C(1) << 5)
/* `io_console_write` and `io_console_read`. */
#define PV_FEATURE_CONSOLE (UINT64_C(1) << 6)
/* `debug_crash_report`: a crash carries a message and registers. */
#define PV_FEATURE_CRASH_REPORT (UINT64_C(1) << 7)

/*
 * Major version of the ABI. A VMM refuses an image that was built for a newer one; a
 * changed layout or number needs a new one.
 */
#define PV_ABI_MAJOR 1
/* Minor version of the ABI. It grows when calls, fields or feature bits are added. */
#define PV_ABI_MINOR 0

/* One more than the highest call number that any ABI 1 VMM will ever use. */
#define PV_CALL_NUMBERS 0x200

/*
 * The calling convention: how a call travels in registers.
 *
 * A guest `call`s the hypercall page at `PV_CALL_ENTRY_OFFSET`:
 *
 * | register | on entry | on return |
 * |---|---|---|
 * | RAX | the call word (see docs/abi.md) | zero or more: success; [-4095, -1]: -errno |
 * | RDI, RSI, RDX, R10, R8, R9 | arguments 1 to 6 | unchanged |
 * | RCX, R11, RFLAGS | anything | clobbered |
 * | all others | anything | unchanged |
 *
 * The stack needs 64 bytes below RSP, so a caller that uses a red zone steps over it first.
 * A result never exceeds 31 bits; more than that goes to memory.
 */

/* Offset of the call entry in the hypercall page. It starts with ENDBR64. */
#define PV_CALL_ENTRY_OFFSET UINT64_C(0)
/*
 * Offset of the trap-return entry in the hypercall page: a guest jumps to it with RSP at an
 * interrupt return frame (RIP, CS, RFLAGS, RSP, SS, each 8 bytes) whose CS and SS are those
 * of the trap. It needs no exit. It starts with ENDBR64.
 */
#define PV_TRAP_RETURN_OFFSET UINT64_C(0x80)
/* Largest value that a call returns in RAX. */
#define PV_MAX_RESULT 0x7fffffff
/* Number of argument registers: RDI, RSI, RDX, R10, R8, R9. */
#define PV_ARGUMENTS 6

/*
 * The guest's virtual address space at entry.
 *
 * Everything lies in the lower half, because a software KVM keeps the upper half of a
 * deprivileged guest's address space for the host. Guest code takes the addresses from the
 * start-info page; these constants say where the VMM puts things, so that an image can be
 * refused when it wants to lie there itself.
 *
 * | from | what | rights |
 * |---|---|---|
 * | the ELF's own addresses | the image, each segment with its own rights | R, RW or RX |
 * | `PV_LINEAR_MAP_BASE` | all of RAM | RW, read-only where the image is not writable; never executable |
 * | `PV_STACKS_BASE` | boot and trap stacks, a guard page below each | RW |
 * | `PV_SHARED_PAGES_BASE` | start-info (R), hypercall page (RX), vCPU pages (RW) | as said |
 * | `PV_MONITOR_BASE` | the VMM's monitor | none for the guest |
 */

/* Size of a page, in bytes. */
#define PV_PAGE_SIZE UINT64_C(4096)
/*
 * Lowest virtual address an image's segment may have. Below it nothing is ever mapped, so
 * that a null pointer faults.
 */
#define PV_IMAGE_LOWEST UINT64_C(0x10000)
/* Where the linear map of RAM begins. */
#define PV_LINEAR_MAP_BASE UINT64_C(0x400000000000)
/*
 * Where the stacks of vCPU 0 begin; those of vCPU `n` are `n *` `PV_STACKS_STRIDE` further.
 */
#define PV_STACKS_BASE UINT64_C(0x600000000000)
/* Distance between the stacks of two vCPUs. */
#define PV_STACKS_STRIDE UINT64_C(0x100000000)
/* Where the pages begin that the VMM shares with the guest. */
#define PV_SHARED_PAGES_BASE UINT64_C(0x700000000000)
/* Where the VMM's monitor begins, which the guest can neither read nor write. */
#define PV_MONITOR_BASE UINT64_C(0x7e0000000000)
/* One past the highest address of the lower half. */
#define PV_LOWER_HALF_END UINT64_C(0x800000000000)

/*
 * The ELF note by which an image says what it is and what it needs.
 *
 * A note (System V gABI, "Note Section") in a PT_NOTE segment with owner `PV_NOTE_OWNER`,
 * type `PV_NOTE_TYPE` and a `pv_image_note` as its descriptor.
 */

/* Owner of the note, without its terminating NUL. */
#define PV_NOTE_OWNER "Paravane"
/* Type of the note. */
#define PV_NOTE_TYPE 1
/* Smallest boot stack, in bytes. */
#define PV_STACK_SIZE_MIN UINT64_C(16384)
/* Largest boot stack, in bytes. */
#define PV_STACK_SIZE_MAX UINT64_C(0x4000000)

/* What an image says about itself. */
struct pv_image_note {
    /* `PV_ABI_MAJOR` that the image was built for. */
    uint16_t abi_major;
    /*
     * `PV_ABI_MINOR` that the image was built for; a VMM with a lower one still runs it
     * when it has the required features.
     */
    uint16_t abi_minor;
    /* Zero. */
    uint32_t reserved;
    /* Features without which the image cannot run. */
    uint64_t required_features;
    /* Features that the image uses where they are offered. */
    uint64_t wanted_features;
    /* Least RAM, in bytes. */
    uint64_t minimum_memory;
    /* Least number of vCPUs. */
    uint32_t minimum_vcpus;
    /* Most vCPUs that the image can use. */
    uint32_t maximum_vcpus;
    /*
     * Size of the boot stack, in bytes: `PV_STACK_SIZE_MIN` to `PV_STACK_SIZE_MAX`, a
     * multiple of the page size.
     */
    uint64_t stack_size;
    /* Name of the guest: UTF-8, padded with NULs. */
    uint8_t name[32];
};
PV_PIN_SIZE(pv_image_note, 80);
PV_PIN_OFFSET(pv_image_note, abi_major, 0);
PV_PIN_OFFSET(pv_image_note, abi_minor, 2);
PV_PIN_OFFSET(pv_image_note, reserved, 4);
PV_PIN_OFFSET(pv_image_note, required_features, 8);
PV_PIN_OFFSET(pv_image_note, wanted_features, 16);
PV_PIN_OFFSET(pv_image_note, minimum_memory, 24);
PV_PIN_OFFSET(pv_image_note, minimum_vcpus, 32);
PV_PIN_OFFSET(pv_image_note, maximum_vcpus, 36);
PV_PIN_OFFSET(pv_image_note, stack_size, 40);
PV_PIN_OFFSET(pv_image_note, name, 48);

/* The start-info page: what a guest is told at entry (RDI points to it). Read-only. */

/* `pv_start_info.magic`: the ASCII bytes `PARAVANE`. */
#define PV_START_INFO_MAGIC UINT64_C(0x454e415641524150)
/* Most regions that `pv_start_info.memory_map` holds. */
#define PV_MEMORY_MAP_REGIONS 120
/* Longest command line, in bytes, without the terminating NUL. */
#define PV_COMMAND_LINE_MAX 2047
/* `pv_memory_region.kind`: RAM that the guest may use as it likes. */
#define PV_REGION_FREE 1
/* `pv_memory_region.kind`: a segment of the image. */
#define PV_REGION_IMAGE 2
/* `pv_memory_region.kind`: a boot stack or a trap stack. */
#define PV_REGION_STACK 3
/* `pv_memory_region.kind`: the initrd. */
#define PV_REGION_INITRD 4
/* `pv_memory_region.rights`: readable at `pv_memory_region.address`. */
#define PV_RIGHT_READ 1
/* `pv_memory_region.rights`: writable at `pv_memory_region.address`. */
#define PV_RIGHT_WRITE 2
/* `pv_memory_region.rights`: executable at `pv_memory_region.address`. */
#define PV_RIGHT_EXECUTE 4

/* One range of RAM and what it is used for at entry. */
struct pv_memory_region {
    /* Guest-physical address of the first byte; a multiple of the page size. */
    uint64_t gpa;
    /* Size in bytes; a multiple of the page size. */
    uint64_t size;
    /* Virtual address of the first byte outside of the linear map; 0 when there is none. */
    uint64_t address;
    /* `PV_REGION_*`. */
    uint32_t kind;
    /* Rights at `address`: `PV_RIGHT_*`, 0 when there is no such address. */
    uint32_t rights;
};
PV_PIN_SIZE(pv_memory_region, 32);
PV_PIN_OFFSET(pv_memory_region, gpa, 0);
PV_PIN_OFFSET(pv_memory_region, size, 8);
PV_PIN_OFFSET(pv_memory_region, address, 16);
PV_PIN_OFFSET(pv_memory_region, kind, 24);
PV_PIN_OFFSET(pv_memory_region, rights, 28);

/*
 * What a guest is told at entry. Addresses are virtual unless their name ends in `gpa`.
 *
 * The first bytes of a 4096-byte page whose rest is zero.
 */
struct pv_start_info {
    /* `PV_START_INFO_MAGIC`. */
    uint64_t magic;
    /* `PV_ABI_MAJOR` of the VMM. */
    uint16_t abi_major;
    /* `PV_ABI_MINOR` of the VMM. */
    uint16_t abi_minor;
    /* Bytes of this struct that the VMM filled in. */
    uint32_t size;
    /* The features offered, see `PV_FEATURE_*`. */
    uint64_t features;
    /* The privilege level (CPL) that the guest kernel runs at: 0 or 3. */
    uint32_t privilege;
    /* Number of vCPUs of the VM. */
    uint32_t vcpus;
    /* Frequency of the TSC, in Hz; 0 when it is not known. */
    uint64_t tsc_frequency;
    /* Size of RAM in bytes. RAM begins at guest-physical address 0. */
    uint64_t ram_size;
    /* Where RAM's linear map begins: address = this + guest-physical address. */
    uint64_t linear_map;
    /* The hypercall page, see `pv_hypercall`. */
    uint64_t hypercall_page;
    /* The vCPU page of vCPU 0. At entry the GS base holds the running vCPU's. */
    uint64_t vcpu_pages;
    /* Distance between the vCPU pages of two vCPUs, in bytes. */
    uint64_t vcpu_page_stride;
    /* The command line, UTF-8, NUL-terminated. */
    uint64_t command_line;
    /* Length of the command line in bytes, without the NUL. */
    uint64_t command_line_size;
    /* Guest-physical address of the initrd; 0 when there is none. */
    uint64_t initrd_gpa;
    /* Size of the initrd in bytes; 0 when there is none. */
    uint64_t initrd_size;
    /* Random bytes of the host's, fresh at each boot, for this guest alone. */
    uint8_t entropy[32];
    /* The list of devices; 0 while there is none. */
    uint64_t devices;
    /* Number of devices. */
    uint32_t device_count;
    /* First port of the doorbells; 0 while there is none. */
    uint16_t doorbell_port;
    /* Number of doorbell ports. */
    uint16_t doorbell_count;
    /* Entries of `memory_map` that are in use, in ascending order, together all of RAM. */
    uint64_t memory_map_count;
    /* The ranges of RAM. */
    struct pv_memory_region memory_map[PV_MEMORY_MAP_REGIONS];
};
PV_PIN_SIZE(pv_start_info, 4008);
PV_PIN_OFFSET(pv_start_info, magic, 0);
PV_PIN_OFFSET(pv_start_info, abi_major, 8);
PV_PIN_OFFSET(pv_start_info, abi_minor, 10);
PV_PIN_OFFSET(pv_start_info, size, 12);
PV_PIN_OFFSET(pv_start_info, features, 16);
PV_PIN_OFFSET(pv_start_info, privilege, 24);
PV_PIN_OFFSET(pv_start_info, vcpus, 28);
PV_PIN_OFFSET(pv_start_info, tsc_frequency, 32);
PV_PIN_OFFSET(pv_start_info, ram_size, 40);
PV_PIN_OFFSET(pv_start_info, linear_map, 48);
PV_PIN_OFFSET(pv_start_info, hypercall_page, 56);
PV_PIN_OFFSET(pv_start_info, vcpu_pages, 64);
PV_PIN_OFFSET(pv_start_info, vcpu_page_stride, 72);
PV_PIN_OFFSET(pv_start_info, command_line, 80);
PV_PIN_OFFSET(pv_start_info, command_line_size, 88);
PV_PIN_OFFSET(pv_start_info, initrd_gpa, 96);
PV_PIN_OFFSET(pv_start_info, initrd_size, 104);
PV_PIN_OFFSET(pv_start_info, entropy, 112);
PV_PIN_OFFSET(pv_start_info, devices, 144);
PV_PIN_OFFSET(pv_start_info, device_count, 152);
PV_PIN_OFFSET(pv_start_info, doorbell_port, 156);
PV_PIN_OFFSET(pv_start_info, doorbell_count, 158);
PV_PIN_OFFSET(pv_start_info, memory_map_count, 160);
PV_PIN_OFFSET(pv_start_info, memory_map, 168);

/*
 * Traps: how a fault reaches the guest's handler, and how the handler returns.
 *
 * A handler registered by `trap_set_table` is entered without an exit, at the guest
 * kernel's own privilege level, with
 *
 * - RIP at the handler, all flags clear (IF may read as set, and has no meaning for a
 *   guest), every other register as it was when the trap happened, RSP included (so below
 *   RSP there may be a red zone, or no stack at all);
 * - the vCPU page's `pv_trap_state` filled in, and its `busy` set to 1.
 *
 * The handler saves the state and then clears `busy`. Until then another trap cannot be
 * delivered: it is a *double trap*, and ends the guest as a crash.
 */

/* Number of vectors that `trap_set_table` takes handlers for (Intel SDM vol. 3A, 6.3.1). */
#define PV_TRAP_VECTORS 32
/* `pv_trap_state.vector` of a SYSCALL instruction (see `trap_set_syscall`). */
#define PV_SYSCALL_VECTOR 0x100
/* #DE, divide error. */
#define PV_VECTOR_DE 0
/* #DB, debug exception. */
#define PV_VECTOR_DB 1
/* #BP, breakpoint. */
#define PV_VECTOR_BP 3
/* #OF, overflow. */
#define PV_VECTOR_OF 4
/* #BR, BOUND range exceeded. */
#define PV_VECTOR_BR 5
/* #UD, invalid opcode. */
#define PV_VECTOR_UD 6
/* #NM, device not available. */
#define PV_VECTOR_NM 7
/* #DF, double fault. */
#define PV_VECTOR_DF 8
/* #TS, invalid TSS. */
#define PV_VECTOR_TS 10
/* #NP, segment not present. */
#define PV_VECTOR_NP 11
/* #SS, stack-segment fault. */
#define PV_VECTOR_SS 12
/* #GP, general protection. */
#define PV_VECTOR_GP 13
/* #PF, page fault. */
#define PV_VECTOR_PF 14
/* #MF, x87 floating-point error. */
#define PV_VECTOR_MF 16
/* #AC, alignment check. */
#define PV_VECTOR_AC 17
/* #XM, SIMD floating-point exception. */
#define PV_VECTOR_XM 19

/*
 * The trap that is being delivered, at the end of the vCPU page's defined part.
 *
 * The CPU itself pushes `error` to `ss` here: the monitor's stack ends where this ends.
 */
struct pv_trap_state {
    /* 1 from the trap on until the handler clears it. */
    uint32_t busy;
    /* The vector: 0 to 31, or `PV_SYSCALL_VECTOR`. */
    uint32_t vector;
    /* CR2, the faulting linear address. Only a #PF sets it. */
    uint64_t cr2;
    /* Zero; the monitor may use it. */
    uint64_t reserved[6];
    /* The error code of a vector that has one; otherwise undefined. */
    uint64_t error;
    /* Where the trap happened, or the next instruction, as the vector has it. */
    uint64_t rip;
    /* Code segment selector, to be handed back unchanged. */
    uint64_t cs;
    /* RFLAGS at the trap. A software KVM may report IF and IOPL wrongly. */
    uint64_t rflags;
    /* RSP at the trap. */
    uint64_t rsp;
    /* Stack segment selector, to be handed back unchanged. */
    uint64_t ss;
};
PV_PIN_SIZE(pv_trap_state, 112);
PV_PIN_OFFSET(pv_trap_state, busy, 0);
PV_PIN_OFFSET(pv_trap_state, vector, 4);
PV_PIN_OFFSET(pv_trap_state, cr2, 8);
PV_PIN_OFFSET(pv_trap_state, reserved, 16);
PV_PIN_OFFSET(pv_trap_state, error, 64);
PV_PIN_OFFSET(pv_trap_state, rip, 72);
PV_PIN_OFFSET(pv_trap_state, cs, 80);
PV_PIN_OFFSET(pv_trap_state, rflags, 88);
PV_PIN_OFFSET(pv_trap_state, rsp, 96);
PV_PIN_OFFSET(pv_trap_state, ss, 104);

/* One entry of the table that `trap_set_table` takes. */
struct pv_trap_handler {
    /*
     * Virtual address of the handler; 0 for none (such a trap ends the guest as a crash).
     */
    uint64_t handler;
    /* Zero. */
    uint64_t flags;
};
PV_PIN_SIZE(pv_trap_handler, 16);
PV_PIN_OFFSET(pv_trap_handler, handler, 0);
PV_PIN_OFFSET(pv_trap_handler, flags, 8);

/*
 * All registers of interrupted code: what a handler saves, what `trap_return` restores and
 * what a crash report shows.
 */
struct pv_trap_frame {
    /* General-purpose register. */
    uint64_t r15;
    /* General-purpose register. */
    uint64_t r14;
    /* General-purpose register. */
    uint64_t r13;
    /* General-purpose register. */
    uint64_t r12;
    /* General-purpose register. */
    uint64_t r11;
    /* General-purpose register. */
    uint64_t r10;
    /* General-purpose register. */
    uint64_t r9;
    /* General-purpose register. */
    uint64_t r8;
    /* General-purpose register. */
    uint64_t rdi;
    /* General-purpose register. */
    uint64_t rsi;
    /* General-purpose register. */
    uint64_t rbp;
    /* General-purpose register. */
    uint64_t rbx;
    /* General-purpose register. */
    uint64_t rdx;
    /* General-purpose register. */
    uint64_t rcx;
    /* General-purpose register. */
    uint64_t rax;
    /* The vector, see `pv_trap_state.vector`. */
    uint64_t vector;
    /* CR2 of a #PF. */
    uint64_t cr2;
    /* The error code of a vector that has one. */
    uint64_t error;
    /* Instruction pointer. */
    uint64_t rip;
    /* Code segment selector. `trap_return` ignores it. */
    uint64_t cs;
    /* Flags. `trap_return` restores the arithmetic flags, DF, TF, RF, AC and ID. */
    uint64_t rflags;
    /* Stack pointer. */
    uint64_t rsp;
    /* Stack segment selector. `trap_return` ignores it. */
    uint64_t ss;
};
PV_PIN_SIZE(pv_trap_frame, 184);
PV_PIN_OFFSET(pv_trap_frame, r15, 0);
PV_PIN_OFFSET(pv_trap_frame, r14, 8);
PV_PIN_OFFSET(pv_trap_frame, r13, 16);
PV_PIN_OFFSET(pv_trap_frame, r12, 24);
PV_PIN_OFFSET(pv_trap_frame, r11, 32);
PV_PIN_OFFSET(pv_trap_frame, r10, 40);
PV_PIN_OFFSET(pv_trap_frame, r9, 48);
PV_PIN_OFFSET(pv_trap_frame, r8, 56);
PV_PIN_OFFSET(pv_trap_frame, rdi, 64);
PV_PIN_OFFSET(pv_trap_frame, rsi, 72);
PV_PIN_OFFSET(pv_trap_frame, rbp, 80);
PV_PIN_OFFSET(pv_trap_frame, rbx, 88);
PV_PIN_OFFSET(pv_trap_frame, rdx, 96);
PV_PIN_OFFSET(pv_trap_frame, rcx, 104);
PV_PIN_OFFSET(pv_trap_frame, rax, 112);
PV_PIN_OFFSET(pv_trap_frame, vector, 120);
PV_PIN_OFFSET(pv_trap_frame, cr2, 128);
PV_PIN_OFFSET(pv_trap_frame, error, 136);
PV_PIN_OFFSET(pv_trap_frame, rip, 144);
PV_PIN_OFFSET(pv_trap_frame, cs, 152);
PV_PIN_OFFSET(pv_trap_frame, rflags, 160);
PV_PIN_OFFSET(pv_trap_frame, rsp, 168);
PV_PIN_OFFSET(pv_trap_frame, ss, 176);

/*
 * The vCPU page: one per vCPU, read-write for the guest, found through the GS base.
 *
 * Each field is marked by who writes it. The VMM trusts nothing that it reads here.
 */

/* Distance between two vCPU pages, and the size of one, in bytes. */
#define PV_VCPU_PAGE_SIZE UINT64_C(4096)

/*
 * The clock of a vCPU, in the layout of `struct pvclock_vcpu_time_info` (Linux,
 * `arch/x86/include/asm/pvclock-abi.h`). All zero while no clock is offered.
 */
struct pv_clock {
    /* Odd while the VMM updates the fields. */
    uint32_t version;
    /* Zero. */
    uint32_t reserved;
    /* TSC at `system_time`. */
    uint64_t tsc_timestamp;
    /* Nanoseconds at `tsc_timestamp`. */
    uint64_t system_time;
    /* Multiplier from TSC cycles to nanoseconds, 32.32 fixed point, after the shift. */
    uint32_t tsc_to_system_mul;
    /* Left shift of the TSC difference, right shift if negative. */
    int8_t tsc_shift;
    /* Flags of pvclock. */
    uint8_t flags;
    /* Zero. */
    uint8_t padding[2];
};
PV_PIN_SIZE(pv_clock, 32);
PV_PIN_OFFSET(pv_clock, version, 0);
PV_PIN_OFFSET(pv_clock, reserved, 4);
PV_PIN_OFFSET(pv_clock, tsc_timestamp, 8);
PV_PIN_OFFSET(pv_clock, system_time, 16);
PV_PIN_OFFSET(pv_clock, tsc_to_system_mul, 24);
PV_PIN_OFFSET(pv_clock, tsc_shift, 28);
PV_PIN_OFFSET(pv_clock, flags, 29);
PV_PIN_OFFSET(pv_clock, padding, 30);

/* The vCPU page. */
struct pv_vcpu_page {
    /* VMM: virtual address of this page, so that `mov rax, gs:[0]` finds it. */
    uint64_t self_address;
    /* VMM: number of this vCPU. */
    uint32_t vcpu_id;
    /* Guest: non-zero while no upcall may be delivered. */
    uint8_t upcall_mask;
    /* VMM: non-zero when an event waits. */
    uint8_t upcall_pending;
    /* Zero. */
    uint16_t reserved0;
    /* Zero; room for the event selector, run state, steal time and deadline slots. */
    uint64_t reserved1[6];
    /* VMM: the clock. */
    struct pv_clock clock;
    /* Zero. */
    uint64_t reserved2[4];
    /* VMM: top of the boot stack (RSP at entry). */
    uint64_t boot_stack_top;
    /* VMM: size of the boot stack in bytes; a guard page lies below it. */
    uint64_t boot_stack_size;
    /* VMM: top of the trap stack. Nothing switches to it but the guest's own handlers. */
    uint64_t trap_stack_top;
    /* VMM: size of the trap stack in bytes; a guard page lies below it. */
    uint64_t trap_stack_size;
    /*
     * Guest: eight words that the VMM never touches, for per-vCPU pointers and for the
     * registers that a trap handler needs before it has a stack.
     */
    uint64_t guest[8];
    /*
     * Hypercall page: the call word and the arguments of the call under way, then zero.
     * They are its own way to the VMM; a guest leaves them alone.
     */
    uint64_t call[8];
    /* CPU and monitor: the trap that is being delivered. */
    struct pv_trap_state trap;
};
PV_PIN_SIZE(pv_vcpu_page, 400);
PV_PIN_OFFSET(pv_vcpu_page, self_address, 0);
PV_PIN_OFFSET(pv_vcpu_page, vcpu_id, 8);
PV_PIN_OFFSET(pv_vcpu_page, upcall_mask, 12);
PV_PIN_OFFSET(pv_vcpu_page, upcall_pending, 13);
PV_PIN_OFFSET(pv_vcpu_page, reserved0, 14);
PV_PIN_OFFSET(pv_vcpu_page, reserved1, 16);
PV_PIN_OFFSET(pv_vcpu_page, clock, 64);
PV_PIN_OFFSET(pv_vcpu_page, reserved2, 96);
PV_PIN_OFFSET(pv_vcpu_page, boot_stack_top, 128);
PV_PIN_OFFSET(pv_vcpu_page, boot_stack_size, 136);
PV_PIN_OFFSET(pv_vcpu_page, trap_stack_top, 144);
PV_PIN_OFFSET(pv_vcpu_page, trap_stack_size, 152);
PV_PIN_OFFSET(pv_vcpu_page, guest, 160);
PV_PIN_OFFSET(pv_vcpu_page, call, 224);
PV_PIN_OFFSET(pv_vcpu_page, trap, 288);

/* What `core_stats` and `core_batch` exchange through memory. */

/* Most elements of a batch. */
#define PV_BATCH_MAX 512
/* `core_batch` flag: stop behind the first element that fails. */
#define PV_BATCH_STOP_ON_ERROR 1

/* What `core_stats` writes: counters of the calling vCPU since the VM started. */
struct pv_stats {
    /* Exits to the VMM, hypercalls included. */
    uint64_t exits;
    /* Hypercalls, counting a batch as one. */
    uint64_t hypercalls;
    /* Hypercalls that failed. */
    uint64_t failed_hypercalls;
    /* Calls that were carried out as elements of a batch. */
    uint64_t batched_calls;
};
PV_PIN_SIZE(pv_stats, 32);
PV_PIN_OFFSET(pv_stats, exits, 0);
PV_PIN_OFFSET(pv_stats, hypercalls, 8);
PV_PIN_OFFSET(pv_stats, failed_hypercalls, 16);
PV_PIN_OFFSET(pv_stats, batched_calls, 24);

/* One element of a batch. */
struct pv_batch_entry {
    /* The call word, as in RAX. */
    uint64_t word;
    /* The arguments, as in RDI, RSI, RDX, R10, R8 and R9. */
    uint64_t arguments[6];
    /* VMM: the result, as in RAX. Only elements that were carried out have one. */
    int64_t result;
};
PV_PIN_SIZE(pv_batch_entry, 64);
PV_PIN_OFFSET(pv_batch_entry, word, 0);
PV_PIN_OFFSET(pv_batch_entry, arguments, 8);
PV_PIN_OFFSET(pv_batch_entry, result, 56);

/* What a guest tells the VMM about its own end. */

/* `pv_crash_report.kind`: the guest gave up by its own decision, such as a Rust panic. */
#define PV_CRASH_PANIC 1
/* `pv_crash_report.kind`: a trap that the guest has no answer to; `frame` is valid. */
#define PV_CRASH_TRAP 2
/* Longest message of a crash report, in bytes. */
#define PV_CRASH_MESSAGE_MAX 1024

/* What `debug_crash_report` hands over. */
struct pv_crash_report {
    /* `PV_CRASH_*`. */
    uint32_t kind;
    /* Length of the message in bytes, at most `PV_CRASH_MESSAGE_MAX`. */
    uint32_t message_size;
    /* Guest-physical address of the message, UTF-8; any when its length is 0. */
    uint64_t message_gpa;
    /* 1 when `frame` holds the registers of the trap; otherwise 0. */
    uint32_t frame_valid;
    /* Zero. */
    uint32_t reserved;
    /* The registers at the trap. */
    struct pv_trap_frame frame;
};
PV_PIN_SIZE(pv_crash_report, 208);
PV_PIN_OFFSET(pv_crash_report, kind, 0);
PV_PIN_OFFSET(pv_crash_report, message_size, 4);
PV_PIN_OFFSET(pv_crash_report, message_gpa, 8);
PV_PIN_OFFSET(pv_crash_report, frame_valid, 16);
PV_PIN_OFFSET(pv_crash_report, reserved, 20);
PV_PIN_OFFSET(pv_crash_report, frame, 24);

/*
 * The bytes of the note section. Packed to the 4-byte alignment of ELF notes; no field
 * is out of its own alignment in the section.
 */
struct pv_note_section {
    uint32_t name_size;
    uint32_t descriptor_size;
    uint32_t kind;
    /* Eight characters, the NUL, and padding to a multiple of four. */
    char owner[12];
    struct pv_image_note descriptor;
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct pv_note_section) == 24 + sizeof(struct pv_image_note),
               "the note section has no padding");

/*
 * Makes the program a Paravane image. To be used once, outside of functions:
 *
 *     PV_IMAGE_NOTE("hello", 65536,
 *                   .minimum_memory = 8 << 20,
 *                   .minimum_vcpus = 1, .maximum_vcpus = 1,
 *                   .required_features = PV_FEATURE_CONSOLE);
 *
 * NAME is a string literal of at most 32 bytes, STACK_SIZE the size of the boot stack.
 * What follows initializes fields of struct pv_image_note; maximum_vcpus must be among
 * them, and what is not is 0.
 */
#define PV_IMAGE_NOTE(NAME, STACK_SIZE, ...)                                              \
    _Static_assert((STACK_SIZE) >= PV_STACK_SIZE_MIN &&                                   \
                       (STACK_SIZE) <= PV_STACK_SIZE_MAX &&                               \
                       (STACK_SIZE) % PV_PAGE_SIZE == 0,                                  \
                   "the stack size must be a multiple of PV_PAGE_SIZE from "              \
                   "PV_STACK_SIZE_MIN to PV_STACK_SIZE_MAX");                             \
    _Static_assert(sizeof(NAME) <= 33, "the name must be at most 32 bytes long");         \
    /* Without the alignment GCC takes more than readers of notes understand. */          \
    __attribute__((section(".note.Paravane"), used, aligned(4)))                          \
    static const struct pv_note_section pv_image_note_section = {                         \
        .name_size = sizeof(PV_NOTE_OWNER),                                               \
        .descriptor_size = sizeof(struct pv_image_note),                                  \
        .kind = PV_NOTE_TYPE,                                                             \
        .owner = PV_NOTE_OWNER,                                                           \
        .descriptor = {                                                                   \
            .abi_major = PV_ABI_MAJOR,                                                    \
            .abi_minor = PV_ABI_MINOR,                                                    \
            .stack_size = (STACK_SIZE),                                                   \
            .name = NAME,                                                                 \
            __VA_ARGS__                                                                   \
        }                                                                                 \
    }

/* Call numbers: bits 15:0 of the call word. */
#define PV_CALL_CORE_VERSION 0x000
#define PV_CALL_CORE_FEATURES 0x001
#define PV_CALL_CORE_BATCH 0x002
#define PV_CALL_CORE_NOOP 0x003
#define PV_CALL_CORE_ENTROPY 0x004
#define PV_CALL_CORE_STATS 0x005
#define PV_CALL_TRAP_SET_TABLE 0x040
#define PV_CALL_TRAP_SET_SYSCALL 0x042
#define PV_CALL_TRAP_SET_TLS 0x043
#define PV_CALL_TRAP_RETURN 0x044
#define PV_CALL_SCHED_YIELD 0x0a0
#define PV_CALL_SCHED_SHUTDOWN 0x0a5
#define PV_CALL_SCHED_REBOOT 0x0a6
#define PV_CALL_SCHED_CRASH 0x0a7
#define PV_CALL_IO_CONSOLE_WRITE 0x100
#define PV_CALL_IO_CONSOLE_READ 0x101
#define PV_CALL_DEBUG_PRINT 0x120
#define PV_CALL_DEBUG_CRASH_REPORT 0x121
#define PV_CALL_DEBUG_TRACE_MARK 0x122
#define PV_CALL_DEBUG_ECHO 0x123

#if !defined(__x86_64__)
#error "Paravane guests are x86-64 programs"
#endif

/*
 * Makes the call WORD through the hypercall page at PAGE (pv_start_info.hypercall_page).
 * Returns RAX: zero or more for success, a negated PV_E* for failure.
 *
 * The call uses the stack below RSP, so it steps over the red zone that the compiler may
 * be using there.
 */
static inline int64_t pv_hypercall(const void *page, uint64_t word, uint64_t a1, uint64_t a2,
                                   uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6)
{
    register uint64_t r10 __asm__("r10") = a4;
    register uint64_t r8 __asm__("r8") = a5;
    register uint64_t r9 __asm__("r9") = a6;
    int64_t result;

    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "call *%[page]\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "=a"(result)
                     : [page] "r"(page), "a"(word), "D"(a1), "S"(a2), "d"(a3), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

/*
 * Asks which version of the ABI the VMM speaks.
 *
 * - returns: major version << 16 | minor version
 */
static inline int64_t pv_core_version(const void *page)
{
    return pv_hypercall(page, PV_CALL_CORE_VERSION, 0, 0, 0, 0, 0, 0);
}

/*
 * Writes the feature bits that the VMM offers, as one 64-bit word. They are in the
 * start-info page too.
 *
 * - out: where the word goes, 8-byte aligned
 * - returns: 0
 * - -PV_EFAULT: `out` is not 8 bytes of RAM, 8-byte aligned
 */
static inline int64_t pv_core_features(const void *page, pv_gpa_t out)
{
    return pv_hypercall(page, PV_CALL_CORE_FEATURES, out, 0, 0, 0, 0, 0);
}

/*
 * Carries out many calls in one exit. `entries` is an array of `pv_batch_entry`; each
 * result is written into its entry. The calls are carried out in order. An element that may
 * not be in a batch fails with PV_EPERM. With `PV_BATCH_STOP_ON_ERROR` in `flags` the batch
 * ends behind the first element that fails; otherwise it goes on.
 *
 * - entries: array of `pv_batch_entry`, 8-byte aligned
 * - count: number of elements, 1 to 512
 * - flags: 0 or `PV_BATCH_STOP_ON_ERROR`; other bits must be zero
 * - returns: number of elements that were carried out, a failed one included
 * - -PV_EFAULT: the array is not in RAM or not 8-byte aligned
 * - -PV_E2BIG: `count` is above 512
 * - -PV_EINVAL: `count` is 0 or a reserved bit of `flags` is set
 */
static inline int64_t pv_core_batch(const void *page, pv_gpa_t entries, uint32_t count,
                                    uint32_t flags)
{
    return pv_hypercall(page, PV_CALL_CORE_BATCH, entries, count, flags, 0, 0, 0);
}

/*
 * Does nothing. Its cost is the cost of a hypercall.
 *
 * - returns: 0
 */
static inline int64_t pv_core_noop(const void *page)
{
    return pv_hypercall(page, PV_CALL_CORE_NOOP, 0, 0, 0, 0, 0, 0);
}

/*
 * Fills memory with random bytes from the host's generator.
 *
 * - buffer: where the bytes go
 * - size: how many bytes, at most 256
 * - returns: number of bytes written: `size`
 * - -PV_EFAULT: the buffer is not in RAM
 * - -PV_E2BIG: `size` is above 256
 * - -PV_EIO: the host's generator failed
 */
static inline int64_t pv_core_entropy(const void *page, pv_gpa_t buffer, uint32_t size)
{
    return pv_hypercall(page, PV_CALL_CORE_ENTROPY, buffer, size, 0, 0, 0, 0);
}

/*
 * Writes the counters of the calling vCPU, a `pv_stats`. This call and its exit are not
 * among them yet.
 *
 * - out: where the `pv_stats` goes, 8-byte aligned
 * - size: size of the guest's `pv_stats` in bytes; the VMM writes no more
 * - returns: number of bytes written
 * - -PV_EFAULT: `out` is not in RAM or not 8-byte aligned
 * - -PV_EINVAL: `size` is below 32, the first version's
 */
static inline int64_t pv_core_stats(const void *page, pv_gpa_t out, uint32_t size)
{
    return pv_hypercall(page, PV_CALL_CORE_STATS, out, size, 0, 0, 0, 0);
}

/*
 * Registers the handlers of exceptions, for this vCPU. The VMM copies the table: a later
 * change to it has no effect. A vector past `count`, or with handler 0, has no handler;
 * such a trap ends the guest as a crash. So does a #DF always: its handler is never
 * entered.
 *
 * - table: array of `pv_trap_handler`, indexed by vector, 8-byte aligned
 * - count: number of elements, at most 32
 * - returns: 0
 * - -PV_EFAULT: the table is not in RAM or not 8-byte aligned
 * - -PV_E2BIG: `count` is above 32
 * - -PV_EINVAL: a handler is not in the lower half, or `flags` is not 0
 */
static inline int64_t pv_trap_set_table(const void *page, pv_gpa_t table, uint32_t count)
{
    return pv_hypercall(page, PV_CALL_TRAP_SET_TABLE, table, count, 0, 0, 0, 0);
}

/*
 * Registers the handler of the SYSCALL instruction, for this vCPU. It is entered like that
 * of a trap, with vector 0x100; RCX and R11 are clobbered as SYSCALL clobbers them. Without
 * a handler a SYSCALL ends the guest as a crash.
 *
 * - handler: virtual address of the handler, 0 for none
 * - returns: 0
 * - -PV_EINVAL: the handler is not in the lower half
 */
static inline int64_t pv_trap_set_syscall(const void *page, uint64_t handler)
{
    return pv_hypercall(page, PV_CALL_TRAP_SET_SYSCALL, handler, 0, 0, 0, 0, 0);
}

/*
 * Sets the FS base, the thread pointer, of this vCPU.
 *
 * - base: the new FS base, in the lower half
 * - returns: 0
 * - -PV_EINVAL: `base` is not in the lower half
 */
static inline int64_t pv_trap_set_tls(const void *page, uint64_t base)
{
    return pv_hypercall(page, PV_CALL_TRAP_SET_TLS, base, 0, 0, 0, 0, 0);
}

/*
 * Resumes interrupted code: loads all registers from a `pv_trap_frame`. It does not return.
 * The vector, the error code, CR2, CS and SS are ignored, and so is each bit of RFLAGS but
 * the arithmetic flags, DF, TF, RF, AC and ID. The trap-return entry of the hypercall page
 * is the cheaper way: it needs no exit.
 *
 * - frame: the `pv_trap_frame`, 8-byte aligned
 * - does not return, unless it fails
 * - -PV_EFAULT: the frame is not in RAM or not 8-byte aligned
 * - -PV_EINVAL: RIP or RSP is not in the lower half
 */
static inline int64_t pv_trap_return(const void *page, pv_gpa_t frame)
{
    return pv_hypercall(page, PV_CALL_TRAP_RETURN, frame, 0, 0, 0, 0, 0);
}

/*
 * Gives the rest of this vCPU's time slice to whoever waits for the processor.
 *
 * - returns: 0
 */
static inline int64_t pv_sched_yield(const void *page)
{
    return pv_hypercall(page, PV_CALL_SCHED_YIELD, 0, 0, 0, 0, 0, 0);
}

/*
 * Ends the VM. The exit code is what `paravane run` exits with.
 *
 * - code: exit code, 0 to 119; 0 is success
 * - does not return, unless it fails
 * - -PV_EINVAL: `code` is above 119; those codes are the VMM's own
 */
static inline int64_t pv_sched_shutdown(const void *page, uint32_t code)
{
    return pv_hypercall(page, PV_CALL_SCHED_SHUTDOWN, code, 0, 0, 0, 0, 0);
}

/*
 * Starts the VM again, from its image, with fresh memory.
 *
 * - does not return, unless it fails
 */
static inline int64_t pv_sched_reboot(const void *page)
{
    return pv_hypercall(page, PV_CALL_SCHED_REBOOT, 0, 0, 0, 0, 0, 0);
}

/*
 * Ends the VM as crashed. The VMM shows the last crash report, or the registers of the
 * caller where there is none.
 *
 * - does not return, unless it fails
 */
static inline int64_t pv_sched_crash(const void *page)
{
    return pv_hypercall(page, PV_CALL_SCHED_CRASH, 0, 0, 0, 0, 0, 0);
}

/*
 * Writes bytes to the console. A write larger than 4096 bytes is cut, so that each call
 * does bounded work; the caller writes the rest with another call. The call waits while the
 * reader of the console is slow.
 *
 * - buffer: the bytes
 * - size: how many bytes
 * - returns: number of bytes written, at most 4096
 * - -PV_EFAULT: the buffer is not in RAM
 * - -PV_EPIPE: nobody reads the console any more
 */
static inline int64_t pv_io_console_write(const void *page, pv_gpa_t buffer, uint32_t size)
{
    return pv_hypercall(page, PV_CALL_IO_CONSOLE_WRITE, buffer, size, 0, 0, 0, 0);
}

/*
 * Reads bytes that were typed on the console, waiting for the first one for at most
 * `timeout` nanoseconds.
 *
 * - buffer: where the bytes go
 * - size: the most bytes to read; at most 4096 are
 * - timeout: how long to wait, in nanoseconds; 0: not at all; 2^64-1: for ever
 * - returns: number of bytes read, at least 1 unless `size` is 0
 * - -PV_EFAULT: the buffer is not in RAM
 * - -PV_EAGAIN: nothing was typed in time
 * - -PV_EPIPE: the input has ended and all of it was read
 */
static inline int64_t pv_io_console_read(const void *page, pv_gpa_t buffer, uint32_t size,
                                         uint64_t timeout)
{
    return pv_hypercall(page, PV_CALL_IO_CONSOLE_READ, buffer, size, timeout, 0, 0, 0);
}

/*
 * Writes up to 40 bytes that travel in registers to the console. It needs no buffer and no
 * trap handler, so it works from a guest's first instruction on.
 *
 * - size: how many bytes, at most 40
 * - w0: bytes 0 to 7, the first one in the lowest bits
 * - w1: bytes 8 to 15
 * - w2: bytes 16 to 23
 * - w3: bytes 24 to 31
 * - w4: bytes 32 to 39
 * - returns: number of bytes written
 * - -PV_E2BIG: `size` is above 40
 * - -PV_EPIPE: nobody reads the console any more
 */
static inline int64_t pv_debug_print(const void *page, uint32_t size, uint64_t w0,
                                     uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4)
{
    return pv_hypercall(page, PV_CALL_DEBUG_PRINT, size, w0, w1, w2, w3, w4);
}

/*
 * Hands over what the guest knows about its crash. The VMM keeps the last report and shows
 * it when the guest ends by `sched_crash`.
 *
 * - report: the `pv_crash_report`, 8-byte aligned
 * - returns: 0
 * - -PV_EFAULT: the report or its message is not in RAM, or not 8-byte aligned
 * - -PV_EINVAL: an unknown `kind`, a `frame_valid` above 1, or a reserved field that is
 *   not 0
 * - -PV_E2BIG: `message_size` is above 1024
 */
static inline int64_t pv_debug_crash_report(const void *page, pv_gpa_t report)
{
    return pv_hypercall(page, PV_CALL_DEBUG_CRASH_REPORT, report, 0, 0, 0, 0, 0);
}

/*
 * Puts a mark with a value into the VMM's trace. What a guest can log is limited; marks
 * above the limit are only counted.
 *
 * - id: which mark; the guest gives it its meaning
 * - value: any value
 * - returns: 0
 */
static inline int64_t pv_debug_trace_mark(const void *page, uint32_t id, uint64_t value)
{
    return pv_hypercall(page, PV_CALL_DEBUG_TRACE_MARK, id, value, 0, 0, 0, 0);
}

/*
 * Adds up its six arguments, so that the cost of a call whose arguments are all used can be
 * measured, and that they arrive can be tested.
 *
 * - a: any value
 * - b: any value
 * - c: any value
 * - d: any value
 * - e: any value
 * - f: any value
 * - returns: a + 2b + 3c + 4d + 5e + 6f, modulo 2^31
 */
static inline int64_t pv_debug_echo(const void *page, uint64_t a, uint64_t b, uint64_t c,
                                    uint64_t d, uint64_t e, uint64_t f)
{
    return pv_hypercall(page, PV_CALL_DEBUG_ECHO, a, b, c, d, e, f);
}

#undef PV_PIN_SIZE
#undef PV_PIN_OFFSET

#endif /* PARAVANE_H */
