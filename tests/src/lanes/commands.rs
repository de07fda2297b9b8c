//! Finding and running the tools that build a lane.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What mends everything that can be missing, for the end of an error message.
const SETUP: &str = "`.ci/setup`, as root, installs all that the lanes need";

/// The tool called `name`, which Debian's `package` holds.
pub(super) fn find(name: &str, package: &str) -> Result<PathBuf, String> {
    // An ordinary user's PATH leaves out the directories of system tools.
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| missing(&format!("the command `{name}`"), package))
}

/// The file at `path`, which Debian's `package` holds.
pub(super) fn require(path: &str, package: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    if path.exists() {
        Ok(path)
    } else {
        Err(missing(&path.display().to_string(), package))
    }
}

fn missing(what: &str, package: &str) -> String {
    format!("{what} is missing: run `apt-get install --no-install-recommends {package}` ({SETUP})")
}

/// Whether there is a program at `path`.
pub(super) fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Runs `command` to its end, with no input, and returns its standard output. It is an error if
/// it fails; the message has what it wrote to standard error.
pub(super) fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    output_with_input(command, Stdio::null())
}

/// As [`output`], with `input` as standard input.
pub(super) fn output_with_input(
    command: &mut Command,
    input: impl Into<Stdio>,
) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(input)
        .output()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{name} failed with {}: {}",
        output.status,
        said.trim()
    ))
}
