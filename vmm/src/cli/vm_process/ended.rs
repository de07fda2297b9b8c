//! How the VM ended, for the daemon.

use super::guest_image::GuestImage;
use super::stop::Cause;
use crate::cli::exit_code::{Failure, Status};
use crate::cli::session::Finished;
use crate::cli::session::conclusion::{Conclusion, Kind};
use paravane::process::timestamp;
use paravane::vcpu::Ending;
use paravane_api::vm::{EndKind, Ended};

/// How a VM ended that has left this behind, and a text about it that is longer than a sentence.
pub fn by_run(
    finished: &Finished,
    image: GuestImage,
    cause: Option<Cause>,
) -> (Ended, Option<String>) {
    let end = |kind, exit_code, message| Ended {
        at: timestamp(),
        kind,
        exit_code,
        message,
        crash: None,
    };
    match (&finished.ending, cause) {
        (Ok(Ending::Reboot), None) => (end(EndKind::Reboot, 0, None), None),
        (Ok(Ending::Stopped | Ending::Reboot), Some(cause)) => {
            let code = Status::Terminated.code();
            (end(EndKind::Stopped, code, Some(cause.to_string())), None)
        }
        _ => by_conclusion(Conclusion::new(finished, || image.get(), None)),
    }
}

/// How a VM ended that could not be built or run.
pub fn by_failure(failure: Failure) -> Ended {
    by_conclusion(Conclusion::failure(failure)).0
}

fn by_conclusion(conclusion: Conclusion) -> (Ended, Option<String>) {
    let crash = conclusion.crash;
    let cause = crash.as_ref().and_then(|crash| crash.get("cause"));
    let cause = cause.and_then(serde_json::Value::as_str);
    let ended = Ended {
        at: timestamp(),
        kind: match conclusion.kind {
            Kind::Shutdown => EndKind::Shutdown,
            Kind::Crash => EndKind::Crash,
            // Without a cause none of the others comes.
            _ => EndKind::Error,
        },
        exit_code: conclusion.exit_code,
        message: cause
            .map(|cause| format!("the guest crashed: {cause}"))
            .or(conclusion.message),
        crash,
    };
    (ended, conclusion.text)
}
