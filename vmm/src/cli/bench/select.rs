//! Which rows and modes are measured.

use super::{CarrierChoice, ModeChoice};
use crate::cli::exit_code::Failure;
use paravane::bench::host::Host;
use paravane::bench::rows::{self, Group, Row};
use paravane::carrier::{Carrier, Mode, Privilege};

/// A row with its group.
pub type Selected = (&'static Group, &'static Row);

/// The rows that the patterns name, or all.
pub fn rows(patterns: &[String]) -> Result<Vec<Selected>, Failure> {
    if patterns.is_empty() {
        return Ok(rows::all().collect());
    }
    for pattern in patterns {
        if !rows::all().any(|(_, row)| matches(pattern, row.name)) {
            let names: Vec<_> = rows::all().map(|(_, row)| row.name).collect();
            return Err(Failure::configuration(format!(
                "--filter {pattern}: there is no such row; there are {}",
                names.join(", ")
            )));
        }
    }
    let wanted = |name| patterns.iter().any(|pattern| matches(pattern, name));
    Ok(rows::all().filter(|(_, row)| wanted(row.name)).collect())
}

/// Whether a name is as the pattern says, in which * stands for any letters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, rest)) => name.strip_prefix(begin).is_some_and(|tail| {
            (0..=tail.len()).any(|at| tail.get(at..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}

/// The modes of this host that were asked for.
pub fn modes(host: &Host, mode: ModeChoice, carrier: CarrierChoice) -> Result<Vec<Mode>, Failure> {
    let privilege = match mode {
        ModeChoice::All => None,
        ModeChoice::Ring0 => Some(Privilege::Ring0),
        ModeChoice::Ring3 => Some(Privilege::Ring3),
    };
    let carrier = match carrier {
        CarrierChoice::All => None,
        CarrierChoice::Vmcall => Some(Carrier::Vmcall),
        CarrierChoice::Vmmcall => Some(Carrier::Vmmcall),
        CarrierChoice::Pio => Some(Carrier::Pio),
    };
    let all = host.modes.all();
    let chosen: Vec<_> = all
        .iter()
        .copied()
        .filter(|mode| privilege.is_none_or(|privilege| mode.privilege == privilege))
        .filter(|mode| carrier.is_none_or(|carrier| mode.carrier == carrier))
        .collect();
    if !chosen.is_empty() {
        return Ok(chosen);
    }
    let mut asked = Vec::new();
    asked.extend(privilege.map(|privilege| format!("--mode {privilege}")));
    asked.extend(carrier.map(|carrier| format!("--carrier {carrier}")));
    let has: Vec<_> = all
        .iter()
        .map(|mode| format!("{}/{}", mode.privilege, mode.carrier))
        .collect();
    Err(Failure::configuration(format!(
        "{} does not work on this host, which has {}",
        asked.join(" "),
        has.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str]) -> Result<Vec<&'static str>, String> {
        let patterns: Vec<_> = patterns.iter().map(|text| (*text).to_owned()).collect();
        let rows = rows(&patterns).map_err(|failure| failure.message)?;
        Ok(rows.iter().map(|(_, row)| row.name).collect())
    }

    #[test]
    fn rows_are_found_by_name_and_by_pattern() {
        assert_eq!(names(&["wbinvd", "cpuid"]).unwrap(), ["cpuid", "wbinvd"]);
        assert_eq!(
            names(&["mov-*-cr3"]).unwrap(),
            ["mov-from-cr3", "mov-to-cr3"]
        );
        assert_eq!(names(&["*"]).unwrap(), names(&[]).unwrap());
    }

    #[test]
    fn an_unknown_row_is_told_which_there_are() {
        let error = names(&["cpuid", "cpu"]).unwrap_err();
        assert!(
            error.starts_with("--filter cpu: there is no such row; there are floor, noop, cpuid,"),
            "{error}"
        );
        assert!(names(&["x*"]).is_ok_and(|names| names.contains(&"xsetbv")));
        assert!(names(&["*-nothing"]).is_err());
    }
}
