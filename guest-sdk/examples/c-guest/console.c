/* Text for the console. */

#include "guest.h"

/* The call takes 4096 bytes at most, and says how many it took. */
static void write_bytes(const char *bytes, size_t size)
{
    char copy[64];

    while (size > 0) {
        uint32_t piece = size < sizeof copy ? (uint32_t)size : sizeof copy;
        pv_gpa_t gpa = pv_gpa_of(info, bytes, piece);
        if (gpa == PV_NO_GPA) {
            /* A page of the VMM's, such as that of the command line, is not in RAM. */
            for (uint32_t i = 0; i < piece; i++)
                copy[i] = bytes[i];
            gpa = pv_gpa_of(info, copy, piece);
        }
        int64_t written = pv_io_console_write(page, gpa, piece);
        if (written < 0)
            return; /* nobody reads */
        bytes += written;
        size -= (size_t)written;
    }
}

void print(const char *text)
{
    size_t size = 0;

    while (text[size] != '\0')
        size++;
    write_bytes(text, size);
}

void print_number(uint64_t number)
{
    char digits[20];
    size_t first = sizeof digits;

    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    write_bytes(digits + first, sizeof digits - first);
}

_Noreturn void fail(const char *message)
{
    print(message);
    pv_sched_shutdown(page, 1);
    __builtin_unreachable();
}
