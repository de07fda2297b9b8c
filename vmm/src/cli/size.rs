//! A VM's memory on the command line.

use paravane::size;
use pv_abi::address_space::PAGE_SIZE;

/// Parses a VM's memory: a size in whole pages.
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

/// Parses a number of bytes, as [`size::parse`].
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    size::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text), Err(expected.to_string()), "{text}");
    }

    #[test]
    fn memory_is_in_whole_pages() {
        assert_eq!(parse("128M"), Ok(128 << 20));
        assert_eq!(parse("8192"), Ok(8192));
        check("0", "a VM has at least one page of memory, 4096 bytes");
        check("0G", "a VM has at least one page of memory, 4096 bytes");
        check("4097", "a VM's memory is a multiple of 4096 bytes");
        check("1K", "a VM's memory is a multiple of 4096 bytes");
        let unit = "is not a unit; use K, M, G or T, or none for bytes, as in 128M";
        check("1Q", &format!("\"Q\" {unit}"));
    }
}
