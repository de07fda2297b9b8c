//! `paravane bench`: what it measures, what it writes, and what it says about what it cannot do.

use super::Once;
use crate::program::{Ended, Running, end, exit_code, paravane};
use paravane::bench::result::{Answer, Cell, FORMAT, Measurement, Outcome, Results, Unit};
use paravane::bench::result::{VERSION, Way};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub(super) const ONCE: &[Once] = &[
    (
        "a_result_says_where_and_how_it_was_measured",
        a_result_says_where_and_how_it_was_measured,
    ),
    (
        "a_figure_is_the_distribution_of_all_samples",
        a_figure_is_the_distribution_of_all_samples,
    ),
    ("each_way_exits_as_it_should", each_way_exits_as_it_should),
    (
        "what_does_not_trap_is_told_to_be_wrong",
        what_does_not_trap_is_told_to_be_wrong,
    ),
    ("a_result_can_be_a_file", a_result_can_be_a_file),
    (
        "a_result_is_compared_with_an_earlier_one",
        a_result_is_compared_with_an_earlier_one,
    ),
    (
        "what_cannot_be_measured_here_is_told",
        what_cannot_be_measured_here_is_told,
    ),
    (
        "a_result_that_found_no_room_is_told",
        a_result_that_found_no_room_is_told,
    ),
    (
        "ctrl_c_shows_what_was_measured",
        ctrl_c_shows_what_was_measured,
    ),
];

/// The rows of the run that most tests look at, in the order of the bench's list.
const ROWS: [&str; 12] = [
    "floor",
    "noop",
    "cpuid",
    "smsw",
    "mov-to-cr3",
    "sgdt",
    "sidt",
    "sldt",
    "str",
    "cli-sti",
    "pushf",
    "popf",
];

/// Samples of each row and way: few, as emulated hosts are slow.
const SAMPLES: u64 = 20;

/// How soon a run is over that was interrupted, on an emulated host too.
const SOON: Duration = Duration::from_secs(10);

/// A run of the bench, and all that it wrote.
struct Run {
    results: Results,
    json: String,
    csv: String,
    html: String,
    /// By the names of the files.
    charts: BTreeMap<String, String>,
    printed: String,
}

/// The run that most tests look at.
static RUN: LazyLock<Run> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let option = |option: &str, name: &str| format!("--{option}={}", path(name).display());
    let filter = ROWS.join(",");
    let outputs = [
        option("json", "result.json"),
        option("csv", "result.csv"),
        option("html", "result.html"),
        option("svg", "charts"),
    ];
    let outputs = outputs.each_ref().map(String::as_str);
    let ended = bench(&filter, &[&["--seed", "7"], &outputs[..]].concat()).exits(0);
    let read = |path: &Path| fs::read_to_string(path).expect("the file was written, and is text");
    let json = read(&path("result.json"));
    let charts = fs::read_dir(path("charts")).expect("the directory was made");
    let charts = charts.map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("its name is text");
        (name, read(&entry.path()))
    });
    Run {
        results: serde_json::from_str(&json).expect("it is a result"),
        json,
        csv: read(&path("result.csv")),
        html: read(&path("result.html")),
        charts: charts.collect(),
        printed: ended.stdout,
    }
});

/// Measures these rows quickly.
fn bench(filter: &str, options: &[&str]) -> Ended {
    let samples = SAMPLES.to_string();
    let mut command = paravane(["bench", "--quick", "--samples", &samples, "--boots", "1"]);
    end(command.args(["--filter", filter]).args(options))
}

/// Every cell, with the name of its row.
fn cells(results: &Results) -> impl Iterator<Item = (&str, &Cell)> {
    let rows = results.rows.iter();
    rows.flat_map(|row| row.cells.iter().map(|cell| (row.name.as_str(), cell)))
}

/// Everything that was measured, with its row and way.
fn measurements(results: &Results) -> impl Iterator<Item = (&str, Way, &Measurement)> {
    cells(results).filter_map(|(row, cell)| match &cell.outcome {
        Outcome::Measured(measurement) => Some((row, cell.way, &**measurement)),
        Outcome::Absent { .. } => None,
    })
}

/// What was measured of a row in ways of a kind; at least one.
#[track_caller]
fn of(row: &str, is_meant: fn(Way) -> bool) -> Vec<&'static Measurement> {
    let found: Vec<_> = measurements(&RUN.results)
        .filter(|&(name, way, _)| name == row && is_meant(way))
        .map(|(_, _, measurement)| measurement)
        .collect();
    assert!(!found.is_empty(), "{row} was not measured: {}", RUN.json);
    found
}

fn is_trap(way: Way) -> bool {
    way == Way::Trap
}

fn a_result_says_where_and_how_it_was_measured() {
    let Results {
        format,
        version,
        provenance,
        unit,
        complete,
        rows,
        ..
    } = &RUN.results;
    assert_eq!((format.as_str(), *version), (FORMAT, VERSION));
    assert_eq!(*unit, Unit::Nanoseconds);
    assert!(complete);
    let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ROWS);
    for (what, text) in [
        ("cpu", &provenance.cpu),
        ("kernel", &provenance.kernel),
        ("date", &provenance.date),
        ("paravane", &provenance.paravane),
    ] {
        assert!(!["", "unknown"].contains(&text.as_str()), "{what}");
    }
    assert!(provenance.modes.iter().any(|mode| mode == "ring3/pio"));
    assert!(provenance.modes.contains(&provenance.automatic));
    if let Ok(expected) = std::env::var("PARAVANE_EXPECT_MODES") {
        assert_eq!(provenance.modes.join(","), expected);
    }
    assert!(provenance.tsc_hz > 1_000_000, "{}", provenance.tsc_hz);
    assert!(provenance.kvm.iter().any(|module| module.name == "kvm"));
    assert!(!provenance.pinned.is_empty());
    assert_eq!(provenance.arguments[0], "bench");
    assert_eq!((provenance.seed, provenance.boots), (7, 1));
    // Calls are measured in each mode of the host.
    let mut modes = Vec::new();
    for (row, way, _) in measurements(&RUN.results) {
        if let ("noop", Way::Hypercall { privilege, carrier }) = (row, way) {
            modes.push(format!("{privilege}/{carrier}"));
        }
    }
    assert_eq!(modes, provenance.modes);
}

fn a_figure_is_the_distribution_of_all_samples() {
    for (row, way, measurement) in measurements(&RUN.results) {
        let spread = measurement.spread;
        let what = format!("{row}, {way:?}: {measurement:?}");
        assert_eq!(spread.n, SAMPLES, "{what}");
        let (low, high) = measurement.confidence;
        for ascending in [
            &[
                spread.min,
                spread.p50,
                spread.p90,
                spread.p99,
                spread.p999,
                spread.max,
            ][..],
            &[spread.min, low, spread.p50, high, spread.max],
        ] {
            assert!(ascending.is_sorted(), "{what}");
        }
        assert_eq!(measurement.boots, [spread.p50], "{what}");
        let histogram = &measurement.histogram;
        let counts: u64 = histogram.iter().map(|(_, count)| count).sum();
        assert_eq!(counts, SAMPLES, "{what}");
        assert!(histogram.is_sorted_by(|a, b| a.0 < b.0), "{what}");
        // Three digits, and nothing below a thousandth or zero.
        let near =
            |value: f64, exact: f64| (value - exact.max(0.0)).abs() <= 0.001 + exact.abs() / 500.0;
        assert!(near(histogram[0].0, spread.min), "{what}");
        assert!(near(histogram[histogram.len() - 1].0, spread.max), "{what}");
    }
}

fn each_way_exits_as_it_should() {
    let exits = |row, is_meant| of(row, is_meant).into_iter().map(|found| found.exits.vmm);
    for (row, number) in [
        ("floor", 1.0),
        ("noop", 1.0),
        ("cpuid", 1.0),
        ("mov-to-cr3", 1.0),
    ] {
        let is_call = |way| matches!(way, Way::Floor { .. } | Way::Hypercall { .. });
        assert!(exits(row, is_call).all(|exits| exits == number), "{row}");
    }
    let is_batch_of_64 = |way| matches!(way, Way::Batch { size: 64, .. });
    assert!(exits("noop", is_batch_of_64).all(|exits| exits == 1.0 / 64.0));
    for row in ["cpuid", "cli-sti", "pushf", "popf"] {
        let is_exitless = |way| matches!(way, Way::Exitless { .. });
        assert!(exits(row, is_exitless).all(|exits| exits == 0.0), "{row}");
    }
    // Each instruction that traps is one exit of the trap's handler.
    assert!(exits("mov-to-cr3", is_trap).all(|exits| exits == 1.0));
    assert!(exits("cli-sti", is_trap).all(|exits| exits == 2.0));
    // What exits takes time.
    for (row, way, measurement) in measurements(&RUN.results) {
        if measurement.exits.vmm > 0.0 {
            assert!(measurement.spread.min > 0.0, "{row}, {way:?}");
        }
    }
}

fn what_does_not_trap_is_told_to_be_wrong() {
    for row in ["smsw", "sgdt", "sidt", "sldt", "str", "pushf", "popf"] {
        for trapped in of(row, is_trap) {
            // UMIP, if the host's is on, makes all but the last two trap (SDM vol. 3, 2.5).
            let expected = match (row, trapped.exits.vmm > 0.0) {
                ("pushf" | "popf", true) => panic!("{row} traps"),
                (_, true) => Answer::Right,
                (_, false) => Answer::Wrong,
            };
            assert_eq!(trapped.answer, expected, "{row}");
        }
    }
    for row in ["cli-sti", "mov-to-cr3"] {
        for trapped in of(row, is_trap) {
            assert_ne!(trapped.answer, Answer::Wrong, "{row}");
        }
    }
}

fn a_result_can_be_a_file() {
    let run = &*RUN;
    let first = |line: &str| line.split(',').next().map(str::to_owned);
    let names: Vec<_> = run.csv.lines().skip(1).filter_map(first).collect();
    let expected: Vec<_> = cells(&run.results).map(|(row, _)| row).collect();
    assert_eq!(names, expected, "a line for each row and way:\n{}", run.csv);

    assert!(run.html.starts_with("<!DOCTYPE html>"), "{:.100}", run.html);
    assert!(
        run.charts.contains_key("overview.svg"),
        "{:?}",
        run.charts.keys()
    );
    for (name, text) in run.charts.iter().chain([(&"the page".into(), &run.html)]) {
        // Nothing is fetched: the only address is the name of SVG itself.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http:", "https:", "src=", "<link", "url(", "@import"] {
            assert!(!text.contains(foreign), "{foreign} in {name}");
        }
    }
    for (name, chart) in &run.charts {
        assert!(chart.starts_with("<svg"), "{name}: {chart:.100}");
        assert!(chart.trim_end().ends_with("</svg>"), "{name}");
    }
    for row in &run.results.rows {
        assert!(
            run.html.contains(&row.title),
            "{} is not on the page",
            row.name
        );
        assert!(run.printed.contains(&row.title), "{}", run.printed);
    }
}

fn a_result_is_compared_with_an_earlier_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let old = directory.path().join("old.json");
    fs::write(&old, &RUN.json).expect("it can be written");
    let old = old.to_str().expect("its name is text");
    let ended = bench("floor,cpuid", &["--json", "--compare", old]).exits(0);
    let comparison: Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    assert_eq!(comparison["format"], "paravane-bench-comparison");
    assert_eq!(comparison["old"]["date"], RUN.results.provenance.date);
    // It is the same host.
    assert_eq!(comparison["hosts"], Value::Array(Vec::new()));
    let changes = comparison["changes"].as_array().expect("it is a list");
    // What was not asked for is not compared.
    let asked = measurements(&RUN.results).filter(|(row, ..)| ["floor", "cpuid"].contains(row));
    assert_eq!(changes.len(), asked.count());
    for change in changes {
        let verdict = change["verdict"].as_str().expect("it is a name");
        assert!(["faster", "slower", "same"].contains(&verdict), "{change}");
    }
}

fn what_cannot_be_measured_here_is_told() {
    let modes = &RUN.results.provenance.modes;
    let has = |what: &str| {
        modes
            .iter()
            .any(|mode| mode.split('/').any(|part| part == what))
    };
    // No host has VMCALL and VMMCALL.
    let options = ["vmcall", "vmmcall"].map(|carrier| ("--carrier", carrier));
    let missing = options
        .into_iter()
        .chain([("--mode", "ring0")])
        .filter(|(_, value)| !has(value));
    let mut told = 0;
    for (option, value) in missing {
        let ended = bench("floor", &[option, value, "--json"]).exits(exit_code::BAD_CONFIGURATION);
        assert_eq!(
            ended.stderr,
            format!(
                "paravane: {option} {value} does not work on this host, which has {}\n",
                modes.join(", ")
            )
        );
        assert_eq!(ended.stdout, "");
        told += 1;
    }
    assert!(told > 0, "{modes:?}");
    // One that works is the only one then.
    let ended = bench("noop", &["--mode", "ring3", "--carrier", "pio", "--json"]).exits(0);
    let results: Results = serde_json::from_str(&ended.stdout).expect("it is a result");
    let calls: Vec<_> = cells(&results)
        .filter_map(|(_, cell)| match cell.way {
            Way::Hypercall { privilege, carrier } => Some(format!("{privilege}/{carrier}")),
            _ => None,
        })
        .collect();
    assert_eq!(calls, ["ring3/pio"]);
}

fn a_result_that_found_no_room_is_told() {
    // The table is printed all the same.
    bench("floor", &["--json=/dev/full"])
        .exits(exit_code::BAD_CONFIGURATION)
        .says("paravane: the result /dev/full cannot be written: No space left on device")
        .prints("the smallest exit to a VMM and back");
}

fn ctrl_c_shows_what_was_measured() {
    // Many VMs of few samples each: hours, wherever it runs.
    let options = ["--quick", "--samples", "20000", "--boots", "1000", "--json"];
    let mut command = paravane(["bench"]);
    let mut running = Running::start(command.args(options).stderr(Stdio::piped()));
    let mut said = BufReader::new(running.stderr.take().expect("stderr is a pipe"));
    let mut line = String::new();
    while !line.contains(" VMs have measured; now ") {
        line.clear();
        let read = said.read_line(&mut line).expect("it is text");
        assert_ne!(read, 0, "it ended before it said how far it is");
    }
    let interrupted = Instant::now();
    running.interrupt();
    let (code, printed) = running.end();
    assert!(interrupted.elapsed() < SOON, "{:?}", interrupted.elapsed());
    assert_eq!(code, Some(exit_code::INTERRUPTED));
    let results: Results = serde_json::from_str(&printed).expect("it is a result");
    assert!(!results.complete);
    assert!(measurements(&results).next().is_some(), "{printed}");
    for (row, way, measurement) in measurements(&results) {
        assert!(measurement.spread.n > 0, "{row}, {way:?}");
    }
    let last = said
        .lines()
        .last()
        .expect("it said why")
        .expect("it is text");
    assert_eq!(
        last,
        "paravane: interrupted: this is what was measured before"
    );
}
