/* Mapping: pages of RAM at addresses of this guest's choice. */

#include "guest.h"

/* Below the task area, and far above the image. */
#define ADDRESS UINT64_C(0x7000000000)
#define PAGES 3

/* The guest-physical address of so many pages that nothing uses. */
static pv_gpa_t free_pages(uint64_t size)
{
    for (uint64_t i = 0; i < info->memory_map_count; i++) {
        const struct pv_memory_region *region = &info->memory_map[i];
        if (region->kind == PV_REGION_FREE && region->size >= size)
            return region->gpa;
    }
    fail("there is no free memory\n");
}

/* Maps pages one by one in the opposite order, writes to them, and reads that in the linear
   map. */
void show_mapping(void)
{
    pv_gpa_t gpa = free_pages(PAGES * PV_PAGE_SIZE);
    volatile uint8_t *pages = (volatile uint8_t *)(uintptr_t)ADDRESS;
    volatile uint8_t *linear = pv_linear(info, gpa);
    struct pv_mapping mappings[PAGES];
    uint32_t done = 0;

    CHECK(probe(pages) == -1);
    for (uint64_t i = 0; i < PAGES; i++)
        mappings[i] = (struct pv_mapping){
            .address = ADDRESS + i * PV_PAGE_SIZE,
            .gpa = gpa + (PAGES - 1 - i) * PV_PAGE_SIZE,
            .size = PV_PAGE_SIZE,
            .rights = PV_RIGHT_READ | PV_RIGHT_WRITE,
        };
    pv_gpa_t elements = pv_gpa_of(info, mappings, sizeof mappings);
    CHECK(pv_as_map(page, 0, elements, PAGES, &done) == PAGES && done == PAGES);

    for (uint64_t i = 0; i < PAGES; i++) {
        pages[i * PV_PAGE_SIZE + i] = (uint8_t)(100 + i);
        CHECK(linear[(PAGES - 1 - i) * PV_PAGE_SIZE + i] == 100 + i);
    }

    /* What is mapped cannot be mapped again. */
    done = 0;
    CHECK(pv_as_map(page, 0, elements, PAGES, &done) == -PV_EEXIST && done == 0);

    struct pv_range range = {.start = ADDRESS, .size = PAGES * PV_PAGE_SIZE};
    CHECK(pv_as_unmap(page, 0, pv_gpa_of(info, &range, sizeof range), 1, &done) == 1);
    CHECK(probe(pages) == -1);
    print("mapping: written, found in the linear map, and gone\n");
}
