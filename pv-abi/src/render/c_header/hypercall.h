#ifndef __ASSEMBLER__

/*
 * Makes the call WORD through the hypercall page at PAGE (pv_start_info.hypercall_page).
 * Returns RAX: zero or more for success, a negated PV_E* for failure.
 *
 * The call uses the stack below RSP, so it steps over the red zone that the compiler may
 * be using there.
 */
static inline int64_t pv_hypercall(const void *page, uint64_t word, uint64_t a1, uint64_t a2,
                                   uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6)
{
    register uint64_t r10 __asm__("r10") = a4;
    register uint64_t r8 __asm__("r8") = a5;
    register uint64_t r9 __asm__("r9") = a6;
    int64_t result;

    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "call *%[page]\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "=a"(result)
                     : [page] "r"(page), "a"(word), "D"(a1), "S"(a2), "d"(a3), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

/*
 * Makes the repeated call NUMBER as often as it takes to have all COUNT elements done.
 *
 * *DONE is the element to begin at, 0 for the first, and afterwards the number of elements
 * that are done. Returns that number when it is COUNT; otherwise the error of element *DONE,
 * and the caller can go on there once it has put right what was wrong.
 */
static inline int64_t pv_repeat(const void *page, uint64_t number, uint32_t count,
                                uint32_t *done, uint64_t a1, uint64_t a2, uint64_t a3,
                                uint64_t a4, uint64_t a5, uint64_t a6)
{
    /* The call word has 12 bits for each. */
    if (count > 0xfff)
        return -PV_E2BIG;
    while (*done < count) {
        uint64_t word = number | (uint64_t)count << 32 | (uint64_t)*done << 48;
        int64_t result = pv_hypercall(page, word, a1, a2, a3, a4, a5, a6);
        if (result < 0)
            return result;
        *done = (uint32_t)result;
    }
    return *done;
}
