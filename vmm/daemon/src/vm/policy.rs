//! What happens when a VM has ended.

use paravane_api::spec::{Restart, RestartPolicy};
use paravane_api::vm::{EndKind, Ended, VmState};
use std::time::Duration;

/// A VM that ran so long has recovered from its failures.
pub const RECOVERED: Duration = Duration::from_secs(60);

/// A guest that reboots faster waits as after a failure, so that it does not keep the host busy.
const FAST_REBOOT: Duration = Duration::from_secs(1);

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Failures in a row, this one counted.
    pub failures: u32,
    /// What to do.
    pub step: Step,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Leave it in this state.
    Stay(VmState),
    /// Start it again after a pause.
    Again(Duration),
}

/// What comes after `ended`, which nobody asked for, where there were `failures` in a row before
/// it and the VM ran for `ran`.
pub fn next(restart: &Restart, ended: &Ended, failures: u32, ran: Duration) -> Next {
    let before = if ran >= RECOVERED { 0 } else { failures };
    if ended.kind == EndKind::Reboot {
        let pause = if ran < FAST_REBOOT {
            pause(restart, 1)
        } else {
            Duration::ZERO
        };
        return Next {
            failures: before,
            step: Step::Again(pause),
        };
    }
    let failed = ended.kind.is_failure(ended.exit_code);
    let failures = if failed { before.saturating_add(1) } else { 0 };
    let given_up = failed && restart.max_failures.is_some_and(|max| failures >= max);
    let again = !given_up
        && match restart.policy {
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => failed,
            RestartPolicy::Always => ended.kind != EndKind::Stopped,
        };
    let step = if again {
        Step::Again(pause(restart, failures))
    } else {
        Step::Stay(resting(ended))
    };
    Next { failures, step }
}

/// The state of a VM that ended so and is left alone.
pub fn resting(ended: &Ended) -> VmState {
    match ended.kind {
        EndKind::Lost => VmState::Lost,
        kind if kind.is_failure(ended.exit_code) => VmState::Failed,
        _ => VmState::Stopped,
    }
}

/// The pause before a start after so many failures in a row: each after the first doubles it.
fn pause(restart: &Restart, failures: u32) -> Duration {
    let doubled = u64::from(restart.backoff_ms)
        .checked_shl(failures.saturating_sub(1).min(32))
        .unwrap_or(u64::MAX);
    let longest = restart.backoff_max_ms.max(restart.backoff_ms);
    Duration::from_millis(doubled.min(u64::from(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(2);

    fn ended(kind: EndKind, exit_code: u8) -> Ended {
        Ended {
            at: String::new(),
            kind,
            exit_code,
            message: None,
            crash: None,
        }
    }

    fn restart(policy: RestartPolicy) -> Restart {
        Restart {
            policy,
            ..Restart::default()
        }
    }

    fn again(ms: u64) -> Step {
        Step::Again(Duration::from_millis(ms))
    }

    #[test]
    fn each_policy_decides_by_the_end() {
        use EndKind::*;
        let cases = [
            (Shutdown, 0, Step::Stay(VmState::Stopped), None, Some(())),
            (Shutdown, 3, Step::Stay(VmState::Failed), Some(()), Some(())),
            (Crash, 123, Step::Stay(VmState::Failed), Some(()), Some(())),
            (Error, 125, Step::Stay(VmState::Failed), Some(()), Some(())),
            (Killed, 137, Step::Stay(VmState::Failed), Some(()), Some(())),
            (Lost, 125, Step::Stay(VmState::Lost), Some(()), Some(())),
            (Stopped, 0, Step::Stay(VmState::Stopped), None, None),
        ];
        for (kind, code, stay, on_failure, always) in cases {
            let ended = ended(kind, code);
            let step = |policy| next(&restart(policy), &ended, 0, SHORT).step;
            let expected = |again: Option<()>| match again {
                Some(()) => Step::Again(Duration::from_secs(1)),
                None => stay,
            };
            assert_eq!(step(RestartPolicy::Never), stay, "{kind:?}");
            assert_eq!(
                step(RestartPolicy::OnFailure),
                expected(on_failure),
                "{kind:?}"
            );
            assert_eq!(step(RestartPolicy::Always), expected(always), "{kind:?}");
        }
    }

    #[test]
    fn the_pause_doubles_up_to_its_limit_and_starts_anew_after_a_minute() {
        let policy = restart(RestartPolicy::OnFailure);
        let crash = ended(EndKind::Crash, 123);
        let mut failures = 0;
        for expected in [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            let next = next(&policy, &crash, failures, SHORT);
            assert_eq!(next.step, again(expected));
            failures = next.failures;
        }
        let late = next(&policy, &crash, u32::MAX, SHORT);
        assert_eq!((late.failures, late.step), (u32::MAX, again(60_000)));
        let recovered = next(&policy, &crash, failures, RECOVERED);
        assert_eq!((recovered.failures, recovered.step), (1, again(1000)));
    }

    #[test]
    fn it_is_given_up_after_the_most_failures() {
        let policy = Restart {
            max_failures: Some(2),
            ..restart(RestartPolicy::Always)
        };
        let crash = ended(EndKind::Crash, 123);
        assert_eq!(next(&policy, &crash, 0, SHORT).step, again(1000));
        let last = next(&policy, &crash, 1, SHORT);
        assert_eq!((last.failures, last.step), (2, Step::Stay(VmState::Failed)));
    }

    #[test]
    fn a_reboot_is_no_failure_and_a_fast_one_waits() {
        let policy = restart(RestartPolicy::Never);
        let reboot = ended(EndKind::Reboot, 0);
        let slow = next(&policy, &reboot, 1, SHORT);
        assert_eq!((slow.failures, slow.step), (1, again(0)));
        assert_eq!(next(&policy, &reboot, 0, Duration::ZERO).step, again(1000));
    }
}
