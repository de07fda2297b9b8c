/* Traps and upcalls: each arrives at on_trap, on the trap stack. */

#include "guest.h"

void on_trap(struct pv_trap_frame *frame, int from_task);
PV_TRAP_ENTRY(trap_entry, on_trap, page)

/* int probe(const volatile void *address), whose fault on_trap turns into the result -1. */
__asm__(".pushsection .text\n"
        ".globl probe\n"
        "probe:\n"
        "movzbl (%rdi), %eax\n"
        "ret\n"
        "probe_failed:\n"
        "movl $-1, %eax\n"
        "ret\n"
        ".popsection");
extern const char probe_failed[];

static uint64_t breakpoints;

/* Tells the VMM of a trap that this guest has no answer to, and ends. */
static _Noreturn void crash(const struct pv_trap_frame *frame)
{
    static const char message[] = "a trap that this guest has no answer to";
    struct pv_crash_report report = {
        .kind = PV_CRASH_TRAP,
        .message_size = sizeof message - 1,
        .message_gpa = pv_gpa_of(info, message, sizeof message),
        .frame_valid = 1,
        .frame = *frame,
    };

    pv_debug_crash_report(page, pv_gpa_of(info, &report, sizeof report));
    pv_sched_crash(page);
    __builtin_unreachable();
}

void on_trap(struct pv_trap_frame *frame, int from_task)
{
    (void)from_task; /* there are none */
    switch (frame->vector) {
    case PV_UPCALL_VECTOR:
        take_events();
        break;
    case PV_VECTOR_BP:
        breakpoints++;
        break;
    case PV_VECTOR_PF:
        if (frame->rip == (uint64_t)(uintptr_t)probe) {
            frame->rip = (uint64_t)(uintptr_t)probe_failed;
            break;
        }
        crash(frame);
    default:
        crash(frame);
    }
}

void take_traps(void)
{
    struct pv_trap_handler table[PV_TRAP_VECTORS];

    for (size_t i = 0; i < PV_TRAP_VECTORS; i++)
        table[i] = (struct pv_trap_handler){.handler = (uint64_t)(uintptr_t)trap_entry};
    CHECK(pv_trap_set_table(page, pv_gpa_of(info, table, sizeof table), PV_TRAP_VECTORS) == 0);
    if (info->features & PV_FEATURE_EVENTS)
        CHECK(pv_trap_set_upcall(page, (uint64_t)(uintptr_t)trap_entry) == 0);
}

void show_traps(void)
{
    static const char byte = 42;

    __asm__ volatile("int3" : : : "memory");
    CHECK(breakpoints == 1);
    CHECK(probe(&byte) == 42);
    CHECK(probe((const void *)8) == -1);
    print("traps: a breakpoint and a page fault were handled\n");
}
