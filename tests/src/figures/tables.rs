//! The tables: what the guest measures, beside the floors of this host.

use super::floor;
use super::guest::{self, Figure};
use super::table::Table;

/// How often a floor is measured.
const ROUNDS: usize = 500;

/// Every table, one after the other, each when it is ready.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn print(show: &mut dyn FnMut(&Table)) -> Result<(), String> {
    show(&without_exit(&guest::measure("clock,upcalls")?));
    show(&mapping(&guest::measure("mapping")?));
    let cpl = guest::cpl()?;
    show(&events(&guest::measure("events")?, cpl)?);
    show(&timers(&guest::measure("timers")?)?);
    show(&starts(&guest::measure("vcpus")?, cpl)?);
    Ok(())
}

fn without_exit(figures: &[Figure]) -> Table {
    let mut table = Table::new("Without an exit");
    table.figure(figures, "clock_read", "reading the clock");
    table.figure(
        figures,
        "upcall_mask_unmask",
        "masking and unmasking upcalls",
    );
    table.figure(
        figures,
        "upcall_masked_scope",
        "the SDK's `Masked`, which nests",
    );
    table
}

fn mapping(figures: &[Figure]) -> Table {
    let mut table = Table::new("Mapping 512 pages and touching each");
    for (name, what) in [
        ("map_512_as_one_range", "one call, one element of 2 MiB"),
        ("map_512_by_one_call", "one repeated call, 512 elements"),
        ("map_512_by_single_calls", "512 calls"),
        (
            "map_512_by_page_faults",
            "512 page faults, each with a call",
        ),
    ] {
        table.figure(figures, name, what);
        table.figure(figures, &format!("{name}_exits"), &format!("{what}: exits"));
    }
    table
}

fn events(figures: &[Figure], cpl: u8) -> Result<Table, String> {
    let mut table = Table::new("From a vCPU to another");
    table.figure(
        figures,
        "event_to_running_vcpu",
        "`event_send` to the handler, the other vCPU runs",
    );
    table.figure(
        figures,
        "event_to_blocked_vcpu",
        "`event_send` to the return of `sched_block`",
    );
    table.row(
        &format!("an exit, a signal and KVM_INTERRUPT to the handler, CPL {cpl}, without Paravane"),
        "ns",
        floor::injection::measure(cpl, ROUNDS)?,
    );
    Ok(table)
}

fn timers(figures: &[Figure]) -> Result<Table, String> {
    let mut table = Table::new("How late a timer of 1 ms is");
    table.figure(
        figures,
        "timer_lateness_blocked",
        "`time_oneshot`, to the return of `sched_block`",
    );
    table.figure(
        figures,
        "timer_lateness_running",
        "`time_oneshot`, to the handler, the vCPU runs",
    );
    let host = floor::timer::measure(ROUNDS).map_err(|error| format!("timerfd: {error}"))?;
    table.row("timerfd of the host, to the return of read", "ns", host);
    Ok(table)
}

fn starts(figures: &[Figure], cpl: u8) -> Result<Table, String> {
    let mut table = Table::new("Starting a vCPU");
    table.figure(
        figures,
        "vcpu_start",
        "`vcpu_start` to the first instruction",
    );
    table.row(
        &format!("an exit, waking a thread and KVM_RUN to the first instruction, CPL {cpl}, without Paravane"),
        "ns",
        floor::start::measure(cpl, ROUNDS)?,
    );
    Ok(table)
}
