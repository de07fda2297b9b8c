/* The page of the vCPU that runs. */
static inline struct pv_vcpu_page *pv_vcpu(void)
{
    struct pv_vcpu_page *page;

    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(page) : "i"(PV_OFFSET_VCPU_PAGE_SELF_ADDRESS));
    return page;
}

/* The page of vCPU NUMBER. */
static inline struct pv_vcpu_page *pv_vcpu_of(const struct pv_start_info *info, uint32_t number)
{
    uint64_t address = info->vcpu_pages + number * info->vcpu_page_stride;
    return (struct pv_vcpu_page *)(uintptr_t)address;
}

/* The event page. */
static inline struct pv_event_page *pv_ports(const struct pv_start_info *info)
{
    return (struct pv_event_page *)(uintptr_t)info->event_page;
}

/* What pv_gpa_of answers for an address that is not in one piece of RAM: no call takes it. */
#define PV_NO_GPA UINT64_MAX

/*
 * The guest-physical address of SIZE bytes at ADDRESS: in the linear map, in the image or on
 * a stack.
 */
static inline pv_gpa_t pv_gpa_of(const struct pv_start_info *info, const void *address,
                                 uint64_t size)
{
    uint64_t first = (uint64_t)(uintptr_t)address;
    uint64_t offset = first - info->linear_map;

    if (offset < info->ram_size && size <= info->ram_size - offset)
        return offset;
    for (uint64_t i = 0; i < info->memory_map_count; i++) {
        const struct pv_memory_region *region = &info->memory_map[i];
        offset = first - region->address;
        if (region->address != 0 && offset < region->size && size <= region->size - offset)
            return region->gpa + offset;
    }
    return PV_NO_GPA;
}

/* The address in the linear map of a guest-physical address in RAM. */
static inline void *pv_linear(const struct pv_start_info *info, pv_gpa_t gpa)
{
    return (void *)(uintptr_t)(info->linear_map + gpa);
}
