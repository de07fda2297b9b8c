//! Durations on the command line.

use std::time::Duration;

/// Parses a time-out: a whole number with one of the units ms, s, m and h.
pub fn parse(text: &str) -> Result<Duration, String> {
    let duration = parse_any(text)?;
    if duration.is_zero() {
        return Err("a guest needs some time; leave it out for no limit".to_string());
    }
    Ok(duration)
}

/// Parses a time that may be none: a whole number of seconds, or as [`parse`].
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => parse_any(text),
    }
}

fn parse_any(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it is not a whole number with a unit, as in 5s or 500ms".to_string());
    }
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "" => return Err(format!("it needs a unit, as in {digits}s or 500ms")),
        _ => {
            return Err(format!(
                "\"{unit}\" is not a unit; use ms, s, m or h, as in {digits}s"
            ));
        }
    };
    let duration = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or("it is longer than any guest can run; leave it out")?;
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
    }

    #[test]
    fn seconds_need_no_unit() {
        assert_eq!(parse_seconds("3"), Ok(Duration::from_secs(3)));
        assert_eq!(parse_seconds("0"), Ok(Duration::ZERO));
        assert_eq!(parse_seconds("250ms"), Ok(Duration::from_millis(250)));
        assert!(parse_seconds("-1").is_err());
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text), Err(expected.to_string()), "{text}");
    }

    #[test]
    fn what_is_no_duration_is_told_why() {
        for text in ["", "s", "-1s", "1.5s", "five", "1s2"] {
            check(
                text,
                "it is not a whole number with a unit, as in 5s or 500ms",
            );
        }
        check("7", "it needs a unit, as in 7s or 500ms");
        check("7d", "\"d\" is not a unit; use ms, s, m or h, as in 7s");
        check("0s", "a guest needs some time; leave it out for no limit");
        for text in ["99999999999999999h", "99999999999999999999s"] {
            check(text, "it is longer than any guest can run; leave it out");
        }
    }
}
