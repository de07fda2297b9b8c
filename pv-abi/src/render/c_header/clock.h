/* The time-stamp counter, read behind everything that comes before it in the program. */
static inline uint64_t pv_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/*
 * The time of CLOCK at a value of the time-stamp counter, in nanoseconds. Two processors' counters
 * may be a few cycles apart: a value before that of CLOCK is taken for it.
 */
static inline uint64_t pv_clock_at(const struct pv_clock *clock, uint64_t tsc)
{
    uint64_t cycles = tsc - clock->tsc_timestamp;
    __extension__ unsigned __int128 time = cycles > INT64_MAX ? 0 : cycles;

    if (clock->tsc_shift >= 0)
        time <<= clock->tsc_shift;
    else
        time >>= -clock->tsc_shift;
    time = time * clock->tsc_to_system_mul >> 32;
    return clock->system_time + (uint64_t)time;
}

/*
 * The time, in nanoseconds since the VM started, without an exit. CLOCK is `clock` of any
 * vCPU page. Needs PV_FEATURE_CLOCK.
 */
static inline uint64_t pv_clock_now(const struct pv_clock *clock)
{
    struct pv_clock copy = {0, 0, 0, 0, 0, 0, 0, {0, 0}};
    uint64_t now;

    do {
        copy.version = __atomic_load_n(&clock->version, __ATOMIC_ACQUIRE);
        copy.tsc_timestamp = __atomic_load_n(&clock->tsc_timestamp, __ATOMIC_RELAXED);
        copy.system_time = __atomic_load_n(&clock->system_time, __ATOMIC_RELAXED);
        copy.tsc_to_system_mul = __atomic_load_n(&clock->tsc_to_system_mul, __ATOMIC_RELAXED);
        copy.tsc_shift = __atomic_load_n(&clock->tsc_shift, __ATOMIC_RELAXED);
        now = pv_clock_at(&copy, pv_tsc());
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        /* It is odd, or has changed, when the VMM was updating the fields. */
    } while ((copy.version & 1) ||
             copy.version != __atomic_load_n(&clock->version, __ATOMIC_RELAXED));
    return now;
}
