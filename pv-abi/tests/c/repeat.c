/* A repeated call against a hypercall page that does at most three elements at a time. */

#include <paravane.h>
#include "check.h"

/* The element that fails, and how often the page was called. */
uint64_t bad = ~0ull;
uint64_t calls;

__asm__(".text\n"
        "page:\n"
        "incq calls(%rip)\n"
        /* RCX: the start index, R11: the count. */
        "movq %rax, %rcx\n shrq $48, %rcx\n"
        "movq %rax, %r11\n shrq $32, %r11\n andq $0xfff, %r11\n"
        "cmpq bad(%rip), %rcx\n jne 1f\n"
        "movq $-14, %rax\n ret\n"
        "1: leaq 3(%rcx), %rax\n"
        "cmpq bad(%rip), %rcx\n ja 2f\n"
        "cmpq bad(%rip), %rax\n jbe 2f\n movq bad(%rip), %rax\n"
        "2: cmpq %r11, %rax\n jbe 3f\n movq %r11, %rax\n"
        "3: ret\n");
extern const char page[];

static int64_t map(uint32_t count, uint32_t *done)
{
    return pv_as_map(page, 0, 4096, count, done);
}

int main(void)
{
    uint32_t done = 0;

    CHECK(map(0, &done) == 0 && done == 0 && calls == 0);
    CHECK(map(1, &done) == 1 && done == 1 && calls == 1);
    done = calls = 0;
    CHECK(map(10, &done) == 10 && done == 10 && calls == 4);

    /* The error is that of element *done, and the call goes on there. */
    done = calls = 0;
    bad = 7;
    CHECK(map(10, &done) == -PV_EFAULT && done == 7 && calls == 4);
    CHECK(map(10, &done) == -PV_EFAULT && done == 7 && calls == 5);
    bad = ~0ull;
    CHECK(map(10, &done) == 10 && done == 10 && calls == 6);

    /* The call word has 12 bits for a count. */
    done = 4090;
    CHECK(map(4095, &done) == 4095 && done == 4095);
    done = calls = 0;
    CHECK(map(4096, &done) == -PV_E2BIG && done == 0 && calls == 0);
    return 0;
}
