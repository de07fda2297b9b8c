//! What the bench counts in instructions: guest, kernel and VMM together, where noise cannot touch
//! it.
//!
//! `paravane bench --instructions` runs inside the lane
//! [`Lane::SvmIcount`], whose virtual time is one nanosecond an instruction. What it counted once
//! is the baseline `docs/figures/svm-icount.json`, which `paravane-figures baseline` writes.

use crate::lanes::{Job, Lane};
use crate::{program, workspace};
use paravane::bench::report::ways;
use paravane::bench::result::{Cell, Outcome, Results, Way};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The rows that repeat to the instruction. Those with two vCPUs or a timer do not, on one
/// emulated processor.
const ROWS: &str = "floor,noop,cpuid,vmcall,mov-from-cr2,mov-to-cr3,lidt,rdmsr-*,wrmsr-*,pte-write,\
                    demand-page,cli-sti,sgdt,hlt,rdtsc,rtc,out-*,in-*,string-io,mmio-*,int-n,ud,gp,pf,\
                    user-syscall,external-interrupt,self-ipi,eoi";

/// Samples of each row and way.
const SAMPLES: u32 = 40;

/// How long the lane may take.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// A figure may differ from the baseline by this part of it, or by so many instructions.
const TOLERANCE: f64 = 0.02;
const TOLERATED: f64 = 12.0;

/// What was counted once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// How it is made.
    pub command: String,
    /// The arguments of `paravane` in the lane.
    pub bench: String,
    /// The kernel that was counted too.
    pub kernel: String,
    /// Instructions of one operation, by row and way.
    pub instructions: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Runs `paravane` inside the lane, with these arguments, and gives what it prints. The peers of
/// docs/figures are `/peers.json` there.
///
/// # Errors
///
/// A sentence that says what the lane lacks, or what failed in it.
pub fn run(arguments: Vec<String>, progress: &mut dyn FnMut(&str)) -> Result<String, String> {
    let lane = Lane::SvmIcount.available()?;
    let mut job = Job::new(program::path(), TIMEOUT);
    job.args = arguments;
    let peers = workspace::root().join("docs/figures/peers.json");
    // The serial line has no width.
    job.env = vec![("COLUMNS".into(), "200".into())];
    job.files = vec![(peers, "/peers.json".into())];
    // The result is long, and nobody's progress.
    let mut result = false;
    let mut before_result = |line: &str| {
        result |= line.starts_with('{');
        if !result {
            progress(line);
        }
    };
    let outcome = lane
        .run(&job, &mut before_result)
        .map_err(|error| error.to_string())?;
    match outcome.exit_code {
        0 => Ok(outcome.output),
        code => Err(format!("exit code {code}:\n{}", outcome.output)),
    }
}

/// Counts the rows of the baseline.
///
/// # Errors
///
/// As [`run`].
pub fn count(progress: &mut dyn FnMut(&str)) -> Result<Results, String> {
    let output = run(arguments(), progress)?;
    serde_json::from_str(&output)
        .map_err(|error| format!("no result in the lane's output ({error}):\n{output}"))
}

fn arguments() -> Vec<String> {
    let samples = SAMPLES.to_string();
    [
        "bench",
        "--instructions",
        "--quiet",
        "--json",
        "--boots",
        "1",
        "--seed",
        "1",
        "--samples",
        &samples,
        "--filter",
        ROWS,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The cost of a row in a way, if it was measured.
pub fn cost(results: &Results, row: &str, way: Way) -> Option<f64> {
    let row = results.rows.iter().find(|found| found.name == row)?;
    let cell = row.cells.iter().find(|cell| cell.way == way)?;
    measured(cell)
}

fn measured(cell: &Cell) -> Option<f64> {
    match &cell.outcome {
        Outcome::Measured(measurement) => Some(measurement.spread.p50),
        Outcome::Absent { .. } => None,
    }
}

impl Baseline {
    /// That of a run.
    pub fn of(results: &Results) -> Self {
        let mut instructions = BTreeMap::<String, BTreeMap<String, f64>>::new();
        for row in &results.rows {
            for cell in &row.cells {
                if let Some(cost) = measured(cell) {
                    let rounded = (cost * 10.0).round() / 10.0;
                    let ways = instructions.entry(row.name.clone()).or_default();
                    ways.insert(ways::label(cell.way), rounded);
                }
            }
        }
        Self {
            command: "cargo run --release -p paravane-tests --example paravane-figures baseline"
                .into(),
            bench: arguments().join(" "),
            kernel: results.provenance.kernel.clone(),
            instructions,
        }
    }

    /// Where it lies in the repository.
    pub fn path() -> PathBuf {
        workspace::root().join("docs/figures/svm-icount.json")
    }

    /// The one in the repository.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub fn load() -> Result<Self, String> {
        let path = Self::path();
        let text = fs::read_to_string(&path);
        text.map_err(|error| error.to_string())
            .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Writes it to the repository.
    ///
    /// # Errors
    ///
    /// Why it cannot be written.
    pub fn store(&self) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(Self::path(), text + "\n").map_err(|error| error.to_string())
    }

    /// What differs from it by more than is tolerated, one sentence each. What another kernel
    /// costs is not this VMM's: where the kernels differ, only the rows that are compared to the
    /// floor are, by what they are above it.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let same_kernel = self.kernel == new.kernel;
        let mut differences = Vec::new();
        for (row, ways) in &self.instructions {
            for (way, &old) in ways {
                let found = new.instructions.get(row).and_then(|ways| ways.get(way));
                let Some(&found) = found else {
                    differences.push(format!("{row}, {way}: not measured any more"));
                    continue;
                };
                let (old, found) = if same_kernel {
                    (old, found)
                } else {
                    match (self.above_floor(row, way), new.above_floor(row, way)) {
                        (Some(old), Some(found)) => (old, found),
                        _ => continue,
                    }
                };
                if (found - old).abs() > TOLERATED.max(TOLERANCE * old) {
                    differences.push(format!("{row}, {way}: {old} -> {found} instructions"));
                }
            }
        }
        differences
    }

    /// What a no-op call is above the smallest exit by the same carrier.
    fn above_floor(&self, row: &str, way: &str) -> Option<f64> {
        let mode = way.strip_prefix("hypercall ")?;
        let floor = self
            .instructions
            .get("floor")?
            .get(&format!("floor {mode}"))?;
        let cost = self.instructions.get(row)?.get(way)?;
        (row == "noop").then_some(cost - floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(kernel: &str, floor: f64, noop: f64, cpuid: f64) -> Baseline {
        let row = |way: &str, cost| BTreeMap::from([(way.to_owned(), cost)]);
        Baseline {
            command: String::new(),
            bench: String::new(),
            kernel: kernel.into(),
            instructions: BTreeMap::from([
                ("floor".to_owned(), row("floor ring0/pio", floor)),
                ("noop".to_owned(), row("hypercall ring0/pio", noop)),
                ("cpuid".to_owned(), row("native", cpuid)),
            ]),
        }
    }

    #[test]
    fn what_is_within_the_tolerance_is_no_difference() {
        let old = baseline("6.1", 3000.0, 3100.0, 2900.0);
        assert!(old.differences(&old).is_empty());
        assert!(
            old.differences(&baseline("6.1", 3000.0, 3161.0, 2850.0))
                .is_empty()
        );
        assert_eq!(
            old.differences(&baseline("6.1", 3000.0, 3163.0, 2900.0)),
            ["noop, hypercall ring0/pio: 3100 -> 3163 instructions"]
        );
    }

    #[test]
    fn another_kernels_own_cost_is_no_difference() {
        let old = baseline("6.1", 3000.0, 3100.0, 2900.0);
        assert!(
            old.differences(&baseline("6.2", 3500.0, 3600.0, 9000.0))
                .is_empty()
        );
        assert_eq!(
            old.differences(&baseline("6.2", 3500.0, 3630.0, 2900.0)),
            ["noop, hypercall ring0/pio: 100 -> 130 instructions"]
        );
    }

    #[test]
    fn what_is_gone_is_a_difference() {
        let old = baseline("6.1", 3000.0, 3100.0, 2900.0);
        let mut new = old.clone();
        new.instructions.remove("cpuid");
        assert_eq!(
            old.differences(&new),
            ["cpuid, native: not measured any more"]
        );
    }
}
