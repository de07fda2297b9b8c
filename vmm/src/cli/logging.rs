//! The program's log: on stderr, or that of a VM.

use super::exit_code::Failure;
use std::env;
use std::io::IsTerminal;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// The variable that says what is logged.
const VARIABLE: &str = "PARAVANE_LOG";

/// Starts to log what [`VARIABLE`] says, by default warnings and errors, on stderr.
pub fn start() -> Result<(), Failure> {
    let is_terminal = std::io::stderr().is_terminal();
    let layer = fmt::layer().with_writer(std::io::stderr);
    start_with(layer.with_ansi(is_terminal))
}

/// Starts to log the same elsewhere.
pub fn start_with(layer: impl Layer<Registry> + Send + Sync) -> Result<(), Failure> {
    let filter = match env::var(VARIABLE) {
        Ok(text) => text.parse::<Targets>().map_err(|_| bad_value(&text))?,
        Err(env::VarError::NotPresent) => Targets::new().with_default(tracing::Level::WARN),
        Err(env::VarError::NotUnicode(text)) => return Err(bad_value(&text.to_string_lossy())),
    };
    let layer = layer.with_filter(filter);
    // It fails when there is a log already, and then that one is used.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
    Ok(())
}

fn bad_value(text: &str) -> Failure {
    Failure::configuration(format!(
        "{VARIABLE}={text} cannot be used; set it to a level, as in info, or to levels by \
         module, as in warn,paravane::vm=debug"
    ))
}
