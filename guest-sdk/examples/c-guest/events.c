/* Events, upcalls, timers, and the clock. */

#include "guest.h"

/* How often each port was raised, as far as it was taken notice of. */
static uint32_t counts[PV_EVENT_PORTS];

uint32_t events_of(int64_t port)
{
    return __atomic_load_n(&counts[port], __ATOMIC_RELAXED);
}

void take_events(void)
{
    struct pv_vcpu_page *vcpu = pv_vcpu();

    pv_take_begin(vcpu);
    for (int32_t port; (port = pv_take_next(pv_ports(info), vcpu)) >= 0;)
        counts[port]++;
}

/* Lets upcalls come, and takes what came while they were masked, as they are at entry. */
static void unmask_upcalls(void)
{
    while (pv_upcalls_unmask()) {
        pv_upcalls_mask();
        take_events();
    }
}

void show_clock(void)
{
    const struct pv_clock *clock = &pv_vcpu()->clock;
    uint64_t first = pv_clock_now(clock);
    uint64_t second = pv_clock_now(clock);

    CHECK(first <= second);
    print("clock: it goes on\n");
}

/* A port is raised, told once, and taken; one that is masked waits. */
void show_events(void)
{
    struct pv_event_page *ports = pv_ports(info);
    struct pv_vcpu_page *vcpu = pv_vcpu();

    int64_t port = pv_event_alloc(page, 0, 1);
    CHECK(port >= PV_EVENT_PORTS_PER_PRIORITY);
    CHECK(pv_event_send(page, (uint32_t)port) == 1);
    CHECK(pv_event_send(page, (uint32_t)port) == 0);
    CHECK(pv_upcall_pending());
    take_events();
    CHECK(events_of(port) == 1);

    pv_port_mask(ports, (uint32_t)port);
    CHECK(pv_event_send(page, (uint32_t)port) == 1);
    CHECK(!pv_upcall_pending());
    CHECK(pv_port_unmask(ports, vcpu, (uint32_t)port));
    take_events();
    CHECK(events_of(port) == 2);

    CHECK(pv_event_close(page, (uint32_t)port) == 0);
    CHECK(pv_event_send(page, (uint32_t)port) == -PV_ENOENT);
    print("events: sent, masked, taken\n");
}

/* An event interrupts what this guest is doing. */
void show_upcall(void)
{
    int64_t port = pv_event_alloc(page, 0, 3);

    CHECK(port >= 0);
    unmask_upcalls();
    CHECK(pv_event_send(page, (uint32_t)port) == 1);
    while (events_of(port) == 0) {
        /* The upcall comes between any two instructions. */
    }
    CHECK(!pv_upcalls_mask());
    CHECK(pv_event_close(page, (uint32_t)port) == 0);
    print("upcall: it came\n");
}

/* A timer wakes this guest, which costs no processor time meanwhile. */
void show_timer(void)
{
    const uint64_t delay = 5000000; /* 5 ms */
    const struct pv_clock *clock = &pv_vcpu()->clock;

    int64_t port = pv_event_bind_timer(page, 0, 0);
    CHECK(port > 0);
    uint64_t deadline = pv_clock_now(clock) + delay;
    /* Upcalls are masked, so that no event comes unseen between a look at the count and
       sched_block. */
    CHECK(pv_time_oneshot(page, (uint32_t)port, deadline) == 0);
    while (events_of(port) == 0) {
        CHECK(pv_sched_block(page) >= 0);
        take_events();
    }
    CHECK(pv_clock_now(clock) >= deadline);
    CHECK(events_of(port) == 1);
    CHECK(pv_event_close(page, (uint32_t)port) == 0);
    print("timer: its event came, and not before its time\n");
}
