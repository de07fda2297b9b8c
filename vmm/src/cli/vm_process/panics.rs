//! Panics of the VMM's, which are defects: in the log, as nobody reads this process's stderr.

use crate::cli::exit_code::{Failure, Status};
use paravane::process::log::Log;
use paravane_api::log::{LogLevel, LogSource};
use std::panic;
use std::sync::{Arc, OnceLock};

/// The first panic.
static FIRST: OnceLock<String> = OnceLock::new();

/// Has panics of all threads written to the log.
pub fn report_to(log: Arc<Log>) {
    panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name").to_string();
        let what = info.payload_as_str().unwrap_or("a panic without a message");
        let place = info.location().map(|place| format!(" at {place}"));
        let message = format!(
            "the VMM panicked (a defect of the VMM): thread {name}{}: {what}",
            place.unwrap_or_default()
        );
        log.write(LogSource::Vmm, LogLevel::Error, &message);
        // Those after it are often its consequences.
        let _ = FIRST.set(message);
    }));
}

/// This failure, or the panic that it is a consequence of.
pub fn or(failure: Failure) -> Failure {
    match (failure.status, FIRST.get()) {
        (Status::Internal, Some(message)) => Failure::internal(message),
        _ => failure,
    }
}

/// The failure that the first panic was.
pub fn failure() -> Failure {
    Failure::internal(match FIRST.get() {
        Some(message) => message,
        None => "the VMM panicked (a defect of the VMM)",
    })
}
