//! Finding the program `paravane`.

use crate::Error;
use crate::image::{executable, messages};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of the program, and of the variable that says where it is.
const PROGRAM: &str = "paravane";
const VARIABLE: &str = "PARAVANE";

/// Finds it, or builds it.
pub fn find() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return Ok(path.into());
    }
    // The tree that this crate lies in, unless it was installed alone.
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if tree.join("vmm/Cargo.toml").is_file() {
        build(&tree)
    } else {
        Ok(PROGRAM.into())
    }
}

fn build(tree: &Path) -> Result<PathBuf, Error> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(tree).args([
        "build",
        "--release",
        "--package",
        PROGRAM,
        "--message-format=json-render-diagnostics",
    ]);
    let failed = || Error::BuildProgram { tree: tree.into() };
    let messages = messages(&mut command)?.ok_or_else(failed)?;
    let mut programs = messages.iter().filter_map(executable);
    let found = programs.find(|program| program.name == PROGRAM);
    Ok(found.ok_or_else(failed)?.path)
}
