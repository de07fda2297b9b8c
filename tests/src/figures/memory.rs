//! The VMM's memory beyond the guest RAM that was touched.

use super::Spread;
use crate::program::{end, paravane};
use serde_json::Value;

/// MiB of the process's resident memory beyond guest RAM, as its own report has them, at the end of
/// the bundled guest with 128 MiB and this command line.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn beyond_guest_ram(command_line: &str, runs: usize) -> Result<Spread, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = directory.path().join("report.json");
    let mut samples = Vec::with_capacity(runs);
    for _ in 0..runs {
        let options = [
            "run",
            "--mem",
            "128M",
            "--cmdline",
            command_line,
            "--report",
        ];
        end(paravane(options).arg(&path));
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let report: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let kib = report["host_memory"]["vmm_kib"]
            .as_f64()
            .ok_or("no host_memory.vmm_kib in the report")?;
        samples.push(kib / 1024.0);
    }
    Ok(Spread::new(samples))
}
