//! Figures, times and texts as people read them.

use std::time::{Duration, SystemTime};

/// Bytes with a binary unit.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut name = "B";
    for unit in UNITS {
        // Rounded, it would be 1024 of the smaller unit.
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        name = unit;
    }
    let digits = match value < 100.0 {
        true => format!("{value:.1}"),
        false => format!("{value:.0}"),
    };
    format!("{} {name}", digits.strip_suffix(".0").unwrap_or(&digits))
}

/// A number of things, or of things per second, in at most five characters.
pub fn count(value: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    for (unit, name) in UNITS {
        // Below that, a unit says less than the digits.
        if value >= unit * if name == "k" { 10.0 } else { 1.0 } {
            return format!("{:.1}{name}", value / unit);
        }
    }
    format!("{value:.0}")
}

/// A duration in its two largest units.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (1.., ..) => format!("{days}d {}h", hours % 24),
        (0, 1.., _) => format!("{hours}h {}m", minutes % 60),
        (0, 0, 1..) => format!("{minutes}m {}s", seconds % 60),
        _ if seconds > 0 => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// Nanoseconds, as [`duration`] or in a smaller unit.
pub fn nanoseconds(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{:.1} us", nanoseconds as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", nanoseconds as f64 / 1e6),
        _ => duration(Duration::from_nanos(nanoseconds)),
    }
}

/// How long ago a time of the API's was; the time itself if it cannot be read.
pub fn ago(time: &str, now: SystemTime) -> String {
    match humantime::parse_rfc3339_weak(time) {
        Ok(time) => duration(now.duration_since(time).unwrap_or_default()),
        Err(_) => clean(time),
    }
}

/// A text without what would steer the terminal: a guest may have chosen it.
pub fn clean(text: &str) -> String {
    let steers = |character: char| character.is_control() && character != '\t';
    let escape = |character: char| match steers(character) {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_unit_that_fits() {
        for (value, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (128 << 20, "128 MiB"),
            ((1 << 20) - 1, "1 MiB"),
            (1 << 40, "1 TiB"),
            (2000 << 40, "2000 TiB"),
        ] {
            assert_eq!(bytes(value), expected);
        }
    }

    #[test]
    fn counts_are_short() {
        let written: Vec<_> = [0.0, 9999.0, 12_345.0, 1.5e6, 2e9].map(count).into();
        assert_eq!(written, ["0", "9999", "12.3k", "1.5M", "2.0G"]);
    }

    #[test]
    fn durations_have_two_units() {
        let written = [12, 75_000, 3_600_000, 90_000_000, 5_000].map(Duration::from_millis);
        let written = written.map(duration);
        assert_eq!(written, ["12ms", "1m 15s", "1h 0m", "1d 1h", "5s"]);
        assert_eq!(nanoseconds(1500), "1.5 us");
        assert_eq!(nanoseconds(75_000_000_000), "1m 15s");
    }

    #[test]
    fn a_time_that_is_none_is_shown() {
        let now = humantime::parse_rfc3339_weak("2026-01-01T00:01:00Z").unwrap();
        assert_eq!(ago("2026-01-01T00:00:00.000Z", now), "1m 0s");
        // The clocks of two machines differ.
        assert_eq!(ago("2026-01-01T00:02:00Z", now), "0ms");
        assert_eq!(ago("soon\u{1b}", now), "soon\\u{1b}");
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\tb é"), "a\tb é");
        assert_eq!(clean("a\u{1b}[2J\r\n\u{9b}"), "a\\u{1b}[2J\\r\\n\\u{9b}");
    }
}
