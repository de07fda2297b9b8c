/* Where things are: guest-physical addresses, vCPU pages, deferred calls. */

#include <paravane.h>
#include "check.h"

static struct pv_start_info info;
static struct pv_vcpu_page vcpu;

static const void *at(uint64_t address)
{
    return (const void *)(uintptr_t)address;
}

int main(void)
{
    info.linear_map = PV_LINEAR_MAP_BASE;
    info.ram_size = 0x800000;
    info.vcpu_pages = 0x7000;
    info.vcpu_page_stride = 0x1000;
    info.event_page = 0x9000;
    info.memory_map_count = 2;
    info.memory_map[0].gpa = 0x10000;
    info.memory_map[0].size = 0x4000;
    info.memory_map[1].gpa = 0x200000;
    info.memory_map[1].size = 0x3000;
    info.memory_map[1].address = 0x400000;

    CHECK(pv_gpa_of(&info, at(PV_LINEAR_MAP_BASE), 0x800000) == 0);
    CHECK(pv_gpa_of(&info, at(PV_LINEAR_MAP_BASE + 0x7fffff), 1) == 0x7fffff);
    CHECK(pv_gpa_of(&info, at(PV_LINEAR_MAP_BASE + 0x7fffff), 2) == PV_NO_GPA);
    CHECK(pv_gpa_of(&info, at(0x400123), 8) == 0x200123);
    CHECK(pv_gpa_of(&info, at(0x402ff8), 8) == 0x202ff8);
    CHECK(pv_gpa_of(&info, at(0x402ff8), 9) == PV_NO_GPA);
    CHECK(pv_gpa_of(&info, at(0x400000), UINT64_MAX) == PV_NO_GPA);
    /* A region without an address of its own is not at address 0. */
    CHECK(pv_gpa_of(&info, at(0x100), 8) == PV_NO_GPA);
    CHECK(pv_linear(&info, 0x1234) == at(PV_LINEAR_MAP_BASE + 0x1234));
    CHECK((const void *)pv_vcpu_of(&info, 3) == at(0xa000));
    CHECK((const void *)pv_ports(&info) == at(0x9000));

    vcpu.self_address = (uint64_t)(uintptr_t)&vcpu;
    set_gs_base(&vcpu);
    CHECK(pv_vcpu() == &vcpu);

    for (uint32_t i = 0; i < PV_DEFERRED_CALLS; i++) {
        CHECK(vcpu.deferred_count == i);
        CHECK(pv_defer(&vcpu, i, 1, 2, 3, 4, 5, 6) == &vcpu.deferred[i]);
        CHECK(vcpu.deferred[i].word == i);
        for (uint64_t a = 0; a < 6; a++)
            CHECK(vcpu.deferred[i].arguments[a] == a + 1);
    }
    CHECK(pv_defer(&vcpu, 0, 0, 0, 0, 0, 0, 0) == NULL);
    CHECK(vcpu.deferred_count == PV_DEFERRED_CALLS);
    return 0;
}
