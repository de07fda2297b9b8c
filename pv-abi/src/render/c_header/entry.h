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
