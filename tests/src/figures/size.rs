//! The size of the smallest guest.

use crate::guests;
use std::process::Command;

/// Bytes of the hello example's release image, stripped.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn hello_stripped() -> Result<u64, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let stripped = directory.path().join("hello");
    let status = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(guests::hello())
        .status()
        .map_err(|error| format!("strip (Debian package binutils) does not start: {error}"))?;
    if !status.success() {
        return Err("strip failed".into());
    }
    std::fs::metadata(&stripped)
        .map(|file| file.len())
        .map_err(|error| error.to_string())
}
