/* What the test programs have in common. */

#include <stdio.h>
#include <stdlib.h>

/* Ends the program unless CONDITION holds. */
#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

/* Makes PAGE the page of the running vCPU, as the GS base says. */
extern long syscall(long number, ...);
static inline void set_gs_base(void *page)
{
    enum { SYS_ARCH_PRCTL = 158, ARCH_SET_GS = 0x1001 };
    CHECK(syscall(SYS_ARCH_PRCTL, ARCH_SET_GS, page) == 0);
}
