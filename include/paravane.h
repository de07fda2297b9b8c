/*
 * The Paravane ABI, version 1.3, for guests written in C11, C++20 or assembly. docs/abi.md
 * is the reference.
 *
 * Generated from pv-abi/src by `cargo run -p pv-abi --features render --example generate`;
 * edit the definitions there.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef PARAVANE_H
#define PARAVANE_H

#ifdef __ASSEMBLER__
#define PV_U64(number) number
#define PV_PIN_SIZE(name, size)
#define PV_PIN_OFFSET(name, field, offset)
#else
#include <stddef.h>
#include <stdint.h>

#if !defined(__x86_64__)
#error "Paravane guests are x86-64 programs"
#endif

#define PV_U64(number) UINT64_C(number)

#ifdef __cplusplus
#define PV_ASSERT(condition, message) static_assert(condition, message)
#else
#define PV_ASSERT(condition, message) _Static_assert(condition, message)
#endif

/* A layout that these refuse is not the published one: the compiler lays structs out
   differently from the x86-64 System V ABI, or packing is in force. */
#define PV_PIN_SIZE(name, size) PV_ASSERT(sizeof(struct name) == (size), "size of " #name)
#define PV_PIN_OFFSET(name, field, offset) \
    PV_ASSERT(offsetof(struct name, field) == (offset), "offset of " #name "." #field)

/* A guest-physical address, in bytes. */
typedef uint64_t pv_gpa_t;
#endif

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
/*
 * A guest-physical address is past the end of RAM, wraps around, or is not aligned; or the
 * call would write there, and the page is sealed.
 */
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
#define PV_FEATURE_BATCH (PV_U64(1) << 0)
/* `core_entropy`: random bytes from the host. */
#define PV_FEATURE_ENTROPY (PV_U64(1) << 1)
/*
 * `trap_set_table`: faults and exceptions enter the guest's own handlers without an exit.
 */
#define PV_FEATURE_TRAP_TABLE (PV_U64(1) << 2)
/*
 * `trap_set_syscall`: the SYSCALL instruction enters the guest's own handler without an
 * exit.
 */
#define PV_FEATURE_SYSCALL_ENTRY (PV_U64(1) << 3)
/* `trap_set_tls`: a thread pointer in the FS base. */
#define PV_FEATURE_TLS (PV_U64(1) << 4)
/* The trap-return entry of the hypercall page: a return from a trap without an exit. */
#define PV_FEATURE_DIRECT_RETURN (PV_U64(1) << 5)
/* `io_console_write` and `io_console_read`. */
#define PV_FEATURE_CONSOLE (PV_U64(1) << 6)
/* `debug_crash_report`: a crash carries a message and registers. */
#define PV_FEATURE_CRASH_REPORT (PV_U64(1) << 7)
/* The `as` group: address spaces. */
#define PV_FEATURE_ADDRESS_SPACES (PV_U64(1) << 8)
/* The `event` group and `trap_set_upcall`. */
#define PV_FEATURE_EVENTS (PV_U64(1) << 9)
/* The clock of the vCPU page, and `time_wallclock`. */
#define PV_FEATURE_CLOCK (PV_U64(1) << 10)
/* `time_oneshot`, `time_periodic`, `time_cancel`. */
#define PV_FEATURE_TIMERS (PV_U64(1) << 11)
/* `sched_block`, `sched_poll`, `sched_kick`, `sched_yield_to`, `sched_spin`. */
#define PV_FEATURE_BLOCKING (PV_U64(1) << 12)
/* The `vcpu` group. */
#define PV_FEATURE_VCPUS (PV_U64(1) << 13)
/* The task entry of the hypercall page. */
#define PV_FEATURE_TASKS (PV_U64(1) << 14)
/* `mem_populate`, `mem_release`, `mem_hint`. */
#define PV_FEATURE_BALLOON (PV_U64(1) << 15)
/* `mem_share` and the other calls of grants. */
#define PV_FEATURE_GRANTS (PV_U64(1) << 16)
/* `trap_set_debug`. */
#define PV_FEATURE_DEBUG_REGISTERS (PV_U64(1) << 17)
/* `deferred` of the vCPU page. */
#define PV_FEATURE_DEFERRED (PV_U64(1) << 18)
/* The devices of the start-info page, and the calls for them. */
#define PV_FEATURE_DEVICES (PV_U64(1) << 19)
/*
 * `PV_EVENT_SOURCE_RESTORED`, and `restored` of the vCPU page: a guest that goes on from a
 * snapshot learns of it.
 */
#define PV_FEATURE_RESTORED (PV_U64(1) << 20)

/*
 * Major version of the ABI. A VMM refuses an image that was built for a newer one; a
 * changed layout or number needs a new one.
 */
#define PV_ABI_MAJOR 1
/* Minor version of the ABI. It grows when calls, fields or feature bits are added. */
#define PV_ABI_MINOR 3

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
#define PV_CALL_ENTRY_OFFSET PV_U64(0)
/*
 * Offset of the trap-return entry in the hypercall page: a guest jumps to it with RSP at an
 * interrupt return frame (RIP, CS, RFLAGS, RSP, SS, each 8 bytes) whose CS and SS are those
 * of the trap. It needs no exit. It starts with ENDBR64.
 */
#define PV_TRAP_RETURN_OFFSET PV_U64(0x80)
/*
 * Offset of the task entry in the hypercall page: a guest jumps to it to run a task, with
 * `upcall_mask` at 1, the task's RIP, RFLAGS, RSP, RCX and R11 in `task` of the vCPU page,
 * and all its other registers in place. The task runs in the current address space, at
 * privilege level 3, with upcalls unmasked, until it traps, makes a system call, or an
 * upcall is delivered. It needs no exit. It starts with ENDBR64.
 */
#define PV_TASK_ENTRY_OFFSET PV_U64(0xc0)
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
 * | `PV_TASK_AREA_START` | the tasks of an address space | as the guest maps it |
 * | `PV_LINEAR_MAP_BASE` | all of RAM | RW, read-only where the image is not writable; never executable |
 * | `PV_STACKS_BASE` | boot and trap stacks, a guard page below each | RW |
 * | `PV_SHARED_PAGES_BASE` | start-info (R), hypercall page (RX), vCPU pages (RW) | as said |
 * | `PV_MONITOR_BASE` | the VMM's monitor | none for the guest |
 */

/* Size of a page, in bytes. */
#define PV_PAGE_SIZE PV_U64(4096)
/*
 * Lowest virtual address an image's segment may have. Below it nothing is ever mapped, so
 * that a null pointer faults.
 */
#define PV_IMAGE_LOWEST PV_U64(0x10000)
/* Where the linear map of RAM begins. */
#define PV_LINEAR_MAP_BASE PV_U64(0x400000000000)
/*
 * Where the stacks of vCPU 0 begin; those of vCPU `n` are `n *` `PV_STACKS_STRIDE` further.
 */
#define PV_STACKS_BASE PV_U64(0x600000000000)
/* Distance between the stacks of two vCPUs. */
#define PV_STACKS_STRIDE PV_U64(0x100000000)
/* Where the pages begin that the VMM shares with the guest. */
#define PV_SHARED_PAGES_BASE PV_U64(0x700000000000)
/* Where the VMM's monitor begins, which the guest can neither read nor write. */
#define PV_MONITOR_BASE PV_U64(0x7e0000000000)
/* One past the highest address of the lower half. */
#define PV_LOWER_HALF_END PV_U64(0x800000000000)

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
#define PV_STACK_SIZE_MIN PV_U64(16384)
/* Largest boot stack, in bytes. */
#define PV_STACK_SIZE_MAX PV_U64(0x4000000)

/* What an image says about itself. */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_IMAGE_NOTE 80
#define PV_OFFSET_IMAGE_NOTE_ABI_MAJOR 0
#define PV_OFFSET_IMAGE_NOTE_ABI_MINOR 2
#define PV_OFFSET_IMAGE_NOTE_RESERVED 4
#define PV_OFFSET_IMAGE_NOTE_REQUIRED_FEATURES 8
#define PV_OFFSET_IMAGE_NOTE_WANTED_FEATURES 16
#define PV_OFFSET_IMAGE_NOTE_MINIMUM_MEMORY 24
#define PV_OFFSET_IMAGE_NOTE_MINIMUM_VCPUS 32
#define PV_OFFSET_IMAGE_NOTE_MAXIMUM_VCPUS 36
#define PV_OFFSET_IMAGE_NOTE_STACK_SIZE 40
#define PV_OFFSET_IMAGE_NOTE_NAME 48
PV_PIN_SIZE(pv_image_note, PV_SIZE_IMAGE_NOTE);
PV_PIN_OFFSET(pv_image_note, abi_major, PV_OFFSET_IMAGE_NOTE_ABI_MAJOR);
PV_PIN_OFFSET(pv_image_note, abi_minor, PV_OFFSET_IMAGE_NOTE_ABI_MINOR);
PV_PIN_OFFSET(pv_image_note, reserved, PV_OFFSET_IMAGE_NOTE_RESERVED);
PV_PIN_OFFSET(pv_image_note, required_features, PV_OFFSET_IMAGE_NOTE_REQUIRED_FEATURES);
PV_PIN_OFFSET(pv_image_note, wanted_features, PV_OFFSET_IMAGE_NOTE_WANTED_FEATURES);
PV_PIN_OFFSET(pv_image_note, minimum_memory, PV_OFFSET_IMAGE_NOTE_MINIMUM_MEMORY);
PV_PIN_OFFSET(pv_image_note, minimum_vcpus, PV_OFFSET_IMAGE_NOTE_MINIMUM_VCPUS);
PV_PIN_OFFSET(pv_image_note, maximum_vcpus, PV_OFFSET_IMAGE_NOTE_MAXIMUM_VCPUS);
PV_PIN_OFFSET(pv_image_note, stack_size, PV_OFFSET_IMAGE_NOTE_STACK_SIZE);
PV_PIN_OFFSET(pv_image_note, name, PV_OFFSET_IMAGE_NOTE_NAME);

/* The start-info page: what a guest is told at entry (RDI points to it). Read-only. */

/* `pv_start_info.magic`: the ASCII bytes `PARAVANE`. */
#define PV_START_INFO_MAGIC PV_U64(0x454e415641524150)
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
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_MEMORY_REGION 32
#define PV_OFFSET_MEMORY_REGION_GPA 0
#define PV_OFFSET_MEMORY_REGION_SIZE 8
#define PV_OFFSET_MEMORY_REGION_ADDRESS 16
#define PV_OFFSET_MEMORY_REGION_KIND 24
#define PV_OFFSET_MEMORY_REGION_RIGHTS 28
PV_PIN_SIZE(pv_memory_region, PV_SIZE_MEMORY_REGION);
PV_PIN_OFFSET(pv_memory_region, gpa, PV_OFFSET_MEMORY_REGION_GPA);
PV_PIN_OFFSET(pv_memory_region, size, PV_OFFSET_MEMORY_REGION_SIZE);
PV_PIN_OFFSET(pv_memory_region, address, PV_OFFSET_MEMORY_REGION_ADDRESS);
PV_PIN_OFFSET(pv_memory_region, kind, PV_OFFSET_MEMORY_REGION_KIND);
PV_PIN_OFFSET(pv_memory_region, rights, PV_OFFSET_MEMORY_REGION_RIGHTS);

/*
 * What a guest is told at entry. Addresses are virtual unless their name ends in `gpa`.
 *
 * The first bytes of a 4096-byte page whose rest is zero.
 */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_START_INFO 4032
#define PV_OFFSET_START_INFO_MAGIC 0
#define PV_OFFSET_START_INFO_ABI_MAJOR 8
#define PV_OFFSET_START_INFO_ABI_MINOR 10
#define PV_OFFSET_START_INFO_SIZE 12
#define PV_OFFSET_START_INFO_FEATURES 16
#define PV_OFFSET_START_INFO_PRIVILEGE 24
#define PV_OFFSET_START_INFO_VCPUS 28
#define PV_OFFSET_START_INFO_TSC_FREQUENCY 32
#define PV_OFFSET_START_INFO_RAM_SIZE 40
#define PV_OFFSET_START_INFO_LINEAR_MAP 48
#define PV_OFFSET_START_INFO_HYPERCALL_PAGE 56
#define PV_OFFSET_START_INFO_VCPU_PAGES 64
#define PV_OFFSET_START_INFO_VCPU_PAGE_STRIDE 72
#define PV_OFFSET_START_INFO_COMMAND_LINE 80
#define PV_OFFSET_START_INFO_COMMAND_LINE_SIZE 88
#define PV_OFFSET_START_INFO_INITRD_GPA 96
#define PV_OFFSET_START_INFO_INITRD_SIZE 104
#define PV_OFFSET_START_INFO_ENTROPY 112
#define PV_OFFSET_START_INFO_DEVICES 144
#define PV_OFFSET_START_INFO_DEVICE_COUNT 152
#define PV_OFFSET_START_INFO_DOORBELL_PORT 156
#define PV_OFFSET_START_INFO_DOORBELL_COUNT 158
#define PV_OFFSET_START_INFO_MEMORY_MAP_COUNT 160
#define PV_OFFSET_START_INFO_MEMORY_MAP 168
#define PV_OFFSET_START_INFO_EVENT_PAGE 4008
#define PV_OFFSET_START_INFO_GUEST 4016
#define PV_OFFSET_START_INFO_GUESTS 4020
#define PV_OFFSET_START_INFO_HOST_PROCESSORS 4024
#define PV_OFFSET_START_INFO_RESERVED 4028
PV_PIN_SIZE(pv_start_info, PV_SIZE_START_INFO);
PV_PIN_OFFSET(pv_start_info, magic, PV_OFFSET_START_INFO_MAGIC);
PV_PIN_OFFSET(pv_start_info, abi_major, PV_OFFSET_START_INFO_ABI_MAJOR);
PV_PIN_OFFSET(pv_start_info, abi_minor, PV_OFFSET_START_INFO_ABI_MINOR);
PV_PIN_OFFSET(pv_start_info, size, PV_OFFSET_START_INFO_SIZE);
PV_PIN_OFFSET(pv_start_info, features, PV_OFFSET_START_INFO_FEATURES);
PV_PIN_OFFSET(pv_start_info, privilege, PV_OFFSET_START_INFO_PRIVILEGE);
PV_PIN_OFFSET(pv_start_info, vcpus, PV_OFFSET_START_INFO_VCPUS);
PV_PIN_OFFSET(pv_start_info, tsc_frequency, PV_OFFSET_START_INFO_TSC_FREQUENCY);
PV_PIN_OFFSET(pv_start_info, ram_size, PV_OFFSET_START_INFO_RAM_SIZE);
PV_PIN_OFFSET(pv_start_info, linear_map, PV_OFFSET_START_INFO_LINEAR_MAP);
PV_PIN_OFFSET(pv_start_info, hypercall_page, PV_OFFSET_START_INFO_HYPERCALL_PAGE);
PV_PIN_OFFSET(pv_start_info, vcpu_pages, PV_OFFSET_START_INFO_VCPU_PAGES);
PV_PIN_OFFSET(pv_start_info, vcpu_page_stride, PV_OFFSET_START_INFO_VCPU_PAGE_STRIDE);
PV_PIN_OFFSET(pv_start_info, command_line, PV_OFFSET_START_INFO_COMMAND_LINE);
PV_PIN_OFFSET(pv_start_info, command_line_size, PV_OFFSET_START_INFO_COMMAND_LINE_SIZE);
PV_PIN_OFFSET(pv_start_info, initrd_gpa, PV_OFFSET_START_INFO_INITRD_GPA);
PV_PIN_OFFSET(pv_start_info, initrd_size, PV_OFFSET_START_INFO_INITRD_SIZE);
PV_PIN_OFFSET(pv_start_info, entropy, PV_OFFSET_START_INFO_ENTROPY);
PV_PIN_OFFSET(pv_start_info, devices, PV_OFFSET_START_INFO_DEVICES);
PV_PIN_OFFSET(pv_start_info, device_count, PV_OFFSET_START_INFO_DEVICE_COUNT);
PV_PIN_OFFSET(pv_start_info, doorbell_port, PV_OFFSET_START_INFO_DOORBELL_PORT);
PV_PIN_OFFSET(pv_start_info, doorbell_count, PV_OFFSET_START_INFO_DOORBELL_COUNT);
PV_PIN_OFFSET(pv_start_info, memory_map_count, PV_OFFSET_START_INFO_MEMORY_MAP_COUNT);
PV_PIN_OFFSET(pv_start_info, memory_map, PV_OFFSET_START_INFO_MEMORY_MAP);
PV_PIN_OFFSET(pv_start_info, event_page, PV_OFFSET_START_INFO_EVENT_PAGE);
PV_PIN_OFFSET(pv_start_info, guest, PV_OFFSET_START_INFO_GUEST);
PV_PIN_OFFSET(pv_start_info, guests, PV_OFFSET_START_INFO_GUESTS);
PV_PIN_OFFSET(pv_start_info, host_processors, PV_OFFSET_START_INFO_HOST_PROCESSORS);
PV_PIN_OFFSET(pv_start_info, reserved, PV_OFFSET_START_INFO_RESERVED);

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
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_TRAP_STATE 112
#define PV_OFFSET_TRAP_STATE_BUSY 0
#define PV_OFFSET_TRAP_STATE_VECTOR 4
#define PV_OFFSET_TRAP_STATE_CR2 8
#define PV_OFFSET_TRAP_STATE_RESERVED 16
#define PV_OFFSET_TRAP_STATE_FROM_TASK 24
#define PV_OFFSET_TRAP_STATE_RESERVED1 32
#define PV_OFFSET_TRAP_STATE_ERROR 64
#define PV_OFFSET_TRAP_STATE_RIP 72
#define PV_OFFSET_TRAP_STATE_CS 80
#define PV_OFFSET_TRAP_STATE_RFLAGS 88
#define PV_OFFSET_TRAP_STATE_RSP 96
#define PV_OFFSET_TRAP_STATE_SS 104
PV_PIN_SIZE(pv_trap_state, PV_SIZE_TRAP_STATE);
PV_PIN_OFFSET(pv_trap_state, busy, PV_OFFSET_TRAP_STATE_BUSY);
PV_PIN_OFFSET(pv_trap_state, vector, PV_OFFSET_TRAP_STATE_VECTOR);
PV_PIN_OFFSET(pv_trap_state, cr2, PV_OFFSET_TRAP_STATE_CR2);
PV_PIN_OFFSET(pv_trap_state, reserved, PV_OFFSET_TRAP_STATE_RESERVED);
PV_PIN_OFFSET(pv_trap_state, from_task, PV_OFFSET_TRAP_STATE_FROM_TASK);
PV_PIN_OFFSET(pv_trap_state, reserved1, PV_OFFSET_TRAP_STATE_RESERVED1);
PV_PIN_OFFSET(pv_trap_state, error, PV_OFFSET_TRAP_STATE_ERROR);
PV_PIN_OFFSET(pv_trap_state, rip, PV_OFFSET_TRAP_STATE_RIP);
PV_PIN_OFFSET(pv_trap_state, cs, PV_OFFSET_TRAP_STATE_CS);
PV_PIN_OFFSET(pv_trap_state, rflags, PV_OFFSET_TRAP_STATE_RFLAGS);
PV_PIN_OFFSET(pv_trap_state, rsp, PV_OFFSET_TRAP_STATE_RSP);
PV_PIN_OFFSET(pv_trap_state, ss, PV_OFFSET_TRAP_STATE_SS);

/* One entry of the table that `trap_set_table` takes. */
#ifndef __ASSEMBLER__
struct pv_trap_handler {
    /*
     * Virtual address of the handler; 0 for none (such a trap ends the guest as a crash).
     */
    uint64_t handler;
    /* Zero. */
    uint64_t flags;
};
#endif
#define PV_SIZE_TRAP_HANDLER 16
#define PV_OFFSET_TRAP_HANDLER_HANDLER 0
#define PV_OFFSET_TRAP_HANDLER_FLAGS 8
PV_PIN_SIZE(pv_trap_handler, PV_SIZE_TRAP_HANDLER);
PV_PIN_OFFSET(pv_trap_handler, handler, PV_OFFSET_TRAP_HANDLER_HANDLER);
PV_PIN_OFFSET(pv_trap_handler, flags, PV_OFFSET_TRAP_HANDLER_FLAGS);

/* Breakpoints: what `trap_set_debug` takes (Intel SDM vol. 3B, 18.2). */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_DEBUG_REGISTERS 64
#define PV_OFFSET_DEBUG_REGISTERS_ADDRESS 0
#define PV_OFFSET_DEBUG_REGISTERS_CONTROL 32
#define PV_OFFSET_DEBUG_REGISTERS_RESERVED 40
PV_PIN_SIZE(pv_debug_registers, PV_SIZE_DEBUG_REGISTERS);
PV_PIN_OFFSET(pv_debug_registers, address, PV_OFFSET_DEBUG_REGISTERS_ADDRESS);
PV_PIN_OFFSET(pv_debug_registers, control, PV_OFFSET_DEBUG_REGISTERS_CONTROL);
PV_PIN_OFFSET(pv_debug_registers, reserved, PV_OFFSET_DEBUG_REGISTERS_RESERVED);

/*
 * All registers of interrupted code: what a handler saves, what `trap_return` restores and
 * what a crash report shows.
 */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_TRAP_FRAME 184
#define PV_OFFSET_TRAP_FRAME_R15 0
#define PV_OFFSET_TRAP_FRAME_R14 8
#define PV_OFFSET_TRAP_FRAME_R13 16
#define PV_OFFSET_TRAP_FRAME_R12 24
#define PV_OFFSET_TRAP_FRAME_R11 32
#define PV_OFFSET_TRAP_FRAME_R10 40
#define PV_OFFSET_TRAP_FRAME_R9 48
#define PV_OFFSET_TRAP_FRAME_R8 56
#define PV_OFFSET_TRAP_FRAME_RDI 64
#define PV_OFFSET_TRAP_FRAME_RSI 72
#define PV_OFFSET_TRAP_FRAME_RBP 80
#define PV_OFFSET_TRAP_FRAME_RBX 88
#define PV_OFFSET_TRAP_FRAME_RDX 96
#define PV_OFFSET_TRAP_FRAME_RCX 104
#define PV_OFFSET_TRAP_FRAME_RAX 112
#define PV_OFFSET_TRAP_FRAME_VECTOR 120
#define PV_OFFSET_TRAP_FRAME_CR2 128
#define PV_OFFSET_TRAP_FRAME_ERROR 136
#define PV_OFFSET_TRAP_FRAME_RIP 144
#define PV_OFFSET_TRAP_FRAME_CS 152
#define PV_OFFSET_TRAP_FRAME_RFLAGS 160
#define PV_OFFSET_TRAP_FRAME_RSP 168
#define PV_OFFSET_TRAP_FRAME_SS 176
PV_PIN_SIZE(pv_trap_frame, PV_SIZE_TRAP_FRAME);
PV_PIN_OFFSET(pv_trap_frame, r15, PV_OFFSET_TRAP_FRAME_R15);
PV_PIN_OFFSET(pv_trap_frame, r14, PV_OFFSET_TRAP_FRAME_R14);
PV_PIN_OFFSET(pv_trap_frame, r13, PV_OFFSET_TRAP_FRAME_R13);
PV_PIN_OFFSET(pv_trap_frame, r12, PV_OFFSET_TRAP_FRAME_R12);
PV_PIN_OFFSET(pv_trap_frame, r11, PV_OFFSET_TRAP_FRAME_R11);
PV_PIN_OFFSET(pv_trap_frame, r10, PV_OFFSET_TRAP_FRAME_R10);
PV_PIN_OFFSET(pv_trap_frame, r9, PV_OFFSET_TRAP_FRAME_R9);
PV_PIN_OFFSET(pv_trap_frame, r8, PV_OFFSET_TRAP_FRAME_R8);
PV_PIN_OFFSET(pv_trap_frame, rdi, PV_OFFSET_TRAP_FRAME_RDI);
PV_PIN_OFFSET(pv_trap_frame, rsi, PV_OFFSET_TRAP_FRAME_RSI);
PV_PIN_OFFSET(pv_trap_frame, rbp, PV_OFFSET_TRAP_FRAME_RBP);
PV_PIN_OFFSET(pv_trap_frame, rbx, PV_OFFSET_TRAP_FRAME_RBX);
PV_PIN_OFFSET(pv_trap_frame, rdx, PV_OFFSET_TRAP_FRAME_RDX);
PV_PIN_OFFSET(pv_trap_frame, rcx, PV_OFFSET_TRAP_FRAME_RCX);
PV_PIN_OFFSET(pv_trap_frame, rax, PV_OFFSET_TRAP_FRAME_RAX);
PV_PIN_OFFSET(pv_trap_frame, vector, PV_OFFSET_TRAP_FRAME_VECTOR);
PV_PIN_OFFSET(pv_trap_frame, cr2, PV_OFFSET_TRAP_FRAME_CR2);
PV_PIN_OFFSET(pv_trap_frame, error, PV_OFFSET_TRAP_FRAME_ERROR);
PV_PIN_OFFSET(pv_trap_frame, rip, PV_OFFSET_TRAP_FRAME_RIP);
PV_PIN_OFFSET(pv_trap_frame, cs, PV_OFFSET_TRAP_FRAME_CS);
PV_PIN_OFFSET(pv_trap_frame, rflags, PV_OFFSET_TRAP_FRAME_RFLAGS);
PV_PIN_OFFSET(pv_trap_frame, rsp, PV_OFFSET_TRAP_FRAME_RSP);
PV_PIN_OFFSET(pv_trap_frame, ss, PV_OFFSET_TRAP_FRAME_SS);

/* What `core_stats` and `core_batch` exchange through memory. */

/* Most elements of a batch. */
#define PV_BATCH_MAX 512
/* `core_batch` flag: stop behind the first element that fails. */
#define PV_BATCH_STOP_ON_ERROR 1

/* What `core_stats` writes: counters of the calling vCPU since the VM started. */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_STATS 32
#define PV_OFFSET_STATS_EXITS 0
#define PV_OFFSET_STATS_HYPERCALLS 8
#define PV_OFFSET_STATS_FAILED_HYPERCALLS 16
#define PV_OFFSET_STATS_BATCHED_CALLS 24
PV_PIN_SIZE(pv_stats, PV_SIZE_STATS);
PV_PIN_OFFSET(pv_stats, exits, PV_OFFSET_STATS_EXITS);
PV_PIN_OFFSET(pv_stats, hypercalls, PV_OFFSET_STATS_HYPERCALLS);
PV_PIN_OFFSET(pv_stats, failed_hypercalls, PV_OFFSET_STATS_FAILED_HYPERCALLS);
PV_PIN_OFFSET(pv_stats, batched_calls, PV_OFFSET_STATS_BATCHED_CALLS);

/* One element of a batch. */
#ifndef __ASSEMBLER__
struct pv_batch_entry {
    /* The call word, as in RAX. */
    uint64_t word;
    /* The arguments, as in RDI, RSI, RDX, R10, R8 and R9. */
    uint64_t arguments[6];
    /* VMM: the result, as in RAX. Only elements that were carried out have one. */
    int64_t result;
};
#endif
#define PV_SIZE_BATCH_ENTRY 64
#define PV_OFFSET_BATCH_ENTRY_WORD 0
#define PV_OFFSET_BATCH_ENTRY_ARGUMENTS 8
#define PV_OFFSET_BATCH_ENTRY_RESULT 56
PV_PIN_SIZE(pv_batch_entry, PV_SIZE_BATCH_ENTRY);
PV_PIN_OFFSET(pv_batch_entry, word, PV_OFFSET_BATCH_ENTRY_WORD);
PV_PIN_OFFSET(pv_batch_entry, arguments, PV_OFFSET_BATCH_ENTRY_ARGUMENTS);
PV_PIN_OFFSET(pv_batch_entry, result, PV_OFFSET_BATCH_ENTRY_RESULT);

/*
 * The vCPU page: one per vCPU, read-write for the guest, found through the GS base.
 *
 * Each field is marked by who writes it. The VMM trusts nothing that it reads here.
 */

/* Distance between two vCPU pages, and the size of one, in bytes. */
#define PV_VCPU_PAGE_SIZE PV_U64(4096)
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
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_TASK_STATE 64
#define PV_OFFSET_TASK_STATE_RIP 0
#define PV_OFFSET_TASK_STATE_RFLAGS 8
#define PV_OFFSET_TASK_STATE_RSP 16
#define PV_OFFSET_TASK_STATE_RCX 24
#define PV_OFFSET_TASK_STATE_R11 32
#define PV_OFFSET_TASK_STATE_RESERVED 40
PV_PIN_SIZE(pv_task_state, PV_SIZE_TASK_STATE);
PV_PIN_OFFSET(pv_task_state, rip, PV_OFFSET_TASK_STATE_RIP);
PV_PIN_OFFSET(pv_task_state, rflags, PV_OFFSET_TASK_STATE_RFLAGS);
PV_PIN_OFFSET(pv_task_state, rsp, PV_OFFSET_TASK_STATE_RSP);
PV_PIN_OFFSET(pv_task_state, rcx, PV_OFFSET_TASK_STATE_RCX);
PV_PIN_OFFSET(pv_task_state, r11, PV_OFFSET_TASK_STATE_R11);
PV_PIN_OFFSET(pv_task_state, reserved, PV_OFFSET_TASK_STATE_RESERVED);

/*
 * The clock of a vCPU, in the layout of `struct pvclock_vcpu_time_info` (Linux,
 * `arch/x86/include/asm/pvclock-abi.h`).
 */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_CLOCK 32
#define PV_OFFSET_CLOCK_VERSION 0
#define PV_OFFSET_CLOCK_RESERVED 4
#define PV_OFFSET_CLOCK_TSC_TIMESTAMP 8
#define PV_OFFSET_CLOCK_SYSTEM_TIME 16
#define PV_OFFSET_CLOCK_TSC_TO_SYSTEM_MUL 24
#define PV_OFFSET_CLOCK_TSC_SHIFT 28
#define PV_OFFSET_CLOCK_FLAGS 29
#define PV_OFFSET_CLOCK_PADDING 30
PV_PIN_SIZE(pv_clock, PV_SIZE_CLOCK);
PV_PIN_OFFSET(pv_clock, version, PV_OFFSET_CLOCK_VERSION);
PV_PIN_OFFSET(pv_clock, reserved, PV_OFFSET_CLOCK_RESERVED);
PV_PIN_OFFSET(pv_clock, tsc_timestamp, PV_OFFSET_CLOCK_TSC_TIMESTAMP);
PV_PIN_OFFSET(pv_clock, system_time, PV_OFFSET_CLOCK_SYSTEM_TIME);
PV_PIN_OFFSET(pv_clock, tsc_to_system_mul, PV_OFFSET_CLOCK_TSC_TO_SYSTEM_MUL);
PV_PIN_OFFSET(pv_clock, tsc_shift, PV_OFFSET_CLOCK_TSC_SHIFT);
PV_PIN_OFFSET(pv_clock, flags, PV_OFFSET_CLOCK_FLAGS);
PV_PIN_OFFSET(pv_clock, padding, PV_OFFSET_CLOCK_PADDING);

/* The vCPU page. */
#ifndef __ASSEMBLER__
struct pv_vcpu_page {
    /* VMM: virtual address of this page, so that `mov rax, gs:[0]` finds it. */
    uint64_t self_address;
    /* VMM: number of this vCPU. */
    uint32_t vcpu_id;
    /*
     * Guest: non-zero while no upcall may be delivered. 1 at entry; the VMM sets it to 1
     * when it delivers an upcall and when a task is interrupted, and 0 when a task is
     * entered.
     */
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
    /*
     * VMM: how often the VM has gone on from a snapshot. Others may go on from the same
     * one: a guest that sees this change has random numbers, keys and names that are not
     * its own any more.
     */
    uint32_t restored;
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
#endif
#define PV_SIZE_VCPU_PAGE 4096
#define PV_OFFSET_VCPU_PAGE_SELF_ADDRESS 0
#define PV_OFFSET_VCPU_PAGE_VCPU_ID 8
#define PV_OFFSET_VCPU_PAGE_UPCALL_MASK 12
#define PV_OFFSET_VCPU_PAGE_UPCALL_PENDING 13
#define PV_OFFSET_VCPU_PAGE_RESERVED0 14
#define PV_OFFSET_VCPU_PAGE_EVENT_SELECTOR 16
#define PV_OFFSET_VCPU_PAGE_DEADLINE 24
#define PV_OFFSET_VCPU_PAGE_STEAL_TIME 32
#define PV_OFFSET_VCPU_PAGE_RUN_STATE 40
#define PV_OFFSET_VCPU_PAGE_RESTORED 44
#define PV_OFFSET_VCPU_PAGE_RESERVED3 48
#define PV_OFFSET_VCPU_PAGE_CLOCK 64
#define PV_OFFSET_VCPU_PAGE_RESERVED2 96
#define PV_OFFSET_VCPU_PAGE_BOOT_STACK_TOP 128
#define PV_OFFSET_VCPU_PAGE_BOOT_STACK_SIZE 136
#define PV_OFFSET_VCPU_PAGE_TRAP_STACK_TOP 144
#define PV_OFFSET_VCPU_PAGE_TRAP_STACK_SIZE 152
#define PV_OFFSET_VCPU_PAGE_GUEST 160
#define PV_OFFSET_VCPU_PAGE_CALL 224
#define PV_OFFSET_VCPU_PAGE_TRAP 288
#define PV_OFFSET_VCPU_PAGE_TASK 400
#define PV_OFFSET_VCPU_PAGE_DEFERRED_COUNT 464
#define PV_OFFSET_VCPU_PAGE_RESERVED4 468
#define PV_OFFSET_VCPU_PAGE_RESERVED5 472
#define PV_OFFSET_VCPU_PAGE_DEFERRED 2048
PV_PIN_SIZE(pv_vcpu_page, PV_SIZE_VCPU_PAGE);
PV_PIN_OFFSET(pv_vcpu_page, self_address, PV_OFFSET_VCPU_PAGE_SELF_ADDRESS);
PV_PIN_OFFSET(pv_vcpu_page, vcpu_id, PV_OFFSET_VCPU_PAGE_VCPU_ID);
PV_PIN_OFFSET(pv_vcpu_page, upcall_mask, PV_OFFSET_VCPU_PAGE_UPCALL_MASK);
PV_PIN_OFFSET(pv_vcpu_page, upcall_pending, PV_OFFSET_VCPU_PAGE_UPCALL_PENDING);
PV_PIN_OFFSET(pv_vcpu_page, reserved0, PV_OFFSET_VCPU_PAGE_RESERVED0);
PV_PIN_OFFSET(pv_vcpu_page, event_selector, PV_OFFSET_VCPU_PAGE_EVENT_SELECTOR);
PV_PIN_OFFSET(pv_vcpu_page, deadline, PV_OFFSET_VCPU_PAGE_DEADLINE);
PV_PIN_OFFSET(pv_vcpu_page, steal_time, PV_OFFSET_VCPU_PAGE_STEAL_TIME);
PV_PIN_OFFSET(pv_vcpu_page, run_state, PV_OFFSET_VCPU_PAGE_RUN_STATE);
PV_PIN_OFFSET(pv_vcpu_page, restored, PV_OFFSET_VCPU_PAGE_RESTORED);
PV_PIN_OFFSET(pv_vcpu_page, reserved3, PV_OFFSET_VCPU_PAGE_RESERVED3);
PV_PIN_OFFSET(pv_vcpu_page, clock, PV_OFFSET_VCPU_PAGE_CLOCK);
PV_PIN_OFFSET(pv_vcpu_page, reserved2, PV_OFFSET_VCPU_PAGE_RESERVED2);
PV_PIN_OFFSET(pv_vcpu_page, boot_stack_top, PV_OFFSET_VCPU_PAGE_BOOT_STACK_TOP);
PV_PIN_OFFSET(pv_vcpu_page, boot_stack_size, PV_OFFSET_VCPU_PAGE_BOOT_STACK_SIZE);
PV_PIN_OFFSET(pv_vcpu_page, trap_stack_top, PV_OFFSET_VCPU_PAGE_TRAP_STACK_TOP);
PV_PIN_OFFSET(pv_vcpu_page, trap_stack_size, PV_OFFSET_VCPU_PAGE_TRAP_STACK_SIZE);
PV_PIN_OFFSET(pv_vcpu_page, guest, PV_OFFSET_VCPU_PAGE_GUEST);
PV_PIN_OFFSET(pv_vcpu_page, call, PV_OFFSET_VCPU_PAGE_CALL);
PV_PIN_OFFSET(pv_vcpu_page, trap, PV_OFFSET_VCPU_PAGE_TRAP);
PV_PIN_OFFSET(pv_vcpu_page, task, PV_OFFSET_VCPU_PAGE_TASK);
PV_PIN_OFFSET(pv_vcpu_page, deferred_count, PV_OFFSET_VCPU_PAGE_DEFERRED_COUNT);
PV_PIN_OFFSET(pv_vcpu_page, reserved4, PV_OFFSET_VCPU_PAGE_RESERVED4);
PV_PIN_OFFSET(pv_vcpu_page, reserved5, PV_OFFSET_VCPU_PAGE_RESERVED5);
PV_PIN_OFFSET(pv_vcpu_page, deferred, PV_OFFSET_VCPU_PAGE_DEFERRED);

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
#define PV_TASK_AREA_START PV_U64(0x8000000000)
/* One past the end of the task area. */
#define PV_TASK_AREA_END PV_U64(0x400000000000)
/* Size of a large page, in bytes. */
#define PV_LARGE_PAGE_SIZE PV_U64(0x200000)
/* How many address spaces a VM can have, the kernel's included. */
#define PV_ADDRESS_SPACES 1024
/* `pv_translation.flags`: the page is sealed. */
#define PV_TRANSLATION_SEALED 1
/* `pv_translation.flags`: tasks can use the page. */
#define PV_TRANSLATION_TASK 2

/* An element of `as_map` and `as_protect`. */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_MAPPING 32
#define PV_OFFSET_MAPPING_ADDRESS 0
#define PV_OFFSET_MAPPING_GPA 8
#define PV_OFFSET_MAPPING_SIZE 16
#define PV_OFFSET_MAPPING_RIGHTS 24
#define PV_OFFSET_MAPPING_RESERVED 28
PV_PIN_SIZE(pv_mapping, PV_SIZE_MAPPING);
PV_PIN_OFFSET(pv_mapping, address, PV_OFFSET_MAPPING_ADDRESS);
PV_PIN_OFFSET(pv_mapping, gpa, PV_OFFSET_MAPPING_GPA);
PV_PIN_OFFSET(pv_mapping, size, PV_OFFSET_MAPPING_SIZE);
PV_PIN_OFFSET(pv_mapping, rights, PV_OFFSET_MAPPING_RIGHTS);
PV_PIN_OFFSET(pv_mapping, reserved, PV_OFFSET_MAPPING_RESERVED);

/*
 * A range of addresses: virtual for `as_unmap` and `as_seal`, guest-physical for the calls
 * of the `mem` group.
 */
#ifndef __ASSEMBLER__
struct pv_range {
    /* First address; a multiple of the page size. */
    uint64_t start;
    /* Size in bytes; a multiple of the page size. */
    uint64_t size;
};
#endif
#define PV_SIZE_RANGE 16
#define PV_OFFSET_RANGE_START 0
#define PV_OFFSET_RANGE_SIZE 8
PV_PIN_SIZE(pv_range, PV_SIZE_RANGE);
PV_PIN_OFFSET(pv_range, start, PV_OFFSET_RANGE_START);
PV_PIN_OFFSET(pv_range, size, PV_OFFSET_RANGE_SIZE);

/* How an address is mapped: what `as_query` writes. */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_TRANSLATION 24
#define PV_OFFSET_TRANSLATION_GPA 0
#define PV_OFFSET_TRANSLATION_PAGE_SIZE 8
#define PV_OFFSET_TRANSLATION_RIGHTS 16
#define PV_OFFSET_TRANSLATION_FLAGS 20
PV_PIN_SIZE(pv_translation, PV_SIZE_TRANSLATION);
PV_PIN_OFFSET(pv_translation, gpa, PV_OFFSET_TRANSLATION_GPA);
PV_PIN_OFFSET(pv_translation, page_size, PV_OFFSET_TRANSLATION_PAGE_SIZE);
PV_PIN_OFFSET(pv_translation, rights, PV_OFFSET_TRANSLATION_RIGHTS);
PV_PIN_OFFSET(pv_translation, flags, PV_OFFSET_TRANSLATION_FLAGS);

/*
 * Events: 4096 ports, in memory that guest and VMM share.
 *
 * The event page has a bit for each port: *pending*, which whoever raises the port sets and
 * the guest clears, and *mask*, which the guest sets while it does not want to be told.
 * Each vCPU page has a *selector* with a bit for each word of 64 ports, and
 * `upcall_pending`. All are changed by atomic instructions, in these orders:
 *
 * - To raise a port: set *pending*; if it was set, stop. If *mask* is set, stop. Set the
 *   word's bit in the selector of the vCPU that is the port's now, then `upcall_pending`;
 *   if that was clear, and `upcall_mask` is 0, an upcall follows.
 * - To take events: clear `upcall_pending`. As long as the selector has a bit, look at
 *   the word of the lowest one, and clear *pending* of its lowest port that is pending and
 *   not masked: whoever cleared it has the event. If there is none, clear the selector's
 *   bit and look once more: a port that is pending now may have been told of before, so set
 *   the bit again. Ports of several vCPUs can share a word; a guest that wants the events
 *   of a port on its own vCPU alone passes over those of the others.
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
#define PV_TIMER_PERIOD_MIN PV_U64(50000)
/* `event_bind_source`: bytes can be read from the console, or its input has ended. */
#define PV_EVENT_SOURCE_CONSOLE 1
/* `event_bind_source`: somebody asks the guest to shut down. */
#define PV_EVENT_SOURCE_SHUTDOWN 2
/*
 * `event_bind_source`: another guest has granted memory to this one, or taken a grant back.
 */
#define PV_EVENT_SOURCE_GRANT 3
/*
 * `event_bind_source`: the VM goes on from a snapshot, and `restored` of the vCPU pages has
 * changed.
 */
#define PV_EVENT_SOURCE_RESTORED 4
/*
 * `event_bind_source`: this plus the number of a device: its configuration space has
 * changed, or it needs a reset.
 */
#define PV_EVENT_SOURCE_DEVICE 0x100
/*
 * `event_bind_source`: this plus the doorbell of a queue: the device has used buffers of
 * the queue.
 */
#define PV_EVENT_SOURCE_QUEUE 0x1000

/* The event page. The bit of a port is bit `port % 64` of word `port / 64`. */
#ifndef __ASSEMBLER__
struct pv_event_page {
    /* VMM sets, guest clears: the ports that are pending. */
    uint64_t pending[PV_EVENT_WORDS];
    /* Guest: the ports that are masked. */
    uint64_t mask[PV_EVENT_WORDS];
};
#endif
#define PV_SIZE_EVENT_PAGE 1024
#define PV_OFFSET_EVENT_PAGE_PENDING 0
#define PV_OFFSET_EVENT_PAGE_MASK 512
PV_PIN_SIZE(pv_event_page, PV_SIZE_EVENT_PAGE);
PV_PIN_OFFSET(pv_event_page, pending, PV_OFFSET_EVENT_PAGE_PENDING);
PV_PIN_OFFSET(pv_event_page, mask, PV_OFFSET_EVENT_PAGE_MASK);

/*
 * Time: the clock of a VM, and the time of day.
 *
 * The clock counts nanoseconds from the start of the VM. It is the same on all vCPUs, and
 * read without an exit: `clock` of the vCPU page has the layout of Linux's `struct
 * pvclock_vcpu_time_info`, and the time is
 *
 * - `delta = RDTSC - tsc_timestamp`, 0 if that is negative (two processors' counters may
 *   be a few cycles apart), shifted left by `tsc_shift`, or right if that is negative;
 * - `system_time + (delta * tsc_to_system_mul >> 32)`, with a product of 128 bits,
 *
 * read again if `version` is odd or has changed meanwhile. Deadlines are times of this
 * clock.
 */

/* `pv_clock.flags`: the clock is the same on all vCPUs, PVCLOCK_TSC_STABLE_BIT. */
#define PV_CLOCK_TSC_STABLE 1
/* Nanoseconds of a second. */
#define PV_NANOSECONDS PV_U64(0x3b9aca00)

/* A time of day: what `time_wallclock` writes. */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_WALLCLOCK 24
#define PV_OFFSET_WALLCLOCK_SECONDS 0
#define PV_OFFSET_WALLCLOCK_NANOSECONDS 8
#define PV_OFFSET_WALLCLOCK_RESERVED 12
#define PV_OFFSET_WALLCLOCK_CLOCK 16
PV_PIN_SIZE(pv_wallclock, PV_SIZE_WALLCLOCK);
PV_PIN_OFFSET(pv_wallclock, seconds, PV_OFFSET_WALLCLOCK_SECONDS);
PV_PIN_OFFSET(pv_wallclock, nanoseconds, PV_OFFSET_WALLCLOCK_NANOSECONDS);
PV_PIN_OFFSET(pv_wallclock, reserved, PV_OFFSET_WALLCLOCK_RESERVED);
PV_PIN_OFFSET(pv_wallclock, clock, PV_OFFSET_WALLCLOCK_CLOCK);

/* Grants: memory that two guests of one VMM share. */

/* Most grants that a guest gives, and most that it attaches. */
#define PV_GRANTS 64

/* Where a grant was attached: what `mem_attach` writes. */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_ATTACHMENT 24
#define PV_OFFSET_ATTACHMENT_GPA 0
#define PV_OFFSET_ATTACHMENT_SIZE 8
#define PV_OFFSET_ATTACHMENT_RIGHTS 16
#define PV_OFFSET_ATTACHMENT_RESERVED 20
PV_PIN_SIZE(pv_attachment, PV_SIZE_ATTACHMENT);
PV_PIN_OFFSET(pv_attachment, gpa, PV_OFFSET_ATTACHMENT_GPA);
PV_PIN_OFFSET(pv_attachment, size, PV_OFFSET_ATTACHMENT_SIZE);
PV_PIN_OFFSET(pv_attachment, rights, PV_OFFSET_ATTACHMENT_RIGHTS);
PV_PIN_OFFSET(pv_attachment, reserved, PV_OFFSET_ATTACHMENT_RESERVED);

/* A grant that another guest offers: what `mem_offers` writes. */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_OFFER 24
#define PV_OFFSET_OFFER_GUEST 0
#define PV_OFFSET_OFFER_GRANT 4
#define PV_OFFSET_OFFER_SIZE 8
#define PV_OFFSET_OFFER_RIGHTS 16
#define PV_OFFSET_OFFER_ATTACHED 20
PV_PIN_SIZE(pv_offer, PV_SIZE_OFFER);
PV_PIN_OFFSET(pv_offer, guest, PV_OFFSET_OFFER_GUEST);
PV_PIN_OFFSET(pv_offer, grant, PV_OFFSET_OFFER_GRANT);
PV_PIN_OFFSET(pv_offer, size, PV_OFFSET_OFFER_SIZE);
PV_PIN_OFFSET(pv_offer, rights, PV_OFFSET_OFFER_RIGHTS);
PV_PIN_OFFSET(pv_offer, attached, PV_OFFSET_OFFER_ATTACHED);

/*
 * Devices: virtio 1.2 devices whose transport is this ABI.
 *
 * What virtio leaves to the transport (virtio 1.2, chapter 4) is done so:
 *
 * - Discovery: `devices` of the start-info page is a read-only array of `pv_device_info`.
 * - Status, features, configuration space and queues: the `io_device`, `io_config` and
 *   `io_queue` calls. Each is complete when it returns, so there is nothing to poll for.
 * - Available buffer notifications: a doorbell. The guest writes any byte to the port
 *   `doorbell_port + doorbell + queue` by OUT, which reaches the device without the VMM.
 *   Where `doorbell_count` of the start-info page is 0, it calls `io_queue_notify`.
 * - Used buffer notifications: an event of the source `PV_EVENT_SOURCE_QUEUE + doorbell +
 *   queue`.
 * - Configuration change notifications, and a device that needs a reset: an event of the
 *   source `PV_EVENT_SOURCE_DEVICE + device`.
 *
 * Queues are split virtqueues (virtio 1.2, 2.7) in RAM. Every device offers
 * VIRTIO_F_VERSION_1, which the driver must accept, VIRTIO_F_RING_EVENT_IDX and
 * VIRTIO_F_RING_INDIRECT_DESC. As long as a queue is set up, and as long as a device writes
 * to a buffer, the pages of the used ring and of the buffer cannot be sealed.
 *
 * A driver that breaks a rule of virtio, by a descriptor that leads out of RAM or to a
 * sealed page, by a chain without an end or otherwise, finds its device stopped, with
 * PV_DEVICE_NEEDS_RESET in its status. Nothing else happens to the guest.
 */

/* Most devices of a VM. */
#define PV_DEVICES 32
/* Most queues of all devices of a VM together. */
#define PV_DOORBELLS 256
/* Longest name of a device, in bytes. */
#define PV_DEVICE_ID_MAX 32
/* ACKNOWLEDGE of the device status (virtio 1.2, 2.1): the guest has noticed the device. */
#define PV_DEVICE_ACKNOWLEDGE 1
/* DRIVER: the guest knows how to drive the device. */
#define PV_DEVICE_DRIVER 2
/* DRIVER_OK: the driver is set up, and the device serves its queues from then on. */
#define PV_DEVICE_DRIVER_OK 4
/* FEATURES_OK: the driver has said which features it uses. */
#define PV_DEVICE_FEATURES_OK 8
/* PV_DEVICE_NEEDS_RESET: the device has stopped until it is reset; only the VMM sets it. */
#define PV_DEVICE_NEEDS_RESET 64
/* FAILED: the guest has given the device up. */
#define PV_DEVICE_FAILED 128

/* A device. */
#ifndef __ASSEMBLER__
struct pv_device_info {
    /* The device ID: what it is (virtio 1.2, chapter 5). */
    uint32_t device_type;
    /* Number of queues, at least 1. */
    uint32_t queues;
    /* The feature bits that it offers. */
    uint64_t features;
    /* Size of its configuration space in bytes. */
    uint32_t config_size;
    /* The doorbell of its queue 0; those of its other queues follow. */
    uint32_t doorbell;
    /* The largest number of descriptors that every queue of it takes, a power of two. */
    uint32_t queue_size_max;
    /* Zero. */
    uint32_t reserved;
    /* The operator's name for it, UTF-8, the rest zero. */
    uint8_t id[PV_DEVICE_ID_MAX];
};
#endif
#define PV_SIZE_DEVICE_INFO 64
#define PV_OFFSET_DEVICE_INFO_DEVICE_TYPE 0
#define PV_OFFSET_DEVICE_INFO_QUEUES 4
#define PV_OFFSET_DEVICE_INFO_FEATURES 8
#define PV_OFFSET_DEVICE_INFO_CONFIG_SIZE 16
#define PV_OFFSET_DEVICE_INFO_DOORBELL 20
#define PV_OFFSET_DEVICE_INFO_QUEUE_SIZE_MAX 24
#define PV_OFFSET_DEVICE_INFO_RESERVED 28
#define PV_OFFSET_DEVICE_INFO_ID 32
PV_PIN_SIZE(pv_device_info, PV_SIZE_DEVICE_INFO);
PV_PIN_OFFSET(pv_device_info, device_type, PV_OFFSET_DEVICE_INFO_DEVICE_TYPE);
PV_PIN_OFFSET(pv_device_info, queues, PV_OFFSET_DEVICE_INFO_QUEUES);
PV_PIN_OFFSET(pv_device_info, features, PV_OFFSET_DEVICE_INFO_FEATURES);
PV_PIN_OFFSET(pv_device_info, config_size, PV_OFFSET_DEVICE_INFO_CONFIG_SIZE);
PV_PIN_OFFSET(pv_device_info, doorbell, PV_OFFSET_DEVICE_INFO_DOORBELL);
PV_PIN_OFFSET(pv_device_info, queue_size_max, PV_OFFSET_DEVICE_INFO_QUEUE_SIZE_MAX);
PV_PIN_OFFSET(pv_device_info, reserved, PV_OFFSET_DEVICE_INFO_RESERVED);
PV_PIN_OFFSET(pv_device_info, id, PV_OFFSET_DEVICE_INFO_ID);

/* Where a queue is: what `io_queue_setup` reads. */
#ifndef __ASSEMBLER__
struct pv_queue_setup {
    /* Number of descriptors, a power of two. */
    uint32_t size;
    /* Zero. */
    uint32_t reserved;
    /* Guest-physical address of the descriptor table, 16-byte aligned. */
    uint64_t descriptors;
    /* Guest-physical address of the driver area, the available ring, 2-byte aligned. */
    uint64_t driver;
    /* Guest-physical address of the device area, the used ring, 4-byte aligned. */
    uint64_t device;
};
#endif
#define PV_SIZE_QUEUE_SETUP 32
#define PV_OFFSET_QUEUE_SETUP_SIZE 0
#define PV_OFFSET_QUEUE_SETUP_RESERVED 4
#define PV_OFFSET_QUEUE_SETUP_DESCRIPTORS 8
#define PV_OFFSET_QUEUE_SETUP_DRIVER 16
#define PV_OFFSET_QUEUE_SETUP_DEVICE 24
PV_PIN_SIZE(pv_queue_setup, PV_SIZE_QUEUE_SETUP);
PV_PIN_OFFSET(pv_queue_setup, size, PV_OFFSET_QUEUE_SETUP_SIZE);
PV_PIN_OFFSET(pv_queue_setup, reserved, PV_OFFSET_QUEUE_SETUP_RESERVED);
PV_PIN_OFFSET(pv_queue_setup, descriptors, PV_OFFSET_QUEUE_SETUP_DESCRIPTORS);
PV_PIN_OFFSET(pv_queue_setup, driver, PV_OFFSET_QUEUE_SETUP_DRIVER);
PV_PIN_OFFSET(pv_queue_setup, device, PV_OFFSET_QUEUE_SETUP_DEVICE);

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
#ifndef __ASSEMBLER__
struct pv_set {
    /* `PV_SET_*`. */
    uint32_t format;
    /* Zero. */
    uint32_t reserved;
    /* Which banks follow. */
    uint64_t bank_mask;
};
#endif
#define PV_SIZE_SET 16
#define PV_OFFSET_SET_FORMAT 0
#define PV_OFFSET_SET_RESERVED 4
#define PV_OFFSET_SET_BANK_MASK 8
PV_PIN_SIZE(pv_set, PV_SIZE_SET);
PV_PIN_OFFSET(pv_set, format, PV_OFFSET_SET_FORMAT);
PV_PIN_OFFSET(pv_set, reserved, PV_OFFSET_SET_RESERVED);
PV_PIN_OFFSET(pv_set, bank_mask, PV_OFFSET_SET_BANK_MASK);

/* What a guest tells the VMM about its own end. */

/* `pv_crash_report.kind`: the guest gave up by its own decision, such as a Rust panic. */
#define PV_CRASH_PANIC 1
/* `pv_crash_report.kind`: a trap that the guest has no answer to; `frame` is valid. */
#define PV_CRASH_TRAP 2
/* Longest message of a crash report, in bytes. */
#define PV_CRASH_MESSAGE_MAX 1024

/* What `debug_crash_report` hands over. */
#ifndef __ASSEMBLER__
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
#endif
#define PV_SIZE_CRASH_REPORT 208
#define PV_OFFSET_CRASH_REPORT_KIND 0
#define PV_OFFSET_CRASH_REPORT_MESSAGE_SIZE 4
#define PV_OFFSET_CRASH_REPORT_MESSAGE_GPA 8
#define PV_OFFSET_CRASH_REPORT_FRAME_VALID 16
#define PV_OFFSET_CRASH_REPORT_RESERVED 20
#define PV_OFFSET_CRASH_REPORT_FRAME 24
PV_PIN_SIZE(pv_crash_report, PV_SIZE_CRASH_REPORT);
PV_PIN_OFFSET(pv_crash_report, kind, PV_OFFSET_CRASH_REPORT_KIND);
PV_PIN_OFFSET(pv_crash_report, message_size, PV_OFFSET_CRASH_REPORT_MESSAGE_SIZE);
PV_PIN_OFFSET(pv_crash_report, message_gpa, PV_OFFSET_CRASH_REPORT_MESSAGE_GPA);
PV_PIN_OFFSET(pv_crash_report, frame_valid, PV_OFFSET_CRASH_REPORT_FRAME_VALID);
PV_PIN_OFFSET(pv_crash_report, reserved, PV_OFFSET_CRASH_REPORT_RESERVED);
PV_PIN_OFFSET(pv_crash_report, frame, PV_OFFSET_CRASH_REPORT_FRAME);

#ifndef __ASSEMBLER__
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
PV_ASSERT(sizeof(struct pv_note_section) == 24 + sizeof(struct pv_image_note),
          "the note section has no padding");

/*
 * Makes the program a Paravane image. To be used once, outside of functions:
 *
 *     PV_IMAGE_NOTE("hello", 65536,
 *                   .required_features = PV_FEATURE_CONSOLE,
 *                   .minimum_memory = 8 << 20,
 *                   .minimum_vcpus = 1, .maximum_vcpus = 1);
 *
 * NAME is a string literal of at most 32 bytes (31 in C++), STACK_SIZE the size of the boot
 * stack. What follows initializes fields of struct pv_image_note, in their order;
 * maximum_vcpus must be among them, and what is not is 0.
 */
#define PV_IMAGE_NOTE(NAME, STACK_SIZE, ...)                                              \
    PV_ASSERT((STACK_SIZE) >= PV_STACK_SIZE_MIN && (STACK_SIZE) <= PV_STACK_SIZE_MAX &&   \
                  (STACK_SIZE) % PV_PAGE_SIZE == 0,                                       \
              "the stack size must be a multiple of PV_PAGE_SIZE from "                   \
              "PV_STACK_SIZE_MIN to PV_STACK_SIZE_MAX");                                  \
    PV_ASSERT(sizeof(NAME) <= 33, "the name must be at most 32 bytes long");              \
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
            .reserved = 0,                                                                \
            __VA_ARGS__,                                                                  \
            .stack_size = (STACK_SIZE),                                                   \
            .name = NAME,                                                                 \
        }                                                                                 \
    }
#endif

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
#define PV_CALL_IO_DEVICE_STATUS 0x102
#define PV_CALL_IO_DEVICE_SET_STATUS 0x103
#define PV_CALL_IO_DEVICE_SET_FEATURES 0x104
#define PV_CALL_IO_CONFIG_READ 0x105
#define PV_CALL_IO_QUEUE_SETUP 0x106
#define PV_CALL_IO_QUEUE_NOTIFY 0x107
#define PV_CALL_DEBUG_PRINT 0x120
#define PV_CALL_DEBUG_CRASH_REPORT 0x121
#define PV_CALL_DEBUG_TRACE_MARK 0x122
#define PV_CALL_DEBUG_ECHO 0x123

#ifndef __ASSEMBLER__

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
 * Makes the repeated call NUMBER as often as it takes to have all COUNT elements done.
 *
 * *DONE is the element to begin at, 0 for the first, and afterwards the number of elements
 * that are done. Returns that number when it is COUNT; otherwise the error of element *DONE,
 * and the caller can go on there once it has put right what was wrong.
 */
static inline int64_t pv_repeat(const void *page, uint64_t number, uint32_t count,
                                uint32_t *done, uint64_t a1, uint64_t a2, uint64_t a3,
                                uint64_t a4, uint64_t a5, uint64_t a6)
{
    /* The call word has 12 bits for each. */
    if (count > 0xfff)
        return -PV_E2BIG;
    while (*done < count) {
        uint64_t word = number | (uint64_t)count << 32 | (uint64_t)*done << 48;
        int64_t result = pv_hypercall(page, word, a1, a2, a3, a4, a5, a6);
        if (result < 0)
            return result;
        *done = (uint32_t)result;
    }
    return *done;
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
 * Removes an address space with all its mappings, those of sealed pages included. What is
 * mapped there is not changed.
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
 * - count, done: see pv_repeat
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
static inline int64_t pv_as_map(const void *page, uint32_t space, pv_gpa_t elements,
                                uint32_t count, uint32_t *done)
{
    return pv_repeat(page, PV_CALL_AS_MAP, count, done, space, elements, 0, 0, 0, 0);
}

/*
 * Unmaps ranges. Each element is a `pv_range`. What is not mapped there stays so. When the
 * call returns, no vCPU can use a translation that it removed.
 *
 * - space: the address space
 * - elements: array of `pv_range`, 8-byte aligned
 * - count, done: see pv_repeat
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
static inline int64_t pv_as_unmap(const void *page, uint32_t space, pv_gpa_t elements,
                                  uint32_t count, uint32_t *done)
{
    return pv_repeat(page, PV_CALL_AS_UNMAP, count, done, space, elements, 0, 0, 0, 0);
}

/*
 * Changes the rights of ranges. Each element is a `pv_mapping` whose `gpa` is 0; all of its
 * range is mapped. When the call returns, no vCPU has a right that it took away.
 *
 * - space: the address space
 * - elements: array of `pv_mapping`, 8-byte aligned
 * - count, done: see pv_repeat
 * - returns: number of elements done, those before the start index included
 * - -PV_ENOENT: there is no such address space, or a page of the range is not mapped
 * - -PV_EFAULT: the array is not in RAM or not 8-byte aligned
 * - -PV_EINVAL: as for `as_map`, or `gpa` is not 0
 * - -PV_E2BIG: a size is above 2 MiB (1 GiB where both are multiples of 2 MiB)
 * - -PV_EPERM: it would be writable and executable, or more than the grant allows, or a
 *   page that would get other rights is sealed
 * - -PV_ENOMEM: a 2 MiB mapping would have to be split, and the page tables have reached
 *   their quota
 */
static inline int64_t pv_as_protect(const void *page, uint32_t space, pv_gpa_t elements,
                                    uint32_t count, uint32_t *done)
{
    return pv_repeat(page, PV_CALL_AS_PROTECT, count, done, space, elements, 0, 0, 0, 0);
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
 * Makes pages of RAM immutable until the VM ends. Each element is a `pv_range` of mapped
 * pages without the right to write. From then on no mapping of them is writable, whoever
 * makes it; none is removed, but with its address space, or gets other rights; the VMM
 * writes to them for no call; and they cannot be released.
 *
 * - space: the address space
 * - elements: array of `pv_range`, 8-byte aligned
 * - count, done: see pv_repeat
 * - returns: number of elements done, those before the start index included
 * - -PV_ENOENT: there is no such address space, or a page of the range is not mapped
 * - -PV_EFAULT: the array is not in RAM or not 8-byte aligned
 * - -PV_EINVAL: an address or size is not a multiple of the page size, a size is 0, or a
 *   range is not in the part of the address space that it has to be in
 * - -PV_E2BIG: a size is above 2 MiB (1 GiB where both are multiples of 2 MiB)
 * - -PV_EPERM: a page is mapped writable somewhere, or is another guest's
 * - -PV_EBUSY: a device is writing to a page, or has a used ring in it
 */
static inline int64_t pv_as_seal(const void *page, uint32_t space, pv_gpa_t elements,
                                 uint32_t count, uint32_t *done)
{
    return pv_repeat(page, PV_CALL_AS_SEAL, count, done, space, elements, 0, 0, 0, 0);
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
 * - -PV_EINVAL: there is no such source, device, queue, vCPU or priority
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
 * - count, done: see pv_repeat
 * - returns: number of elements done, those before the start index included
 * - -PV_EFAULT: the array or a range is not in RAM, or not aligned
 * - -PV_EINVAL: a start or size is not a multiple of the page size, or a size is 0
 * - -PV_E2BIG: a size is above 2 MiB
 * - -PV_ENOMEM: the host has no memory
 */
static inline int64_t pv_mem_populate(const void *page, pv_gpa_t elements, uint32_t count,
                                      uint32_t *done)
{
    return pv_repeat(page, PV_CALL_MEM_POPULATE, count, done, elements, 0, 0, 0, 0, 0);
}

/*
 * Gives the memory behind ranges of RAM back to the host. Each element is a `pv_range` of
 * guest-physical addresses. The pages read as zero from then on, and take memory again when
 * they are written.
 *
 * - elements: array of `pv_range`, 8-byte aligned
 * - count, done: see pv_repeat
 * - returns: number of elements done, those before the start index included
 * - -PV_EFAULT: the array or a range is not in RAM, or not aligned
 * - -PV_EINVAL: a start or size is not a multiple of the page size, or a size is 0
 * - -PV_E2BIG: a size is above 2 MiB
 * - -PV_EPERM: a page is sealed, shared or executable
 */
static inline int64_t pv_mem_release(const void *page, pv_gpa_t elements, uint32_t count,
                                     uint32_t *done)
{
    return pv_repeat(page, PV_CALL_MEM_RELEASE, count, done, elements, 0, 0, 0, 0, 0);
}

/*
 * Says that what is in ranges of RAM is of no use any more. Each element is a `pv_range` of
 * guest-physical addresses. Until a page is written again, it holds what it held or zeros;
 * the host takes its memory when it needs some.
 *
 * - elements: array of `pv_range`, 8-byte aligned
 * - count, done: see pv_repeat
 * - returns: number of elements done, those before the start index included
 * - -PV_EFAULT: the array or a range is not in RAM, or not aligned
 * - -PV_EINVAL: a start or size is not a multiple of the page size, or a size is 0
 * - -PV_E2BIG: a size is above 2 MiB
 * - -PV_EPERM: a page is sealed, shared or executable
 */
static inline int64_t pv_mem_hint(const void *page, pv_gpa_t elements, uint32_t count,
                                  uint32_t *done)
{
    return pv_repeat(page, PV_CALL_MEM_HINT, count, done, elements, 0, 0, 0, 0, 0);
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
 * The status of a device (virtio 1.2, 2.1).
 *
 * - device: number of the device, its place in the start-info page's array
 * - returns: its status, `PV_DEVICE_*`
 * - -PV_ENOENT: there is no such device
 */
static inline int64_t pv_io_device_status(const void *page, uint32_t device)
{
    return pv_hypercall(page, PV_CALL_IO_DEVICE_STATUS, device, 0, 0, 0, 0, 0);
}

/*
 * Sets the status of a device. 0 resets it: when the call returns, the device has forgotten
 * its queues and features, and touches no memory any more. Otherwise bits are added:
 * ACKNOWLEDGE, DRIVER, FEATURES_OK when the features have been set, and DRIVER_OK, with
 * which the device starts to serve the queues that have been set up.
 *
 * - device: number of the device
 * - status: the bits that it has and those that are added, or 0
 * - returns: 0
 * - -PV_ENOENT: there is no such device
 * - -PV_EINVAL: an unknown bit, a bit that was set is missing, or one is set before
 *   another that comes first
 * - -PV_EIO: the device needs a reset
 */
static inline int64_t pv_io_device_set_status(const void *page, uint32_t device,
                                              uint32_t status)
{
    return pv_hypercall(page, PV_CALL_IO_DEVICE_SET_STATUS, device, status, 0, 0, 0, 0);
}

/*
 * Says which features of a device the driver uses.
 *
 * - device: number of the device
 * - features: feature bits that it offers, VIRTIO_F_VERSION_1 among them
 * - returns: 0
 * - -PV_ENOENT: there is no such device
 * - -PV_EINVAL: a feature is not offered, or VIRTIO_F_VERSION_1 is missing
 * - -PV_EBUSY: FEATURES_OK has been set already, or DRIVER has not
 */
static inline int64_t pv_io_device_set_features(const void *page, uint32_t device,
                                                uint64_t features)
{
    return pv_hypercall(page, PV_CALL_IO_DEVICE_SET_FEATURES, device, features, 0, 0, 0, 0);
}

/*
 * Reads from the configuration space of a device, all bytes at one moment. What lies behind
 * its end is not read.
 *
 * - device: number of the device
 * - offset: where to begin, in bytes
 * - buffer: where the bytes go
 * - size: how many bytes, at most 256
 * - returns: the generation of the configuration space: how often it has changed, modulo
 *   2^31
 * - -PV_ENOENT: there is no such device
 * - -PV_EFAULT: the buffer is not in RAM
 * - -PV_EINVAL: the bytes are not all in the configuration space
 * - -PV_E2BIG: `size` is above 256
 */
static inline int64_t pv_io_config_read(const void *page, uint32_t device, uint32_t offset,
                                        pv_gpa_t buffer, uint32_t size)
{
    return pv_hypercall(page, PV_CALL_IO_CONFIG_READ, device, offset, buffer, size, 0, 0);
}

/*
 * Sets up a queue of a device, from where the device begins when DRIVER_OK is set.
 *
 * - device: number of the device
 * - queue: number of the queue
 * - setup: the `pv_queue_setup`, 8-byte aligned
 * - returns: 0
 * - -PV_ENOENT: there is no such device or queue
 * - -PV_EFAULT: `setup` or a part of the queue is not in RAM or not aligned, or the used
 *   ring is sealed
 * - -PV_EINVAL: the size is no power of two or larger than the queue can be, or a
 *   reserved field is not 0
 * - -PV_EBUSY: the queue is set up already, FEATURES_OK has not been set, or DRIVER_OK
 *   has
 */
static inline int64_t pv_io_queue_setup(const void *page, uint32_t device, uint32_t queue,
                                        pv_gpa_t setup)
{
    return pv_hypercall(page, PV_CALL_IO_QUEUE_SETUP, device, queue, setup, 0, 0, 0);
}

/*
 * Tells a device that a queue has available buffers, where there is no doorbell port.
 *
 * - device: number of the device
 * - queue: number of the queue
 * - returns: 0
 * - -PV_ENOENT: there is no such device or queue
 */
static inline int64_t pv_io_queue_notify(const void *page, uint32_t device, uint32_t queue)
{
    return pv_hypercall(page, PV_CALL_IO_QUEUE_NOTIFY, device, queue, 0, 0, 0, 0);
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

/* The page of the vCPU that runs. */
static inline struct pv_vcpu_page *pv_vcpu(void)
{
    struct pv_vcpu_page *page;

    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(page) : "i"(PV_OFFSET_VCPU_PAGE_SELF_ADDRESS));
    return page;
}

/* The page of vCPU NUMBER. */
static inline struct pv_vcpu_page *pv_vcpu_of(const struct pv_start_info *info, uint32_t number)
{
    uint64_t address = info->vcpu_pages + number * info->vcpu_page_stride;
    return (struct pv_vcpu_page *)(uintptr_t)address;
}

/* The event page. */
static inline struct pv_event_page *pv_ports(const struct pv_start_info *info)
{
    return (struct pv_event_page *)(uintptr_t)info->event_page;
}

/* What pv_gpa_of answers for an address that is not in one piece of RAM: no call takes it. */
#define PV_NO_GPA UINT64_MAX

/*
 * The guest-physical address of SIZE bytes at ADDRESS: in the linear map, in the image or on
 * a stack.
 */
static inline pv_gpa_t pv_gpa_of(const struct pv_start_info *info, const void *address,
                                 uint64_t size)
{
    uint64_t first = (uint64_t)(uintptr_t)address;
    uint64_t offset = first - info->linear_map;

    if (offset < info->ram_size && size <= info->ram_size - offset)
        return offset;
    for (uint64_t i = 0; i < info->memory_map_count; i++) {
        const struct pv_memory_region *region = &info->memory_map[i];
        offset = first - region->address;
        if (region->address != 0 && offset < region->size && size <= region->size - offset)
            return region->gpa + offset;
    }
    return PV_NO_GPA;
}

/* The address in the linear map of a guest-physical address in RAM. */
static inline void *pv_linear(const struct pv_start_info *info, pv_gpa_t gpa)
{
    return (void *)(uintptr_t)(info->linear_map + gpa);
}

/* The time-stamp counter, read behind everything that comes before it in the program. */
static inline uint64_t pv_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/*
 * The time of CLOCK at a value of the time-stamp counter, in nanoseconds. Two processors' counters
 * may be a few cycles apart: a value before that of CLOCK is taken for it.
 */
static inline uint64_t pv_clock_at(const struct pv_clock *clock, uint64_t tsc)
{
    uint64_t cycles = tsc - clock->tsc_timestamp;
    __extension__ unsigned __int128 time = cycles > INT64_MAX ? 0 : cycles;

    if (clock->tsc_shift >= 0)
        time <<= clock->tsc_shift;
    else
        time >>= -clock->tsc_shift;
    time = time * clock->tsc_to_system_mul >> 32;
    return clock->system_time + (uint64_t)time;
}

/*
 * The time, in nanoseconds since the VM started, without an exit. CLOCK is `clock` of any
 * vCPU page. Needs PV_FEATURE_CLOCK.
 */
static inline uint64_t pv_clock_now(const struct pv_clock *clock)
{
    struct pv_clock copy = {0, 0, 0, 0, 0, 0, 0, {0, 0}};
    uint64_t now;

    do {
        copy.version = __atomic_load_n(&clock->version, __ATOMIC_ACQUIRE);
        copy.tsc_timestamp = __atomic_load_n(&clock->tsc_timestamp, __ATOMIC_RELAXED);
        copy.system_time = __atomic_load_n(&clock->system_time, __ATOMIC_RELAXED);
        copy.tsc_to_system_mul = __atomic_load_n(&clock->tsc_to_system_mul, __ATOMIC_RELAXED);
        copy.tsc_shift = __atomic_load_n(&clock->tsc_shift, __ATOMIC_RELAXED);
        now = pv_clock_at(&copy, pv_tsc());
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        /* It is odd, or has changed, when the VMM was updating the fields. */
    } while ((copy.version & 1) ||
             copy.version != __atomic_load_n(&clock->version, __ATOMIC_RELAXED));
    return now;
}

/*
 * Masks upcalls on this vCPU, as CLI masks interrupts. Returns whether they were masked before.
 */
static inline int pv_upcalls_mask(void)
{
    uint8_t before;

    __asm__ volatile("movb %%gs:%c1, %0\n\t"
                     "movb $1, %%gs:%c1"
                     : "=&q"(before)
                     : "i"(PV_OFFSET_VCPU_PAGE_UPCALL_MASK)
                     : "memory");
    return before != 0;
}

/* Whether an event waits on this vCPU. */
static inline int pv_upcall_pending(void)
{
    uint8_t pending;

    __asm__ volatile("movb %%gs:%c1, %0"
                     : "=q"(pending)
                     : "i"(PV_OFFSET_VCPU_PAGE_UPCALL_PENDING)
                     : "memory");
    return pending != 0;
}

/*
 * Unmasks upcalls on this vCPU, as STI unmasks interrupts. Returns whether events came while
 * they were masked: no upcall tells of these, so the caller takes them.
 *
 *     while (pv_upcalls_unmask()) {
 *         pv_upcalls_mask();
 *         (take the events)
 *     }
 */
static inline int pv_upcalls_unmask(void)
{
    uint8_t unmasked = 0;

    /* Exchanged, because a plain store could be seen later than what is read behind it. */
    __asm__ volatile("xchgb %0, %%gs:%c1"
                     : "+q"(unmasked)
                     : "i"(PV_OFFSET_VCPU_PAGE_UPCALL_MASK)
                     : "memory");
    return pv_upcall_pending();
}

/* Whether PORT is pending. */
static inline int pv_port_is_pending(const struct pv_event_page *ports, uint32_t port)
{
    return __atomic_load_n(&ports->pending[port / 64], __ATOMIC_SEQ_CST) >> port % 64 & 1;
}

/* Makes PORT not pending. Returns whether it was. */
static inline int pv_port_clear(struct pv_event_page *ports, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;
    return (__atomic_fetch_and(&ports->pending[port / 64], ~bit, __ATOMIC_SEQ_CST) & bit) != 0;
}

/* Masks PORT: it may become pending, and nobody is told. As `event_mask`, without an exit. */
static inline void pv_port_mask(struct pv_event_page *ports, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;
    __atomic_fetch_or(&ports->mask[port / 64], bit, __ATOMIC_SEQ_CST);
}

/*
 * Unmasks PORT, whose vCPU is the one of the page VCPU and runs this code; for a port of another
 * one there is pv_event_unmask. Returns whether it is pending: no upcall tells of that, so the
 * caller takes the events of this vCPU.
 */
static inline int pv_port_unmask(struct pv_event_page *ports, struct pv_vcpu_page *vcpu,
                                 uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;

    __atomic_fetch_and(&ports->mask[port / 64], ~bit, __ATOMIC_SEQ_CST);
    if (!pv_port_is_pending(ports, port))
        return 0;
    __atomic_fetch_or(&vcpu->event_selector, UINT64_C(1) << port / 64, __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&vcpu->upcall_pending, 1, __ATOMIC_SEQ_CST);
    return 1;
}

/* The ports of word INDEX that are pending and not masked. */
static inline uint64_t pv_ports_due(const struct pv_event_page *ports, uint32_t index)
{
    return __atomic_load_n(&ports->pending[index], __ATOMIC_SEQ_CST) &
           ~__atomic_load_n(&ports->mask[index], __ATOMIC_SEQ_CST);
}

/*
 * Begins to take the events of the vCPU with the page VCPU: from here on a new one is told again.
 * Upcalls are masked while events are taken.
 */
static inline void pv_take_begin(struct pv_vcpu_page *vcpu)
{
    __atomic_exchange_n(&vcpu->upcall_pending, 0, __ATOMIC_SEQ_CST);
}

/*
 * Takes the next event: makes its port not pending, and returns the port. The lowest port comes
 * first, also among those that are raised meanwhile. Returns -1 when there is none left.
 *
 *     pv_take_begin(vcpu);
 *     for (int32_t port; (port = pv_take_next(ports, vcpu)) >= 0;)
 *         handle(port);
 */
static inline int32_t pv_take_next(struct pv_event_page *ports, struct pv_vcpu_page *vcpu)
{
    uint64_t words;

    while ((words = __atomic_load_n(&vcpu->event_selector, __ATOMIC_SEQ_CST)) != 0) {
        uint32_t index = (uint32_t)__builtin_ctzll(words);
        uint64_t bit = UINT64_C(1) << index;
        uint64_t due = pv_ports_due(ports, index);
        if (due == 0) {
            __atomic_fetch_and(&vcpu->event_selector, ~bit, __ATOMIC_SEQ_CST);
            /* Somebody may have made a port pending before, and set the bit just cleared. */
            if (pv_ports_due(ports, index) != 0)
                __atomic_fetch_or(&vcpu->event_selector, bit, __ATOMIC_SEQ_CST);
            continue;
        }
        uint32_t port = index * 64 + (uint32_t)__builtin_ctzll(due);
        /* Whoever clears the bit has the event. */
        if (pv_port_clear(ports, port))
            return (int32_t)port;
    }
    return -1;
}

/*
 * Defers the call WORD: the VMM makes it together with the next call of this vCPU, just before
 * that one, and writes its result into the element that this returns. NULL when
 * PV_DEFERRED_CALLS wait already. VCPU is the page of the vCPU that runs this code, with upcalls
 * masked if their handler defers calls too. Needs PV_FEATURE_DEFERRED.
 */
static inline struct pv_batch_entry *pv_defer(struct pv_vcpu_page *vcpu, uint64_t word,
                                              uint64_t a1, uint64_t a2, uint64_t a3,
                                              uint64_t a4, uint64_t a5, uint64_t a6)
{
    uint32_t count = __atomic_load_n(&vcpu->deferred_count, __ATOMIC_RELAXED);
    if (count >= PV_DEFERRED_CALLS)
        return NULL;
    struct pv_batch_entry *entry = &vcpu->deferred[count];
    entry->word = word;
    entry->arguments[0] = a1;
    entry->arguments[1] = a2;
    entry->arguments[2] = a3;
    entry->arguments[3] = a4;
    entry->arguments[4] = a5;
    entry->arguments[5] = a6;
    __atomic_store_n(&vcpu->deferred_count, count + 1, __ATOMIC_RELEASE);
    return entry;
}

/* The entries of the hypercall page as the assembler reads numbers. */
#define PV_TRAP_RETURN_PLACE 0x80
#define PV_TASK_ENTRY_PLACE 0xc0
PV_ASSERT(PV_TRAP_RETURN_PLACE == PV_TRAP_RETURN_OFFSET, "the trap-return entry");
PV_ASSERT(PV_TASK_ENTRY_PLACE == PV_TASK_ENTRY_OFFSET, "the task entry");

/* Operands: the text of a number, a place in the page of the vCPU that runs, and one in the
   frame that PV_TRAP_ENTRY makes behind the vector state and a word. */
#define PV_TEXT_OF_TEXT(text) #text
#define PV_TEXT(text) PV_TEXT_OF_TEXT(text)
#define PV_IN_VCPU_PAGE(field) "%gs:" PV_TEXT(PV_OFFSET_VCPU_PAGE_##field)
#define PV_IN_TRAP_STATE(field) \
    "%gs:" PV_TEXT(PV_OFFSET_VCPU_PAGE_TRAP + PV_OFFSET_TRAP_STATE_##field)
#define PV_IN_TASK_STATE(field) \
    "%gs:" PV_TEXT(PV_OFFSET_VCPU_PAGE_TASK + PV_OFFSET_TASK_STATE_##field)
#define PV_IN_FRAME(field) PV_TEXT(520 + PV_OFFSET_TRAP_FRAME_##field) "(%rsp)"

#ifdef __cplusplus
#define PV_C_NAME extern "C"
#else
#define PV_C_NAME
#endif

/*
 * Defines the entry SYMBOL, `_start` or one for vcpu_start, which calls FUNCTION with the
 * argument that the entry got in RDI:
 *
 *     PV_ENTRY(_start, kernel)
 *     void kernel(const struct pv_start_info *info) { ... }
 *
 * FUNCTION has a C name (extern "C"), is not static and does not return.
 */
#define PV_ENTRY(SYMBOL, FUNCTION)                                                        \
    __asm__(".pushsection .text\n\t"                                                      \
            ".globl " #SYMBOL "\n\t"                                                      \
            ".type " #SYMBOL ", @function\n"                                              \
            #SYMBOL ":\n\t"                                                               \
            /* No caller: a backtrace ends here. */                                       \
            ".cfi_startproc\n\t"                                                          \
            ".cfi_undefined rip\n\t"                                                      \
            "xorl %ebp, %ebp\n\t"                                                         \
            /* RSP is 16-byte aligned, as before a call. */                               \
            "call " #FUNCTION "\n\t"                                                      \
            "ud2\n\t"                                                                     \
            ".cfi_endproc\n\t"                                                            \
            ".size " #SYMBOL ", . - " #SYMBOL "\n\t"                                      \
            ".popsection");

/*
 * Defines SYMBOL, code whose address trap_set_table, trap_set_upcall and trap_set_syscall take,
 * and declares it as a function. For each trap it calls
 *
 *     void FUNCTION(struct pv_trap_frame *frame, int from_task);
 *
 * on the trap stack, with upcalls masked, and then resumes what was interrupted, with the
 * registers that are in the frame by then: the kernel, or a task when FROM_TASK is not 0. Upcalls
 * are then masked as they were before. Where they are not, FUNCTION is first called again, with
 * the vector PV_UPCALL_VECTOR, as long as an event waits that it has not taken.
 *
 * PAGE is a global variable that holds the address of the hypercall page. FUNCTION and PAGE
 * have C names and are not static. The code uses the first two words of pv_vcpu_page.guest. The
 * vector state is saved as far as SSE has it.
 */
#define PV_TRAP_ENTRY(SYMBOL, FUNCTION, PAGE)                                             \
    __asm__(".pushsection .text\n\t"                                                      \
            ".globl " #SYMBOL "\n\t"                                                      \
            ".type " #SYMBOL ", @function\n"                                              \
            #SYMBOL ":\n\t"                                                               \
            ".cfi_startproc simple\n\t"                                                   \
            ".cfi_signal_frame\n\t"                                                       \
            ".cfi_def_cfa rsp, 0\n\t"                                                     \
            ".cfi_undefined rip\n\t"                                                      \
            "movq %rax, " PV_IN_VCPU_PAGE(GUEST) "\n\t"                                   \
            "movq %rcx, " PV_IN_VCPU_PAGE(GUEST + 8) "\n\t"                               \
            /* A trap within a handler stays below what that uses of the trap stack. One  \
               that has overflowed it is at most in the page below. */                    \
            "cmpq $0, " PV_IN_TRAP_STATE(FROM_TASK) "\n\t"                                \
            "jne 1f\n\t"                                                                  \
            "movq " PV_IN_TRAP_STATE(RSP) ", %rax\n\t"                                    \
            "movq " PV_IN_VCPU_PAGE(TRAP_STACK_TOP) ", %rcx\n\t"                          \
            "cmpq %rcx, %rax\n\t"                                                         \
            "ja 1f\n\t"                                                                   \
            "subq " PV_IN_VCPU_PAGE(TRAP_STACK_SIZE) ", %rcx\n\t"                         \
            "subq $4096, %rcx\n\t"                                                        \
            "cmpq %rcx, %rax\n\t"                                                         \
            "jb 1f\n\t"                                                                   \
            /* Past the red zone. */                                                      \
            "leaq -128(%rax), %rsp\n\t"                                                   \
            "jmp 2f\n"                                                                    \
            "1:\n\t"                                                                      \
            "movq " PV_IN_VCPU_PAGE(TRAP_STACK_TOP) ", %rsp\n"                            \
            "2:\n\t"                                                                      \
            "andq $-16, %rsp\n\t"                                                         \
            /* A struct pv_trap_frame, from its end. */                                   \
            "pushq " PV_IN_TRAP_STATE(SS) "\n\t"                                          \
            "pushq " PV_IN_TRAP_STATE(RSP) "\n\t"                                         \
            "pushq " PV_IN_TRAP_STATE(RFLAGS) "\n\t"                                      \
            "pushq " PV_IN_TRAP_STATE(CS) "\n\t"                                          \
            "pushq " PV_IN_TRAP_STATE(RIP) "\n\t"                                         \
            "pushq " PV_IN_TRAP_STATE(ERROR) "\n\t"                                       \
            "pushq " PV_IN_TRAP_STATE(CR2) "\n\t"                                         \
            "movl " PV_IN_TRAP_STATE(VECTOR) ", %eax\n\t"                                 \
            "pushq %rax\n\t"                                                              \
            "pushq " PV_IN_VCPU_PAGE(GUEST) "\n\t"                                        \
            "pushq " PV_IN_VCPU_PAGE(GUEST + 8) "\n\t"                                    \
            "pushq %rdx\n\t" "pushq %rbx\n\t" "pushq %rbp\n\t" "pushq %rsi\n\t"           \
            "pushq %rdi\n\t" "pushq %r8\n\t" "pushq %r9\n\t" "pushq %r10\n\t"             \
            "pushq %r11\n\t" "pushq %r12\n\t" "pushq %r13\n\t" "pushq %r14\n\t"           \
            "pushq %r15\n\t"                                                              \
            /* A word for the mask and for what was interrupted, and the vector state. */ \
            "movzbl " PV_IN_VCPU_PAGE(UPCALL_MASK) ", %eax\n\t"                           \
            /* An upcall comes where they are not masked, and the VMM masks them. */      \
            "cmpl $" PV_TEXT(PV_UPCALL_VECTOR) ", " PV_IN_TRAP_STATE(VECTOR) "\n\t"       \
            "jne 7f\n\t"                                                                  \
            "xorl %eax, %eax\n"                                                           \
            "7:\n\t"                                                                      \
            "movb " PV_IN_TRAP_STATE(FROM_TASK) ", %ah\n\t"                               \
            "pushq %rax\n\t"                                                              \
            "subq $512, %rsp\n\t"                                                         \
            "fxsave64 (%rsp)\n\t"                                                         \
            "movb $1, " PV_IN_VCPU_PAGE(UPCALL_MASK) "\n\t"                               \
            /* All is saved. From here on a trap may come. */                             \
            "movl $0, " PV_IN_TRAP_STATE(BUSY) "\n\t"                                     \
            /* A backtrace goes on from here with the registers of the frame. */          \
            ".cfi_def_cfa rsp, 704\n\t"                                                   \
            ".cfi_offset rsp, -16; .cfi_offset rip, -40; .cfi_offset rax, -72\n\t"        \
            ".cfi_offset rcx, -80; .cfi_offset rdx, -88; .cfi_offset rbx, -96\n\t"        \
            ".cfi_offset rbp, -104; .cfi_offset rsi, -112; .cfi_offset rdi, -120\n\t"     \
            ".cfi_offset r8, -128; .cfi_offset r9, -136; .cfi_offset r10, -144\n\t"       \
            ".cfi_offset r11, -152; .cfi_offset r12, -160; .cfi_offset r13, -168\n\t"     \
            ".cfi_offset r14, -176; .cfi_offset r15, -184\n\t"                            \
            /* MXCSR as a function expects it. */                                         \
            "pushq $0x1f80\n\t"                                                           \
            "ldmxcsr (%rsp)\n\t"                                                          \
            "popq %rax\n"                                                                 \
            "3:\n\t"                                                                      \
            "leaq 520(%rsp), %rdi\n\t"                                                    \
            "movzbl 513(%rsp), %esi\n\t"                                                  \
            "call " #FUNCTION "\n\t"                                                      \
            "cmpb $0, 513(%rsp)\n\t"                                                      \
            "jne 5f\n\t"                                                                  \
            /* Back to the kernel. */                                                     \
            "cmpb $0, 512(%rsp)\n\t"                                                      \
            "jne 4f\n\t"                                                                  \
            "xorl %eax, %eax\n\t"                                                         \
            "xchgb %al, " PV_IN_VCPU_PAGE(UPCALL_MASK) "\n\t"                             \
            "cmpb $0, " PV_IN_VCPU_PAGE(UPCALL_PENDING) "\n\t"                            \
            "jne 6f\n"                                                                    \
            "4:\n\t"                                                                      \
            /* RET pops the address of the trap-return entry from below the frame of IRETQ. */ \
            "movq " #PAGE "(%rip), %rax\n\t"                                              \
            "addq $" PV_TEXT(PV_TRAP_RETURN_PLACE) ", %rax\n\t"                           \
            "movq %rax, " PV_IN_FRAME(ERROR) "\n\t"                                       \
            "fxrstor64 (%rsp)\n\t"                                                        \
            "addq $520, %rsp\n\t"                                                         \
            "popq %r15\n\t" "popq %r14\n\t" "popq %r13\n\t" "popq %r12\n\t"               \
            "popq %r11\n\t" "popq %r10\n\t" "popq %r9\n\t" "popq %r8\n\t"                 \
            "popq %rdi\n\t" "popq %rsi\n\t" "popq %rbp\n\t" "popq %rbx\n\t"               \
            "popq %rdx\n\t" "popq %rcx\n\t" "popq %rax\n\t"                               \
            "leaq 16(%rsp), %rsp\n\t"                                                     \
            "ret\n"                                                                       \
            "5:\n\t"                                                                      \
            /* Back to the task. */                                                       \
            "movb $1, " PV_IN_VCPU_PAGE(UPCALL_MASK) "\n\t"                               \
            "cmpb $0, " PV_IN_VCPU_PAGE(UPCALL_PENDING) "\n\t"                            \
            "jne 6f\n\t"                                                                  \
            "movq " PV_IN_FRAME(RIP) ", %rax\n\t"                                         \
            "movq %rax, " PV_IN_TASK_STATE(RIP) "\n\t"                                    \
            "movq " PV_IN_FRAME(RFLAGS) ", %rax\n\t"                                      \
            "movq %rax, " PV_IN_TASK_STATE(RFLAGS) "\n\t"                                 \
            "movq " PV_IN_FRAME(RSP) ", %rax\n\t"                                         \
            "movq %rax, " PV_IN_TASK_STATE(RSP) "\n\t"                                    \
            "movq " PV_IN_FRAME(RCX) ", %rax\n\t"                                         \
            "movq %rax, " PV_IN_TASK_STATE(RCX) "\n\t"                                    \
            "movq " PV_IN_FRAME(R11) ", %rax\n\t"                                         \
            "movq %rax, " PV_IN_TASK_STATE(R11) "\n\t"                                    \
            "movq " #PAGE "(%rip), %rcx\n\t"                                              \
            "addq $" PV_TEXT(PV_TASK_ENTRY_PLACE) ", %rcx\n\t"                                  \
            "fxrstor64 (%rsp)\n\t"                                                        \
            "addq $520, %rsp\n\t"                                                         \
            "popq %r15\n\t" "popq %r14\n\t" "popq %r13\n\t" "popq %r12\n\t"               \
            "popq %r11\n\t" "popq %r10\n\t" "popq %r9\n\t" "popq %r8\n\t"                 \
            "popq %rdi\n\t" "popq %rsi\n\t" "popq %rbp\n\t" "popq %rbx\n\t"               \
            "popq %rdx\n\t" "leaq 8(%rsp), %rsp\n\t" "popq %rax\n\t"                      \
            "jmp *%rcx\n"                                                                 \
            "6:\n\t"                                                                      \
            "movb $1, " PV_IN_VCPU_PAGE(UPCALL_MASK) "\n\t"                               \
            "movq $" PV_TEXT(PV_UPCALL_VECTOR) ", " PV_IN_FRAME(VECTOR) "\n\t"            \
            "jmp 3b\n\t"                                                                  \
            ".cfi_endproc\n\t"                                                            \
            ".size " #SYMBOL ", . - " #SYMBOL "\n\t"                                      \
            ".popsection");                                                               \
    PV_C_NAME void SYMBOL(void);

/*
 * Runs a task with the registers of FRAME, in the current address space, until it traps, makes a
 * system call or is interrupted by an upcall. PAGE is the address of the hypercall page. Nothing
 * returns to the caller, and nothing uses its stack any more.
 */
static inline __attribute__((noreturn)) void pv_task_enter(const void *page,
                                                           const struct pv_trap_frame *frame)
{
    struct pv_vcpu_page *vcpu = pv_vcpu();
    uint64_t entry = (uint64_t)(uintptr_t)page + PV_TASK_ENTRY_OFFSET;

    pv_upcalls_mask();
    vcpu->task.rip = frame->rip;
    vcpu->task.rflags = frame->rflags;
    vcpu->task.rsp = frame->rsp;
    vcpu->task.rcx = frame->rcx;
    vcpu->task.r11 = frame->r11;
    __asm__ volatile("movq %c[r15](%[frame]), %%r15\n\t"
                     "movq %c[r14](%[frame]), %%r14\n\t"
                     "movq %c[r13](%[frame]), %%r13\n\t"
                     "movq %c[r12](%[frame]), %%r12\n\t"
                     "movq %c[r10](%[frame]), %%r10\n\t"
                     "movq %c[r9](%[frame]), %%r9\n\t"
                     "movq %c[r8](%[frame]), %%r8\n\t"
                     "movq %c[rdi](%[frame]), %%rdi\n\t"
                     "movq %c[rsi](%[frame]), %%rsi\n\t"
                     "movq %c[rbp](%[frame]), %%rbp\n\t"
                     "movq %c[rbx](%[frame]), %%rbx\n\t"
                     "movq %c[rdx](%[frame]), %%rdx\n\t"
                     "movq %[entry], %%r11\n\t"
                     "movq %c[rax](%[frame]), %%rax\n\t"
                     "jmp *%%r11"
                     :
                     : [frame] "c"(frame), [entry] "a"(entry),
                       [r15] "i"(PV_OFFSET_TRAP_FRAME_R15), [r14] "i"(PV_OFFSET_TRAP_FRAME_R14),
                       [r13] "i"(PV_OFFSET_TRAP_FRAME_R13), [r12] "i"(PV_OFFSET_TRAP_FRAME_R12),
                       [r10] "i"(PV_OFFSET_TRAP_FRAME_R10), [r9] "i"(PV_OFFSET_TRAP_FRAME_R9),
                       [r8] "i"(PV_OFFSET_TRAP_FRAME_R8), [rdi] "i"(PV_OFFSET_TRAP_FRAME_RDI),
                       [rsi] "i"(PV_OFFSET_TRAP_FRAME_RSI), [rbp] "i"(PV_OFFSET_TRAP_FRAME_RBP),
                       [rbx] "i"(PV_OFFSET_TRAP_FRAME_RBX), [rdx] "i"(PV_OFFSET_TRAP_FRAME_RDX),
                       [rax] "i"(PV_OFFSET_TRAP_FRAME_RAX)
                     : "memory");
    __builtin_unreachable();
}

#endif /* __ASSEMBLER__ */

#undef PV_PIN_SIZE
#undef PV_PIN_OFFSET

#endif /* PARAVANE_H */
