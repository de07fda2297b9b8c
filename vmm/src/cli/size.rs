//! Sizes of memory on the command line.

use pv_abi::address_space::PAGE_SIZE;

const UNITS: &[(&str, u32)] = &[("K", 10), ("M", 20), ("G", 30), ("T", 40)];

/// Parses a VM's memory: bytes, or a number with one of the binary units K, M, G and T (KiB
/// and the like mean the same).
pub fn parse(text: &str) -> Result<u64, String> {
    let size = parse_bytes(text)?;
    if size == 0 {
        return Err("a VM has at least one page of memory, 4096 bytes".to_string());
    }
    if !size.is_multiple_of(PAGE_SIZE) {
        return Err(format!("a VM's memory is a multiple of {PAGE_SIZE} bytes"));
    }
    Ok(size)
}

/// Parses a number of bytes, written as for [`parse`].
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let shift = shift(unit).ok_or_else(|| {
        format!("\"{unit}\" is not a unit; use K, M, G or T, or none for bytes, as in 128M")
    })?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("it is not a whole number with a unit, as in 128M".to_string());
    }
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "it is more than a 64-bit address space has".to_string())
}

fn shift(unit: &str) -> Option<u32> {
    let unit = unit.to_ascii_uppercase();
    let unit = unit.strip_suffix("IB").unwrap_or(&unit);
    if unit.is_empty() {
        return Some(0);
    }
    let found = UNITS.iter().find(|(name, _)| *name == unit);
    found.map(|&(_, shift)| shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse("128M"), Ok(128 << 20));
        assert_eq!(parse("1g"), Ok(1 << 30));
        assert_eq!(parse("65536K"), Ok(64 << 20));
        assert_eq!(parse("1T"), Ok(1 << 40));
        assert_eq!(parse("16MiB"), Ok(16 << 20));
        assert_eq!(parse("8192"), Ok(8192));
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text), Err(expected.to_string()), "{text}");
    }

    #[test]
    fn what_is_no_size_is_told_why() {
        let unit = "is not a unit; use K, M, G or T, or none for bytes, as in 128M";
        check("1Q", &format!("\"Q\" {unit}"));
        check("1MB", &format!("\"MB\" {unit}"));
        check("1.5", "it is not a whole number with a unit, as in 128M");
        for text in ["M", "", "-1", "1.5G", "+1M", "0x10", "1 M1"] {
            check(text, "it is not a whole number with a unit, as in 128M");
        }
        check("0", "a VM has at least one page of memory, 4096 bytes");
        check("0G", "a VM has at least one page of memory, 4096 bytes");
        check("4097", "a VM's memory is a multiple of 4096 bytes");
        check("1K", "a VM's memory is a multiple of 4096 bytes");
        for text in [
            "16777216T",
            "18446744073709551616",
            "99999999999999999999999G",
        ] {
            check(text, "it is more than a 64-bit address space has");
        }
        check("1é", &format!("\"é\" {unit}"));
    }
}
