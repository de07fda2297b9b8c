//! Numbers as people read them: three significant digits, a unit that fits, commas between
//! thousands.

use crate::bench::result::Unit;

/// Significant digits, where there is no reason for more.
const DIGITS: i32 = 3;

/// A cost in a table, whose heading says what instructions are: "12.3 ns", "4.56 us", "3,078".
pub fn cost(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => time(value, DIGITS),
        Unit::Instructions => instructions(value),
    }
}

/// A cost with the digits that tell the ends of a narrow interval apart: "2.1956 us", "3,078".
pub fn exact(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => time(value, 5),
        Unit::Instructions => instructions(value),
    }
}

/// A cost on an axis: "10 ns", "1,000".
pub fn tick(value: f64, unit: Unit) -> String {
    let text = cost(value, unit);
    match text.split_once(' ') {
        Some((number, unit)) => format!("{} {unit}", trimmed(number)),
        None => text,
    }
}

/// A cost in a sentence: "12.3 ns", "3,078 instructions".
pub fn spoken(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Nanoseconds => time(value, DIGITS),
        Unit::Instructions => match instructions(value).as_str() {
            "1" => "1 instruction".to_string(),
            many => format!("{many} instructions"),
        },
    }
}

/// How many times as much: "1.08", "18.2", "18,200".
pub fn ratio(value: f64) -> String {
    digits(value, DIGITS)
}

/// A count that may be an average: "2", "0.02", "1.5".
pub fn count(value: f64) -> String {
    trimmed(&digits(round_to(value, 2), DIGITS))
}

/// A whole number with commas: "1,234,567".
pub fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    // A value that rounds to zero has no sign.
    if value < 0.0 && digits != "0" {
        text.push('-');
    }
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(nanoseconds: f64, significant: i32) -> String {
    const UNITS: [(f64, &str); 4] = [(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")];
    // Rounded first, so that 999.9 ns is 1.00 us.
    let rounded = rounded(nanoseconds, significant);
    let (scale, unit) = UNITS
        .into_iter()
        .find(|(scale, _)| rounded.abs() >= *scale)
        .unwrap_or((1.0, "ns"));
    // What a clock of some GHz says beyond this is not about the guest.
    match rounded.abs() < 0.005 {
        true => "0 ns".to_string(),
        false => format!("{} {unit}", digits(rounded / scale, significant)),
    }
}

/// Instructions are counted, not timed: nothing above the point is rounded away.
fn instructions(value: f64) -> String {
    match value.abs() >= 100.0 {
        true => whole(value),
        false => count(value),
    }
}

fn digits(value: f64, significant: i32) -> String {
    let rounded = rounded(value, significant);
    match decimals(rounded, significant) {
        0 => whole(rounded),
        decimals => format!("{rounded:.decimals$}"),
    }
}

fn rounded(value: f64, significant: i32) -> f64 {
    match value == 0.0 {
        true => 0.0,
        false => round_to(value, significant - 1 - magnitude(value)),
    }
}

fn magnitude(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

fn decimals(value: f64, significant: i32) -> usize {
    match value == 0.0 {
        true => 0,
        false => (significant - 1 - magnitude(value)).clamp(0, 4) as usize,
    }
}

fn round_to(value: f64, decimals: i32) -> f64 {
    // By text, because scaling by a power of ten is not exact.
    match decimals {
        0.. => format!("{value:.*}", decimals as usize)
            .parse()
            .unwrap_or(value),
        _ => {
            let scale = 10f64.powi(-decimals);
            (value / scale).round() * scale
        }
    }
}

fn trimmed(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_of(nanoseconds: f64) -> String {
        cost(nanoseconds, Unit::Nanoseconds)
    }

    #[test]
    fn a_time_has_three_digits_and_the_unit_that_fits() {
        assert_eq!(time_of(12.34), "12.3 ns");
        assert_eq!(time_of(0.5231), "0.523 ns");
        assert_eq!(time_of(4_561.0), "4.56 us");
        assert_eq!(time_of(35_149.0), "35.1 us");
        assert_eq!(time_of(7_800_000.0), "7.80 ms");
        assert_eq!(time_of(2.5e9), "2.50 s");
        assert_eq!(time_of(12_345e9), "12,300 s");
    }

    #[test]
    fn rounding_up_moves_on_to_the_next_unit() {
        assert_eq!(time_of(999.4), "999 ns");
        assert_eq!(time_of(999.9), "1.00 us");
        assert_eq!(time_of(999_999.0), "1.00 ms");
        assert_eq!(time_of(9.999), "10.0 ns");
    }

    #[test]
    fn what_is_left_of_nothing_is_no_long_fraction() {
        assert_eq!(time_of(0.0), "0 ns");
        assert_eq!(time_of(0.001), "0 ns");
        assert_eq!(time_of(-1.25), "-1.25 ns");
        assert_eq!(cost(-0.2, Unit::Instructions), "-0.2");
        assert_eq!(whole(-0.2), "0");
    }

    #[test]
    fn instructions_keep_every_digit_that_was_counted() {
        let cost = |value| cost(value, Unit::Instructions);
        assert_eq!(cost(3_078.0), "3,078");
        assert_eq!(cost(1_234_567.4), "1,234,567");
        assert_eq!(cost(48.25), "48.2");
        assert_eq!(cost(20.0), "20");
        assert_eq!(cost(1.5), "1.5");
    }

    #[test]
    fn the_ends_of_a_narrow_interval_differ() {
        assert_eq!(exact(2_195.6, Unit::Nanoseconds), "2.1956 us");
        assert_eq!(exact(2_204.4, Unit::Nanoseconds), "2.2044 us");
        assert_eq!(exact(38_423.0, Unit::Nanoseconds), "38.423 us");
        assert_eq!(exact(3_078.5, Unit::Instructions), "3,078");
    }

    #[test]
    fn an_axis_has_no_zeros_after_the_point() {
        assert_eq!(tick(1.0, Unit::Nanoseconds), "1 ns");
        assert_eq!(tick(100_000.0, Unit::Nanoseconds), "100 us");
        assert_eq!(tick(10_000.0, Unit::Instructions), "10,000");
    }

    #[test]
    fn a_sentence_says_what_is_counted() {
        assert_eq!(spoken(3_078.0, Unit::Instructions), "3,078 instructions");
        assert_eq!(spoken(1.0, Unit::Instructions), "1 instruction");
        assert_eq!(spoken(12.34, Unit::Nanoseconds), "12.3 ns");
    }

    #[test]
    fn ratios_and_counts_are_short() {
        assert_eq!(ratio(1.0786), "1.08");
        assert_eq!(ratio(18_234.0), "18,200");
        assert_eq!(ratio(0.0123), "0.0123");
        assert_eq!(count(2.0), "2");
        assert_eq!(count(0.016), "0.02");
        assert_eq!(count(1.5), "1.5");
        assert_eq!(count(0.0), "0");
    }
}
