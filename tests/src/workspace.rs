//! Where things are in the source tree and in its build directory.

use std::path::{Path, PathBuf};

/// The root of the source tree.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// Where this program's build profile puts its programs (`target/release`, say).
///
/// # Panics
///
/// When the current program has no path, or lies outside of a build directory.
pub fn programs() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let directory = this.parent().expect("a program lies in a directory");
    // Tests and examples lie one level deeper than programs.
    if directory.ends_with("deps") || directory.ends_with("examples") {
        directory
            .parent()
            .expect("deps lies in a directory")
            .to_path_buf()
    } else {
        directory.to_path_buf()
    }
}
