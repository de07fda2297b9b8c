//! Reading a run that was written as JSON.

use crate::bench::result::{FORMAT, Results, VERSION};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;

/// Why runs cannot be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// The file cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the host said.
        reason: io::Error,
    },
    /// It is no JSON.
    #[error("{origin} is not JSON: {reason}")]
    NotJson {
        /// The file.
        origin: String,
        /// What is wrong, and in which line and column.
        reason: serde_json::Error,
    },
    /// It is JSON of something else.
    #[error("{origin} is not a result of paravane bench; make one with paravane bench --json")]
    Foreign {
        /// The file.
        origin: String,
    },
    /// It is of another version.
    #[error(
        "{origin} is a result of paravane bench, but of version {found}; this paravane reads \
         version {VERSION}"
    )]
    OtherVersion {
        /// The file.
        origin: String,
        /// What it says.
        found: String,
    },
    /// A field is missing, or is not what it should be.
    #[error("{origin} is a result of paravane bench, but damaged: {reason}")]
    Damaged {
        /// The file.
        origin: String,
        /// What is wrong, and in which line and column.
        reason: serde_json::Error,
    },
    /// One run counted instructions and the other one time.
    #[error("the old run is in {old} and the new one in {new}; they cannot be compared")]
    OtherUnit {
        /// The old run's unit.
        old: &'static str,
        /// The new run's.
        new: &'static str,
    },
}

/// Reads a run from a file.
///
/// # Errors
///
/// All of [`CompareError`] but [`CompareError::OtherUnit`].
pub fn load(path: &Path) -> Result<Results, CompareError> {
    match fs::read(path) {
        Ok(bytes) => parse(&bytes, &path.display().to_string()),
        Err(reason) => Err(CompareError::Unreadable {
            path: path.to_path_buf(),
            reason,
        }),
    }
}

/// Reads a run from the content of a file. `origin` says in errors where it is from.
///
/// # Errors
///
/// As [`load`].
pub fn parse(bytes: &[u8], origin: &str) -> Result<Results, CompareError> {
    let origin = origin.to_string();
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(reason) => return Err(CompareError::NotJson { origin, reason }),
    };
    if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(CompareError::Foreign { origin });
    }
    match value.get("version") {
        Some(version) if version.as_u64() == Some(u64::from(VERSION)) => {}
        version => {
            let found = version.map_or("unknown".to_string(), Value::to_string);
            return Err(CompareError::OtherVersion { origin, found });
        }
    }
    // From the bytes again, because a value does not know its line and column.
    serde_json::from_slice(bytes).map_err(|reason| CompareError::Damaged { origin, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::compare::compare;
    use crate::bench::report::fixture;

    fn error(text: &str) -> String {
        parse(text.as_bytes(), "old.json").unwrap_err().to_string()
    }

    #[test]
    fn a_run_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("old.json");
        let results = fixture::results();
        fs::write(&path, serde_json::to_string_pretty(&results).unwrap()).unwrap();
        let read = load(&path).unwrap();
        assert_eq!(read.provenance, results.provenance);
        // All costs, but for the last bit of what is no whole number.
        let comparison = compare(&results, &read).unwrap();
        assert_eq!(comparison.summary.same, comparison.changes.len());
        assert!(!comparison.changes.is_empty());
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_the_reason() {
        let error = load(Path::new("/nowhere/old.json")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/nowhere/old.json cannot be read: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn what_is_not_json_is_said_with_its_place() {
        assert_eq!(
            error("{\n  \"format\": paravane\n}"),
            "old.json is not JSON: expected value at line 2 column 13"
        );
        assert_eq!(
            error(""),
            "old.json is not JSON: EOF while parsing a value at line 1 column 0"
        );
    }

    #[test]
    fn json_of_something_else_is_foreign() {
        for text in ["[]", "3", r#"{"version": 1}"#, r#"{"format": "criterion"}"#] {
            assert_eq!(
                error(text),
                "old.json is not a result of paravane bench; make one with paravane bench --json"
            );
        }
    }

    #[test]
    fn another_version_is_refused() {
        assert_eq!(
            error(r#"{"format": "paravane-bench", "version": 2}"#),
            "old.json is a result of paravane bench, but of version 2; this paravane reads \
             version 1"
        );
        assert!(error(r#"{"format": "paravane-bench"}"#).contains("of version unknown"));
    }

    #[test]
    fn a_damaged_run_says_what_is_missing() {
        let message = error("{\"format\": \"paravane-bench\",\n\"version\": 1}");
        assert_eq!(
            message,
            "old.json is a result of paravane bench, but damaged: missing field `provenance` at \
             line 2 column 13"
        );
    }
}
