# The monitor: the only code below the guest kernel (design: docs/architecture.md).
#
# Position-independent and mapped once per vCPU, always in the same window:
#
#   0x0000  this code               R-X, one copy of the bytes for all vCPUs
#   0x2000  its data (monitor/data) RW-
#   0x3000  the IDT                 R--
#   0x4000  the vCPU page           RW-, an alias of the one the guest sees
#
# so that RIP-relative addressing reaches the data of the vCPU that executes it, and no
# register is needed to find it. It holds no policy: the VMM fills in the data, and all
# that is decided here is whether a trap can be delivered.
#
# Every instruction here may be interpreted, at about 0.7 us each, by a software KVM; keep
# to plain MOV, PUSH, POP, CMP, Jcc, IRETQ, IN and OUT on the paths that matter.

.set WINDOW_DATA,      0x2000
.set WINDOW_VCPU_PAGE, 0x4000

# monitor/data.rs has the same layout and asserts it.
.set BOUNCE_SIZE,        40
.set BOUNCE_RSP,         24
.set DATA_BOUNCE,        0x000     # 33 frames, one per vector and one for SYSCALL
.set DATA_RETURN_FRAME,  0x580     # how a hypercall returns
.set DATA_RESUME_FRAME,  0x5c0     # how the VMM resumes code of its choice
.set DATA_HYPERCALL_RIP, 0x600     # the instruction behind the hypercall page's SYSCALL
.set DATA_SAVED_RAX,     0x608
.set DATA_GUEST_CS,      0x610
.set DATA_GUEST_SS,      0x618
.set DATA_SYSCALL_ENTRY, 0x620     # LSTAR
.set DATA_TASK_ENTRY_RIP, 0x628    # the instruction behind the task entry's SYSCALL
.set DATA_IN_TASK,       0x630     # 1 while a task runs
.set DATA_KERNEL_CR3,    0x638     # the roots of the address space; 0 where one serves both
.set DATA_TASK_CR3,      0x640
.set DATA_GS_BASE,       0x648     # the kernel's: the vCPU page
.set DATA_SAVED_RCX,     0x650
.set DATA_SAVED_RDX,     0x658
.set DATA_TASK_FRAME,    0x660     # how a task is entered
.set DATA_IO_MAP_BASE,   0x866     # of the TSS

.set IO_MAP_OPEN,   104            # where the I/O permission bitmap is
.set IO_MAP_CLOSED, 0xffff         # past the limit of the TSS: no port is allowed
.set MSR_GS_BASE,   0xc0000101

# pv-abi: the vCPU page.
.set UPCALL_MASK,    12
.set UPCALL_PENDING, 13
.set TASK_RIP,       400
.set TASK_RFLAGS,    408
.set TASK_RSP,       416
.set TASK_RCX,       424
.set TASK_R11,       432
# What a task may have in RFLAGS: as trap_return.
.set RESTORED_RFLAGS, 0x250dd5

# pv-abi: the vCPU page's TrapState.
.set TRAP_BUSY,      288
.set TRAP_VECTOR,    292
.set TRAP_CR2,       296
.set TRAP_SECOND,    304           # reserved: the vector of a trap that found `busy` set
.set TRAP_FROM_TASK, 312
.set TRAP_RIP,       360
.set TRAP_CS,        368
.set TRAP_RFLAGS,    376
.set TRAP_RSP,       384
.set TRAP_SS,        392

# vmm/src/ports.rs
.set PORT_HYPERCALL,    0x50
.set PORT_UNHANDLED,    0x54
.set PORT_DOUBLE_TRAP,  0x55
.set PORT_DOUBLE_FAULT, 0x56
.set PORT_UPCALL,       0x57


.section .rodata.paravane_monitor, "a"
.balign 16
.globl paravane_monitor_start
.hidden paravane_monitor_start
paravane_monitor_start:

.set data, paravane_monitor_start + WINDOW_DATA
.set vcpu, paravane_monitor_start + WINDOW_VCPU_PAGE

# The CPU has pushed the frame of vector \n to the end of the vCPU page's TrapState, with
# an error code in its place where there is one. Enter the guest's handler on the
# interrupted RSP.
.macro trap n
.balign 8
.globl paravane_monitor_trap_\n
.hidden paravane_monitor_trap_\n
paravane_monitor_trap_\n:
    cmp dword ptr [rip + vcpu + TRAP_BUSY], 0
    jne 1f
    mov dword ptr [rip + vcpu + TRAP_BUSY], 1
    mov dword ptr [rip + vcpu + TRAP_VECTOR], \n
    mov dword ptr [rip + vcpu + TRAP_FROM_TASK], 0
    cmp dword ptr [rip + data + DATA_IN_TASK], 0
    jne 3f
2:
.if \n == 1
    mov qword ptr [rip + data + DATA_SAVED_RAX], rax
    mov rax, dr6
    mov qword ptr [rip + vcpu + TRAP_CR2], rax
    mov eax, 0xffff0ff0
    mov dr6, rax
    mov rax, qword ptr [rip + data + DATA_SAVED_RAX]
.endif
.if \n == 14
    mov qword ptr [rip + data + DATA_SAVED_RAX], rax
    mov rax, cr2
    mov qword ptr [rip + vcpu + TRAP_CR2], rax
    mov rax, qword ptr [rip + data + DATA_SAVED_RAX]
.endif
    push qword ptr [rip + vcpu + TRAP_RSP]
    pop qword ptr [rip + data + DATA_BOUNCE + \n * BOUNCE_SIZE + BOUNCE_RSP]
    lea rsp, [rip + data + DATA_BOUNCE + \n * BOUNCE_SIZE]
    iretq
1:  mov dword ptr [rip + vcpu + TRAP_SECOND], \n
    jmp paravane_monitor_double_trap
3:  call leave_task
    jmp 2b
.endm

# The gate of a vector that has no handler.
.macro unhandled n
.balign 8
.globl paravane_monitor_unhandled_\n
.hidden paravane_monitor_unhandled_\n
paravane_monitor_unhandled_\n:
    cmp dword ptr [rip + vcpu + TRAP_BUSY], 0
    jne 1f
    mov dword ptr [rip + vcpu + TRAP_VECTOR], \n
    out PORT_UNHANDLED, al
1:  mov dword ptr [rip + vcpu + TRAP_SECOND], \n
    jmp paravane_monitor_double_trap
.endm

.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
trap \n
unhandled \n
.endr

# A task was interrupted: back to the kernel's page tables, GS base and ports, with upcalls masked.
# The stack is the TrapState below the frame.
leave_task:
    mov qword ptr [rip + data + DATA_SAVED_RAX], rax
    mov rax, qword ptr [rip + data + DATA_KERNEL_CR3]
    test rax, rax
    jz 1f
    mov cr3, rax
    mov word ptr [rip + data + DATA_IO_MAP_BASE], IO_MAP_OPEN
1:  mov qword ptr [rip + data + DATA_SAVED_RCX], rcx
    mov qword ptr [rip + data + DATA_SAVED_RDX], rdx
    mov ecx, MSR_GS_BASE
    mov eax, dword ptr [rip + data + DATA_GS_BASE]
    mov edx, dword ptr [rip + data + DATA_GS_BASE + 4]
    wrmsr
    mov rdx, qword ptr [rip + data + DATA_SAVED_RDX]
    mov rcx, qword ptr [rip + data + DATA_SAVED_RCX]
    mov rax, qword ptr [rip + data + DATA_SAVED_RAX]
    mov dword ptr [rip + data + DATA_IN_TASK], 0
    mov dword ptr [rip + vcpu + TRAP_FROM_TASK], 1
    mov byte ptr [rip + vcpu + UPCALL_MASK], 1
    ret

# The task entry of the hypercall page, by SYSCALL: RCX and R11 are free, RSP is the kernel's and
# of no use. From here to the IRETQ the VMM takes the task for entered already: an upcall finds
# the task's registers in the vCPU page.
.globl paravane_monitor_task_entry
.hidden paravane_monitor_task_entry
paravane_monitor_task_entry:
    mov rcx, qword ptr [rip + vcpu + TASK_RIP]
    # The lower half: an IRETQ to what is not canonical would fault here.
    shl rcx, 17
    shr rcx, 17
    mov qword ptr [rip + data + DATA_TASK_FRAME], rcx
    mov ecx, dword ptr [rip + vcpu + TASK_RFLAGS]
    and ecx, RESTORED_RFLAGS
    or ecx, 0x202
    mov qword ptr [rip + data + DATA_TASK_FRAME + 16], rcx
    mov rcx, qword ptr [rip + vcpu + TASK_RSP]
    mov qword ptr [rip + data + DATA_TASK_FRAME + BOUNCE_RSP], rcx
    mov dword ptr [rip + data + DATA_IN_TASK], 1
    mov rcx, qword ptr [rip + data + DATA_TASK_CR3]
    test rcx, rcx
    jz 1f
    mov word ptr [rip + data + DATA_IO_MAP_BASE], IO_MAP_CLOSED
    mov cr3, rcx
1:  mov byte ptr [rip + vcpu + UPCALL_MASK], 0
    cmp byte ptr [rip + vcpu + UPCALL_PENDING], 0
    jne 3f
.globl paravane_monitor_task_go
.hidden paravane_monitor_task_go
paravane_monitor_task_go:
    mov rcx, qword ptr [rip + vcpu + TASK_RCX]
    mov r11, qword ptr [rip + vcpu + TASK_R11]
    lea rsp, [rip + data + DATA_TASK_FRAME]
    iretq
# An event came while upcalls were masked. The VMM delivers the upcall, or goes on above.
3:  out PORT_UPCALL, al
.globl paravane_monitor_task_entry_end
.hidden paravane_monitor_task_entry_end
paravane_monitor_task_entry_end:

# A trap that arrived before the handler of the one before had saved its state.
paravane_monitor_double_trap:
    out PORT_DOUBLE_TRAP, al

# #DF, on a stack of its own: the CPU could not even push the frame of a trap.
.globl paravane_monitor_double_fault
.hidden paravane_monitor_double_fault
paravane_monitor_double_fault:
    out PORT_DOUBLE_FAULT, al

# Where the VMM puts a vCPU that is to resume with all registers of its choice: it fills in
# the resume frame and points RSP at it.
.globl paravane_monitor_resume
.hidden paravane_monitor_resume
paravane_monitor_resume:
    iretq

# LSTAR, one entry for each carrier: the hypercall page's SYSCALL in ring3 mode, and every
# SYSCALL of the guest's own.
.macro syscall_entry carrier
.balign 16
.globl paravane_monitor_syscall_\carrier
.hidden paravane_monitor_syscall_\carrier
paravane_monitor_syscall_\carrier:
    cmp rcx, qword ptr [rip + data + DATA_HYPERCALL_RIP]
    jne guest_syscall
    mov qword ptr [rip + data + DATA_RETURN_FRAME + BOUNCE_RSP], rsp
    lea rsp, [rip + data + DATA_RETURN_FRAME]
.endm

# Behind each carrier is a label: the hypercall is done there, and an upcall finds the return
# frame's registers.
.macro carried carrier
.globl paravane_monitor_carried_\carrier
.hidden paravane_monitor_carried_\carrier
paravane_monitor_carried_\carrier:
.endm

syscall_entry pio
    in eax, PORT_HYPERCALL
carried pio
    iretq

# KVM_HC_MAP_GPA_RANGE (12): RBX page-aligned, RCX not zero, RDX any. RBX is kept below the
# return frame.
syscall_entry vmcall
    push rbx
    xor ebx, ebx
    mov ecx, 1
    mov eax, 12
    vmcall
carried vmcall
    pop rbx
    iretq

syscall_entry vmmcall
    push rbx
    xor ebx, ebx
    mov ecx, 1
    mov eax, 12
    vmmcall
carried vmmcall
    pop rbx
    iretq

guest_syscall:
    cmp dword ptr [rip + data + DATA_IN_TASK], 0
    jne 3f
    cmp rcx, qword ptr [rip + data + DATA_TASK_ENTRY_RIP]
    je paravane_monitor_task_entry
3:  cmp dword ptr [rip + vcpu + TRAP_BUSY], 0
    jne 1f
    mov qword ptr [rip + vcpu + TRAP_RSP], rsp
    lea rsp, [rip + vcpu + TRAP_RIP]
    push qword ptr [rip + data + DATA_GUEST_CS]
    pop qword ptr [rip + vcpu + TRAP_CS]
    push qword ptr [rip + data + DATA_GUEST_SS]
    pop qword ptr [rip + vcpu + TRAP_SS]
deliver_syscall:
    mov qword ptr [rip + vcpu + TRAP_RIP], rcx
    mov qword ptr [rip + vcpu + TRAP_RFLAGS], r11
    mov dword ptr [rip + vcpu + TRAP_VECTOR], 0x100
    cmp qword ptr [rip + data + DATA_BOUNCE + 32 * BOUNCE_SIZE], 0
    je 2f
    mov dword ptr [rip + vcpu + TRAP_BUSY], 1
    mov dword ptr [rip + vcpu + TRAP_FROM_TASK], 0
    cmp dword ptr [rip + data + DATA_IN_TASK], 0
    je 4f
    call leave_task
4:  push qword ptr [rip + vcpu + TRAP_RSP]
    pop qword ptr [rip + data + DATA_BOUNCE + 32 * BOUNCE_SIZE + BOUNCE_RSP]
    lea rsp, [rip + data + DATA_BOUNCE + 32 * BOUNCE_SIZE]
    iretq
1:  mov dword ptr [rip + vcpu + TRAP_SECOND], 0x100
    jmp paravane_monitor_double_trap
2:  out PORT_UNHANDLED, al

# A software KVM may take SYSCALL to LSTAR without leaving CPL 3, where the fetch of the
# monitor's code faults. Everything is as SYSCALL left it, and RSP, CS and SS have been pushed.
.balign 16
.globl paravane_monitor_fault_or_syscall
.hidden paravane_monitor_fault_or_syscall
paravane_monitor_fault_or_syscall:
    push rax
    mov rax, qword ptr [rip + data + DATA_SYSCALL_ENTRY]
    cmp qword ptr [rip + vcpu + TRAP_RIP], rax
    pop rax
    je 2f
    cmp qword ptr [rip + data + DATA_BOUNCE + 14 * BOUNCE_SIZE], 0
    jne paravane_monitor_trap_14
    jmp paravane_monitor_unhandled_14
2:  cmp dword ptr [rip + data + DATA_IN_TASK], 0
    jne 3f
    cmp rcx, qword ptr [rip + data + DATA_TASK_ENTRY_RIP]
    je paravane_monitor_task_entry
3:  cmp dword ptr [rip + vcpu + TRAP_BUSY], 0
    je deliver_syscall
    mov dword ptr [rip + vcpu + TRAP_SECOND], 0x100
    jmp paravane_monitor_double_trap

# What the host probe executes at CPL 0, one step each; see probe.rs.
.globl paravane_monitor_probe_native
.hidden paravane_monitor_probe_native
paravane_monitor_probe_native:
    xorps xmm0, xmm0
    in eax, PORT_HYPERCALL
.globl paravane_monitor_probe_vmcall
.hidden paravane_monitor_probe_vmcall
paravane_monitor_probe_vmcall:
    vmcall
    in eax, PORT_HYPERCALL
.globl paravane_monitor_probe_vmmcall
.hidden paravane_monitor_probe_vmmcall
paravane_monitor_probe_vmmcall:
    vmmcall
    in eax, PORT_HYPERCALL
    ud2

.globl paravane_monitor_end
.hidden paravane_monitor_end
paravane_monitor_end:
