//! What a run of the bench found. Its JSON is what `paravane bench --json` prints and what
//! `--compare` reads.

use crate::carrier::{Carrier, Privilege};
use serde::{Deserialize, Serialize};

/// What `format` says in every result.
pub const FORMAT: &str = "paravane-bench";
/// What `version` says; a reader refuses another one.
pub const VERSION: u32 = 1;

/// A run of the bench.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Where and how it was measured.
    pub provenance: Provenance,
    /// What every cost is in.
    pub unit: Unit,
    /// Whether all that was asked for was measured; otherwise the run was interrupted.
    pub complete: bool,
    /// How steady the run was.
    pub stability: Stability,
    /// What was measured, in the order of the bench's list.
    pub rows: Vec<RowResult>,
}

/// What costs are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Instructions of kernel, VMM and guest together, where the TSC counts them.
    Instructions,
}

/// Where and how a run was measured. A text that the host does not tell is "unknown".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// When it began, as in 2026-01-31T12:00:00Z.
    pub date: String,
    /// Version of the program.
    pub paravane: String,
    /// The commit that it was built from.
    pub commit: String,
    /// Model of the CPU.
    pub cpu: String,
    /// How many CPUs the process may use.
    pub cpus: usize,
    /// The CPUs that the vCPUs were pinned to; empty when they could not be.
    pub pinned: Vec<usize>,
    /// Version of the CPU's microcode.
    pub microcode: String,
    /// The kernel's version.
    pub kernel: String,
    /// Modules behind the KVM device, each with its parameters as `name=value`.
    pub kvm: Vec<KvmModule>,
    /// What /sys/devices/system/cpu/vulnerabilities says, as `name: text`.
    pub mitigations: Vec<String>,
    /// Whether the host is itself a VM, and whose.
    pub nesting: String,
    /// The frequency governor.
    pub governor: String,
    /// Load average over a minute when the run began, and when it ended.
    pub load: (f64, f64),
    /// Frequency of the TSC in Hz.
    pub tsc_hz: u64,
    /// The mode that `--privilege auto` and `--carrier auto` take here, as in "ring0/vmcall".
    pub automatic: String,
    /// All modes that work here.
    pub modes: Vec<String>,
    /// The command's arguments.
    pub arguments: Vec<String>,
    /// Seed of the order in which rows were measured.
    pub seed: u64,
    /// VMs that were built for a row and way, at most.
    pub boots: usize,
    /// Seconds that the run took.
    pub seconds: f64,
}

/// A kernel module and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvmModule {
    /// Its name.
    pub name: String,
    /// Its parameters, as `name=value`.
    pub parameters: Vec<String>,
}

/// How steady a run was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Whether the run is too noisy for small differences to mean anything.
    pub noisy: bool,
    /// One sentence for each reason.
    pub reasons: Vec<String>,
    /// What measuring nothing costs, in each kind of VM: the bench's own overhead, which was
    /// subtracted from the samples.
    pub empty: Vec<Empty>,
}

/// The cost of measuring nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Empty {
    /// Where: "CPL 0", or "ring3/pio".
    pub place: String,
    /// Its distribution.
    pub spread: Spread,
    /// Whether its 99th percentile is more than twice its median.
    pub marked: bool,
}

/// A row: one operation, in several ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowResult {
    /// Its name, which `--filter` takes: `mov-to-cr3`.
    pub name: String,
    /// Its title, for people: "MOV to CR3".
    pub title: String,
    /// The group that it is listed under: "control registers".
    pub group: String,
    /// The call or the shared page that replaces it, or why nothing needs to.
    pub replaced_by: String,
    /// What each way cost, in the order in which they are shown.
    pub cells: Vec<Cell>,
}

/// A row in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The way.
    pub way: Way,
    /// What came out.
    pub outcome: Outcome,
}

/// A way to do an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Way {
    /// The smallest exit of the host: a bare KVM_RUN loop, for each CPL and carrier. Only the
    /// row `floor` has it.
    Floor {
        /// The privilege.
        privilege: Privilege,
        /// The carrier.
        carrier: Carrier,
    },
    /// The real instruction at CPL 0.
    Native,
    /// The real instruction at CPL 3, where it traps and the VMM emulates it.
    Trap,
    /// The hypercall.
    Hypercall {
        /// The privilege of the guest kernel.
        privilege: Privilege,
        /// The carrier.
        carrier: Carrier,
    },
    /// The form without an exit.
    Exitless {
        /// The privilege of the guest kernel.
        privilege: Privilege,
    },
    /// One of many calls in one exit.
    Batch {
        /// The privilege of the guest kernel.
        privilege: Privilege,
        /// The carrier.
        carrier: Carrier,
        /// How many calls.
        size: u32,
    },
}

/// What came out of a row in one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It was measured.
    Measured(Box<Measurement>),
    /// It cannot be had.
    Absent {
        /// Why.
        reason: String,
    },
}

/// A measurement. Costs are of one operation, in the run's [`Unit`], without the cost of the empty
/// measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Its distribution.
    pub spread: Spread,
    /// Confidence interval of the median, 99 per cent.
    pub confidence: (f64, f64),
    /// The median of each VM in which it was measured.
    pub boots: Vec<f64>,
    /// Median of the empty measurement that was subtracted.
    pub subtracted: f64,
    /// Exits of one operation.
    pub exits: Exits,
    /// Whether the guest was told the truth.
    pub answer: Answer,
    /// Why the figure is to be taken with care; empty when it need not be.
    pub marks: Vec<String>,
    /// Every sample, as pairs of a value and how many samples have it, ascending. Values are
    /// exact to three digits.
    pub histogram: Vec<(f64, u64)>,
}

/// A distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many samples.
    pub n: u64,
    /// The least.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The 99.9th percentile.
    pub p999: f64,
    /// The most.
    pub max: f64,
}

/// Exits of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exits {
    /// Exits to KVM, by its statistics; `None` where it has none.
    pub kvm: Option<f64>,
    /// Those that went on to the VMM.
    pub vmm: f64,
    /// How many to KVM there should be on this host; `None` where that is not known.
    pub expected: Option<f64>,
}

/// Whether an operation did what it does on a machine of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It did.
    Right,
    /// It neither trapped nor did it.
    Wrong,
    /// There is nothing that could be wrong.
    Unchecked,
}
