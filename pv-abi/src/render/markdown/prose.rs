//! What the reference says beyond the definitions.

pub(super) const INTRODUCTION: &str = "\
This is the whole contract between a guest and the VMM that runs it. The
[C header](../include/paravane.h) and the Rust crate `pv-abi` hold the same definitions.

A guest executes no sensitive instruction: whatever such an instruction would do, it asks
for by a call, or finds in memory that it shares with the VMM. One image therefore runs at
privilege level 0 and at privilege level 3, and need not know at which.

- Numbers are little-endian; structs have the layout of C. A struct `pv_trap_frame` is
  `struct pv_trap_frame` in C and `TrapFrame` in Rust; a constant `PAGE_SIZE` is
  `PV_PAGE_SIZE` in C and has the same name in Rust.
- A `gpa` is a guest-physical address, in bytes. RAM begins at guest-physical address 0.
  Every other address is virtual.
- What is reserved must be zero, and is zero when the VMM writes it. A reserved bit or
  field that is not zero answers `EINVAL`, so that it can get a meaning later.
- A published number or offset never changes. New calls, feature bits and fields in
  reserved space raise the minor version; anything else raises the major version, and a
  VMM refuses an image of another major version.";

pub(super) const PROMISES: &str = "\
A pointer that is passed to a call, or lies in a struct that is, is a guest-physical
address. A bad one answers `EFAULT`. A call never ends its guest because of its arguments.
What a call has to tell beyond a number of 31 bits it writes to memory.

The hypercall page is readable and executable and is never the guest's to change; its
address is in the start-info page. How a call leaves the guest is the page's own secret
and differs between hosts.";

pub(super) const ENTRY: &str = "\
## State at entry

vCPU 0 enters the image at its ELF entry, with nothing left to set up: there is no GDT,
no IDT, no page table and no processor mode for the guest to care for.

| what | at entry |
|---|---|
| mode | 64-bit mode, paging on, privilege level as `pv_start_info.privilege` says |
| RIP | the ELF entry |
| RDI | address of the start-info page |
| RSP | top of the boot stack, 16-byte aligned; nothing lies on the stack |
| GS base | address of the vCPU page of the running vCPU |
| FS base | 0; `trap_set_tls` sets it |
| RFLAGS | all flags clear; the interrupt flag may read as set, and has no meaning |
| other registers | unspecified |

A function in C or Rust expects RSP as a `call` leaves it, 8 bytes off a multiple of 16,
so the entry is a few instructions of assembly that clear RBP and `call` it.

Interrupts never reach the guest but as upcalls, which no call of this version arranges.

These instructions are not for a guest; at privilege level 3 they trap or, worse, answer
something wrong without a trap:

- CLI, STI, HLT, IN, OUT, INT, IRET, SYSRET, SWAPGS, MWAIT;
- moves to and from control and debug registers, LGDT, LIDT, LLDT, LTR, LMSW, CLTS;
- RDMSR, WRMSR, RDPMC, INVLPG, INVD, WBINVD, XSETBV, VMCALL, VMMCALL;
- SGDT, SIDT, SLDT, STR, SMSW, LAR, LSL, VERR, VERW, and PUSHF or POPF for the
  interrupt flag;
- CPUID, which is slow and may show the host's leaves: features are in the start-info page.";

pub(super) const ERRORS: &str = "\
A failed call returns the negated number. A guest treats any other value in [-4095, -1] as
it does `EIO`: a newer VMM may have more codes.";

pub(super) const FEATURES: &str = "\
Bits of `pv_start_info.features` (what the VMM offers), and of `required_features` and
`wanted_features` in the image note. A VMM refuses an image whose required features it
does not offer. A bit without a meaning is reserved.";

pub(super) const IMAGE: &str = "\
A guest is a static ELF64 executable for x86-64 (type `ET_EXEC`, linked with
`-static -no-pie`). The VMM checks all of it before it builds a VM:

- No segment is of type PT_INTERP or PT_DYNAMIC.
- Each loadable segment lies at virtual addresses from `IMAGE_LOWEST` to
  `LINEAR_MAP_BASE`, and at the guest-physical address `p_paddr` inside RAM. Both have
  the same offset in their page.
- No two segments share a page, virtually or physically; `-z max-page-size=4096` sees
  to that.
- Each segment is readable, and none is both writable and executable. It is mapped with
  exactly its own rights, at its own address.
- The entry lies in an executable segment.
- There are at most 64 program headers, and at most 40 loadable segments.
- There is exactly one image note, in a PT_NOTE segment. Its name is printable, and its
  numbers of vCPUs include one that a VM can have.

It also refuses to run an image in a VM that has less RAM than the note or a segment
needs, fewer or more vCPUs than the note allows, or not all of the required features.";

pub(super) const TRAP_RETURN: &str = "\
To resume the interrupted code, a handler restores the registers, puts an interrupt return
frame (RIP, CS, RFLAGS, RSP, SS) on a stack, and jumps to the hypercall page at
`TRAP_RETURN_OFFSET`. That needs no exit; `trap_return` does the same by a call.";

pub(super) const CALLS: &str = "\
A call's number is its group times 32 plus its index in the group. Beside the errors of
its own, every call can answer

- `ENOSYS`: the VMM knows no call of this number;
- `EINVAL`: a reserved bit of the call word is set, a count or start index comes with a
  call that is not repeated, or a 32-bit argument has a bit above 31 set.

A call that is not *safe* can break the guest's own memory safety when its arguments are
wrong, because the VMM writes to memory or changes where the guest runs; its wrapper in
Rust is an `unsafe fn`. No call with any arguments harms the VMM.";

pub(super) const NOT_A_CALL: &str = "\
## What is not a call, and why

An exit is the most expensive thing that a guest does, so what can be had without one is
not a call:

| what | how | why no call |
|---|---|---|
| features, RAM, command line, initrd | the start-info page | they never change while the guest runs |
| which vCPU this is, and its own data | the GS base points to the vCPU page | read on every trap |
| the time | RDTSC, with `tsc_frequency` of the start-info page and `clock` of the vCPU page | read far more often than anything else |
| masking upcalls, seeing that one waits | `upcall_mask` and `upcall_pending` of the vCPU page | CLI and STI surround each short critical section |
| taking a trap or a SYSCALL | the monitor enters the guest's handler | a page fault or a system call would cost two exits |
| returning from a trap | the hypercall page at `TRAP_RETURN_OFFSET` | as often as a trap is taken |
| registers that a trap handler needs before it has a stack | `guest` of the vCPU page | a call needs a stack |

There is no call to read CPUID, a model-specific register or a port either: what they
would tell is in the start-info page, and what they would do has a call of its own.";
