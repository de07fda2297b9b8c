//! A verb for several things, all at once.

use super::human::clean;
use crate::cli::exit_code::Failure;
use crate::cli::output;
use futures_util::future::join_all;
use paravane_client::ClientError;
use serde::Serialize;
use std::process::ExitCode;

/// What became of each; the failures are printed when all are done.
#[derive(Debug)]
pub struct Outcomes<T> {
    /// What succeeded, in the order it was asked for.
    pub done: Vec<T>,
    failures: Vec<Failure>,
}

impl<T: Serialize> Outcomes<T> {
    /// Has `verb` done for each name.
    pub async fn of(names: &[String], verb: impl AsyncFn(&str) -> Result<T, ClientError>) -> Self {
        let all = join_all(names.iter().map(|name| verb(name))).await;
        let mut outcomes = Self {
            done: Vec::new(),
            failures: Vec::new(),
        };
        for (name, result) in names.iter().zip(all) {
            match result {
                Ok(done) => outcomes.done.push(done),
                Err(error) if names.len() == 1 => outcomes.failures.push(error.into()),
                Err(error) => outcomes.failures.push(of(name, error)),
            }
        }
        outcomes
    }

    /// Prints what succeeded, a line each by `line`, or all as JSON.
    pub fn print(self, json: bool, line: impl Fn(&T) -> String) -> Result<ExitCode, Failure> {
        if json {
            output::print_text(&output::to_json(&self.done)?)?;
        } else {
            let lines: String = self.done.iter().map(|done| line(done) + "\n").collect();
            output::print_text(&lines)?;
        }
        conclude(self.failures)
    }
}

/// A failure with the name of what it is about.
pub fn of(name: &str, error: ClientError) -> Failure {
    let mut failure = Failure::from(error);
    failure.message = format!("{}: {}", clean(name), failure.message);
    failure
}

/// The end of a verb of which so much failed: all of it is printed, the exit code is that of the
/// first.
pub fn conclude(mut failures: Vec<Failure>) -> Result<ExitCode, Failure> {
    let Some(last) = failures.pop() else {
        return Ok(ExitCode::SUCCESS);
    };
    // The last is printed when the program ends.
    failures.iter().for_each(Failure::print);
    let status = failures.first().unwrap_or(&last).status;
    Err(Failure { status, ..last })
}

/// What is printed of something that is gone.
#[derive(Debug, Serialize)]
struct Removed {
    removed: String,
}

/// Removes things, and prints their names.
pub async fn remove(
    names: &[String],
    json: bool,
    verb: impl AsyncFn(&str) -> Result<(), ClientError>,
) -> Result<ExitCode, Failure> {
    let verb = async |name: &str| {
        verb(name).await?;
        let removed = name.to_string();
        Ok(Removed { removed })
    };
    let outcomes = Outcomes::of(names, verb).await;
    outcomes.print(json, |gone| gone.removed.clone())
}
