//! What lies between two runs.

mod load;
mod table;

pub use load::{CompareError, load, parse};
pub use table::render;

use crate::bench::result::{
    Answer, Measurement, Outcome, Provenance, Results, RowResult, Unit, Way,
};
use serde::Serialize;

/// What `format` says in the JSON of a comparison.
pub const FORMAT: &str = "paravane-bench-comparison";
/// What `version` says there.
pub const VERSION: u32 = 1;

/// The least difference of two times, as a part of the old one, that is one.
const LEAST_PART: f64 = 0.01;
/// The least difference of two counts of instructions that is one.
const LEAST_INSTRUCTIONS: f64 = 2.0;

/// Two runs, compared.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// [`FORMAT`].
    pub format: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// What costs are in.
    pub unit: Unit,
    /// The old run.
    pub old: Run,
    /// The new run.
    pub new: Run,
    /// In what the hosts differ; with any of it, differences may be the host's.
    pub hosts: Vec<Difference>,
    /// How often each verdict was reached.
    pub summary: Summary,
    /// Rows and ways that at least one of the runs measured, in the order of the new run.
    pub changes: Vec<Change>,
}

/// A run, in short.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// When it began.
    pub date: String,
    /// Version of the program.
    pub paravane: String,
    /// The commit that it was built from.
    pub commit: String,
    /// Whether it was noisy.
    pub noisy: bool,
    /// Whether it was complete.
    pub complete: bool,
}

/// In what two hosts differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about: "cpu".
    pub what: &'static str,
    /// The old run's.
    pub old: String,
    /// The new run's.
    pub new: String,
}

/// How often each verdict was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// [`Verdict::Faster`].
    pub faster: usize,
    /// [`Verdict::Slower`].
    pub slower: usize,
    /// [`Verdict::Same`].
    pub same: usize,
    /// [`Verdict::OnlyOld`].
    pub only_old: usize,
    /// [`Verdict::OnlyNew`].
    pub only_new: usize,
}

/// A row in one way, in both runs.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The row's name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// The way.
    pub way: Way,
    /// What came of it.
    pub verdict: Verdict,
    /// The new median in old ones. `None` without both, or where the old one is not above 0.
    pub ratio: Option<f64>,
    /// The old cost.
    pub old: Option<Figure>,
    /// The new cost.
    pub new: Option<Figure>,
}

/// A cost, in short.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// The median.
    pub p50: f64,
    /// Its confidence interval.
    pub confidence: (f64, f64),
    /// Whether the guest was told the truth.
    pub answer: Answer,
}

/// What became of a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is less.
    Faster,
    /// It is more.
    Slower,
    /// No difference is certain and large enough to matter.
    Same,
    /// Only the old run measured it.
    OnlyOld,
    /// Only the new run measured it.
    OnlyNew,
}

/// Checks that a run can be compared with one in this unit.
///
/// # Errors
///
/// [`CompareError::OtherUnit`] where it cannot.
pub fn check_unit(old: &Results, new: Unit) -> Result<(), CompareError> {
    if old.unit == new {
        return Ok(());
    }
    Err(CompareError::OtherUnit {
        old: unit_name(old.unit),
        new: unit_name(new),
    })
}

/// Compares two runs. Two medians differ where their confidence intervals do not overlap, and the
/// difference is at least a hundredth of a time, or two instructions.
///
/// # Errors
///
/// [`CompareError::OtherUnit`] where one run counted instructions and the other one time.
pub fn compare(old: &Results, new: &Results) -> Result<Comparison, CompareError> {
    check_unit(old, new.unit)?;
    let changes = changes(old, new);
    let mut summary = Summary::default();
    for change in &changes {
        *match change.verdict {
            Verdict::Faster => &mut summary.faster,
            Verdict::Slower => &mut summary.slower,
            Verdict::Same => &mut summary.same,
            Verdict::OnlyOld => &mut summary.only_old,
            Verdict::OnlyNew => &mut summary.only_new,
        } += 1;
    }
    Ok(Comparison {
        format: FORMAT,
        version: VERSION,
        unit: new.unit,
        old: Run::of(old),
        new: Run::of(new),
        hosts: hosts(&old.provenance, &new.provenance),
        summary,
        changes,
    })
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanoseconds => "nanoseconds",
        Unit::Instructions => "instructions",
    }
}

fn changes(old: &Results, new: &Results) -> Vec<Change> {
    let mut changes = Vec::new();
    for row in &new.rows {
        let before = find(old, &row.name);
        for (way, cost) in figures(row) {
            let before = before.and_then(|before| figure(before, way));
            changes.push(Change::new(row, way, before, Some(cost), new.unit));
        }
        for (way, cost) in before.into_iter().flat_map(figures) {
            if figure(row, way).is_none() {
                changes.push(Change::new(row, way, Some(cost), None, new.unit));
            }
        }
    }
    for row in &old.rows {
        if find(new, &row.name).is_none() {
            let gone =
                figures(row).map(|(way, cost)| Change::new(row, way, Some(cost), None, new.unit));
            changes.extend(gone);
        }
    }
    changes
}

fn find<'a>(results: &'a Results, name: &str) -> Option<&'a RowResult> {
    results.rows.iter().find(|row| row.name == name)
}

fn figures(row: &RowResult) -> impl Iterator<Item = (Way, Figure)> {
    row.cells.iter().filter_map(|cell| match &cell.outcome {
        Outcome::Measured(measurement) => Some((cell.way, Figure::of(measurement))),
        Outcome::Absent { .. } => None,
    })
}

fn figure(row: &RowResult, way: Way) -> Option<Figure> {
    let (_, figure) = figures(row).find(|(known, _)| *known == way)?;
    Some(figure)
}

impl Figure {
    fn of(measurement: &Measurement) -> Self {
        Self {
            p50: measurement.spread.p50,
            confidence: measurement.confidence,
            answer: measurement.answer,
        }
    }
}

impl Change {
    fn new(
        row: &RowResult,
        way: Way,
        old: Option<Figure>,
        new: Option<Figure>,
        unit: Unit,
    ) -> Self {
        let both = old.zip(new);
        let verdict = match (both, old) {
            (Some((old, new)), _) => verdict(&old, &new, unit),
            (None, Some(_)) => Verdict::OnlyOld,
            (None, None) => Verdict::OnlyNew,
        };
        let ratio = both
            .filter(|(old, _)| old.p50 > 0.0)
            .map(|(old, new)| new.p50 / old.p50);
        Self {
            name: row.name.clone(),
            title: row.title.clone(),
            way,
            verdict,
            ratio,
            old,
            new,
        }
    }

    /// Both answers, where the guest was told the truth in only one run.
    pub fn answers(&self) -> Option<(Answer, Answer)> {
        let (old, new) = (self.old?.answer, self.new?.answer);
        ((old == Answer::Wrong) != (new == Answer::Wrong)).then_some((old, new))
    }
}

fn verdict(old: &Figure, new: &Figure, unit: Unit) -> Verdict {
    let least = match unit {
        Unit::Nanoseconds => old.p50.abs() * LEAST_PART,
        Unit::Instructions => LEAST_INSTRUCTIONS,
    };
    if (new.p50 - old.p50).abs() < least {
        Verdict::Same
    } else if new.confidence.1 < old.confidence.0 {
        Verdict::Faster
    } else if new.confidence.0 > old.confidence.1 {
        Verdict::Slower
    } else {
        Verdict::Same
    }
}

fn hosts(old: &Provenance, new: &Provenance) -> Vec<Difference> {
    let kvm = |from: &Provenance| {
        let modules: Vec<_> = from
            .kvm
            .iter()
            .map(|module| format!("{} {}", module.name, module.parameters.join(" ")))
            .collect();
        modules.join("; ")
    };
    let facts = |from: &Provenance| {
        [
            ("cpu", from.cpu.clone()),
            ("microcode", from.microcode.clone()),
            ("kernel", from.kernel.clone()),
            ("kvm modules", kvm(from)),
            ("mitigations", from.mitigations.join("; ")),
        ]
    };
    let pairs = facts(old).into_iter().zip(facts(new));
    pairs
        .filter(|((_, old), (_, new))| old != new)
        .map(|((what, old), (_, new))| Difference { what, old, new })
        .collect()
}

impl Run {
    fn of(results: &Results) -> Self {
        Self {
            date: results.provenance.date.clone(),
            paravane: results.provenance.paravane.clone(),
            commit: results.provenance.commit.clone(),
            noisy: results.stability.noisy,
            complete: results.complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    /// The fixture with another trapped RDTSC.
    fn with_trap(p50: f64, change: impl FnOnce(&mut Measurement)) -> Results {
        let mut results = fixture::results();
        let row = results.rows.iter_mut().find(|row| row.name == "rdtsc");
        let cells = &mut row.expect("there is one").cells;
        let cell = cells.iter_mut().find(|cell| cell.way == Way::Trap);
        *cell.expect("there is one") = fixture::changed(Way::Trap, p50, change);
        results
    }

    fn trap(comparison: &Comparison) -> &Change {
        comparison
            .changes
            .iter()
            .find(|change| change.name == "rdtsc" && change.way == Way::Trap)
            .expect("it was measured")
    }

    fn verdict_of(p50: f64, change: impl FnOnce(&mut Measurement)) -> Verdict {
        let comparison = compare(&fixture::results(), &with_trap(p50, change)).unwrap();
        trap(&comparison).verdict
    }

    #[test]
    fn a_run_is_the_same_as_itself() {
        let results = fixture::results();
        let comparison = compare(&results, &results).unwrap();
        assert!(comparison.summary.same > 20);
        assert_eq!(
            comparison.summary,
            Summary {
                same: comparison.changes.len(),
                ..Summary::default()
            }
        );
        assert!(comparison.hosts.is_empty());
    }

    #[test]
    fn a_certain_difference_of_a_hundredth_counts() {
        assert_eq!(verdict_of(36_400.0, |_| {}), Verdict::Slower);
        assert_eq!(verdict_of(35_500.0, |_| {}), Verdict::Faster);
        // Certain, but too small.
        assert_eq!(verdict_of(36_200.0, |_| {}), Verdict::Same);
        // Large, but not certain.
        let unsure = |trap: &mut Measurement| trap.confidence = (30_000.0, 50_000.0);
        assert_eq!(verdict_of(45_000.0, unsure), Verdict::Same);
    }

    #[test]
    fn two_instructions_count() {
        let counted = |p50: f64| {
            let mut results = with_trap(p50, |trap| trap.confidence = (p50, p50));
            results.unit = Unit::Instructions;
            results
        };
        let verdict = |new| {
            let comparison = compare(&counted(3_078.0), &counted(new)).unwrap();
            trap(&comparison).verdict
        };
        assert_eq!(verdict(3_079.0), Verdict::Same);
        assert_eq!(verdict(3_080.0), Verdict::Slower);
        assert_eq!(verdict(3_076.0), Verdict::Faster);
    }

    #[test]
    fn what_only_one_run_has_is_not_lost() {
        let old = fixture::results();
        let mut new = fixture::results();
        new.rows.retain(|row| row.name != "sgdt");
        let comparison = compare(&old, &new).unwrap();
        let gone = |change: &&Change| change.verdict == Verdict::OnlyOld;
        let names: Vec<_> = comparison.changes.iter().filter(gone).collect();
        assert_eq!(names.len(), 2, "native and trapped");
        assert!(names.iter().all(|change| change.name == "sgdt"));
        assert_eq!(compare(&new, &old).unwrap().summary.only_new, 2);
    }

    #[test]
    fn other_hosts_are_told() {
        let mut new = fixture::results();
        new.provenance.kernel = "6.13.0".to_string();
        new.provenance.kvm[1].parameters[0] = "npt=0".to_string();
        let comparison = compare(&fixture::results(), &new).unwrap();
        let what: Vec<_> = comparison.hosts.iter().map(|host| host.what).collect();
        assert_eq!(what, ["kernel", "kvm modules"]);
        assert_eq!(comparison.hosts[0].old, "6.12.0");
        assert_eq!(comparison.hosts[0].new, "6.13.0");
    }

    #[test]
    fn units_cannot_be_compared_with_each_other() {
        let error = compare(&fixture::results(), &fixture::instructions()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the old run is in nanoseconds and the new one in instructions; they cannot be compared"
        );
    }

    #[test]
    fn json_has_verdicts_by_name() {
        let comparison = compare(&fixture::results(), &with_trap(72_000.0, |_| {})).unwrap();
        let json = serde_json::to_value(&comparison).unwrap();
        assert_eq!(json["format"], "paravane-bench-comparison");
        assert_eq!(json["summary"]["slower"], 1);
        let changes = json["changes"].as_array().unwrap();
        let slower = changes.iter().find(|change| change["verdict"] == "slower");
        let slower = slower.expect("there is one");
        assert_eq!(slower["name"], "rdtsc");
        assert_eq!(slower["way"]["kind"], "trap");
        assert_eq!(slower["ratio"], 2.0);
    }
}
