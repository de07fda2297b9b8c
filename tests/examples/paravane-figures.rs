//! Prints the figures that the README quotes, and the tables of what calls cost; see
//! `paravane_tests::figures`. With the argument `tables` it prints only those.

use paravane_tests::figures::{instructions, memory, size, start, tables};
use std::process::ExitCode;

/// How often a time or a size in memory is measured.
const RUNS: usize = 51;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None => measure().and_then(|()| print_tables()),
        Some("tables") => print_tables(),
        // What the lane runs inside.
        Some("instructions-inside") => measure_inside(),
        Some(other) => Err(format!("unknown argument {other:?}; there is `tables`")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paravane-figures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_tables() -> Result<(), String> {
    tables::print(&mut |table| println!("{table}"))
}

fn measure_inside() -> Result<(), String> {
    let figures = instructions::measure()?;
    println!(
        "{}",
        serde_json::to_string(&figures).map_err(|error| error.to_string())?
    );
    Ok(())
}

fn measure() -> Result<(), String> {
    println!("hello example, stripped: {} bytes", size::hello_stripped()?);
    println!(
        "process start to first console byte, ms: {}",
        start::first_byte(RUNS)?
    );
    for (what, command_line) in [
        ("of a guest that prints a line", "hello"),
        ("after all self-tests, which use up page tables", "selftest"),
    ] {
        println!(
            "VMM memory beyond guest RAM {what}, MiB: {}",
            memory::beyond_guest_ram(command_line, RUNS)?
        );
    }
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let figures = instructions::in_lane(&this, &mut |line| eprintln!("  {line}"))?;
    println!(
        "instructions of a bare port write and back: {:.0}",
        figures.bare
    );
    for (mode, cost) in &figures.noop {
        let above = cost - figures.bare;
        println!("instructions of a no-op hypercall, {mode}: {cost:.0} (bare + {above:.0})");
    }
    Ok(())
}
