//! How a run ended, for the person, the shell and the report.

use super::Run;
use super::crash::print_crash;
use super::supervisor::StopCause;
use crate::cli::exit_code::{Failure, Status, notice};
use paravane::vcpu::Ending;
use serde::Serialize;
use serde_json::Value;

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The guest, in an orderly way.
    Shutdown,
    /// The guest, by a crash.
    Crash,
    /// The time-out.
    Timeout,
    /// A signal.
    Signal,
    /// The escape key.
    EscapeKey,
    /// An error of the VMM, or something that could not be had.
    Error,
}

/// How a run ended.
#[derive(Debug, Serialize)]
pub struct Conclusion {
    /// What ended it.
    pub kind: Kind,
    /// The program's exit code.
    pub exit_code: u8,
    /// What was said about it on stderr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The explanation of a crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash: Option<Value>,
}

impl Conclusion {
    /// Concludes from what a VM left behind and from what stopped it, and says so on stderr.
    pub fn new(run: &Run, cause: Option<StopCause>) -> Self {
        let finished = &run.finished;
        match (&finished.ending, cause) {
            (Ok(Ending::Shutdown(code)), _) => Self {
                kind: Kind::Shutdown,
                exit_code: *code,
                message: None,
                crash: None,
            },
            (Ok(Ending::Crash(state)), _) => {
                let crash = print_crash(&finished.vm, &run.image, state);
                Self {
                    kind: Kind::Crash,
                    exit_code: Status::GuestCrash.code(),
                    message: None,
                    crash: serde_json::to_value(crash).ok(),
                }
            }
            (Ok(Ending::Stopped | Ending::Reboot), Some(cause)) => Self::stopped(cause),
            (Ok(Ending::Stopped | Ending::Reboot), None) => Self::failure(Failure::internal(
                "the VM stopped though nothing told it to (a defect of the VMM)",
            )),
            (Err(failure), _) => Self::failure(failure.clone()),
        }
    }

    fn stopped(cause: StopCause) -> Self {
        let (kind, message) = match cause {
            StopCause::Timeout => (Kind::Timeout, "the guest did not end before its --timeout"),
            StopCause::EscapeKey => (Kind::EscapeKey, "ended by the escape key"),
            StopCause::Hangup => (Kind::Signal, "ended by SIGHUP"),
            StopCause::Interrupt => (Kind::Signal, "ended by SIGINT"),
            StopCause::Quit => (Kind::Signal, "ended by SIGQUIT"),
            StopCause::Terminate => (Kind::Signal, "ended by SIGTERM"),
        };
        notice(message);
        Self {
            kind,
            exit_code: cause.status().code(),
            message: Some(message.to_string()),
            crash: None,
        }
    }

    /// Concludes from a failure, and says so on stderr.
    pub fn failure(failure: Failure) -> Self {
        failure.print();
        Self {
            kind: Kind::Error,
            exit_code: failure.status.code(),
            message: Some(failure.message),
            crash: None,
        }
    }
}
