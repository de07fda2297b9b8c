//! The host's side of guest tests: `cargo test` in a guest's crate builds the guest with its tests,
//! boots it with `paravane` once for each, and reports each as a test of its own.
//!
//! `paravane_sdk::test` says what a guest's crate has for it. Arguments are those of Rust's own
//! tests: `cargo test -- --list`, `cargo test some_name`, `--exact`, `--ignored`, `--nocapture`
//! (which lets the guest's console through) and so on.
//!
//! The program `paravane` is the one that the variable `PARAVANE` names; without it, that of
//! the source tree in which this crate lies, built now; else the one in the search path.

mod boot;
mod image;
mod program;
mod protocol;
mod verdict;

use boot::Boot;
use libtest_mimic::{Arguments, Trial};
use protocol::Test;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use thiserror::Error;

/// Why no test could be run.
#[derive(Debug, Error)]
enum Error {
    #[error("{0} is not set: run this by cargo test")]
    NotByCargo(&'static str),
    #[error("{program} cannot be started: {source}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    #[error("{crate_directory} does not build with its tests")]
    Build { crate_directory: PathBuf },
    #[error("{crate_directory} has no binary: guest tests are those of a guest image")]
    NoBinary { crate_directory: PathBuf },
    #[error("paravane does not build in {tree}; set PARAVANE to the program")]
    BuildProgram { tree: PathBuf },
    #[error("{image} does not tell its tests: {why}")]
    List { image: PathBuf, why: String },
    #[error("a temporary file: {0}")]
    Temporary(std::io::Error),
}

/// The main function of a `[[test]]` target with `harness = false`.
pub fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials(&arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("guest tests: {error}");
            // As Rust's own tests do when one fails.
            ExitCode::from(101)
        }
    }
}

/// Every test of every image of the crate.
fn trials(arguments: &Arguments) -> Result<Vec<Trial>, Error> {
    let directory = std::env::var_os("CARGO_MANIFEST_DIR");
    let directory = directory.ok_or(Error::NotByCargo("CARGO_MANIFEST_DIR"))?;
    let images = image::build(Path::new(&directory))?;
    let program: Arc<Path> = program::find()?.into();
    let several = images.len() > 1;
    let mut trials = Vec::new();
    for image in images {
        let boot = Boot {
            program: Arc::clone(&program),
            image: image.path.as_path().into(),
            show_console: arguments.nocapture,
        };
        for test in boot.list()? {
            // The name of the image where it says something.
            let name = match several {
                true => format!("{}::{}", image.name, test.name),
                false => test.name.clone(),
            };
            trials.push(trial(name, boot.clone(), test));
        }
    }
    // The linker has put them into no order.
    trials.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(trials)
}

fn trial(name: String, boot: Boot, test: Test) -> Trial {
    let ignore = test.ignore.is_some();
    Trial::test(name, move || {
        let ended = boot.run(&test).map_err(|error| error.to_string())?;
        Ok(verdict::of(&test, &ended)?)
    })
    .with_ignored_flag(ignore)
}
