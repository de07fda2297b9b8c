//! Sizes as people write them.

use thiserror::Error;

const UNITS: &[(&str, u32)] = &[("", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40)];

/// Why a text is no size.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SizeError {
    /// There is no such unit.
    #[error("\"{0}\" is not a unit; use K, M, G or T, or none for bytes, as in 128M")]
    Unit(String),
    /// There is no whole number before the unit.
    #[error("it is not a whole number with a unit, as in 128M")]
    Number,
    /// It does not fit into 64 bits.
    #[error("it is more than a 64-bit address space has")]
    TooLarge,
}

/// Parses a size: bytes, or a number with one of the binary units K, M, G and T, in either case (KiB
/// and the like mean the same).
///
/// # Errors
///
/// What is wrong with it.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let shift = shift(unit).ok_or_else(|| SizeError::Unit(unit.to_owned()))?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SizeError::Number);
    }
    let number: Option<u64> = digits.parse().ok();
    let size = number.and_then(|number| number.checked_mul(1 << shift));
    size.ok_or(SizeError::TooLarge)
}

fn shift(unit: &str) -> Option<u32> {
    let unit = unit.to_ascii_uppercase();
    let name = match unit.strip_suffix("IB") {
        Some("") => return None,
        Some(name) => name,
        None => &unit,
    };
    let found = UNITS.iter().find(|(known, _)| *known == name);
    found.map(|&(_, shift)| shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, size) in [
            ("128M", 128 << 20),
            ("1g", 1 << 30),
            ("65536K", 64 << 20),
            ("1T", 1 << 40),
            ("16MiB", 16 << 20),
            ("2kib", 2048),
            ("8192", 8192),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_why() {
        for (text, unit) in [
            ("1Q", "Q"),
            ("1MB", "MB"),
            ("1iB", "iB"),
            ("1\u{e9}", "\u{e9}"),
        ] {
            assert_eq!(parse(text), Err(SizeError::Unit(unit.to_owned())));
        }
        for text in ["M", "", "-1", "1.5", "1.5G", "+1M", "0x10", "1 M1"] {
            assert_eq!(parse(text), Err(SizeError::Number), "{text}");
        }
        for text in [
            "16777216T",
            "18446744073709551616",
            "99999999999999999999999G",
        ] {
            assert_eq!(parse(text), Err(SizeError::TooLarge), "{text}");
        }
    }
}
