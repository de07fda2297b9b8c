//! Whether a test has passed, and what is said if not.

use crate::boot::Ended;
use crate::protocol::{Test, has_passed, without_protocol};

/// How the message of a panic begins, in the VMM's report (`ending.crash.cause`).
const PANIC: &str = "panicked at ";

/// Whether a test that ended so has passed.
///
/// # Errors
///
/// What was wrong, with all that the guest and the VMM said.
pub fn of(test: &Test, ended: &Ended) -> Result<(), String> {
    let passed = ended.code == 0 && has_passed(&ended.console, &test.name);
    let crash = &ended.report["ending"]["crash"];
    let panic = match crash["cause"].as_str() {
        // A trap's message says nothing of panicking, unless the guest's handler made it up.
        Some(cause) if cause.starts_with(PANIC) && crash["registers"]["trapped"] != true => {
            Some(cause)
        }
        _ => None,
    };
    let wrong = match (&test.should_panic, panic) {
        (None, _) if passed => return Ok(()),
        (Some(expected), Some(cause)) => {
            if cause.escape_default().to_string().contains(expected) {
                return Ok(());
            }
            format!("the test panicked, but not with \"{expected}\"")
        }
        (Some(_), None) if passed => "the test did not panic".to_string(),
        _ if !crash.is_null() => "the guest crashed".to_string(),
        _ => match ended.code {
            0 => "the guest shut down before the test was over".to_string(),
            code => format!("paravane ended with exit code {code}"),
        },
    };
    Err(with_output(&wrong, ended))
}

/// A failure with what the guest wrote and what the VMM said of it.
fn with_output(wrong: &str, ended: &Ended) -> String {
    let mut text = wrong.to_string();
    for (title, part) in [
        ("the guest's console", &without_protocol(&ended.console)),
        ("paravane", &ended.explanation),
    ] {
        if !part.trim().is_empty() {
            text.push_str(&format!("\n---- {title}\n{}", part.trim_end()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn test(should_panic: Option<&str>) -> Test {
        Test {
            name: "adds".into(),
            should_panic: should_panic.map(String::from),
            ..Test::default()
        }
    }

    fn passed() -> Ended {
        Ended {
            console: "guest-test:\tpassed\tadds\n".into(),
            ..Ended::default()
        }
    }

    fn crashed(cause: &str, trapped: bool) -> Ended {
        Ended {
            code: 123,
            explanation: "paravane: the guest crashed\n".into(),
            report: json!({"ending": {"crash": {
                "cause": cause, "registers": {"trapped": trapped}
            }}}),
            ..Ended::default()
        }
    }

    #[test]
    fn a_test_passes_when_the_guest_says_so_and_ends_well() {
        assert_eq!(of(&test(None), &passed()), Ok(()));
        let early = of(&test(None), &Ended::default()).unwrap_err();
        assert!(early.starts_with("the guest shut down before"), "{early}");
        let ended = Ended {
            code: 3,
            console: "about to fail\nguest-test:\tpassed\tadds\n".into(),
            ..Ended::default()
        };
        let failed = of(&test(None), &ended).unwrap_err();
        assert_eq!(
            failed,
            "paravane ended with exit code 3\n---- the guest's console\nabout to fail"
        );
    }

    #[test]
    fn a_panic_fails_a_test_that_should_not_panic() {
        let failure = of(&test(None), &crashed("panicked at x: no", false)).unwrap_err();
        assert!(failure.starts_with("the guest crashed\n"), "{failure}");
        assert!(failure.contains("paravane: the guest crashed"), "{failure}");
    }

    #[test]
    fn a_panic_passes_a_test_that_should_panic() {
        let panic = crashed("panicked at src/a.rs:1:2: it is \"full\"", false);
        assert_eq!(of(&test(Some("")), &panic), Ok(()));
        assert_eq!(of(&test(Some("it is \\\"full\\\"")), &panic), Ok(()));
        let other = of(&test(Some("empty")), &panic).unwrap_err();
        assert!(other.contains("but not with \"empty\""), "{other}");
        let none = of(&test(Some("")), &passed()).unwrap_err();
        assert!(none.starts_with("the test did not panic"), "{none}");
    }

    #[test]
    fn a_trap_is_no_panic() {
        let trap = crashed("unhandled #PF writing 0x0", true);
        assert!(of(&test(Some("")), &trap).is_err());
    }
}
