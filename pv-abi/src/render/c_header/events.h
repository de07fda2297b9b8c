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
static inline int pv_port_is_pending(const struct pv_event_page *events, uint32_t port)
{
    return __atomic_load_n(&events->pending[port / 64], __ATOMIC_SEQ_CST) >> port % 64 & 1;
}

/* Makes PORT not pending. Returns whether it was. */
static inline int pv_port_clear(struct pv_event_page *events, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;
    return (__atomic_fetch_and(&events->pending[port / 64], ~bit, __ATOMIC_SEQ_CST) & bit) != 0;
}

/* Masks PORT: it may become pending, and nobody is told. As `event_mask`, without an exit. */
static inline void pv_port_mask(struct pv_event_page *events, uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;
    __atomic_fetch_or(&events->mask[port / 64], bit, __ATOMIC_SEQ_CST);
}

/*
 * Unmasks PORT, whose vCPU is the one of the page VCPU and runs this code; for a port of another
 * one there is pv_event_unmask. Returns whether it is pending: no upcall tells of that, so the
 * caller takes the events of this vCPU.
 */
static inline int pv_port_unmask(struct pv_event_page *events, struct pv_vcpu_page *vcpu,
                                 uint32_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;

    __atomic_fetch_and(&events->mask[port / 64], ~bit, __ATOMIC_SEQ_CST);
    if (!pv_port_is_pending(events, port))
        return 0;
    __atomic_fetch_or(&vcpu->event_selector, UINT64_C(1) << port / 64, __ATOMIC_SEQ_CST);
    __atomic_exchange_n(&vcpu->upcall_pending, 1, __ATOMIC_SEQ_CST);
    return 1;
}

/* The words of the event page that are still to be looked at while events are taken. */
struct pv_taker {
    uint64_t words;
};

/* Begins to take the events of the vCPU with the page VCPU. */
static inline struct pv_taker pv_taker_begin(struct pv_vcpu_page *vcpu)
{
    struct pv_taker taker;

    __atomic_exchange_n(&vcpu->upcall_pending, 0, __ATOMIC_SEQ_CST);
    taker.words = __atomic_exchange_n(&vcpu->event_selector, 0, __ATOMIC_SEQ_CST);
    return taker;
}

/*
 * Takes the next event: clears what says that it is pending, and returns its port. The lowest
 * port comes first, also among those that are raised meanwhile. Returns -1 when there is none
 * left.
 *
 *     struct pv_taker taker = pv_taker_begin(vcpu);
 *     for (int32_t port; (port = pv_taker_next(&taker, events, vcpu)) >= 0;)
 *         handle(port);
 */
static inline int32_t pv_taker_next(struct pv_taker *taker, struct pv_event_page *events,
                                    struct pv_vcpu_page *vcpu)
{
    for (;;) {
        taker->words |= __atomic_exchange_n(&vcpu->event_selector, 0, __ATOMIC_SEQ_CST);
        if (taker->words == 0)
            return -1;
        int32_t word = __builtin_ctzll(taker->words);
        uint64_t due = __atomic_load_n(&events->pending[word], __ATOMIC_SEQ_CST) &
                       ~__atomic_load_n(&events->mask[word], __ATOMIC_SEQ_CST);
        if (due == 0) {
            taker->words &= ~(UINT64_C(1) << word);
            continue;
        }
        int32_t port = word * 64 + __builtin_ctzll(due);
        /* Whoever clears the bit has the event. */
        if (pv_port_clear(events, (uint32_t)port))
            return port;
    }
}
