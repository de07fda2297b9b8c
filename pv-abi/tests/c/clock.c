/* Prints the time of the clocks that it reads, one a line: timestamp, time, multiplier, shift,
   TSC. */

#include <inttypes.h>
#include <paravane.h>
#include "check.h"

int main(void)
{
    struct pv_clock clock = {0, 0, 0, 0, 0, 0, 0, {0, 0}};
    uint64_t tsc;

    while (scanf("%" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNi8 " %" SCNu64,
                 &clock.tsc_timestamp, &clock.system_time, &clock.tsc_to_system_mul,
                 &clock.tsc_shift, &tsc) == 5)
        printf("%" PRIu64 "\n", pv_clock_at(&clock, tsc));

    /* A clock that counts the TSC itself, from now on. */
    clock.tsc_timestamp = pv_tsc();
    clock.system_time = 1000;
    clock.tsc_to_system_mul = 1u << 31;
    clock.tsc_shift = 1;
    uint64_t first = pv_clock_now(&clock);
    uint64_t second = pv_clock_now(&clock);
    CHECK(1000 <= first && first < second);
    return 0;
}
