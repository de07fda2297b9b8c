/*
 * Masks upcalls on this vCPU, as CLI masks interrupts. Returns whether they were masked before.
 */
static inline int pv_upcalls_mask(void)
{
    uint8_t before;

    __asm__ volatile("movb %%gs:%c1, %0\n\t"
                     "movb $1, %%gs:%c1"
                     : "=&q"(before)
                     : "i"(PV_OFFSET_VCPU_PAGE_UPCALL_MASK)
                     : "memory");
    return before != 0;
}

/* Whether an event waits on this vCPU. */
static inline int pv_upcall_pending(void)
{
    uint8_t pending;

    __asm__ volatile("movb %%gs:%c1, %0"
                     : "=q"(pending)
                     : "i"(PV_OFFSET_VCPU_PAGE_UPCALL_PENDING)
                     : "memory");
    return pending != 0;
}

/*
 * Unmasks upcalls on this vCPU, as STI unmasks interrupts. Returns whether events came while
 * they were masked: no upcall tells of these, so the caller takes them.
 *
 *     while (pv_upcalls_unmask()) {
 *         pv_upcalls_mask();
 *         (take the events)
 *     }
 */
static inline int pv_upcalls_unmask(void)
{
    uint8_t unmasked = 0;

    /* Exchanged, because a plain store could be seen later than what is read behind it. */
    __asm__ volatile("xchgb %0, %%gs:%c1"
                     : "+q"(unmasked)
                     : "i"(PV_OFFSET_VCPU_PAGE_UPCALL_MASK)
                     : "memory");
    return pv_upcall_pending();
}

/* Whether PORT is pending. */
static inline int pv_port_is_pending(const struct pv_event_page *ports, uint32_t port)
{
    return __atomic_load_n(&ports->pending[port / 64], __ATOMIC_SEQ_CST) >> port % 64 & 1;
}

/* Makes PORT not pending. Returns whether it was. */
static inline int pv_port_clear(struct pv_event_page *ports, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;
    return (__atomic_fetch_and(&ports->pending[port / 64], ~bit, __ATOMIC_SEQ_CST) & bit) != 0;
}

/* Masks PORT: it may become pending, and nobody is told. As `event_mask`, without an exit. */
static inline void pv_port_mask(struct pv_event_page *ports, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;
    __atomic_fetch_or(&ports->mask[port / 64], bit, __ATOMIC_SEQ_CST);
}

/*
 * Unmasks PORT, whose vCPU is the one of the page VCPU and runs this code; for a port of another
 * one there is pv_event_unmask. Returns whether it is pending: no upcall tells of that, so the
 * caller takes the events of this vCPU.
 */
static inline int pv_port_unmask(struct pv_event_page *ports, struct pv_vcpu_page *vcpu,
                                 uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;

    __atomic_fetch_and(&ports->mask[port / 64], ~bit, __ATOMIC_SEQ_CST);
    if (!pv_port_is_pending(ports, port))
        return 0;
    __atomic_fetch_or(&vcpu->event_selector, UINT64_C(1) << port / 64, __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&vcpu->upcall_pending, 1, __ATOMIC_SEQ_CST);
    return 1;
}

/* The ports of word INDEX that are pending and not masked. */
static inline uint64_t pv_ports_due(const struct pv_event_page *ports, uint32_t index)
{
    return __atomic_load_n(&ports->pending[index], __ATOMIC_SEQ_CST) &
           ~__atomic_load_n(&ports->mask[index], __ATOMIC_SEQ_CST);
}

/*
 * Begins to take the events of the vCPU with the page VCPU: from here on a new one is told again.
 * Upcalls are masked while events are taken.
 */
static inline void pv_take_begin(struct pv_vcpu_page *vcpu)
{
    __atomic_exchange_n(&vcpu->upcall_pending, 0, __ATOMIC_SEQ_CST);
}

/*
 * Takes the next event: makes its port not pending, and returns the port. The lowest port comes
 * first, also among those that are raised meanwhile. Returns -1 when there is none left.
 *
 *     pv_take_begin(vcpu);
 *     for (int32_t port; (port = pv_take_next(ports, vcpu)) >= 0;)
 *         handle(port);
 */
static inline int32_t pv_take_next(struct pv_event_page *ports, struct pv_vcpu_page *vcpu)
{
    uint64_t words;

    while ((words = __atomic_load_n(&vcpu->event_selector, __ATOMIC_SEQ_CST)) != 0) {
        uint32_t index = (uint32_t)__builtin_ctzll(words);
        uint64_t bit = UINT64_C(1) << index;
        uint64_t due = pv_ports_due(ports, index);
        if (due == 0) {
            __atomic_fetch_and(&vcpu->event_selector, ~bit, __ATOMIC_SEQ_CST);
            /* Somebody may have made a port pending before, and set the bit just cleared. */
            if (pv_ports_due(ports, index) != 0)
                __atomic_fetch_or(&vcpu->event_selector, bit, __ATOMIC_SEQ_CST);
            continue;
        }
        uint32_t port = index * 64 + (uint32_t)__builtin_ctzll(due);
        /* Whoever clears the bit has the event. */
        if (pv_port_clear(ports, port))
            return (int32_t)port;
    }
    return -1;
}
