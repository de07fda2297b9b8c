//! Prints the figures that the README quotes, and the tables of what calls cost; see
//! `paravane_tests::figures`. With the argument `tables` it prints only those; with
//! `disk` and `network` what these do beside the host; with `daemon` it measures the daemon under
//! load; with `baseline` it counts instructions anew and writes docs/figures/svm-icount.json.

use paravane_tests::figures::instructions::Baseline;
use paravane_tests::figures::{bench, daemon, disk, instructions, memory, network, size, start};
use std::process::ExitCode;

/// How often a time or a size in memory is measured.
const RUNS: usize = 51;

/// How often a disk or a network is measured.
const IO_RUNS: usize = 7;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        None => measure().and_then(|()| print_tables()),
        Some("tables") => print_tables(),
        Some("network") => networks(),
        Some("daemon") => daemons(std::env::args().nth(2).as_deref()),
        Some("disk") => disks(std::env::args().nth(2), std::env::args().nth(3)),
        Some("baseline") => write_baseline(),
        Some("icount") => icount(std::env::args().skip(2)),
        Some(other) => Err(format!(
            "unknown argument {other:?}; there are `tables`, `disk [FOLDER [NAME]]`, `network`, `baseline` and \
             `icount`"
        )),
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
    println!("{}", bench::tables()?);
    Ok(())
}

/// Measures disks in a folder, or where temporary files are: all kinds of work, or one.
fn disks(folder: Option<String>, only: Option<String>) -> Result<(), String> {
    let folder = folder.map_or_else(std::env::temp_dir, Into::into);
    let figures = disk::measure(&folder, only.as_deref(), IO_RUNS, &mut |work| {
        eprintln!("  {work}");
    })?;
    figures.iter().for_each(|figure| println!("{figure}"));
    Ok(())
}

/// Measures the daemon under load: all groups of figures, or one.
fn daemons(group: Option<&str>) -> Result<(), String> {
    let figures = daemon::measure(group, &mut |what| eprintln!("  {what}"))?;
    figures.iter().for_each(|figure| println!("{figure}"));
    Ok(())
}

fn networks() -> Result<(), String> {
    let figures = network::measure(IO_RUNS, &mut |what| eprintln!("  {what}"))?;
    figures.iter().for_each(|figure| println!("{figure}"));
    Ok(())
}

/// Runs the bench where the TSC counts instructions.
fn icount(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let fixed = ["bench", "--instructions", "--quiet"].map(str::to_owned);
    let all = fixed.into_iter().chain(arguments).collect();
    let output = instructions::run(all, &mut |line| eprintln!("  {line}"))?;
    print!("{output}");
    Ok(())
}

fn write_baseline() -> Result<(), String> {
    let results = instructions::count(&mut |line| eprintln!("  {line}"))?;
    Baseline::of(&results).store()?;
    println!("{}", Baseline::path().display());
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
    let results = instructions::count(&mut |line| eprintln!("  {line}"))?;
    for (way, cost) in Baseline::of(&results)
        .instructions
        .remove("noop")
        .unwrap_or_default()
    {
        println!("instructions of a no-op call, {way}: {cost}");
    }
    Ok(())
}
