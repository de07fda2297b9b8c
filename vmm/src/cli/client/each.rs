//! A verb for several things, all at once.

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
    /// The first failure.
    failure: Option<Failure>,
}

impl<T: Serialize> Outcomes<T> {
    /// Has `verb` done for each name.
    pub async fn of(names: &[String], verb: impl AsyncFn(&str) -> Result<T, ClientError>) -> Self {
        let all = join_all(names.iter().map(|name| verb(name))).await;
        let mut outcomes = Self {
            done: Vec::new(),
            failure: None,
        };
        for (name, result) in names.iter().zip(all) {
            match result {
                Ok(done) => outcomes.done.push(done),
                Err(error) => outcomes.fail(name, names.len(), error),
            }
        }
        outcomes
    }

    fn fail(&mut self, name: &str, count: usize, error: ClientError) {
        let mut failure = Failure::from(error);
        if count > 1 {
            failure.message = format!("{name}: {}", failure.message);
        }
        match &self.failure {
            None => self.failure = Some(failure),
            // The first one is printed, and makes the exit code, when the program ends.
            Some(_) => failure.print(),
        }
    }

    /// Prints what succeeded, a line each by `line`, or all as JSON.
    pub fn print(self, json: bool, line: impl Fn(&T) -> String) -> Result<ExitCode, Failure> {
        if json {
            output::print_text(&output::to_json(&self.done)?)?;
        } else {
            let lines: String = self.done.iter().map(|done| line(done) + "\n").collect();
            output::print_text(&lines)?;
        }
        match self.failure {
            None => Ok(ExitCode::SUCCESS),
            Some(failure) => Err(failure),
        }
    }
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
