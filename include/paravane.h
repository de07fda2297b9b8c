/*
 * The Paravane ABI, version 1.1, for guests written in C11. docs/abi.md is the reference.
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
/* There is no such thing. */
#define PV_ENOENT 2
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
/* It is in use. */
#define PV_EBUSY 16
/* There is something already. */
#define PV_EEXIST 17
/*
 * An argument, a reserved bit or a reserved field has a value that the call does not take.
 */
#define PV_EINVAL 22
/* All of them are in use. */
#define PV_ENOSPC 28
/* The other end is closed, for good. */
#define PV_EPIPE 32
/* There is no such call. */
#define PV_ENOSYS 38
/* The time is over. */
#define PV_ETIMEDOUT 110

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
/* The `as` group: address spaces. */
#define PV_FEATURE_ADDRESS_SPACES (UINT64_C(1) << 8)
/* The `event` group and `trap_set_upcall`. */
#define PV_FEATURE_EVENTS (UINT64_C(1) << 9)
/* The clock of the vCPU page, and `time_wallclock`. */
#define PV_FEATURE_CLOCK (UINT64_C(1) << 10)
/* `time_oneshot`, `time_periodic`, `time_cancel`. */
#define PV_FEATURE_TIMERS (UINT64_C(1) << 11)
/* `sched_block`, `sched_poll`, `sched_kick`, `sched_yield_to`, `sched_spin`. */
#define PV_FEATURE_BLOCKING (UINT64_C(1) << 12)
/* The `vcpu` group. */
#define PV_FEATURE_VCPUS (UINT64_C(1) << 13)
/* The task entry of the hypercall page. */
#define PV_FEATURE_TASKS (UINT64_C(1) << 14)
/* `mem_populate`, `mem_release`, `mem_hint`. */
#define PV_FEATURE_BALLOON (UINT64_C(1) << 15)
/* `mem_share` and the other calls of grants. */
#define PV_FEATURE_GRANTS (UINT64_C(1) << 16)
/* `trap_set_debug`. */
#define PV_FEATURE_DEBUG_REGISTERS (UINT64_C(1) << 17)
/* `deferred` of the vCPU page. */
#define PV_FEATURE_DEFERRED (UINT64_C(1) << 18)

/*
 * Major version of the ABI. A VMM refuses an image that was built for a newer one; a
 * changed layout or number needs a new one.
 */
#define PV_ABI_MAJOR 1
/* Minor version of the ABI. It grows when calls, fields or feature bits are added. */
#define PV_ABI_MINOR 1

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
/*
 * Offset of the task entry in the hypercall page: a guest jumps to it to run a task, with
 * `upcall_mask` at 1, the task's RIP, RFLAGS, RSP, RCX and R11 in `task` of the vCPU page,
 * and all its other registers in place. The task runs in the current address space, at
 * privilege level 3, with upcalls unmasked, until it traps, makes a system call, or an
 * upcall is delivered. It needs no exit. It starts with ENDBR64.
 */
#define PV_TASK_ENTRY_OFFSET UINT64_C(0xc0)
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
    /* The event page. */
    uint64_t event_page;
    /* Number of this guest among those of its VMM. */
    uint32_t guest;
    /* Number of guests of this VMM. */
    uint32_t guests;
    /* Number of processors of the host that the VM may use. */
    uint32_t host_processors;
    /* Zero. */
    uint32_t reserved;
};
PV_PIN_SIZE(pv_start_info, 4032);
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
PV_PIN_OFFSET(pv_start_info, event_page, 4008);
PV_PIN_OFFSET(pv_start_info, guest, 4016);
PV_PIN_OFFSET(pv_start_info, guests, 4020);
PV_PIN_OFFSET(pv_start_info, host_processors, 4024);
PV_PIN_OFFSET(pv_start_info, reserved, 4028);

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
/* `pv_trap_state.vector` of an upcall (see `trap_set_upcall`). */
#define PV_UPCALL_VECTOR 0x101
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
    /* The vector: 0 to 31, `PV_SYSCALL_VECTOR` or `PV_UPCALL_VECTOR`. */
    uint32_t vector;
    /*
     * CR2, the faulting linear address, of a #PF; DR6 of a #DB. Other vectors leave it
     * alone.
     */
    uint64_t cr2;
    /* The monitor's. */
    uint64_t reserved;
    /* 1 when a task was interrupted, 0 when it was the kernel. */
    uint64_t from_task;
    /* The monitor's. */
    uint64_t reserved1[4];
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
PV_PIN_OFFSET(pv_trap_state, from_task, 24);
PV_PIN_OFFSET(pv_trap_state, reserved1, 32);
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

/* Breakpoints: what `trap_set_debug` takes (Intel SDM vol. 3B, 18.2). */
struct pv_debug_registers {
    /* DR0 to DR3: linear addresses. */
    uint64_t address[4];
    /*
     * DR7: L0 to L3 enable a breakpoint; R/W0 to R/W3 and LEN0 to LEN3 say of what kind it
     * is. All other bits are zero, but for bit 10, which is ignored.
     */
    uint64_t control;
    /* Zero. */
    uint64_t reserved[3];
};
PV_PIN_SIZE(pv_debug_registers, 64);
PV_PIN_OFFSET(pv_debug_registers, address, 0);
PV_PIN_OFFSET(pv_debug_registers, control, 32);
PV_PIN_OFFSET(pv_debug_registers, reserved, 40);

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

/*
 * The vCPU page: one per vCPU, read-write for the guest, found through the GS base.
 *
 * Each field is marked by who writes it. The VMM trusts nothing that it reads here.
 */

/* Distance between two vCPU pages, and the size of one, in bytes. */
#define PV_VCPU_PAGE_SIZE UINT64_C(4096)
/* How many calls can be deferred. */
#define PV_DEFERRED_CALLS 32
/* `pv_vcpu_page.run_state`: the vCPU has not been started, or was stopped. */
#define PV_RUN_STATE_STOPPED 0
/*
 * `pv_vcpu_page.run_state`: it is in the guest, or a call of its own is being carried out.
 */
#define PV_RUN_STATE_RUNNING 1
/* `pv_vcpu_page.run_state`: it could run, and waits for a processor of the host. */
#define PV_RUN_STATE_RUNNABLE 2
/* `pv_vcpu_page.run_state`: it waits inside a call. */
#define PV_RUN_STATE_BLOCKED 3

/*
 * A task that is about to be entered: what the task entry of the hypercall page takes from
 * here.
 */
struct pv_task_state {
    /* Guest: RIP of the task, in the lower half. */
    uint64_t rip;
    /* Guest: its flags; the arithmetic flags, DF, TF, RF, AC and ID are taken. */
    uint64_t rflags;
    /* Guest: its RSP. */
    uint64_t rsp;
    /* Guest: its RCX, which the entry needs itself. */
    uint64_t rcx;
    /* Guest: its R11, likewise. */
    uint64_t r11;
    /* Zero. */
    uint64_t reserved[3];
};
PV_PIN_SIZE(pv_task_state, 64);
PV_PIN_OFFSET(pv_task_state, rip, 0);
PV_PIN_OFFSET(pv_task_state, rflags, 8);
PV_PIN_OFFSET(pv_task_state, rsp, 16);
PV_PIN_OFFSET(pv_task_state, rcx, 24);
PV_PIN_OFFSET(pv_task_state, r11, 32);
PV_PIN_OFFSET(pv_task_state, reserved, 40);

/*
 * The clock of a vCPU, in the layout of `struct pvclock_vcpu_time_info` (Linux,
 * `arch/x86/include/asm/pvclock-abi.h`).
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
    /* VMM sets, guest clears: the words of the event page with ports to look at. */
    uint64_t event_selector;
    /*
     * Guest: until when `sched_block` waits, in nanoseconds of the clock; 0: no deadline.
     */
    uint64_t deadline;
    /*
     * VMM: nanoseconds that this vCPU could have run and the host ran something else. It is
     * brought up to date now and then.
     */
    uint64_t steal_time;
    /* VMM: `PV_RUN_STATE_*`. */
    uint32_t run_state;
    /* Zero. */
    uint32_t reserved1;
    /* Zero. */
    uint64_t reserved3[2];
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
    /* Guest: the task that is about to be entered. */
    struct pv_task_state task;
    /*
     * Guest: how many elements of `deferred` wait. The VMM carries them out, in their
     * order, before the next call of this vCPU, and sets this to 0.
     */
    uint32_t deferred_count;
    /* Zero. */
    uint32_t reserved4;
    /* Zero. */
    uint64_t reserved5[197];
    /* Guest: calls that can wait. The VMM writes the result of each into it. */
    struct pv_batch_entry deferred[PV_DEFERRED_CALLS];
};
PV_PIN_SIZE(pv_vcpu_page, 4096);
PV_PIN_OFFSET(pv_vcpu_page, self_address, 0);
PV_PIN_OFFSET(pv_vcpu_page, vcpu_id, 8);
PV_PIN_OFFSET(pv_vcpu_page, upcall_mask, 12);
PV_PIN_OFFSET(pv_vcpu_page, upcall_pending, 13);
PV_PIN_OFFSET(pv_vcpu_page, reserved0, 14);
PV_PIN_OFFSET(pv_vcpu_page, event_selector, 16);
PV_PIN_OFFSET(pv_vcpu_page, deadline, 24);
PV_PIN_OFFSET(pv_vcpu_page, steal_time, 32);
PV_PIN_OFFSET(pv_vcpu_page, run_state, 40);
PV_PIN_OFFSET(pv_vcpu_page, reserved1, 44);
PV_PIN_OFFSET(pv_vcpu_page, reserved3, 48);
PV_PIN_OFFSET(pv_vcpu_page, clock, 64);
PV_PIN_OFFSET(pv_vcpu_page, reserved2, 96);
PV_PIN_OFFSET(pv_vcpu_page, boot_stack_top, 128);
PV_PIN_OFFSET(pv_vcpu_page, boot_stack_size, 136);
PV_PIN_OFFSET(pv_vcpu_page, trap_stack_top, 144);
PV_PIN_OFFSET(pv_vcpu_page, trap_stack_size, 152);
PV_PIN_OFFSET(pv_vcpu_page, guest, 160);
PV_PIN_OFFSET(pv_vcpu_page, call, 224);
PV_PIN_OFFSET(pv_vcpu_page, trap, 288);
PV_PIN_OFFSET(pv_vcpu_page, task, 400);
PV_PIN_OFFSET(pv_vcpu_page, deferred_count, 464);
PV_PIN_OFFSET(pv_vcpu_page, reserved4, 468);
PV_PIN_OFFSET(pv_vcpu_page, reserved5, 472);
PV_PIN_OFFSET(pv_vcpu_page, deferred, 2048);

/*
 * Address spaces: what a guest maps, and where.
 *
 * Address space 0 is the kernel's. What is mapped there is part of every address space, for
 * the kernel alone. Each other address space has a task area of its own, from
 * `PV_TASK_AREA_START` to `PV_TASK_AREA_END`: what is mapped there, its tasks can use, and
 * the kernel while that address space is the current one.
 *
 * The elements of a repeated call are done in their order, and each is done whole or not at
 * all: an element that fails changes nothing.
 */

/* Where the task area of an address space begins. */
#define PV_TASK_AREA_START UINT64_C(0x8000000000)
/* One past the end of the task area. */
#define PV_TASK_AREA_END UINT64_C(0x400000000000)
/* Size of a large page, in bytes. */
#define PV_LARGE_PAGE_SIZE UINT64_C(0x200000)
/* How many address spaces a VM can have, the kernel's included. */
#define PV_ADDRESS_SPACES 1024
/* `pv_translation.flags`: the page is sealed. */
#define PV_TRANSLATION_SEALED 1
/* `pv_translation.flags`: tasks can use the page. */
#define PV_TRANSLATION_TASK 2

/* An element of `as_map` and `as_protect`. */
struct pv_mapping {
    /* First virtual address; a multiple of the page size. */
    uint64_t address;
    /*
     * First guest-physical address, in RAM or in an attached grant; a multiple of the page
     * size. 0 for `as_protect`.
     */
    uint64_t gpa;
    /* Size in bytes; a multiple of the page size. */
    uint64_t size;
    /* `PV_RIGHT_*`: `PV_RIGHT_READ` with one of the others or none. */
    uint32_t rights;
    /* Zero. */
    uint32_t reserved;
};
PV_PIN_SIZE(pv_mapping, 32);
PV_PIN_OFFSET(pv_mapping, address, 0);
PV_PIN_OFFSET(pv_mapping, gpa, 8);
PV_PIN_OFFSET(pv_mapping, size, 16);
PV_PIN_OFFSET(pv_mapping, rights, 24);
PV_PIN_OFFSET(pv_mapping, reserved, 28);

/*
 * A range of addresses: virtual for `as_unmap` and `as_seal`, guest-physical for the calls
 * of the `mem` group.
 */
struct pv_range {
    /* First address; a multiple of the page size. */
    uint64_t start;
    /* Size in bytes; a multiple of the page size. */
    uint64_t size;
};
PV_PIN_SIZE(pv_range, 16);
PV_PIN_OFFSET(pv_range, start, 0);
PV_PIN_OFFSET(pv_range, size, 8);

/* How an address is mapped: what `as_query` writes. */
struct pv_translation {
    /* Guest-physical address of the byte. */
    uint64_t gpa;
    /* Size of the page that it lies in: 4096, or `PV_LARGE_PAGE_SIZE`. */
    uint64_t page_size;
    /* `PV_RIGHT_*`. */
    uint32_t rights;
    /* `PV_TRANSLATION_*`. */
    uint32_t flags;
};
PV_PIN_SIZE(pv_translation, 24);
PV_PIN_OFFSET(pv_translation, gpa, 0);
PV_PIN_OFFSET(pv_translation, page_size, 8);
PV_PIN_OFFSET(pv_translation, rights, 16);
PV_PIN_OFFSET(pv_translation, flags, 20);

/*
 * Events: 4096 ports, in memory that guest and VMM share.
 *
 * The event page has a bit for each port: *pending*, which whoever raises the port sets and
 * the guest clears, and *mask*, which the guest sets while it does not want to be told.
 * Each vCPU page has a *selector* with a bit for each word of 64 ports, and
 * `upcall_pending`. All are changed by atomic instructions, in these orders:
 *
 * - To raise a port: set *pending*; if it was set, stop. If *mask* is set, stop. Set the
 *   word's bit in the selector of the port's vCPU, then `upcall_pending`; if that was
 *   clear, and `upcall_mask` is 0, an upcall follows.
 * - To take events: clear `upcall_pending`, then take the selector and leave it 0. For
 *   each of its bits, lowest first, clear *pending* of each port of the word that is not
 *   masked, lowest first. Whoever cleared the bit has the event.
 * - To unmask a port: clear *mask*; if *pending* is set, set the selector's bit and
 *   `upcall_pending` of the port's vCPU. `event_unmask` does it from another vCPU.
 * - To unmask upcalls: clear `upcall_mask`; if `upcall_pending` is set, take events.
 *
 * Lower ports are taken first, so a port's number is its priority: `event_alloc` and the
 * others give ports 0 to 1023 for priority 0, 1024 to 2047 for priority 1, and so on. Port
 * 0 is never given.
 */

/* Number of ports. */
#define PV_EVENT_PORTS 4096
/* Number of words of the bitmaps of the event page, and of bits of a selector. */
#define PV_EVENT_WORDS 64
/* Number of priorities. */
#define PV_EVENT_PRIORITIES 4
/* Number of ports of each priority. */
#define PV_EVENT_PORTS_PER_PRIORITY 1024
/* Most timers of a VM. */
#define PV_TIMERS_MAX 1024
/* The shortest period of `time_periodic`, in nanoseconds. */
#define PV_TIMER_PERIOD_MIN UINT64_C(50000)
/* `event_bind_source`: bytes can be read from the console, or its input has ended. */
#define PV_EVENT_SOURCE_CONSOLE 1
/* `event_bind_source`: somebody asks the guest to shut down. */
#define PV_EVENT_SOURCE_SHUTDOWN 2
/*
 * `event_bind_source`: another guest has granted memory to this one, or taken a grant back.
 */
#define PV_EVENT_SOURCE_GRANT 3

/* The event page. The bit of a port is bit `port % 64` of word `port / 64`. */
struct pv_event_page {
    /* VMM sets, guest clears: the ports that are pending. */
    uint64_t pending[PV_EVENT_WORDS];
    /* Guest: the ports that are masked. */
    uint64_t mask[PV_EVENT_WORDS];
};
PV_PIN_SIZE(pv_event_page, 1024);
PV_PIN_OFFSET(pv_event_page, pending, 0);
PV_PIN_OFFSET(pv_event_page, mask, 512);

/*
 * Time: the clock of a VM, and the time of day.
 *
 * The clock counts nanoseconds from the start of the VM. It is the same on all vCPUs, and
 * read without an exit: `clock` of the vCPU page has the layout of Linux's `struct
 * pvclock_vcpu_time_info`, and the time is
 *
 * - `delta = RDTSC - tsc_timestamp`, shifted left by `tsc_shift`, or right if that is
 *   negative;
 * - `system_time + (delta * tsc_to_system_mul >> 32)`, with a product of 128 bits,
 *
 * read again if `version` is odd or has changed meanwhile. Deadlines are times of this
 * clock.
 */

/* A time of day: what `time_wallclock` writes. */
struct pv_wallclock {
    /* Seconds since 1970-01-01T00:00:00Z, without leap seconds. */
    uint64_t seconds;
    /* Nanoseconds of the second. */
    uint32_t nanoseconds;
    /* Zero. */
    uint32_t reserved;
    /* The time of the clock at that moment, in nanoseconds. */
    uint64_t clock;
};
PV_PIN_SIZE(pv_wallclock, 24);
PV_PIN_OFFSET(pv_wallclock, seconds, 0);
PV_PIN_OFFSET(pv_wallclock, nanoseconds, 8);
PV_PIN_OFFSET(pv_wallclock, reserved, 12);
PV_PIN_OFFSET(pv_wallclock, clock, 16);

/* Grants: memory that two guests of one VMM share. */

/* Most grants that a guest gives, and most that it attaches. */
#define PV_GRANTS 64

/* Where a grant was attached: what `mem_attach` writes. */
struct pv_attachment {
    /*
     * Guest-physical address of its first byte, for `as_map` alone: no other call takes it.
     */
    uint64_t gpa;
    /* Size in bytes. */
    uint64_t size;
    /* `PV_RIGHT_*`. */
    uint32_t rights;
    /* Zero. */
    uint32_t reserved;
};
PV_PIN_SIZE(pv_attachment, 24);
PV_PIN_OFFSET(pv_attachment, gpa, 0);
PV_PIN_OFFSET(pv_attachment, size, 8);
PV_PIN_OFFSET(pv_attachment, rights, 16);
PV_PIN_OFFSET(pv_attachment, reserved, 20);

/* A grant that another guest offers: what `mem_offers` writes. */
struct pv_offer {
    /* Number of the guest that gave it. */
    uint32_t guest;
    /* Number of the grant. */
    uint32_t grant;
    /* Size in bytes. */
    uint64_t size;
    /* `PV_RIGHT_*`. */
    uint32_t rights;
    /* 1 when it is attached. */
    uint32_t attached;
};
PV_PIN_SIZE(pv_offer, 24);
PV_PIN_OFFSET(pv_offer, guest, 0);
PV_PIN_OFFSET(pv_offer, grant, 4);
PV_PIN_OFFSET(pv_offer, size, 8);
PV_PIN_OFFSET(pv_offer, rights, 16);
PV_PIN_OFFSET(pv_offer, attached, 20);

/*
 * Sets of vCPUs or processors, which may have more than 64 elements.
 *
 * A set is a `pv_set`, and behind it one word for each bit that is set in `bank_mask`,
 * lowest first: the bank of elements `64 * bit` to `64 * bit + 63`.
 */

/* `pv_set.format`: all elements; there are no banks. */
#define PV_SET_ALL 0
/* `pv_set.format`: the elements of the banks. */
#define PV_SET_SPARSE 1

/* The head of a set. */
struct pv_set {
    /* `PV_SET_*`. */
    uint32_t format;
    /* Zero. */
    uint32_t reserved;
    /* Which banks follow. */
    uint64_t bank_mask;
};
PV_PIN_SIZE(pv_set, 16);
PV_PIN_OFFSET(pv_set, format, 0);
PV_PIN_OFFSET(pv_set, reserved, 4);
PV_PIN_OFFSET(pv_set, bank_mask, 8);

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
#define PV_CALL_AS_CREATE 0x020
#define PV_CALL_AS_DESTROY 0x021
#define PV_CALL_AS_MAP 0x022
#define PV_CALL_AS_UNMAP 0x023
#define PV_CALL_AS_PROTECT 0x024
#define PV_CALL_AS_QUERY 0x025
#define PV_CALL_AS_SWITCH 0x026
#define PV_CALL_AS_SEAL 0x027
#define PV_CALL_TRAP_SET_TABLE 0x040
#define PV_CALL_TRAP_SET_UPCALL 0x041
#define PV_CALL_TRAP_SET_SYSCALL 0x042
#define PV_CALL_TRAP_SET_TLS 0x043
#define PV_CALL_TRAP_RETURN 0x044
#define PV_CALL_TRAP_SET_DEBUG 0x045
#define PV_CALL_EVENT_ALLOC 0x060
#define PV_CALL_EVENT_BIND_TIMER 0x061
#define PV_CALL_EVENT_BIND_IPI 0x062
#define PV_CALL_EVENT_BIND_VCPU 0x063
#define PV_CALL_EVENT_SEND 0x064
#define PV_CALL_EVENT_MASK 0x065
#define PV_CALL_EVENT_UNMASK 0x066
#define PV_CALL_EVENT_CLOSE 0x067
#define PV_CALL_EVENT_BIND_SOURCE 0x068
#define PV_CALL_TIME_ONESHOT 0x080
#define PV_CALL_TIME_PERIODIC 0x081
#define PV_CALL_TIME_CANCEL 0x082
#define PV_CALL_TIME_WALLCLOCK 0x083
#define PV_CALL_SCHED_YIELD 0x0a0
#define PV_CALL_SCHED_YIELD_TO 0x0a1
#define PV_CALL_SCHED_BLOCK 0x0a2
#define PV_CALL_SCHED_POLL 0x0a3
#define PV_CALL_SCHED_KICK 0x0a4
#define PV_CALL_SCHED_SHUTDOWN 0x0a5
#define PV_CALL_SCHED_REBOOT 0x0a6
#define PV_CALL_SCHED_CRASH 0x0a7
#define PV_CALL_SCHED_SPIN 0x0a8
#define PV_CALL_VCPU_START 0x0c0
#define PV_CALL_VCPU_STOP 0x0c1
#define PV_CALL_VCPU_STATE 0x0c2
#define PV_CALL_VCPU_SET_AFFINITY_HINT 0x0c3
#define PV_CALL_MEM_POPULATE 0x0e0
#define PV_CALL_MEM_RELEASE 0x0e1
#define PV_CALL_MEM_HINT 0x0e2
#define PV_CALL_MEM_SHARE 0x0e3
#define PV_CALL_MEM_UNSHARE 0x0e4
#define PV_CALL_MEM_ATTACH 0x0e5
#define PV_CALL_MEM_DETACH 0x0e6
#define PV_CALL_MEM_OFFERS 0x0e7
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
 * Makes an empty address space, for tasks. It has the kernel's mappings, which every
 * address space has, and a task area of its own.
 *
 * - returns: the number of the address space, 1 or more
 * - -PV_ENOSPC: there are `PV_ADDRESS_SPACES` of them
 * - -PV_ENOMEM: the guest's page tables have reached their quota
 */
static inline int64_t pv_as_create(const void *page)
{
    return pv_hypercall(page, PV_CALL_AS_CREATE, 0, 0, 0, 0, 0, 0);
}

/*
 * Removes an address space with all its mappings. What is mapped there is not changed.
 *
 * - space: the address space
 * - returns: 0
 * - -PV_ENOENT: there is no such address space
 * - -PV_EBUSY: it is the current one of a vCPU
 * - -PV_EPERM: it is 0, the kernel's
 */
static inline int64_t pv_as_destroy(const void *page, uint32_t space)
{
    return pv_hypercall(page, PV_CALL_AS_DESTROY, space, 0, 0, 0, 0, 0);
}

/*
 * Maps ranges. Each element is a `pv_mapping`; nothing may be mapped in its range yet. The
 * VMM maps by 2 MiB where address, guest-physical address and size allow, and by 4 KiB
 * elsewhere. In address space 0 a range lies outside of the task area and is the kernel's,
 * in every address space; in any other it lies in the task area, and the tasks of that
 * address space can use it too. No page of RAM is writable and executable at once, by
 * whatever mappings.
 *
 * - space: the address space
 * - elements: array of `pv_mapping`, 8-byte aligned
 * - returns: number of elements done, those before the start index included
 * - -PV_ENOENT: there is no such address space
 * - -PV_EFAULT: the array is not in RAM or not 8-byte aligned, or a range is neither in
 *   RAM nor in an attached grant
 * - -PV_EINVAL: an address or size is not a multiple of the page size, a size is 0, a
 *   range is not in the part of the address space that it has to be in, a right is unknown,
 *   the right to read is missing, or `reserved` is not 0
 * - -PV_E2BIG: a size is above 2 MiB (1 GiB where all three are multiples of 2 MiB)
 * - -PV_EEXIST: something is mapped in the range
 * - -PV_EPERM: it would be writable and executable, writable and sealed, or more than the
 *   grant allows
 * - -PV_ENOMEM: the guest's page tables have reached their quota
 */
static inline int64_t pv_as_map(const void *page, uint32_t space, pv_gpa_t elements)
{
    return pv_hypercall(page, PV_CALL_AS_MAP, space, elements, 0, 0, 0, 0);
}

/*
 * Unmaps ranges. Each element is a `pv_range`. What is not mapped there stays so. When the
 * call returns, no vCPU can use a translation that it removed.
 *
 * - space: the address space
 * - elements: array of `pv_range`, 8-byte aligned
 * - returns: number of elements done, those before the start index included
 * - -PV_ENOENT: there is no such address space
 * - -PV_EFAULT: the array is not in RAM or not 8-byte aligned
 * - -PV_EINVAL: an address or size is not a multiple of the page size, a size is 0, or a
 *   range is not in the part of the address space that it has to be in
 * - -PV_E2BIG: a size is above 2 MiB (1 GiB where both are multiples of 2 MiB)
 * - -PV_EPERM: a page of the range is sealed
 * - -PV_ENOMEM: a 2 MiB mapping would have to be split, and the page tables have reached
 *   their quota
 */
static inline int64_t pv_as_unmap(const void *page, uint32_t space, pv_gpa_t elements)
{
    return pv_hypercall(page, PV_CALL_AS_UNMAP, space, elements, 0, 0, 0, 0);
}

/*
 * Changes the rights of ranges. Each element is a `pv_mapping` whose `gpa` is 0; all of its
 * range is mapped. When the call returns, no vCPU has a right that it took away.
 *
 * - space: the address space
 * - elements: array of `pv_mapping`, 8-byte aligned
 * - returns: number of elements done, those before the start index included
 * - -PV_ENOENT: there is no such address space, or a page of the range is not mapped
 * - -PV_EFAULT: the array is not in RAM or not 8-byte aligned
 * - -PV_EINVAL: as for `as_map`, or `gpa` is not 0
 * - -PV_E2BIG: a size is above 2 MiB (1 GiB where both are multiples of 2 MiB)
 * - -PV_EPERM: it would be writable and executable, writable and sealed, or more than the
 *   grant allows
 * - -PV_ENOMEM: a 2 MiB mapping would have to be split, and the page tables have reached
 *   their quota
 */
static inline int64_t pv_as_protect(const void *page, uint32_t space, pv_gpa_t elements)
{
    return pv_hypercall(page, PV_CALL_AS_PROTECT, space, elements, 0, 0, 0, 0);
}

/*
 * Says how an address is mapped: writes a `pv_translation`.
 *
 * - space: the address space
 * - address: any virtual address
 * - out: where the `pv_translation` goes, 8-byte aligned
 * - returns: 0
 * - -PV_ENOENT: there is no such address space, or nothing of the guest's is mapped there
 * - -PV_EFAULT: `out` is not in RAM or not 8-byte aligned
 */
static inline int64_t pv_as_query(const void *page, uint32_t space, uint64_t address,
                                  pv_gpa_t out)
{
    return pv_hypercall(page, PV_CALL_AS_QUERY, space, address, out, 0, 0, 0);
}

/*
 * Makes an address space the current one of this vCPU.
 *
 * - space: the address space; 0 for the kernel's mappings alone
 * - returns: 0
 * - -PV_ENOENT: there is no such address space
 */
static inline int64_t pv_as_switch(const void *page, uint32_t space)
{
    return pv_hypercall(page, PV_CALL_AS_SWITCH, space, 0, 0, 0, 0, 0);
}

/*
 * Makes pages immutable until the VM ends. Each element is a `pv_range` of mapped pages
 * without the right to write. From then on no mapping of the same RAM is writable, whoever
 * makes it; the pages cannot be unmapped or get other rights; the VMM writes to them for no
 * call; and they cannot be released.
 *
 * - space: the address space
 * - elements: array of `pv_range`, 8-byte aligned
 * - returns: number of elements done, those before the start index included
 * - -PV_ENOENT: there is no such address space, or a page of the range is not mapped
 * - -PV_EFAULT: the array is not in RAM or not 8-byte aligned
 * - -PV_EINVAL: an address or size is not a multiple of the page size, a size is 0, or a
 *   range is not in the part of the address space that it has to be in
 * - -PV_E2BIG: a size is above 2 MiB (1 GiB where both are multiples of 2 MiB)
 * - -PV_EPERM: a page is mapped writable somewhere, or is another guest's
 */
static inline int64_t pv_as_seal(const void *page, uint32_t space, pv_gpa_t elements)
{
    return pv_hypercall(page, PV_CALL_AS_SEAL, space, elements, 0, 0, 0, 0);
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
 * Registers the handler of upcalls, for this vCPU. It is entered like that of a trap, with
 * vector 0x101, between any two instructions of the guest while `upcall_mask` of the vCPU
 * page is 0 and no trap is being delivered. Without a handler no upcall is delivered;
 * events still become pending.
 *
 * - handler: virtual address of the handler, 0 for none
 * - returns: 0
 * - -PV_EINVAL: the handler is not in the lower half
 */
static inline int64_t pv_trap_set_upcall(const void *page, uint64_t handler)
{
    return pv_hypercall(page, PV_CALL_TRAP_SET_UPCALL, handler, 0, 0, 0, 0, 0);
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
 * Sets breakpoints of this vCPU, by its debug registers. Each arrives as a #DB, whose `cr2`
 * then holds DR6. Single steps need no call: the guest sets TF in the RFLAGS that it
 * returns to.
 *
 * - registers: the `pv_debug_registers`, 8-byte aligned
 * - returns: 0
 * - -PV_EFAULT: the registers are not in RAM or not 8-byte aligned
 * - -PV_EINVAL: an address is not in the lower half or in the VMM's own part of it,
 *   `control` has a bit that is not L0 to L3, R/W or LEN, or a reserved field is not 0
 * - -PV_ENOSYS: this host gives guests no debug registers: there is no `DEBUG_REGISTERS`
 */
static inline int64_t pv_trap_set_debug(const void *page, pv_gpa_t registers)
{
    return pv_hypercall(page, PV_CALL_TRAP_SET_DEBUG, registers, 0, 0, 0, 0, 0);
}

/*
 * Takes a free port without a source of its own: `event_send` raises it, and so does
 * whatever it is given to. It is unmasked and not pending.
 *
 * - vcpu: the vCPU that is told of it
 * - priority: 0, the highest, to 3; lower ports of a priority come first
 * - returns: the port
 * - -PV_EINVAL: there is no such vCPU or priority
 * - -PV_ENOSPC: no port of this priority is free
 */
static inline int64_t pv_event_alloc(const void *page, uint32_t vcpu, uint32_t priority)
{
    return pv_hypercall(page, PV_CALL_EVENT_ALLOC, vcpu, priority, 0, 0, 0, 0);
}

/*
 * Takes a free port with a timer, which `time_oneshot` and `time_periodic` set.
 *
 * - vcpu: the vCPU that is told of it
 * - priority: 0, the highest, to 3
 * - returns: the port
 * - -PV_EINVAL: there is no such vCPU or priority
 * - -PV_ENOSPC: no port of this priority is free, or the VM has 1024 timers
 */
static inline int64_t pv_event_bind_timer(const void *page, uint32_t vcpu,
                                          uint32_t priority)
{
    return pv_hypercall(page, PV_CALL_EVENT_BIND_TIMER, vcpu, priority, 0, 0, 0, 0);
}

/*
 * Takes a free port for interrupts from vCPU to vCPU. It stays with its vCPU.
 *
 * - vcpu: the vCPU that is told of it
 * - priority: 0, the highest, to 3
 * - returns: the port
 * - -PV_EINVAL: there is no such vCPU or priority
 * - -PV_ENOSPC: no port of this priority is free
 */
static inline int64_t pv_event_bind_ipi(const void *page, uint32_t vcpu, uint32_t priority)
{
    return pv_hypercall(page, PV_CALL_EVENT_BIND_IPI, vcpu, priority, 0, 0, 0, 0);
}

/*
 * Has another vCPU told of a port from now on. A port that is pending is told to the new
 * one.
 *
 * - port: the port
 * - vcpu: the vCPU that is told of it
 * - returns: 0
 * - -PV_ENOENT: the port is free
 * - -PV_EINVAL: there is no such port or vCPU
 * - -PV_EPERM: the port is one of `event_bind_ipi`
 */
static inline int64_t pv_event_bind_vcpu(const void *page, uint32_t port, uint32_t vcpu)
{
    return pv_hypercall(page, PV_CALL_EVENT_BIND_VCPU, port, vcpu, 0, 0, 0, 0);
}

/*
 * Raises a port of `event_alloc` or `event_bind_ipi`: makes it pending and, unless it is
 * masked, tells its vCPU. A port that is pending already stays so: its handler runs once.
 *
 * - port: the port
 * - returns: 1 if the port became pending, 0 if it was
 * - -PV_ENOENT: the port is free
 * - -PV_EINVAL: there is no such port
 * - -PV_EPERM: the port's source is not the guest
 */
static inline int64_t pv_event_send(const void *page, uint32_t port)
{
    return pv_hypercall(page, PV_CALL_EVENT_SEND, port, 0, 0, 0, 0, 0);
}

/*
 * Masks a port: it may become pending, and nobody is told. The guest can set the bit of the
 * event page itself instead, without an exit.
 *
 * - port: the port
 * - returns: 0
 * - -PV_ENOENT: the port is free
 * - -PV_EINVAL: there is no such port
 */
static inline int64_t pv_event_mask(const void *page, uint32_t port)
{
    return pv_hypercall(page, PV_CALL_EVENT_MASK, port, 0, 0, 0, 0, 0);
}

/*
 * Unmasks a port; if it is pending, its vCPU is told. On its own vCPU a guest can do the
 * same in memory, without an exit.
 *
 * - port: the port
 * - returns: 0
 * - -PV_ENOENT: the port is free
 * - -PV_EINVAL: there is no such port
 */
static inline int64_t pv_event_unmask(const void *page, uint32_t port)
{
    return pv_hypercall(page, PV_CALL_EVENT_UNMASK, port, 0, 0, 0, 0, 0);
}

/*
 * Frees a port. It is not pending afterwards, and its timer is cancelled.
 *
 * - port: the port
 * - returns: 0
 * - -PV_ENOENT: the port is free
 * - -PV_EINVAL: there is no such port
 */
static inline int64_t pv_event_close(const void *page, uint32_t port)
{
    return pv_hypercall(page, PV_CALL_EVENT_CLOSE, port, 0, 0, 0, 0, 0);
}

/*
 * Takes a free port that the VMM raises, when what `source` says happens.
 *
 * - source: `PV_EVENT_SOURCE_*`
 * - vcpu: the vCPU that is told of it
 * - priority: 0, the highest, to 3
 * - returns: the port
 * - -PV_EINVAL: there is no such source, vCPU or priority
 * - -PV_EBUSY: the source has a port
 * - -PV_ENOSPC: no port of this priority is free
 */
static inline int64_t pv_event_bind_source(const void *page, uint32_t source,
                                           uint32_t vcpu, uint32_t priority)
{
    return pv_hypercall(page, PV_CALL_EVENT_BIND_SOURCE, source, vcpu, priority, 0, 0, 0);
}

/*
 * Sets a timer to raise its port once, and forgets what it was set to before.
 *
 * - port: a port of `event_bind_timer`
 * - deadline: when, in nanoseconds of the clock; the past means now
 * - returns: 0
 * - -PV_ENOENT: the port is free
 * - -PV_EINVAL: there is no such port, or it has no timer
 */
static inline int64_t pv_time_oneshot(const void *page, uint32_t port, uint64_t deadline)
{
    return pv_hypercall(page, PV_CALL_TIME_ONESHOT, port, deadline, 0, 0, 0, 0);
}

/*
 * Sets a timer to raise its port at `first` and every `period` from then on, and forgets
 * what it was set to before. Periods that nobody took notice of are one event.
 *
 * - port: a port of `event_bind_timer`
 * - first: when first, in nanoseconds of the clock
 * - period: the period in nanoseconds, 50,000 (20 kHz) or more
 * - returns: 0
 * - -PV_ENOENT: the port is free
 * - -PV_EINVAL: there is no such port, it has no timer, or the period is too short
 */
static inline int64_t pv_time_periodic(const void *page, uint32_t port, uint64_t first,
                                       uint64_t period)
{
    return pv_hypercall(page, PV_CALL_TIME_PERIODIC, port, first, period, 0, 0, 0);
}

/*
 * Stops a timer. An event that is pending stays so.
 *
 * - port: a port of `event_bind_timer`
 * - returns: 1 if the timer was set, 0 if not
 * - -PV_ENOENT: the port is free
 * - -PV_EINVAL: there is no such port, or it has no timer
 */
static inline int64_t pv_time_cancel(const void *page, uint32_t port)
{
    return pv_hypercall(page, PV_CALL_TIME_CANCEL, port, 0, 0, 0, 0, 0);
}

/*
 * Tells the time of day: writes a `pv_wallclock`.
 *
 * - out: where the `pv_wallclock` goes, 8-byte aligned
 * - returns: 0
 * - -PV_EFAULT: `out` is not in RAM or not 8-byte aligned
 */
static inline int64_t pv_time_wallclock(const void *page, pv_gpa_t out)
{
    return pv_hypercall(page, PV_CALL_TIME_WALLCLOCK, out, 0, 0, 0, 0, 0);
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
 * Gives the rest of this vCPU's time slice to another vCPU, for example to one that holds a
 * lock. If that one is running already, or blocked, it is as `sched_yield`.
 *
 * - vcpu: the vCPU
 * - returns: 0
 * - -PV_EINVAL: there is no such vCPU
 */
static inline int64_t pv_sched_yield_to(const void *page, uint32_t vcpu)
{
    return pv_hypercall(page, PV_CALL_SCHED_YIELD_TO, vcpu, 0, 0, 0, 0, 0);
}

/*
 * Waits until this vCPU is told of an event, is kicked, or `deadline` of the vCPU page has
 * come (0 there: no deadline). Returns at once if `upcall_pending` is set, whether upcalls
 * are masked or not. It costs no processor time.
 *
 * - returns: 0 for an event, 1 for a kick, 2 for the deadline
 */
static inline int64_t pv_sched_block(const void *page)
{
    return pv_hypercall(page, PV_CALL_SCHED_BLOCK, 0, 0, 0, 0, 0, 0);
}

/*
 * Waits until one of some ports is pending, masked or not, until this vCPU is kicked, or
 * until the deadline. The port stays pending; the guest clears it.
 *
 * - ports: array of 32-bit port numbers, 8-byte aligned
 * - count: number of ports, at most 64
 * - deadline: in nanoseconds of the clock; 2^64-1: none; the past: only look
 * - returns: the index in the array of a port that is pending
 * - -PV_EFAULT: the array is not in RAM or not 8-byte aligned
 * - -PV_E2BIG: `count` is above 64
 * - -PV_EINVAL: there is no such port
 * - -PV_ENOENT: a port is free
 * - -PV_EAGAIN: the vCPU was kicked
 * - -PV_ETIMEDOUT: the deadline has come
 */
static inline int64_t pv_sched_poll(const void *page, pv_gpa_t ports, uint32_t count,
                                    uint64_t deadline)
{
    return pv_hypercall(page, PV_CALL_SCHED_POLL, ports, count, deadline, 0, 0, 0);
}

/*
 * Ends the `sched_block` or `sched_poll` that a vCPU is in, or the next one.
 *
 * - vcpu: the vCPU
 * - returns: 0
 * - -PV_EINVAL: there is no such vCPU
 */
static inline int64_t pv_sched_kick(const void *page, uint32_t vcpu)
{
    return pv_hypercall(page, PV_CALL_SCHED_KICK, vcpu, 0, 0, 0, 0, 0);
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
 * Says that this vCPU has been waiting for a lock in vain, spinning. The VMM gives the
 * processor to others for a while if there are any.
 *
 * - spins: how often it has looked
 * - returns: 0
 */
static inline int64_t pv_sched_spin(const void *page, uint32_t spins)
{
    return pv_hypercall(page, PV_CALL_SCHED_SPIN, spins, 0, 0, 0, 0, 0);
}

/*
 * Starts a vCPU that is stopped: it enters `entry` in the state of [the
 * entry](#state-at-entry) but for RSP and RDI, in address space 0, without trap handlers,
 * with upcalls masked.
 *
 * - vcpu: the vCPU
 * - entry: RIP, in the lower half
 * - stack: RSP, in the lower half
 * - argument: RDI
 * - returns: 0
 * - -PV_EINVAL: there is no such vCPU, or an address is not in the lower half
 * - -PV_EBUSY: it is not stopped
 */
static inline int64_t pv_vcpu_start(const void *page, uint32_t vcpu, uint64_t entry,
                                    uint64_t stack, uint64_t argument)
{
    return pv_hypercall(page, PV_CALL_VCPU_START, vcpu, entry, stack, argument, 0, 0);
}

/*
 * Stops a vCPU. When the call returns, it executes nothing. A vCPU that stops itself does
 * not return; when the last one does, the VM ends as by `sched_shutdown` with 0.
 *
 * - vcpu: the vCPU
 * - returns: 0
 * - -PV_EINVAL: there is no such vCPU
 * - -PV_EBUSY: it is stopping this one, or does not leave a call that it waits in
 */
static inline int64_t pv_vcpu_stop(const void *page, uint32_t vcpu)
{
    return pv_hypercall(page, PV_CALL_VCPU_STOP, vcpu, 0, 0, 0, 0, 0);
}

/*
 * Tells the state of a vCPU.
 *
 * - vcpu: the vCPU
 * - returns: `PV_RUN_STATE_*`
 * - -PV_EINVAL: there is no such vCPU
 */
static inline int64_t pv_vcpu_state(const void *page, uint32_t vcpu)
{
    return pv_hypercall(page, PV_CALL_VCPU_STATE, vcpu, 0, 0, 0, 0, 0);
}

/*
 * Asks the host to run a vCPU on some of its processors only, counted from 0 among those
 * that the VM may use. A host may ignore it.
 *
 * - vcpu: the vCPU
 * - set: a `pv_set` of processors, followed by its banks, 8-byte aligned
 * - returns: number of processors of the set that the VM may use; 0: the hint is ignored
 * - -PV_EFAULT: the set is not in RAM or not 8-byte aligned
 * - -PV_EINVAL: there is no such vCPU, `format` is unknown, or `reserved` is not 0
 */
static inline int64_t pv_vcpu_set_affinity_hint(const void *page, uint32_t vcpu,
                                                pv_gpa_t set)
{
    return pv_hypercall(page, PV_CALL_VCPU_SET_AFFINITY_HINT, vcpu, set, 0, 0, 0, 0);
}

/*
 * Takes memory of the host for ranges of RAM, so that touching them costs no fault of the
 * host. Each element is a `pv_range` of guest-physical addresses.
 *
 * - elements: array of `pv_range`, 8-byte aligned
 * - returns: number of elements done, those before the start index included
 * - -PV_EFAULT: the array or a range is not in RAM, or not aligned
 * - -PV_EINVAL: a start or size is not a multiple of the page size, or a size is 0
 * - -PV_E2BIG: a size is above 2 MiB
 * - -PV_ENOMEM: the host has no memory
 */
static inline int64_t pv_mem_populate(const void *page, pv_gpa_t elements)
{
    return pv_hypercall(page, PV_CALL_MEM_POPULATE, elements, 0, 0, 0, 0, 0);
}

/*
 * Gives the memory behind ranges of RAM back to the host. Each element is a `pv_range` of
 * guest-physical addresses. The pages read as zero from then on, and take memory again when
 * they are written.
 *
 * - elements: array of `pv_range`, 8-byte aligned
 * - returns: number of elements done, those before the start index included
 * - -PV_EFAULT: the array or a range is not in RAM, or not aligned
 * - -PV_EINVAL: a start or size is not a multiple of the page size, or a size is 0
 * - -PV_E2BIG: a size is above 2 MiB
 * - -PV_EPERM: a page is sealed, shared or executable
 */
static inline int64_t pv_mem_release(const void *page, pv_gpa_t elements)
{
    return pv_hypercall(page, PV_CALL_MEM_RELEASE, elements, 0, 0, 0, 0, 0);
}

/*
 * Says that what is in ranges of RAM is of no use any more. Each element is a `pv_range` of
 * guest-physical addresses. Until a page is written again, it holds what it held or zeros;
 * the host takes its memory when it needs some.
 *
 * - elements: array of `pv_range`, 8-byte aligned
 * - returns: number of elements done, those before the start index included
 * - -PV_EFAULT: the array or a range is not in RAM, or not aligned
 * - -PV_EINVAL: a start or size is not a multiple of the page size, or a size is 0
 * - -PV_E2BIG: a size is above 2 MiB
 * - -PV_EPERM: a page is sealed, shared or executable
 */
static inline int64_t pv_mem_hint(const void *page, pv_gpa_t elements)
{
    return pv_hypercall(page, PV_CALL_MEM_HINT, elements, 0, 0, 0, 0, 0);
}

/*
 * Grants another guest of the same VMM the use of a range of this guest's RAM.
 *
 * - guest: number of the other guest
 * - gpa: start of the range, a multiple of the page size
 * - size: size in bytes, a multiple of the page size, at most 2 MiB
 * - rights: `PV_RIGHT_READ`, with `PV_RIGHT_WRITE` or not
 * - returns: number of the grant
 * - -PV_ENOENT: there is no such other guest
 * - -PV_EFAULT: the range is not in RAM
 * - -PV_EINVAL: an address or size is not a multiple of the page size, the size is 0, or
 *   the rights are others
 * - -PV_E2BIG: the size is above 2 MiB
 * - -PV_EPERM: a page is executable, or is sealed and the right to write is asked for
 * - -PV_ENOSPC: this guest has `PV_GRANTS` of them
 */
static inline int64_t pv_mem_share(const void *page, uint32_t guest, pv_gpa_t gpa,
                                   uint64_t size, uint32_t rights)
{
    return pv_hypercall(page, PV_CALL_MEM_SHARE, guest, gpa, size, rights, 0, 0);
}

/*
 * Takes a grant back. When the call returns, the other guest can no longer use the range:
 * its mappings of it are gone.
 *
 * - grant: number of the grant
 * - returns: 1 if the other guest had attached it, 0 if not
 * - -PV_ENOENT: this guest has no such grant
 */
static inline int64_t pv_mem_unshare(const void *page, uint32_t grant)
{
    return pv_hypercall(page, PV_CALL_MEM_UNSHARE, grant, 0, 0, 0, 0, 0);
}

/*
 * Attaches a grant of another guest: it gets a guest-physical address, at which `as_map`
 * can map it. Writes a `pv_attachment`.
 *
 * - guest: number of the guest that granted it
 * - grant: number of the grant
 * - out: where the `pv_attachment` goes, 8-byte aligned
 * - returns: 0
 * - -PV_ENOENT: there is no such grant for this guest
 * - -PV_EFAULT: `out` is not in RAM or not 8-byte aligned
 * - -PV_EBUSY: it is attached already
 * - -PV_ENOSPC: this guest has attached `PV_GRANTS` of them
 * - -PV_EIO: the host cannot give the VM so much memory more
 */
static inline int64_t pv_mem_attach(const void *page, uint32_t guest, uint32_t grant,
                                    pv_gpa_t out)
{
    return pv_hypercall(page, PV_CALL_MEM_ATTACH, guest, grant, out, 0, 0, 0);
}

/*
 * Detaches a grant, and removes what is mapped of it.
 *
 * - guest: number of the guest that granted it
 * - grant: number of the grant
 * - returns: 0
 * - -PV_ENOENT: this guest has not attached it
 */
static inline int64_t pv_mem_detach(const void *page, uint32_t guest, uint32_t grant)
{
    return pv_hypercall(page, PV_CALL_MEM_DETACH, guest, grant, 0, 0, 0, 0);
}

/*
 * Lists the grants that other guests offer this one, a `pv_offer` for each, in no order.
 *
 * - out: array of `pv_offer`, 8-byte aligned
 * - count: elements that it has room for, at most 64
 * - returns: number of elements written
 * - -PV_EFAULT: `out` is not in RAM or not 8-byte aligned
 * - -PV_E2BIG: `count` is above 64
 */
static inline int64_t pv_mem_offers(const void *page, pv_gpa_t out, uint32_t count)
{
    return pv_hypercall(page, PV_CALL_MEM_OFFERS, out, count, 0, 0, 0, 0);
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
