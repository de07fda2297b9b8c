//! A small run, made by hand, that has everything that can come out of one.

use super::peers::{self, Peers};
use crate::bench::result::*;
use crate::carrier::Carrier::{Pio, Vmcall};
use crate::carrier::Privilege::{Ring0, Ring3};

/// Why a row without an instruction has none.
pub const NO_INSTRUCTION: &str = "there is no such instruction";
/// Why a figure is marked.
pub const MARK: &str = "two VMs disagree by 12 per cent";
/// Why the run is noisy.
pub const NOISE: &str = "The load average rose from 0.1 to 2.5.";

/// The modes that work on the fixture's host.
const RING0: Way = Way::Hypercall {
    privilege: Ring0,
    carrier: Vmcall,
};
const RING3: Way = Way::Hypercall {
    privilege: Ring3,
    carrier: Pio,
};

/// A measurement with this median, one exit, and a tail.
pub fn measurement(p50: f64) -> Measurement {
    Measurement {
        spread: Spread {
            n: 1000,
            min: p50 * 0.9,
            p50,
            p90: p50 * 1.1,
            p99: p50 * 1.5,
            p999: p50 * 3.0,
            max: p50 * 10.0,
        },
        confidence: (p50 * 0.998, p50 * 1.002),
        boots: vec![p50 * 0.999, p50, p50 * 1.001],
        subtracted: 22.0,
        exits: Exits {
            kvm: Some(1.0),
            vmm: 1.0,
            expected: Some(1.0),
        },
        answer: Answer::Right,
        marks: Vec::new(),
        histogram: vec![
            (p50 * 0.9, 100),
            (p50, 700),
            (p50 * 1.1, 150),
            (p50 * 1.5, 45),
            (p50 * 3.0, 4),
            (p50 * 10.0, 1),
        ],
    }
}

/// A cell with what [`measurement`] gives.
pub fn cell(way: Way, p50: f64) -> Cell {
    changed(way, p50, |_| {})
}

/// A cell with what [`measurement`] gives, and something changed.
pub fn changed(way: Way, p50: f64, change: impl FnOnce(&mut Measurement)) -> Cell {
    let mut measurement = measurement(p50);
    change(&mut measurement);
    Cell {
        way,
        outcome: Outcome::Measured(Box::new(measurement)),
    }
}

fn without_exit(measurement: &mut Measurement) {
    measurement.exits = Exits {
        kvm: Some(0.0),
        vmm: 0.0,
        expected: Some(0.0),
    };
}

fn absent(way: Way, reason: &str) -> Cell {
    Cell {
        way,
        outcome: Outcome::Absent {
            reason: reason.to_string(),
        },
    }
}

/// A row.
pub fn row(group: &str, name: &str, title: &str, replaced_by: &str, cells: Vec<Cell>) -> RowResult {
    RowResult {
        name: name.to_string(),
        title: title.to_string(),
        group: group.to_string(),
        replaced_by: replaced_by.to_string(),
        cells,
    }
}

fn noop() -> RowResult {
    let mut cells = vec![
        absent(Way::Native, NO_INSTRUCTION),
        absent(Way::Trap, NO_INSTRUCTION),
        cell(RING0, 2_200.0),
        cell(RING3, 38_500.0),
    ];
    for size in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
        let each = |exit: f64| exit / f64::from(size) + 40.0;
        let batch = |privilege, carrier| Way::Batch {
            privilege,
            carrier,
            size,
        };
        cells.push(cell(batch(Ring0, Vmcall), each(2_300.0)));
        cells.push(cell(batch(Ring3, Pio), each(38_600.0)));
    }
    row("calls", "noop", "a call that does nothing", "", cells)
}

/// The run. Its rows are not in the order of its groups, and the floor is not first.
pub fn results() -> Results {
    let rows = vec![
        noop(),
        row(
            "host",
            "floor",
            "the smallest exit",
            "",
            vec![
                cell(
                    Way::Floor {
                        privilege: Ring0,
                        carrier: Vmcall,
                    },
                    2_000.0,
                ),
                cell(
                    Way::Floor {
                        privilege: Ring3,
                        carrier: Pio,
                    },
                    35_000.0,
                ),
            ],
        ),
        row(
            "time",
            "rdtsc",
            "RDTSC",
            "clock page",
            vec![
                changed(Way::Native, 17.2, without_exit),
                cell(Way::Trap, 36_000.0),
                cell(RING0, 2_240.0),
                cell(RING3, 38_600.0),
                changed(Way::Exitless { privilege: Ring0 }, 20.0, without_exit),
                changed(Way::Exitless { privilege: Ring3 }, 21.0, without_exit),
            ],
        ),
        row(
            "control registers",
            "mov-to-cr3",
            "MOV to CR3",
            "mmu_switch",
            vec![
                changed(Way::Native, 64.0, |native| {
                    without_exit(native);
                    native.answer = Answer::Unchecked;
                }),
                changed(Way::Trap, 82_000.0, |trap| {
                    trap.exits.kvm = Some(2.0);
                    trap.marks.push(MARK.to_string());
                }),
                cell(RING0, 2_900.0),
                absent(RING3, "the space <cannot> be switched there"),
            ],
        ),
        row(
            "descriptor tables",
            "sgdt",
            "SGDT <of whom?> & \"why\"",
            "nothing needs to",
            vec![
                changed(Way::Native, 9.0, without_exit),
                changed(Way::Trap, 11.0, |trap| {
                    without_exit(trap);
                    trap.answer = Answer::Wrong;
                }),
                absent(RING0, NO_INSTRUCTION),
            ],
        ),
        row(
            "tasks",
            "user-syscall",
            "a user task's system call",
            "the task entry",
            vec![
                absent(Way::Native, NO_INSTRUCTION),
                changed(Way::Exitless { privilege: Ring0 }, 120.0, without_exit),
                changed(Way::Exitless { privilege: Ring3 }, 4_100.0, without_exit),
            ],
        ),
    ];
    Results {
        format: FORMAT.to_string(),
        version: VERSION,
        provenance: provenance(),
        unit: Unit::Nanoseconds,
        complete: true,
        stability: Stability {
            noisy: true,
            reasons: vec![NOISE.to_string()],
            empty: vec![Empty {
                place: "CPL 0".to_string(),
                spread: measurement(22.0).spread,
                marked: false,
            }],
        },
        rows,
    }
}

fn provenance() -> Provenance {
    Provenance {
        date: "2026-01-31T12:00:00Z".to_string(),
        paravane: "0.1.0".to_string(),
        commit: "0123456789ab".to_string(),
        cpu: "AMD EPYC <9B45>".to_string(),
        cpus: 2,
        pinned: vec![1],
        microcode: "0xb00215a".to_string(),
        kernel: "6.12.0".to_string(),
        kvm: vec![
            KvmModule {
                name: "kvm".to_string(),
                parameters: vec!["halt_poll_ns=200000".to_string()],
            },
            KvmModule {
                name: "kvm_amd".to_string(),
                parameters: vec!["npt=1".to_string(), "avic=0".to_string()],
            },
        ],
        mitigations: vec!["vmscape: Mitigation: IBPB before exit to userspace".to_string()],
        nesting: "none".to_string(),
        governor: "performance".to_string(),
        load: (0.1, 2.5),
        tsc_hz: 2_600_000_000,
        automatic: "ring0/vmcall".to_string(),
        modes: vec!["ring0/vmcall".to_string(), "ring3/pio".to_string()],
        arguments: vec!["--boots".to_string(), "3".to_string()],
        seed: 42,
        boots: 3,
        seconds: 61.5,
    }
}

/// The run as instructions: every cost is a whole number.
pub fn instructions() -> Results {
    let mut results = results();
    results.unit = Unit::Instructions;
    results
}

/// One peer that counts nanoseconds, and one that counts instructions.
pub fn peers() -> Peers {
    let text = r#"{"peers": [
        {"name": "Solo5 hvt", "host": "the <same> host", "source": "https://example.org/solo5",
         "unit": "nanoseconds", "rows": {"rdtsc": {"p50": 33000}}},
        {"name": "Counted", "host": "an emulator", "source": "a paper",
         "unit": "instructions", "rows": {"rdtsc": {"p50": 3368}}}
    ]}"#;
    peers::parse(text, "peers.json", &["rdtsc", "noop"]).expect("the fixture is right")
}
