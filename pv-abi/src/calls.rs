//! Every call of the ABI, defined once.
//!
//! [`for_each_call!`](crate::for_each_call) hands the definitions to a macro of the
//! caller's. That is how the VMM gets its dispatch table, the SDK its wrappers and this
//! crate [`CALLS`], from which the reference and the C header are rendered. To add a
//! call, define it here and write its handler in the VMM; nothing else knows it by name.
//!
//! A call's number is `group << 5 | index`, so that a group has room for 32.

/// Calls `$callback!` with the definition of every call.
///
/// A definition reads: prose, then `safe` or `unsafe` (for a guest that makes it with any
/// arguments), name, number, arguments with their types and meanings, result, errors
/// beside those that every call has, group, first version, cost class, whether a batch
/// may contain it, whether it is repeated, and what it replaces on bare hardware.
#[macro_export]
macro_rules! for_each_call {
    ($callback:ident) => {
        $callback! {
            /// Asks which version of the ABI the VMM speaks.
            safe fn core_version = 0x000 () -> "major version << 16 | minor version"
                errors []
                in Core, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "CPUID of a hypervisor leaf";

            /// Writes the feature bits that the VMM offers, as one 64-bit word. They are
            /// in the start-info page too.
            unsafe fn core_features = 0x001 (
                out: Gpa = "where the word goes, 8-byte aligned",
            ) -> "0"
                errors [EFAULT = "`out` is not 8 bytes of RAM, 8-byte aligned"]
                in Core, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "CPUID of a hypervisor leaf";

            /// Carries out many calls in one exit. `entries` is an array of `pv_batch_entry`;
            /// each result is written into its entry. The calls are carried out in order.
            /// An element that may not be in a batch fails with EPERM. With
            /// `BATCH_STOP_ON_ERROR` in `flags` the batch ends behind the first element that
            /// fails; otherwise it goes on.
            unsafe fn core_batch = 0x002 (
                entries: Gpa = "array of `pv_batch_entry`, 8-byte aligned",
                count: u32 = "number of elements, 1 to 512",
                flags: u32 = "0 or `BATCH_STOP_ON_ERROR`; other bits must be zero",
            ) -> "number of elements that were carried out, a failed one included"
                errors [
                    EFAULT = "the array is not in RAM or not 8-byte aligned",
                    E2BIG = "`count` is above 512",
                    EINVAL = "`count` is 0 or a reserved bit of `flags` is set"
                ]
                in Core, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "one exit for each operation";

            /// Does nothing. Its cost is the cost of a hypercall.
            safe fn core_noop = 0x003 () -> "0"
                errors []
                in Core, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "nothing; it is there to be measured";

            /// Fills memory with random bytes from the host's generator.
            unsafe fn core_entropy = 0x004 (
                buffer: Gpa = "where the bytes go",
                size: u32 = "how many bytes, at most 256",
            ) -> "number of bytes written: `size`"
                errors [
                    EFAULT = "the buffer is not in RAM",
                    E2BIG = "`size` is above 256",
                    EIO = "the host's generator failed"
                ]
                in Core, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "RDRAND and RDSEED where they cannot be trusted or trap";

            /// Writes the counters of the calling vCPU, a `pv_stats`. This call and its exit are not
            /// among them yet.
            unsafe fn core_stats = 0x005 (
                out: Gpa = "where the `pv_stats` goes, 8-byte aligned",
                size: u32 = "size of the guest's `pv_stats` in bytes; the VMM writes no more",
            ) -> "number of bytes written"
                errors [
                    EFAULT = "`out` is not in RAM or not 8-byte aligned",
                    EINVAL = "`size` is below 32, the first version's"
                ]
                in Core, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "nothing; hardware does not count a guest's exits";

            /// Makes an empty address space, for tasks. It has the kernel's mappings, which every
            /// address space has, and a task area of its own.
            safe fn as_create = 0x020 () -> "the number of the address space, 1 or more"
                errors [
                    ENOSPC = "there are `ADDRESS_SPACES` of them",
                    ENOMEM = "the guest's page tables have reached their quota"
                ]
                in As, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "allocating and filling a page-map level-4 table";

            /// Removes an address space with all its mappings, those of sealed pages included. What is
            /// mapped there is not changed.
            unsafe fn as_destroy = 0x021 (
                space: u32 = "the address space",
            ) -> "0"
                errors [
                    ENOENT = "there is no such address space",
                    EBUSY = "it is the current one of a vCPU",
                    EPERM = "it is 0, the kernel's"
                ]
                in As, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "freeing page tables, INVPCID";

            /// Maps ranges. Each element is a `pv_mapping`; nothing may be mapped in its range
            /// yet. The VMM maps by 2 MiB where address, guest-physical address and size allow,
            /// and by 4 KiB elsewhere. In address space 0 a range lies outside of the task area
            /// and is the kernel's, in every address space; in any other it lies in the task
            /// area, and the tasks of that address space can use it too. No page of RAM is
            /// writable and executable at once, by whatever mappings.
            unsafe fn as_map = 0x022 (
                space: u32 = "the address space",
                elements: Gpa = "array of `pv_mapping`, 8-byte aligned",
            ) -> "number of elements done, those before the start index included"
                errors [
                    ENOENT = "there is no such address space",
                    EFAULT = "the array is not in RAM or not 8-byte aligned, or a range is neither in RAM nor in an attached grant",
                    EINVAL = "an address or size is not a multiple of the page size, a size is 0, a range is not in the part of the address space that it has to be in, a right is unknown, the right to read is missing, or `reserved` is not 0",
                    E2BIG = "a size is above 2 MiB (1 GiB where all three are multiples of 2 MiB)",
                    EEXIST = "something is mapped in the range",
                    EPERM = "it would be writable and executable, writable and sealed, or more than the grant allows",
                    ENOMEM = "the guest's page tables have reached their quota"
                ]
                in As, since (1, 1), cost UserExit, batch no, repeat yes,
                replaces "page-table writes";

            /// Unmaps ranges. Each element is a `pv_range`. What is not mapped there stays so. When
            /// the call returns, no vCPU can use a translation that it removed.
            unsafe fn as_unmap = 0x023 (
                space: u32 = "the address space",
                elements: Gpa = "array of `pv_range`, 8-byte aligned",
            ) -> "number of elements done, those before the start index included"
                errors [
                    ENOENT = "there is no such address space",
                    EFAULT = "the array is not in RAM or not 8-byte aligned",
                    EINVAL = "an address or size is not a multiple of the page size, a size is 0, or a range is not in the part of the address space that it has to be in",
                    E2BIG = "a size is above 2 MiB (1 GiB where both are multiples of 2 MiB)",
                    EPERM = "a page of the range is sealed",
                    ENOMEM = "a 2 MiB mapping would have to be split, and the page tables have reached their quota"
                ]
                in As, since (1, 1), cost UserExit, batch no, repeat yes,
                replaces "page-table writes, INVLPG, INVPCID, TLB shootdown IPIs";

            /// Changes the rights of ranges. Each element is a `pv_mapping` whose `gpa` is 0; all of
            /// its range is mapped. When the call returns, no vCPU has a right that it took
            /// away.
            unsafe fn as_protect = 0x024 (
                space: u32 = "the address space",
                elements: Gpa = "array of `pv_mapping`, 8-byte aligned",
            ) -> "number of elements done, those before the start index included"
                errors [
                    ENOENT = "there is no such address space, or a page of the range is not mapped",
                    EFAULT = "the array is not in RAM or not 8-byte aligned",
                    EINVAL = "as for `as_map`, or `gpa` is not 0",
                    E2BIG = "a size is above 2 MiB (1 GiB where both are multiples of 2 MiB)",
                    EPERM = "it would be writable and executable, or more than the grant allows, or a page that would get other rights is sealed",
                    ENOMEM = "a 2 MiB mapping would have to be split, and the page tables have reached their quota"
                ]
                in As, since (1, 1), cost UserExit, batch no, repeat yes,
                replaces "page-table writes, INVLPG, INVPCID, TLB shootdown IPIs";

            /// Says how an address is mapped: writes a `pv_translation`.
            unsafe fn as_query = 0x025 (
                space: u32 = "the address space",
                address: u64 = "any virtual address",
                out: Gpa = "where the `pv_translation` goes, 8-byte aligned",
            ) -> "0"
                errors [
                    ENOENT = "there is no such address space, or nothing of the guest's is mapped there",
                    EFAULT = "`out` is not in RAM or not 8-byte aligned"
                ]
                in As, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "a walk of the page tables";

            /// Makes an address space the current one of this vCPU.
            safe fn as_switch = 0x026 (
                space: u32 = "the address space; 0 for the kernel's mappings alone",
            ) -> "0"
                errors [ENOENT = "there is no such address space"]
                in As, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "MOV CR3";

            /// Makes pages of RAM immutable until the VM ends. Each element is a `pv_range` of mapped
            /// pages without the right to write. From then on no mapping of them is writable,
            /// whoever makes it; none is removed, but with its address space, or gets other rights;
            /// the VMM writes to them for no call; and they cannot be released.
            safe fn as_seal = 0x027 (
                space: u32 = "the address space",
                elements: Gpa = "array of `pv_range`, 8-byte aligned",
            ) -> "number of elements done, those before the start index included"
                errors [
                    ENOENT = "there is no such address space, or a page of the range is not mapped",
                    EFAULT = "the array is not in RAM or not 8-byte aligned",
                    EINVAL = "an address or size is not a multiple of the page size, a size is 0, or a range is not in the part of the address space that it has to be in",
                    E2BIG = "a size is above 2 MiB (1 GiB where both are multiples of 2 MiB)",
                    EPERM = "a page is mapped writable somewhere, or is another guest's",
                    EBUSY = "a device is writing to a page, or has a used ring in it"
                ]
                in As, since (1, 1), cost UserExit, batch no, repeat yes,
                replaces "CR0.WP and the promise not to clear it";

            /// Registers the handlers of exceptions, for this vCPU. The VMM copies the table:
            /// a later change to it has no effect. A vector past `count`, or with handler 0,
            /// has no handler; such a trap ends the guest as a crash. So does a #DF always: its
            /// handler is never entered.
            unsafe fn trap_set_table = 0x040 (
                table: Gpa = "array of `pv_trap_handler`, indexed by vector, 8-byte aligned",
                count: u32 = "number of elements, at most 32",
            ) -> "0"
                errors [
                    EFAULT = "the table is not in RAM or not 8-byte aligned",
                    E2BIG = "`count` is above 32",
                    EINVAL = "a handler is not in the lower half, or `flags` is not 0"
                ]
                in Trap, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "LIDT, LGDT, LTR";

            /// Registers the handler of upcalls, for this vCPU. It is entered like that of a trap,
            /// with vector 0x101, between any two instructions of the guest while
            /// `upcall_mask` of the vCPU page is 0 and no trap is being delivered. Without a handler
            /// no upcall is delivered; events still become pending.
            unsafe fn trap_set_upcall = 0x041 (
                handler: u64 = "virtual address of the handler, 0 for none",
            ) -> "0"
                errors [EINVAL = "the handler is not in the lower half"]
                in Trap, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "LIDT for interrupts, the local APIC's vectors";

            /// Registers the handler of the SYSCALL instruction, for this vCPU. It is entered
            /// like that of a trap, with vector 0x100; RCX and R11 are clobbered as SYSCALL
            /// clobbers them. Without a handler a SYSCALL ends the guest as a crash.
            unsafe fn trap_set_syscall = 0x042 (
                handler: u64 = "virtual address of the handler, 0 for none",
            ) -> "0"
                errors [EINVAL = "the handler is not in the lower half"]
                in Trap, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "WRMSR of STAR, LSTAR and SFMASK";

            /// Sets the FS base, the thread pointer, of this vCPU.
            unsafe fn trap_set_tls = 0x043 (
                base: u64 = "the new FS base, in the lower half",
            ) -> "0"
                errors [EINVAL = "`base` is not in the lower half"]
                in Trap, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "WRMSR of FS.base, WRFSBASE, SWAPGS";

            /// Resumes interrupted code: loads all registers from a `pv_trap_frame`. It does
            /// not return. The vector, the error code, CR2, CS and SS are ignored, and so is each
            /// bit of RFLAGS but the arithmetic flags, DF, TF, RF, AC and ID.
            /// The trap-return entry of the hypercall page is the cheaper way: it needs no exit.
            unsafe fn trap_return = 0x044 (
                frame: Gpa = "the `pv_trap_frame`, 8-byte aligned",
            ) -> "does not return"
                errors [
                    EFAULT = "the frame is not in RAM or not 8-byte aligned",
                    EINVAL = "RIP or RSP is not in the lower half"
                ]
                in Trap, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "IRET";

            /// Sets breakpoints of this vCPU, by its debug registers. Each arrives as a #DB, whose
            /// `cr2` then holds DR6. Single steps need no call: the guest sets TF in the RFLAGS that
            /// it returns to.
            unsafe fn trap_set_debug = 0x045 (
                registers: Gpa = "the `pv_debug_registers`, 8-byte aligned",
            ) -> "0"
                errors [
                    EFAULT = "the registers are not in RAM or not 8-byte aligned",
                    EINVAL = "an address is not in the lower half or in the VMM's own part of it, `control` has a bit that is not L0 to L3, R/W or LEN, or a reserved field is not 0",
                    ENOSYS = "this host gives guests no debug registers: there is no `DEBUG_REGISTERS`"
                ]
                in Trap, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "MOV DR";

            /// Takes a free port without a source of its own: `event_send` raises it, and so does
            /// whatever it is given to. It is unmasked and not pending.
            safe fn event_alloc = 0x060 (
                vcpu: u32 = "the vCPU that is told of it",
                priority: u32 = "0, the highest, to 3; lower ports of a priority come first",
            ) -> "the port"
                errors [
                    EINVAL = "there is no such vCPU or priority",
                    ENOSPC = "no port of this priority is free"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "programming a PIC, an IOAPIC, an MSI";

            /// Takes a free port with a timer, which `time_oneshot` and `time_periodic` set.
            safe fn event_bind_timer = 0x061 (
                vcpu: u32 = "the vCPU that is told of it",
                priority: u32 = "0, the highest, to 3",
            ) -> "the port"
                errors [
                    EINVAL = "there is no such vCPU or priority",
                    ENOSPC = "no port of this priority is free, or the VM has 1024 timers"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "the LVT timer entry of the local APIC";

            /// Takes a free port for interrupts from vCPU to vCPU. It stays with its vCPU.
            safe fn event_bind_ipi = 0x062 (
                vcpu: u32 = "the vCPU that is told of it",
                priority: u32 = "0, the highest, to 3",
            ) -> "the port"
                errors [
                    EINVAL = "there is no such vCPU or priority",
                    ENOSPC = "no port of this priority is free"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "vectors of inter-processor interrupts";

            /// Has another vCPU told of a port from now on. A port that is pending is told to
            /// the new one.
            safe fn event_bind_vcpu = 0x063 (
                port: u32 = "the port",
                vcpu: u32 = "the vCPU that is told of it",
            ) -> "0"
                errors [
                    ENOENT = "the port is free",
                    EINVAL = "there is no such port or vCPU",
                    EPERM = "the port is one of `event_bind_ipi`"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "the destination of an interrupt";

            /// Raises a port of `event_alloc` or `event_bind_ipi`: makes it pending and, unless it
            /// is masked, tells its vCPU. A port that is pending already stays so: its handler
            /// runs once.
            safe fn event_send = 0x064 (
                port: u32 = "the port",
            ) -> "1 if the port became pending, 0 if it was"
                errors [
                    ENOENT = "the port is free",
                    EINVAL = "there is no such port",
                    EPERM = "the port's source is not the guest"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "INT n, writes to the ICR of the local APIC";

            /// Masks a port: it may become pending, and nobody is told. The guest can set the bit of
            /// the event page itself instead, without an exit.
            safe fn event_mask = 0x065 (
                port: u32 = "the port",
            ) -> "0"
                errors [
                    ENOENT = "the port is free",
                    EINVAL = "there is no such port"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "the mask bit of an IOAPIC entry";

            /// Unmasks a port; if it is pending, its vCPU is told. On its own vCPU a guest can do the
            /// same in memory, without an exit.
            safe fn event_unmask = 0x066 (
                port: u32 = "the port",
            ) -> "0"
                errors [
                    ENOENT = "the port is free",
                    EINVAL = "there is no such port"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "the mask bit of an IOAPIC entry";

            /// Frees a port. It is not pending afterwards, and its timer is cancelled.
            safe fn event_close = 0x067 (
                port: u32 = "the port",
            ) -> "0"
                errors [
                    ENOENT = "the port is free",
                    EINVAL = "there is no such port"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "masking an interrupt for good";

            /// Takes a free port that the VMM raises, when what `source` says happens.
            safe fn event_bind_source = 0x068 (
                source: u32 = "`EVENT_SOURCE_*`",
                vcpu: u32 = "the vCPU that is told of it",
                priority: u32 = "0, the highest, to 3",
            ) -> "the port"
                errors [
                    EINVAL = "there is no such source, device, queue, vCPU or priority",
                    EBUSY = "the source has a port",
                    ENOSPC = "no port of this priority is free"
                ]
                in Event, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "the interrupt lines of devices";

            /// Sets a timer to raise its port once, and forgets what it was set to before.
            safe fn time_oneshot = 0x080 (
                port: u32 = "a port of `event_bind_timer`",
                deadline: u64 = "when, in nanoseconds of the clock; the past means now",
            ) -> "0"
                errors [
                    ENOENT = "the port is free",
                    EINVAL = "there is no such port, or it has no timer"
                ]
                in Time, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "the TSC-deadline MSR, the initial count of the local APIC, the PIT";

            /// Sets a timer to raise its port at `first` and every `period` from then on, and
            /// forgets what it was set to before. Periods that nobody took notice of are one event.
            safe fn time_periodic = 0x081 (
                port: u32 = "a port of `event_bind_timer`",
                first: u64 = "when first, in nanoseconds of the clock",
                period: u64 = "the period in nanoseconds, 50,000 (20 kHz) or more",
            ) -> "0"
                errors [
                    ENOENT = "the port is free",
                    EINVAL = "there is no such port, it has no timer, or the period is too short"
                ]
                in Time, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "the periodic modes of the local APIC, the HPET and the PIT";

            /// Stops a timer. An event that is pending stays so.
            safe fn time_cancel = 0x082 (
                port: u32 = "a port of `event_bind_timer`",
            ) -> "1 if the timer was set, 0 if not"
                errors [
                    ENOENT = "the port is free",
                    EINVAL = "there is no such port, or it has no timer"
                ]
                in Time, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "an initial count of 0 in the local APIC";

            /// Tells the time of day: writes a `pv_wallclock`.
            unsafe fn time_wallclock = 0x083 (
                out: Gpa = "where the `pv_wallclock` goes, 8-byte aligned",
            ) -> "0"
                errors [EFAULT = "`out` is not in RAM or not 8-byte aligned"]
                in Time, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "the ports of the real-time clock";

            /// Gives the rest of this vCPU's time slice to whoever waits for the processor.
            safe fn sched_yield = 0x0a0 () -> "0"
                errors []
                in Sched, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "PAUSE loops";

            /// Gives the rest of this vCPU's time slice to another vCPU, for example to one that
            /// holds a lock. If that one is running already, or blocked, it is as `sched_yield`.
            safe fn sched_yield_to = 0x0a1 (
                vcpu: u32 = "the vCPU",
            ) -> "0"
                errors [EINVAL = "there is no such vCPU"]
                in Sched, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "PAUSE loops";

            /// Waits until this vCPU is told of an event, is kicked, or `deadline` of the vCPU page
            /// has come (0 there: no deadline). Returns at once if `upcall_pending` is set, whether
            /// upcalls are masked or not. It costs no processor time.
            safe fn sched_block = 0x0a2 () -> "0 for an event, 1 for a kick, 2 for the deadline"
                errors []
                in Sched, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "HLT, MWAIT";

            /// Waits until one of some ports is pending, masked or not, until this vCPU is
            /// kicked, or until the deadline. The port stays pending; the guest clears it.
            safe fn sched_poll = 0x0a3 (
                ports: Gpa = "array of 32-bit port numbers, 8-byte aligned",
                count: u32 = "number of ports, at most 64",
                deadline: u64 = "in nanoseconds of the clock; 2^64-1: none; the past: only look",
            ) -> "the index in the array of a port that is pending"
                errors [
                    EFAULT = "the array is not in RAM or not 8-byte aligned",
                    E2BIG = "`count` is above 64",
                    EINVAL = "there is no such port",
                    ENOENT = "a port is free",
                    EAGAIN = "the vCPU was kicked",
                    ETIMEDOUT = "the deadline has come"
                ]
                in Sched, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "HLT in a loop around a look at device registers";

            /// Ends the `sched_block` or `sched_poll` that a vCPU is in, or the next one.
            safe fn sched_kick = 0x0a4 (
                vcpu: u32 = "the vCPU",
            ) -> "0"
                errors [EINVAL = "there is no such vCPU"]
                in Sched, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "an inter-processor interrupt that wakes a halted processor";

            /// Ends the VM. The exit code is what `paravane run` exits with.
            safe fn sched_shutdown = 0x0a5 (
                code: u32 = "exit code, 0 to 119; 0 is success",
            ) -> "does not return"
                errors [EINVAL = "`code` is above 119; those codes are the VMM's own"]
                in Sched, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "ACPI and reset ports";

            /// Starts the VM again, from its image, with fresh memory.
            safe fn sched_reboot = 0x0a6 () -> "does not return"
                errors []
                in Sched, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "the keyboard controller's reset, a triple fault";

            /// Ends the VM as crashed. The VMM shows the last crash report, or the registers
            /// of the caller where there is none.
            safe fn sched_crash = 0x0a7 () -> "does not return"
                errors []
                in Sched, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "a triple fault";

            /// Says that this vCPU has been waiting for a lock in vain, spinning. The VMM gives
            /// the processor to others for a while if there are any.
            safe fn sched_spin = 0x0a8 (
                spins: u32 = "how often it has looked",
            ) -> "0"
                errors []
                in Sched, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "PAUSE-loop exiting";

            /// Starts a vCPU that is stopped: it enters `entry` in the state of
            /// [the entry](#state-at-entry) but for RSP and RDI, in address space 0, without trap
            /// handlers, with upcalls masked.
            unsafe fn vcpu_start = 0x0c0 (
                vcpu: u32 = "the vCPU",
                entry: u64 = "RIP, in the lower half",
                stack: u64 = "RSP, in the lower half",
                argument: u64 = "RDI",
            ) -> "0"
                errors [
                    EINVAL = "there is no such vCPU, or an address is not in the lower half",
                    EBUSY = "it is not stopped"
                ]
                in Vcpu, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "INIT and SIPI";

            /// Stops a vCPU. When the call returns, it executes nothing. A vCPU that stops
            /// itself does not return; when the last one does, the VM ends as by `sched_shutdown`
            /// with 0.
            unsafe fn vcpu_stop = 0x0c1 (
                vcpu: u32 = "the vCPU",
            ) -> "0"
                errors [
                    EINVAL = "there is no such vCPU",
                    EBUSY = "it is stopping this one, or does not leave a call that it waits in"
                ]
                in Vcpu, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "INIT, CPU hot-unplug";

            /// Tells the state of a vCPU.
            safe fn vcpu_state = 0x0c2 (
                vcpu: u32 = "the vCPU",
            ) -> "`RUN_STATE_*`"
                errors [EINVAL = "there is no such vCPU"]
                in Vcpu, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "reading the local APIC's registers of another processor";

            /// Asks the host to run a vCPU on some of its processors only, counted from 0 among
            /// those that the VM may use. A host may ignore it.
            safe fn vcpu_set_affinity_hint = 0x0c3 (
                vcpu: u32 = "the vCPU",
                set: Gpa = "a `pv_set` of processors, followed by its banks, 8-byte aligned",
            ) -> "number of processors of the set that the VM may use; 0: the hint is ignored"
                errors [
                    EFAULT = "the set is not in RAM or not 8-byte aligned",
                    EINVAL = "there is no such vCPU, `format` is unknown, or `reserved` is not 0"
                ]
                in Vcpu, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "nothing; on bare hardware a processor is what it is";

            /// Takes memory of the host for ranges of RAM, so that touching them costs no fault of
            /// the host. Each element is a `pv_range` of guest-physical addresses.
            safe fn mem_populate = 0x0e0 (
                elements: Gpa = "array of `pv_range`, 8-byte aligned",
            ) -> "number of elements done, those before the start index included"
                errors [
                    EFAULT = "the array or a range is not in RAM, or not aligned",
                    EINVAL = "a start or size is not a multiple of the page size, or a size is 0",
                    E2BIG = "a size is above 2 MiB",
                    ENOMEM = "the host has no memory"
                ]
                in Mem, since (1, 1), cost UserExit, batch no, repeat yes,
                replaces "a balloon driver and its queues";

            /// Gives the memory behind ranges of RAM back to the host. Each element is a
            /// `pv_range` of guest-physical addresses. The pages read as zero from then on, and
            /// take memory again when they are written.
            unsafe fn mem_release = 0x0e1 (
                elements: Gpa = "array of `pv_range`, 8-byte aligned",
            ) -> "number of elements done, those before the start index included"
                errors [
                    EFAULT = "the array or a range is not in RAM, or not aligned",
                    EINVAL = "a start or size is not a multiple of the page size, or a size is 0",
                    E2BIG = "a size is above 2 MiB",
                    EPERM = "a page is sealed, shared or executable"
                ]
                in Mem, since (1, 1), cost UserExit, batch no, repeat yes,
                replaces "a balloon driver and its queues";

            /// Says that what is in ranges of RAM is of no use any more. Each element is a
            /// `pv_range` of guest-physical addresses. Until a page is written again, it holds what
            /// it held or zeros; the host takes its memory when it needs some.
            unsafe fn mem_hint = 0x0e2 (
                elements: Gpa = "array of `pv_range`, 8-byte aligned",
            ) -> "number of elements done, those before the start index included"
                errors [
                    EFAULT = "the array or a range is not in RAM, or not aligned",
                    EINVAL = "a start or size is not a multiple of the page size, or a size is 0",
                    E2BIG = "a size is above 2 MiB",
                    EPERM = "a page is sealed, shared or executable"
                ]
                in Mem, since (1, 1), cost UserExit, batch no, repeat yes,
                replaces "free-page reporting of a balloon driver";

            /// Grants another guest of the same VMM the use of a range of this guest's RAM.
            unsafe fn mem_share = 0x0e3 (
                guest: u32 = "number of the other guest",
                gpa: Gpa = "start of the range, a multiple of the page size",
                size: u64 = "size in bytes, a multiple of the page size, at most 2 MiB",
                rights: u32 = "`RIGHT_READ`, with `RIGHT_WRITE` or not",
            ) -> "number of the grant"
                errors [
                    ENOENT = "there is no such other guest",
                    EFAULT = "the range is not in RAM",
                    EINVAL = "an address or size is not a multiple of the page size, the size is 0, or the rights are others",
                    E2BIG = "the size is above 2 MiB",
                    EPERM = "a page is executable, or is sealed and the right to write is asked for",
                    ENOSPC = "this guest has `GRANTS` of them"
                ]
                in Mem, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "nothing; two machines share no memory";

            /// Takes a grant back. When the call returns, the other guest can no longer use the
            /// range: its mappings of it are gone.
            safe fn mem_unshare = 0x0e4 (
                grant: u32 = "number of the grant",
            ) -> "1 if the other guest had attached it, 0 if not"
                errors [ENOENT = "this guest has no such grant"]
                in Mem, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "nothing; two machines share no memory";

            /// Attaches a grant of another guest: it gets a guest-physical address, at which
            /// `as_map` can map it. Writes a `pv_attachment`.
            unsafe fn mem_attach = 0x0e5 (
                guest: u32 = "number of the guest that granted it",
                grant: u32 = "number of the grant",
                out: Gpa = "where the `pv_attachment` goes, 8-byte aligned",
            ) -> "0"
                errors [
                    ENOENT = "there is no such grant for this guest",
                    EFAULT = "`out` is not in RAM or not 8-byte aligned",
                    EBUSY = "it is attached already",
                    ENOSPC = "this guest has attached `GRANTS` of them",
                    EIO = "the host cannot give the VM so much memory more"
                ]
                in Mem, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "nothing; two machines share no memory";

            /// Detaches a grant, and removes what is mapped of it.
            unsafe fn mem_detach = 0x0e6 (
                guest: u32 = "number of the guest that granted it",
                grant: u32 = "number of the grant",
            ) -> "0"
                errors [ENOENT = "this guest has not attached it"]
                in Mem, since (1, 1), cost UserExit, batch no, repeat no,
                replaces "nothing; two machines share no memory";

            /// Lists the grants that other guests offer this one, a `pv_offer` for each, in no order.
            unsafe fn mem_offers = 0x0e7 (
                out: Gpa = "array of `pv_offer`, 8-byte aligned",
                count: u32 = "elements that it has room for, at most 64",
            ) -> "number of elements written"
                errors [
                    EFAULT = "`out` is not in RAM or not 8-byte aligned",
                    E2BIG = "`count` is above 64"
                ]
                in Mem, since (1, 1), cost UserExit, batch yes, repeat no,
                replaces "nothing; two machines share no memory";

            /// Writes bytes to the console. A write larger than 4096 bytes is cut, so that
            /// each call does bounded work; the caller writes the rest with another call. The
            /// call waits while the reader of the console is slow.
            safe fn io_console_write = 0x100 (
                buffer: Gpa = "the bytes",
                size: u32 = "how many bytes",
            ) -> "number of bytes written, at most 4096"
                errors [
                    EFAULT = "the buffer is not in RAM",
                    EPIPE = "nobody reads the console any more"
                ]
                in Io, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "OUT to a serial port";

            /// Reads bytes that were typed on the console, waiting for the first one for at
            /// most `timeout` nanoseconds.
            unsafe fn io_console_read = 0x101 (
                buffer: Gpa = "where the bytes go",
                size: u32 = "the most bytes to read; at most 4096 are",
                timeout: u64 = "how long to wait, in nanoseconds; 0: not at all; 2^64-1: for ever",
            ) -> "number of bytes read, at least 1 unless `size` is 0"
                errors [
                    EFAULT = "the buffer is not in RAM",
                    EAGAIN = "nothing was typed in time",
                    EPIPE = "the input has ended and all of it was read"
                ]
                in Io, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "IN from a serial port, and its interrupt";

            /// The status of a device (virtio 1.2, 2.1).
            safe fn io_device_status = 0x102 (
                device: u32 = "number of the device, its place in the start-info page's array",
            ) -> "its status, `DEVICE_*`"
                errors [ENOENT = "there is no such device"]
                in Io, since (1, 2), cost UserExit, batch yes, repeat no,
                replaces "a read of the status register of a virtio device";

            /// Sets the status of a device. 0 resets it: when the call returns, the device has
            /// forgotten its queues and features, and touches no memory any more. Otherwise bits
            /// are added: ACKNOWLEDGE, DRIVER, FEATURES_OK when the features have been set, and
            /// DRIVER_OK, with which the device starts to serve the queues that have been set up.
            safe fn io_device_set_status = 0x103 (
                device: u32 = "number of the device",
                status: u32 = "the bits that it has and those that are added, or 0",
            ) -> "0"
                errors [
                    ENOENT = "there is no such device",
                    EINVAL = "an unknown bit, a bit that was set is missing, or one is set before another that comes first",
                    EIO = "the device needs a reset"
                ]
                in Io, since (1, 2), cost UserExit, batch no, repeat no,
                replaces "a write of the status register of a virtio device";

            /// Says which features of a device the driver uses.
            safe fn io_device_set_features = 0x104 (
                device: u32 = "number of the device",
                features: u64 = "feature bits that it offers, VIRTIO_F_VERSION_1 among them",
            ) -> "0"
                errors [
                    ENOENT = "there is no such device",
                    EINVAL = "a feature is not offered, or VIRTIO_F_VERSION_1 is missing",
                    EBUSY = "FEATURES_OK has been set already, or DRIVER has not"
                ]
                in Io, since (1, 2), cost UserExit, batch yes, repeat no,
                replaces "writes of the feature registers of a virtio device";

            /// Reads from the configuration space of a device, all bytes at one moment. What lies
            /// behind its end is not read.
            unsafe fn io_config_read = 0x105 (
                device: u32 = "number of the device",
                offset: u32 = "where to begin, in bytes",
                buffer: Gpa = "where the bytes go",
                size: u32 = "how many bytes, at most 256",
            ) -> "the generation of the configuration space: how often it has changed, modulo 2^31"
                errors [
                    ENOENT = "there is no such device",
                    EFAULT = "the buffer is not in RAM",
                    EINVAL = "the bytes are not all in the configuration space",
                    E2BIG = "`size` is above 256"
                ]
                in Io, since (1, 2), cost UserExit, batch yes, repeat no,
                replaces "reads of the configuration space of a virtio device";

            /// Sets up a queue of a device, from where the device begins when DRIVER_OK is set.
            unsafe fn io_queue_setup = 0x106 (
                device: u32 = "number of the device",
                queue: u32 = "number of the queue",
                setup: Gpa = "the `pv_queue_setup`, 8-byte aligned",
            ) -> "0"
                errors [
                    ENOENT = "there is no such device or queue",
                    EFAULT = "`setup` or a part of the queue is not in RAM or not aligned, or the used ring is sealed",
                    EINVAL = "the size is no power of two or larger than the queue can be, or a reserved field is not 0",
                    EBUSY = "the queue is set up already, FEATURES_OK has not been set, or DRIVER_OK has"
                ]
                in Io, since (1, 2), cost UserExit, batch yes, repeat no,
                replaces "writes of the queue registers of a virtio device";

            /// Tells a device that a queue has available buffers, where there is no doorbell port.
            safe fn io_queue_notify = 0x107 (
                device: u32 = "number of the device",
                queue: u32 = "number of the queue",
            ) -> "0"
                errors [ENOENT = "there is no such device or queue"]
                in Io, since (1, 2), cost UserExit, batch yes, repeat no,
                replaces "a write of the notification register of a virtio device";

            /// Writes up to 40 bytes that travel in registers to the console. It needs no buffer
            /// and no trap handler, so it works from a guest's first instruction on.
            safe fn debug_print = 0x120 (
                size: u32 = "how many bytes, at most 40",
                w0: u64 = "bytes 0 to 7, the first one in the lowest bits",
                w1: u64 = "bytes 8 to 15",
                w2: u64 = "bytes 16 to 23",
                w3: u64 = "bytes 24 to 31",
                w4: u64 = "bytes 32 to 39",
            ) -> "number of bytes written"
                errors [
                    E2BIG = "`size` is above 40",
                    EPIPE = "nobody reads the console any more"
                ]
                in Debug, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "OUT to port 0xe9 or 0x80";

            /// Hands over what the guest knows about its crash. The VMM keeps the last report
            /// and shows it when the guest ends by `sched_crash`.
            safe fn debug_crash_report = 0x121 (
                report: Gpa = "the `pv_crash_report`, 8-byte aligned",
            ) -> "0"
                errors [
                    EFAULT = "the report or its message is not in RAM, or not 8-byte aligned",
                    EINVAL = "an unknown `kind`, a `frame_valid` above 1, or a reserved field that is not 0",
                    E2BIG = "`message_size` is above 1024"
                ]
                in Debug, since (1, 0), cost UserExit, batch no, repeat no,
                replaces "a dump on a serial port";

            /// Puts a mark with a value into the VMM's trace. What a guest can log is
            /// limited; marks above the limit are only counted.
            safe fn debug_trace_mark = 0x122 (
                id: u32 = "which mark; the guest gives it its meaning",
                value: u64 = "any value",
            ) -> "0"
                errors []
                in Debug, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "OUT to a debug port";

            /// Adds up its six arguments, so that the cost of a call whose arguments are
            /// all used can be measured, and that they arrive can be tested.
            safe fn debug_echo = 0x123 (
                a: u64 = "any value",
                b: u64 = "any value",
                c: u64 = "any value",
                d: u64 = "any value",
                e: u64 = "any value",
                f: u64 = "any value",
            ) -> "a + 2b + 3c + 4d + 5e + 6f, modulo 2^31"
                errors []
                in Debug, since (1, 0), cost UserExit, batch yes, repeat no,
                replaces "nothing; it is there to be measured";
        }
    };
}

/// A group of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The ABI itself, and many calls in one.
    Core = 0,
    /// Address spaces.
    As = 1,
    /// Traps.
    Trap = 2,
    /// Events.
    Event = 3,
    /// Time.
    Time = 4,
    /// Scheduling, and the end of the VM.
    Sched = 5,
    /// vCPUs.
    Vcpu = 6,
    /// Memory.
    Mem = 7,
    /// Console and devices.
    Io = 8,
    /// Debugging and measuring.
    Debug = 9,
}

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// No exit: shared memory, or code in the hypercall page.
    NoExit,
    /// An exit that the host kernel handles.
    KernelExit,
    /// An exit to the VMM.
    UserExit,
}

/// An argument of a call.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentSpec {
    /// Its name.
    pub name: &'static str,
    /// Its type in Rust: `u32`, `u64` or `Gpa`.
    pub rust_type: &'static str,
    /// Its type in C.
    pub c_type: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// The definition of a call, as data.
#[derive(Clone, Copy, Debug)]
pub struct CallSpec {
    /// Its name, group first.
    pub name: &'static str,
    /// Its number, bits 15:0 of the call word.
    pub number: u16,
    /// Its group.
    pub group: Group,
    /// The lines of its description.
    pub prose: &'static [&'static str],
    /// Whether a guest may make it with any arguments without breaking its own memory safety.
    pub safe: bool,
    /// Its arguments, in the order of their registers.
    pub arguments: &'static [ArgumentSpec],
    /// What it returns when it succeeds.
    pub result: &'static str,
    /// Errors and their reasons, beside those that every call has.
    pub errors: &'static [(crate::Errno, &'static str)],
    /// The first ABI version that has it: major, minor.
    pub since: (u16, u16),
    /// What it costs.
    pub cost: Cost,
    /// Whether a batch may contain it.
    pub batchable: bool,
    /// Whether it is repeated: it takes an array, with the count and the start index in the call
    /// word (see [`CallWord`](crate::CallWord)).
    pub repeated: bool,
    /// What it replaces on bare hardware.
    pub replaces: &'static str,
}

/// One more than the highest call number that any ABI 1 VMM will ever use.
pub const CALL_NUMBERS: usize = 0x200;

macro_rules! define_specs {
    ($($(#[doc = $prose:literal])+
        $safety:ident fn $name:ident = $number:literal
            ($($argument:ident : $type:ident = $meaning:literal,)*) -> $result:literal
            errors [$($errno:ident = $reason:literal),*]
            in $group:ident, since ($major:literal, $minor:literal), cost $cost:ident,
            batch $batch:ident, repeat $repeat:ident, replaces $replaces:literal;
    )*) => {
        /// Every call, in the order of the definitions.
        pub const CALLS: &[CallSpec] = &[$(CallSpec {
            name: stringify!($name),
            number: number::$name,
            group: Group::$group,
            prose: &[$($prose),+],
            safe: define_specs!(@safe $safety),
            arguments: &[$(ArgumentSpec {
                name: stringify!($argument),
                rust_type: stringify!($type),
                c_type: <$type as crate::types::Argument>::C_TYPE,
                meaning: $meaning,
            }),*],
            result: $result,
            errors: &[$((crate::Errno::$errno, $reason)),*],
            since: ($major, $minor),
            cost: Cost::$cost,
            batchable: define_specs!(@yes $batch),
            repeated: define_specs!(@yes $repeat),
            replaces: $replaces,
        }),*];

        /// The number of each call, under its name.
        pub mod number {
            $(
                #[doc = concat!("Number of `", stringify!($name), "`.")]
                #[allow(non_upper_case_globals)]
                pub const $name: u16 = $number;
            )*
        }
    };
    (@safe safe) => { true };
    (@safe unsafe) => { false };
    (@yes yes) => { true };
    (@yes no) => { false };
}

use crate::Gpa;
for_each_call!(define_specs);

/// The call with this number.
pub fn by_number(number: u16) -> Option<&'static CallSpec> {
    CALLS.iter().find(|call| call.number == number)
}

// A number belongs to its group and to one call alone.
const _: () = {
    let mut i = 0;
    while i < CALLS.len() {
        assert!(
            CALLS[i].number >> 5 == CALLS[i].group as u16,
            "a call number is outside its group"
        );
        assert!(
            (CALLS[i].number as usize) < CALL_NUMBERS,
            "a call number is too large"
        );
        assert!(
            CALLS[i].arguments.len() <= crate::convention::ARGUMENTS,
            "too many arguments"
        );
        assert!(
            i == 0 || CALLS[i - 1].number < CALLS[i].number,
            "the calls are not in ascending order, or two have one number"
        );
        i += 1;
    }
};

/// The published numbers. One that changes breaks every guest that was built before: give
/// a call that behaves differently a new number, and do not edit this list but to add to it.
const _: () = {
    const PUBLISHED: &[(u16, u16)] = &[
        (number::core_version, 0x000),
        (number::core_features, 0x001),
        (number::core_batch, 0x002),
        (number::core_noop, 0x003),
        (number::core_entropy, 0x004),
        (number::core_stats, 0x005),
        (number::as_create, 0x020),
        (number::as_destroy, 0x021),
        (number::as_map, 0x022),
        (number::as_unmap, 0x023),
        (number::as_protect, 0x024),
        (number::as_query, 0x025),
        (number::as_switch, 0x026),
        (number::as_seal, 0x027),
        (number::trap_set_table, 0x040),
        (number::trap_set_upcall, 0x041),
        (number::trap_set_syscall, 0x042),
        (number::trap_set_tls, 0x043),
        (number::trap_return, 0x044),
        (number::trap_set_debug, 0x045),
        (number::event_alloc, 0x060),
        (number::event_bind_timer, 0x061),
        (number::event_bind_ipi, 0x062),
        (number::event_bind_vcpu, 0x063),
        (number::event_send, 0x064),
        (number::event_mask, 0x065),
        (number::event_unmask, 0x066),
        (number::event_close, 0x067),
        (number::event_bind_source, 0x068),
        (number::time_oneshot, 0x080),
        (number::time_periodic, 0x081),
        (number::time_cancel, 0x082),
        (number::time_wallclock, 0x083),
        (number::sched_yield, 0x0a0),
        (number::sched_yield_to, 0x0a1),
        (number::sched_block, 0x0a2),
        (number::sched_poll, 0x0a3),
        (number::sched_kick, 0x0a4),
        (number::sched_shutdown, 0x0a5),
        (number::sched_reboot, 0x0a6),
        (number::sched_crash, 0x0a7),
        (number::sched_spin, 0x0a8),
        (number::vcpu_start, 0x0c0),
        (number::vcpu_stop, 0x0c1),
        (number::vcpu_state, 0x0c2),
        (number::vcpu_set_affinity_hint, 0x0c3),
        (number::mem_populate, 0x0e0),
        (number::mem_release, 0x0e1),
        (number::mem_hint, 0x0e2),
        (number::mem_share, 0x0e3),
        (number::mem_unshare, 0x0e4),
        (number::mem_attach, 0x0e5),
        (number::mem_detach, 0x0e6),
        (number::mem_offers, 0x0e7),
        (number::io_console_write, 0x100),
        (number::io_console_read, 0x101),
        (number::io_device_status, 0x102),
        (number::io_device_set_status, 0x103),
        (number::io_device_set_features, 0x104),
        (number::io_config_read, 0x105),
        (number::io_queue_setup, 0x106),
        (number::io_queue_notify, 0x107),
        (number::debug_print, 0x120),
        (number::debug_crash_report, 0x121),
        (number::debug_trace_mark, 0x122),
        (number::debug_echo, 0x123),
    ];
    assert!(
        PUBLISHED.len() == CALLS.len(),
        "pin the number of the new call here"
    );
    let mut i = 0;
    while i < PUBLISHED.len() {
        assert!(
            PUBLISHED[i].0 == PUBLISHED[i].1,
            "a published call number changed"
        );
        i += 1;
    }
};
