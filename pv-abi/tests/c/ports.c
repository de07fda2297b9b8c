/* Carries out what it reads, one letter and a port a line, and prints what came of it and the
   state that it left: the words of the ports that are used, the selector, and whether an
   event waits. */

#include <inttypes.h>
#include <paravane.h>
#include "check.h"

static struct pv_event_page ports;
static struct pv_vcpu_page vcpu;

/* What the VMM does. */
static int raise_port(uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;

    if (__atomic_fetch_or(&ports.pending[port / 64], bit, __ATOMIC_SEQ_CST) & bit)
        return 0;
    if (__atomic_load_n(&ports.mask[port / 64], __ATOMIC_SEQ_CST) & bit)
        return 1;
    __atomic_fetch_or(&vcpu.event_selector, UINT64_C(1) << port / 64, __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&vcpu.upcall_pending, 1, __ATOMIC_SEQ_CST);
    return 2;
}

int main(void)
{
    char operation;
    uint32_t port;

    set_gs_base(&vcpu);
    while (scanf(" %c %" SCNu32, &operation, &port) == 2) {
        int32_t outcome = 0;
        switch (operation) {
        case 'r': outcome = raise_port(port); break;
        case 'm': pv_port_mask(&ports, port); break;
        case 'u': outcome = pv_port_unmask(&ports, &vcpu, port); break;
        case 'c': outcome = pv_port_clear(&ports, port); break;
        case 'p': outcome = pv_port_is_pending(&ports, port); break;
        case 'b': pv_take_begin(&vcpu); break;
        case 'n': outcome = pv_take_next(&ports, &vcpu); break;
        default: CHECK(!"an operation that there is");
        }
        uint32_t word = port / 64;
        printf("%" PRId32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d\n", outcome,
               ports.pending[word], ports.mask[word], vcpu.event_selector,
               pv_upcall_pending());
    }

    /* Masking upcalls: what was, and what waits. */
    vcpu.upcall_pending = 0;
    CHECK(pv_upcalls_mask() == 0 && vcpu.upcall_mask == 1);
    CHECK(pv_upcalls_mask() == 1 && vcpu.upcall_mask == 1);
    CHECK(pv_upcalls_unmask() == 0 && vcpu.upcall_mask == 0);
    vcpu.upcall_pending = 1;
    CHECK(pv_upcalls_unmask() == 1 && vcpu.upcall_mask == 0);
    return 0;
}
