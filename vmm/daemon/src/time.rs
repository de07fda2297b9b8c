//! Times as the API has them: RFC 3339 in UTC, milliseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}

/// A time in milliseconds since 1970, as the API writes it.
pub fn format_ms(ms: u64) -> String {
    // Ten thousand years are more than a clock says; what is above is not formatted.
    let limit = 253_402_300_799_999;
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms.min(limit))).to_string()
}

/// Now, as the API writes it.
pub fn now() -> String {
    format_ms(now_ms())
}
