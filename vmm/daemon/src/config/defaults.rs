//! Where things are when nobody says so.

use super::error::ConfigError;
use std::env;
use std::path::PathBuf;

/// The state folder: of the system for root, of the user otherwise.
pub fn state_dir() -> Result<PathBuf, ConfigError> {
    if is_root() {
        return Ok("/var/lib/paravane".into());
    }
    let of_home = || Some(folder("HOME")?.join(".local/state"));
    folder("XDG_STATE_HOME")
        .or_else(of_home)
        .map(|path| path.join("paravane"))
        .ok_or(ConfigError::NoPlace("state-dir", "XDG_STATE_HOME"))
}

/// The socket.
pub fn socket() -> Result<PathBuf, ConfigError> {
    if is_root() {
        return Ok("/run/paravane.sock".into());
    }
    folder("XDG_RUNTIME_DIR")
        .map(|path| path.join("paravane.sock"))
        .ok_or(ConfigError::NoPlace("socket", "XDG_RUNTIME_DIR"))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An absolute path in a variable, as the XDG base directories are.
fn folder(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}
