//! How a run ended, for the person, the shell and the report.

use super::Finished;
use super::cause::StopCause;
use super::crash::explain_crash;
use crate::cli::exit_code::{Failure, Status};
use paravane::crash::Explanation;
use paravane::image::Image;
use paravane::vcpu::Ending;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// What ended a guest.
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
    /// Such an error of another guest's.
    Abandoned,
}

/// How a guest ended.
#[derive(Clone, Debug, Serialize)]
pub struct Conclusion {
    /// What ended it.
    pub kind: Kind,
    /// What the program's exit code is if it is the only guest.
    pub exit_code: u8,
    /// What was said about it on stderr, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The explanation of a crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash: Option<Value>,
    /// What is to be said about this guest alone: a crash's explanation, or an error's message.
    #[serde(skip)]
    pub text: Option<String>,
}

impl Conclusion {
    /// Concludes from what a VM left behind and from what stopped it. A crash is explained by its
    /// image.
    pub fn new(
        finished: &Finished,
        image: impl FnOnce() -> Result<Arc<Image>, Failure>,
        cause: Option<StopCause>,
    ) -> Self {
        match (&finished.ending, cause) {
            (Ok(Ending::Shutdown(code)), _) => Self {
                kind: Kind::Shutdown,
                exit_code: *code,
                message: None,
                crash: None,
                text: None,
            },
            (Ok(Ending::Crash(state)), _) => {
                let crash = image().map(|image| explain_crash(&finished.vm, &image, state));
                Self::crash(crash)
            }
            (Ok(Ending::Stopped | Ending::Reboot), Some(cause)) => Self::stopped(cause),
            (Ok(Ending::Stopped | Ending::Reboot), None) => Self::failure(Failure::internal(
                "the VM stopped though nothing told it to (a defect of the VMM)",
            )),
            (Err(failure), _) => Self::failure(failure.clone()),
        }
    }

    fn crash(explained: Result<Explanation, Failure>) -> Self {
        let (message, text, crash) = match explained {
            Ok(crash) => (None, crash.to_string(), serde_json::to_value(crash).ok()),
            Err(failure) => {
                let message = format!(
                    "the guest crashed, which cannot be explained without its image: {}",
                    failure.message
                );
                (Some(message.clone()), message, None)
            }
        };
        Self {
            kind: Kind::Crash,
            exit_code: Status::GuestCrash.code(),
            message,
            crash,
            text: Some(text),
        }
    }

    fn stopped(cause: StopCause) -> Self {
        Self {
            kind: cause.kind(),
            exit_code: cause.status().code(),
            message: Some(cause.message().to_string()),
            crash: None,
            text: None,
        }
    }

    /// Concludes from a failure.
    pub fn failure(failure: Failure) -> Self {
        Self {
            kind: Kind::Error,
            exit_code: failure.status.code(),
            text: Some(failure.message.clone()),
            message: Some(failure.message),
            crash: None,
        }
    }
}

/// The program's exit code, for guests that ended like this: that of an error, or of a crash, or
/// of what stopped a guest, if there was any; otherwise the first guest's.
pub fn exit_code<'run>(guests: impl Iterator<Item = &'run Conclusion> + Clone) -> u8 {
    let rank = |kind| match kind {
        Kind::Error => 0,
        Kind::Crash => 1,
        Kind::Timeout | Kind::Signal | Kind::EscapeKey => 2,
        Kind::Shutdown | Kind::Abandoned => 3,
    };
    // The first one of those with the same rank.
    let gravest = guests.min_by_key(|conclusion| rank(conclusion.kind));
    gravest.map_or(Status::Internal.code(), |conclusion| conclusion.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(kind: Kind, exit_code: u8) -> Conclusion {
        Conclusion {
            kind,
            exit_code,
            message: None,
            crash: None,
            text: None,
        }
    }

    #[test]
    fn the_exit_code_is_the_first_guests_unless_something_is_wrong() {
        let first = ended(Kind::Shutdown, 7);
        let second = ended(Kind::Shutdown, 9);
        let crash = ended(Kind::Crash, 123);
        let timeout = ended(Kind::Timeout, 124);
        let error = ended(Kind::Error, 120);
        let abandoned = ended(Kind::Abandoned, 125);
        let check = |guests: &[&Conclusion], expected| {
            assert_eq!(exit_code(guests.iter().copied()), expected, "{guests:?}");
        };
        check(&[&first, &second], 7);
        check(&[&first, &crash], 123);
        check(&[&timeout, &crash], 123);
        check(&[&first, &timeout, &timeout], 124);
        check(&[&abandoned, &error, &crash], 120);
    }
}
