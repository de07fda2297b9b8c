/*
 * Defers the call WORD: the VMM makes it together with the next call of this vCPU, just before
 * that one, and writes its result into the element that this returns. NULL when
 * PV_DEFERRED_CALLS wait already. VCPU is the page of the vCPU that runs this code, with upcalls
 * masked if their handler defers calls too. Needs PV_FEATURE_DEFERRED.
 */
static inline struct pv_batch_entry *pv_defer(struct pv_vcpu_page *vcpu, uint64_t word,
                                              uint64_t a1, uint64_t a2, uint64_t a3,
                                              uint64_t a4, uint64_t a5, uint64_t a6)
{
    uint32_t count = __atomic_load_n(&vcpu->deferred_count, __ATOMIC_RELAXED);
    if (count >= PV_DEFERRED_CALLS)
        return NULL;
    struct pv_batch_entry *entry = &vcpu->deferred[count];
    entry->word = word;
    entry->arguments[0] = a1;
    entry->arguments[1] = a2;
    entry->arguments[2] = a3;
    entry->arguments[3] = a4;
    entry->arguments[4] = a5;
    entry->arguments[5] = a6;
    __atomic_store_n(&vcpu->deferred_count, count + 1, __ATOMIC_RELEASE);
    return entry;
}
