/* What the files of this guest share. */

#ifndef GUEST_H
#define GUEST_H

#include <paravane.h>

/* The hypercall page, for every call. */
extern const void *page;

/* What the VMM told at entry. */
extern const struct pv_start_info *info;

/* Prints text, or a number in decimal. */
void print(const char *text);
void print_number(uint64_t number);

/* Ends the guest, with what is wrong, unless CONDITION holds. */
#define CHECK(condition)                                  \
    do {                                                  \
        if (!(condition))                                 \
            fail(__FILE__ ": not so: " #condition "\n"); \
    } while (0)
_Noreturn void fail(const char *message);

/* Makes all traps and upcalls of this vCPU arrive in traps.c. */
void take_traps(void);

/* Reads a byte at any address; -1 where that faults. */
int probe(const volatile void *address);

/* The events that have come for a port. */
uint32_t events_of(int64_t port);

/* Takes the events that wait. Upcalls are masked meanwhile. */
void take_events(void);

/* What this guest shows. */
void show_clock(void);
void show_events(void);
void show_upcall(void);
void show_timer(void);
void show_mapping(void);
void show_traps(void);

#endif
