/* PV_TRAP_ENTRY and pv_task_enter, on this host: the program fills in the trap state as the CPU
   and the monitor do, and has a stand-in for the hypercall page. */

#include <paravane.h>
#include <string.h>
#include "check.h"

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, R8, R9, R10, R11, R12, R13, R14, R15, REGISTERS };

/* The registers at the trap, and those behind it. */
uint64_t before[REGISTERS], after[REGISTERS];
uint64_t rsp_before, rsp_after, rflags_after;
uint64_t own_rsp;
uint64_t task_page, task_frame;
uint64_t vector_before[2], vector_after[2];
uint32_t mxcsr_before, mxcsr_after;

__asm__(".text\n"
        /* void trap(void): arrives at trap_entry with the registers of `before`. */
        "trap:\n"
        "pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        "movq %rsp, own_rsp(%rip)\n"
        "movups vector_before(%rip), %xmm0\n"
        "ldmxcsr mxcsr_before(%rip)\n"
        "movq rsp_before(%rip), %rsp\n"
        "leaq before(%rip), %rax\n"
        "movq 8(%rax), %rbx\n movq 16(%rax), %rcx\n movq 24(%rax), %rdx\n"
        "movq 32(%rax), %rsi\n movq 40(%rax), %rdi\n movq 48(%rax), %rbp\n"
        "movq 56(%rax), %r8\n movq 64(%rax), %r9\n movq 72(%rax), %r10\n"
        "movq 80(%rax), %r11\n movq 88(%rax), %r12\n movq 96(%rax), %r13\n"
        "movq 104(%rax), %r14\n movq 112(%rax), %r15\n movq (%rax), %rax\n"
        "jmp trap_entry\n"
        /* void task(void): runs pv_task_enter, which arrives at `resumed`. */
        "task:\n"
        "pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        "movq %rsp, own_rsp(%rip)\n"
        "subq $8, %rsp\n"
        "call enter_task\n"
        /* Where the trap happened. */
        "resumed:\n"
        "movq %rax, after(%rip)\n"
        "leaq after(%rip), %rax\n"
        "movq %rbx, 8(%rax)\n movq %rcx, 16(%rax)\n movq %rdx, 24(%rax)\n"
        "movq %rsi, 32(%rax)\n movq %rdi, 40(%rax)\n movq %rbp, 48(%rax)\n"
        "movq %r8, 56(%rax)\n movq %r9, 64(%rax)\n movq %r10, 72(%rax)\n"
        "movq %r11, 80(%rax)\n movq %r12, 88(%rax)\n movq %r13, 96(%rax)\n"
        "movq %r14, 104(%rax)\n movq %r15, 112(%rax)\n"
        "movq %rsp, rsp_after(%rip)\n"
        "movq own_rsp(%rip), %rsp\n"
        "pushfq\n popq rflags_after(%rip)\n cld\n"
        "movups %xmm0, vector_after(%rip)\n"
        "stmxcsr mxcsr_after(%rip)\n"
        "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbp\n popq %rbx\n"
        "ret\n"
        /* The stand-in for the hypercall page. */
        ".balign 256\n"
        "hypercall_page:\n"
        ".skip 0x80, 0xcc\n"
        "iretq\n"
        ".skip 0xc0 - 0x82, 0xcc\n"
        "movb $0, %gs:" PV_TEXT(PV_OFFSET_VCPU_PAGE_UPCALL_MASK) "\n"
        "movq " PV_IN_TASK_STATE(RSP) ", %rsp\n"
        "movq " PV_IN_TASK_STATE(RCX) ", %rcx\n"
        "movq " PV_IN_TASK_STATE(R11) ", %r11\n"
        "jmpq *" PV_IN_TASK_STATE(RIP) "\n");
void trap(void);
void task(void);
extern const char resumed[], hypercall_page[];
const void *page = hypercall_page;

PV_TRAP_ENTRY(trap_entry, on_trap, page)
void on_trap(struct pv_trap_frame *frame, int from_task);
void enter_task(void);

static struct pv_vcpu_page vcpu __attribute__((aligned(4096)));
/* The page below the trap stack counts as part of it. */
static char guarded_trap_stack[4096 + 16384] __attribute__((aligned(4096)));
static char *const trap_stack = guarded_trap_stack + 4096;
enum { TRAP_STACK_SIZE = 16384 };
static char stack[4096] __attribute__((aligned(16)));
static struct pv_trap_frame entered;

/* What on_trap found. */
static int handled, tasks;
static uint64_t last_vector;
static struct pv_trap_frame *frame_at;
static struct pv_trap_frame seen;
/* What it does. */
static int leave_an_event, change_a_register;

void on_trap(struct pv_trap_frame *frame, int from_task)
{
    uint32_t mxcsr;

    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    CHECK(mxcsr == 0x1f80);
    CHECK(vcpu.upcall_mask == 1);
    CHECK(vcpu.trap.busy == 0);
    CHECK((uintptr_t)__builtin_frame_address(0) % 16 == 0);
    handled++;
    tasks += from_task;
    last_vector = frame->vector;
    frame_at = frame;
    seen = *frame;
    __asm__ volatile("pxor %%xmm0, %%xmm0" : : : "xmm0");
    /* A trap within the handler would leave its own state here. */
    memset(&vcpu.trap.cr2, 0xee, sizeof vcpu.trap - offsetof(struct pv_trap_state, cr2));
    vcpu.upcall_pending = leave_an_event && handled == 1;
    if (change_a_register)
        frame->rax = 4711;
}

static void prepare(uint32_t vector, int from_task, void *rsp)
{
    uint64_t cs, ss;

    __asm__("movq %%cs, %0\n\tmovq %%ss, %1" : "=r"(cs), "=r"(ss));
    for (uint64_t i = 0; i < REGISTERS; i++)
        before[i] = 0x1111111111111111 * (i + 1);
    memset(after, 0, sizeof after);
    vector_before[0] = 0x0123456789abcdef;
    vector_before[1] = 0xfedcba9876543210;
    mxcsr_before = 0x1f80 | 0x6000;
    rsp_before = (uint64_t)(uintptr_t)rsp;
    vcpu.trap.busy = 1;
    vcpu.trap.vector = vector;
    vcpu.trap.cr2 = 0xc2;
    vcpu.trap.from_task = (uint64_t)from_task;
    vcpu.trap.error = 0xe;
    vcpu.trap.rip = (uint64_t)(uintptr_t)resumed;
    vcpu.trap.cs = cs;
    vcpu.trap.rflags = 0x602; /* DF */
    vcpu.trap.rsp = (uint64_t)(uintptr_t)rsp;
    vcpu.trap.ss = ss;
    handled = tasks = 0;
}

static void check_registers(uint64_t rax)
{
    CHECK(after[RAX] == rax);
    for (int i = RBX; i < REGISTERS; i++)
        CHECK(after[i] == before[i]);
    CHECK(rsp_after == rsp_before);
    CHECK(memcmp(vector_before, vector_after, sizeof vector_after) == 0);
    CHECK(mxcsr_after == mxcsr_before);
}

/* The frame is `size` bytes below an address, at most. */
static int is_below(const void *address, uintptr_t size)
{
    uintptr_t end = (uintptr_t)frame_at + sizeof *frame_at;
    return end <= (uintptr_t)address && (uintptr_t)address - end <= size;
}

void enter_task(void)
{
    pv_task_enter(page, &entered);
}

int main(void)
{
    char *trap_stack_top = trap_stack + TRAP_STACK_SIZE;
    char *stack_top = stack + sizeof stack;

    vcpu.self_address = (uint64_t)(uintptr_t)&vcpu;
    vcpu.trap_stack_top = (uint64_t)(uintptr_t)trap_stack_top;
    vcpu.trap_stack_size = TRAP_STACK_SIZE;
    set_gs_base(&vcpu);

    /* A trap of the kernel: all is in the frame, and everything comes back. */
    prepare(PV_VECTOR_PF, 0, stack_top);
    trap();
    check_registers(before[RAX]);
    CHECK(handled == 1 && tasks == 0 && last_vector == PV_VECTOR_PF);
    CHECK(seen.rax == before[RAX] && seen.rcx == before[RCX] && seen.rdi == before[RDI]);
    CHECK(seen.r15 == before[R15] && seen.r11 == before[R11] && seen.rbp == before[RBP]);
    CHECK(seen.rip == (uint64_t)(uintptr_t)resumed && seen.rsp == rsp_before);
    CHECK(seen.cr2 == 0xc2 && seen.error == 0xe && seen.rflags == 0x602);
    CHECK(is_below(trap_stack_top, 16));
    CHECK(rflags_after & 0x400);
    CHECK(vcpu.upcall_mask == 0);

    /* The handler changes a register; upcalls that were masked stay so, with an event there. */
    prepare(PV_VECTOR_UD, 0, stack_top);
    change_a_register = 1;
    vcpu.upcall_mask = 1;
    leave_an_event = 1;
    trap();
    check_registers(4711);
    CHECK(handled == 1);
    CHECK(vcpu.upcall_mask == 1 && vcpu.upcall_pending == 1);
    change_a_register = 0;

    /* Where they were not, an event that came meanwhile is told as an upcall. */
    prepare(PV_VECTOR_PF, 0, stack_top);
    vcpu.upcall_mask = vcpu.upcall_pending = 0;
    trap();
    check_registers(before[RAX]);
    CHECK(handled == 2 && last_vector == PV_UPCALL_VECTOR);
    CHECK(vcpu.upcall_mask == 0 && vcpu.upcall_pending == 0);
    leave_an_event = 0;

    /* The VMM masks upcalls when it delivers one; behind it they are not masked. */
    prepare(PV_UPCALL_VECTOR, 0, stack_top);
    vcpu.upcall_mask = 1;
    trap();
    check_registers(before[RAX]);
    CHECK(handled == 1 && last_vector == PV_UPCALL_VECTOR);
    CHECK(vcpu.upcall_mask == 0);

    /* A trap within a handler leaves alone what that uses of the stack, and its red zone. */
    prepare(PV_VECTOR_PF, 0, trap_stack_top - 2000);
    memset(trap_stack, 0x77, TRAP_STACK_SIZE);
    trap();
    check_registers(before[RAX]);
    CHECK(is_below(trap_stack_top - 2000 - 128, 32));
    for (char *byte = trap_stack_top - 2000 - 128; byte < trap_stack_top; byte++)
        CHECK(*byte == 0x77);

    /* A task whose RSP is on the trap stack does not get the handler to go on there. */
    prepare(PV_SYSCALL_VECTOR, 1, trap_stack_top - 2000);
    vcpu.upcall_mask = 1; /* as the monitor leaves a task */
    trap();
    check_registers(before[RAX]);
    CHECK(handled == 1 && tasks == 1 && last_vector == PV_SYSCALL_VECTOR);
    CHECK(is_below(trap_stack_top, 16));
    CHECK(vcpu.task.rip == (uint64_t)(uintptr_t)resumed && vcpu.task.rflags == 0x602);
    CHECK(vcpu.upcall_mask == 0);

    /* An event that came meanwhile is told before the task goes on. */
    prepare(PV_SYSCALL_VECTOR, 1, stack_top);
    leave_an_event = 1;
    trap();
    check_registers(before[RAX]);
    CHECK(handled == 2 && tasks == 2 && last_vector == PV_UPCALL_VECTOR);

    /* A task begins with the registers that it was given. */
    entered = seen;
    memset(after, 0, sizeof after);
    task();
    vector_after[0] = vector_before[0];
    vector_after[1] = vector_before[1];
    mxcsr_after = mxcsr_before;
    check_registers(before[RAX]);
    return 0;
}
