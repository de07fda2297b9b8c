//! Printing what a command was asked for.

use super::exit_code::Failure;
use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Prints something to stdout, for people or as JSON for programs.
pub fn print<T: Display + Serialize>(value: &T, json: bool) -> Result<(), Failure> {
    let text = if json {
        to_json(value)?
    } else {
        value.to_string()
    };
    print_text(&text)
}

/// Prints a text to stdout.
pub fn print_text(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(()),
        // The reader has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::internal(format!(
            "cannot write to the standard output: {error}"
        ))),
    }
}

/// A value as JSON with an end of line.
pub fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => Ok(text + "\n"),
        Err(error) => Err(Failure::internal(format!("cannot make JSON: {error}"))),
    }
}
