//! Printing what comes as it comes.

use crate::cli::exit_code::Failure;
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Whether there is somebody who reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Yes.
    Reads,
    /// The standard output is closed.
    Gone,
}

/// Writes bytes to stdout, at once.
pub fn write(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::internal(format!(
            "cannot write to the standard output: {error}"
        ))),
    }
}

/// Writes one object of a stream to stdout: for people, or as JSON in a line.
pub fn line(
    value: &impl Serialize,
    json: bool,
    human: impl FnOnce() -> String,
) -> Result<Reader, Failure> {
    let mut text = match json {
        true => serde_json::to_string(value)
            .map_err(|error| Failure::internal(format!("cannot make JSON: {error}")))?,
        false => human(),
    };
    text.push('\n');
    write(text.as_bytes())
}
