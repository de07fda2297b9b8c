//! `paravane man`.

use super::Cli;
use super::exit_code::Failure;
use clap::{Args, CommandFactory};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the pages go.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder, such as /usr/share/man/man1; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// Writes a page for the program and one for each command.
pub fn man(args: &ManArgs) -> Result<ExitCode, Failure> {
    write_pages(&args.dir).map_err(|error| {
        let folder = args.dir.display();
        Failure::configuration(format!("cannot write manual pages to {folder}: {error}"))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write_pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write_pages(folder.path()).unwrap();
        for name in [
            "paravane",
            "paravane-run",
            "paravane-vm",
            "paravane-vm-create",
        ] {
            let page = fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
            let title = format!(".TH {name} 1");
            assert!(page.contains(&title), "{name}: {page}");
            assert!(page.contains(".SH SYNOPSIS"), "{name}");
        }
        assert!(!folder.path().join("paravane-help.1").exists());
    }
}
