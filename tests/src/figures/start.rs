//! From the start of the process to the guest's first console byte.

use super::Spread;
use crate::program::paravane;
use std::io::Read;
use std::process::Stdio;
use std::time::Instant;

/// Milliseconds from the start of `paravane run --mem 128M` to the first byte in its pipe.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn first_byte(runs: usize) -> Result<Spread, String> {
    let mut samples = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        let mut child = paravane(["run", "--mem", "128M", "--cmdline", "hello"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut stdout = child.stdout.take().ok_or("stdout is a pipe")?;
        stdout
            .read_exact(&mut [0])
            .map_err(|error| error.to_string())?;
        samples.push(start.elapsed().as_secs_f64() * 1e3);
        let mut rest = Vec::new();
        stdout
            .read_to_end(&mut rest)
            .map_err(|error| error.to_string())?;
        child.wait().map_err(|error| error.to_string())?;
    }
    Ok(Spread::new(samples))
}
