//! What operations of the ABI cost, as the bundled guest measures them itself by its verb
//! `measure` (guest-kernel/src/measure).

use super::Spread;
use crate::program::{end, exit_code, paravane};

/// Samples of one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// What the samples are in: `ps`, `ns`, or what is counted.
    pub unit: String,
    /// The samples.
    pub spread: Spread,
}

/// Takes these measurements in a guest with two vCPUs.
///
/// # Errors
///
/// A sentence that says what failed, or what could not be measured and why.
pub fn measure(names: &str) -> Result<Vec<Figure>, String> {
    let ended = end(&mut paravane([
        "run",
        "--vcpus",
        "2",
        "--timeout",
        "300s",
        "--cmdline",
        &format!("measure={names}"),
    ]));
    match ended.code {
        0 => parse(&ended.stdout),
        exit_code::TIMED_OUT => Err("the guest takes longer than 5 minutes".into()),
        code => Err(format!(
            "the guest ended with {code}:\n{}{}",
            ended.stdout, ended.stderr
        )),
    }
}

/// The CPL of a guest kernel on this host.
///
/// # Errors
///
/// What `paravane doctor` says that is not understood.
pub fn cpl() -> Result<u8, String> {
    let ended = end(&mut paravane(["doctor", "--json"]));
    let report: serde_json::Value =
        serde_json::from_str(&ended.stdout).map_err(|error| format!("doctor: {error}"))?;
    let costs = report["costs"].as_array().into_iter().flatten();
    let automatic = costs.into_iter().find(|cost| cost["automatic"] == true);
    match automatic.and_then(|cost| cost["mode"]["privilege"].as_str()) {
        Some("ring0") => Ok(0),
        Some("ring3") => Ok(3),
        _ => Err(format!("doctor does not say what is automatic: {report}")),
    }
}

/// Reads the lines of the verb; those of one thing follow each other.
fn parse(output: &str) -> Result<Vec<Figure>, String> {
    let mut figures: Vec<(String, String, Vec<f64>)> = Vec::new();
    for line in output.lines() {
        let Some(("measure", rest)) = line.split_once(' ') else {
            return Err(format!("an unknown line, {line:?}"));
        };
        let mut words = rest.split(' ');
        let (Some(name), Some(unit)) = (words.next(), words.next()) else {
            return Err(format!("a line without a unit, {line:?}"));
        };
        if unit == "skipped" {
            return Err(format!("not measured: {rest}"));
        }
        let samples: Result<Vec<f64>, _> = words.map(str::parse).collect();
        let samples = samples.map_err(|_| format!("what is no number, {line:?}"))?;
        match figures.last_mut() {
            Some((last, _, all)) if last == name => all.extend(samples),
            _ => figures.push((name.into(), unit.into(), samples)),
        }
    }
    let figure = |(name, unit, samples)| Figure {
        name,
        unit,
        spread: Spread::new(samples),
    };
    Ok(figures.into_iter().map(figure).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_one_thing_are_one_figure() {
        let figures = parse("measure a ns 3 1\nmeasure a ns 2\nmeasure b exits 7\n").unwrap();
        assert_eq!(figures.len(), 2);
        assert_eq!(
            (figures[0].name.as_str(), figures[0].unit.as_str()),
            ("a", "ns")
        );
        assert_eq!(figures[0].spread, Spread::new(vec![1.0, 2.0, 3.0]));
        assert_eq!(figures[1].spread, Spread::new(vec![7.0]));
    }

    #[test]
    fn what_was_not_measured_is_told() {
        let error = parse("measure events skipped it needs 2 vCPUs\n").unwrap_err();
        assert_eq!(error, "not measured: events skipped it needs 2 vCPUs");
        assert!(parse("hello\n").is_err());
        assert!(parse("measure a ns x\n").is_err());
    }
}
