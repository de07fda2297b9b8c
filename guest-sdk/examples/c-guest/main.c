/*
 * A Paravane guest in C, written against include/paravane.h alone.
 *
 * Its command line names what it shows, separated by spaces; an empty one names everything:
 *
 *     paravane run c-guest -- clock timer
 */

#include "guest.h"

PV_IMAGE_NOTE("c-guest", 65536,
              .required_features = PV_FEATURE_CONSOLE | PV_FEATURE_TRAP_TABLE,
              .wanted_features = PV_FEATURE_CLOCK | PV_FEATURE_EVENTS | PV_FEATURE_TIMERS |
                                 PV_FEATURE_BLOCKING | PV_FEATURE_ADDRESS_SPACES,
              .minimum_memory = 4 << 20,
              .minimum_vcpus = 1,
              .maximum_vcpus = 64);

const void *page;
const struct pv_start_info *info;

static void say_hello(void)
{
    print("hello from C\n");
}

/* Writes to page 0, which is never mapped: a #PF without an answer, and the end. */
static void crash(void)
{
    volatile uintptr_t address = 8;
    *(volatile int *)address = 1;
}

static _Noreturn void end(uint32_t code)
{
    pv_sched_shutdown(page, code);
    __builtin_unreachable();
}

/* Ends with a code that a shell sees. */
static void end_with_seven(void)
{
    end(7);
}

static const struct topic {
    const char *name;
    void (*show)(void);
    uint64_t needs;
    /* Whether an empty command line asks for it. */
    int usual;
} topics[] = {
    {"hello", say_hello, PV_FEATURE_CONSOLE, 1},
    {"traps", show_traps, PV_FEATURE_TRAP_TABLE, 1},
    {"clock", show_clock, PV_FEATURE_CLOCK, 1},
    {"events", show_events, PV_FEATURE_EVENTS, 1},
    {"upcall", show_upcall, PV_FEATURE_EVENTS, 1},
    {"timer", show_timer, PV_FEATURE_TIMERS | PV_FEATURE_BLOCKING | PV_FEATURE_CLOCK, 1},
    {"mapping", show_mapping, PV_FEATURE_ADDRESS_SPACES | PV_FEATURE_TRAP_TABLE, 1},
    {"exit", end_with_seven, 0, 0},
    {"crash", crash, 0, 0},
};

static void show(const struct topic *topic)
{
    if ((info->features & topic->needs) == topic->needs) {
        topic->show();
    } else {
        print(topic->name);
        print(": this VMM does not offer it\n");
    }
}

/* Whether the first word of TEXT is NAME. */
static int is_word(const char *text, const char *name)
{
    while (*name != '\0' && *text == *name)
        text++, name++;
    return *name == '\0' && (*text == '\0' || *text == ' ');
}

/* Shows what the word at TEXT names, and returns what follows the word. */
static const char *show_word(const char *text)
{
    const size_t count = sizeof topics / sizeof topics[0];
    size_t i = 0;

    while (i < count && !is_word(text, topics[i].name))
        i++;
    if (i == count) {
        print("c-guest: unknown word on the command line: ");
        print(text);
        print("\n");
        end(2);
    }
    show(&topics[i]);
    while (*text != '\0' && *text != ' ')
        text++;
    return text;
}

/* The entry calls this with the start-info page. */
void kernel(const struct pv_start_info *start_info);
PV_ENTRY(_start, kernel)

void kernel(const struct pv_start_info *start_info)
{
    info = start_info;
    page = (const void *)(uintptr_t)info->hypercall_page;
    take_traps();

    const char *word = (const char *)(uintptr_t)info->command_line;
    if (*word == '\0')
        for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
            if (topics[i].usual)
                show(&topics[i]);
    while (*word != '\0')
        word = *word == ' ' ? word + 1 : show_word(word);
    end(0);
}
