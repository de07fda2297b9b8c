//! Building the guest's images with their tests.

use crate::Error;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An image with tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The name of its binary target.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
}

/// By this variable `paravane_guest_build::configure()` knows that tests are wanted.
const TEST_VARIABLE: &str = "PARAVANE_GUEST_TEST";

/// Builds the binaries of the crate in a directory with their tests.
pub fn build(crate_directory: &Path) -> Result<Vec<Image>, Error> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(crate_directory)
        .env(TEST_VARIABLE, "1")
        .args([
            "build",
            "--bins",
            "--message-format=json-render-diagnostics",
        ])
        // A directory of its own: with its tests an image is another one.
        .arg("--target-dir")
        .arg(target_directory(crate_directory).join("guest-test"));
    // The profile of the tests is that of the guest too.
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let messages = messages(&mut command)?.ok_or_else(|| Error::Build {
        crate_directory: crate_directory.into(),
    })?;
    let images: Vec<_> = messages.iter().filter_map(executable).collect();
    if images.is_empty() {
        return Err(Error::NoBinary {
            crate_directory: crate_directory.into(),
        });
    }
    Ok(images)
}

/// The directory that Cargo builds this very program in.
fn target_directory(crate_directory: &Path) -> PathBuf {
    let this = std::env::current_exe().ok();
    // target/debug/deps/this
    let target = this.as_deref().and_then(|this| this.ancestors().nth(3));
    target.map_or_else(|| crate_directory.join("target"), Path::to_path_buf)
}

/// Runs a build and takes what Cargo says about it, line by line; `None` when it fails. What is
/// for people goes to standard error.
pub fn messages(command: &mut Command) -> Result<Option<Vec<Value>>, Error> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })?;
    if !output.status.success() {
        return Ok(None);
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    Ok(Some(
        lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
    ))
}

/// The binary that a message of Cargo's tells of (The Cargo Book, "External tools").
pub fn executable(message: &Value) -> Option<Image> {
    let target = &message["target"];
    let kinds = target["kind"].as_array()?;
    if message["reason"] != "compiler-artifact" || !kinds.iter().any(|kind| kind == "bin") {
        return None;
    }
    Some(Image {
        name: target["name"].as_str()?.into(),
        path: message["executable"].as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_binaries_are_images() {
        let message = |reason: &str, kind: &str, path: Option<&str>| {
            executable(&serde_json::json!({
                "reason": reason,
                "target": { "kind": [kind], "name": "kernel" },
                "executable": path,
            }))
        };
        assert_eq!(
            message("compiler-artifact", "bin", Some("/target/kernel")),
            Some(Image {
                name: "kernel".into(),
                path: "/target/kernel".into()
            })
        );
        assert_eq!(message("compiler-artifact", "lib", None), None);
        assert_eq!(
            message("compiler-artifact", "custom-build", Some("/x")),
            None
        );
        assert_eq!(message("build-finished", "bin", None), None);
    }
}
