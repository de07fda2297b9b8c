//! Prints the figures that the README quotes; see `paravane_tests::figures`.

use paravane_tests::figures::{instructions, memory, size, start};
use std::process::ExitCode;

/// How often a time or a size in memory is measured.
const RUNS: usize = 51;

fn main() -> ExitCode {
    let inside = std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "instructions-inside");
    let result = if inside { measure_inside() } else { measure() };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paravane-figures: {error}");
            ExitCode::FAILURE
        }
    }
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
    println!(
        "VMM memory beyond guest RAM, MiB: {}",
        memory::beyond_guest_ram(RUNS)?
    );
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
