//! The file that a report is written to.

use super::Report;
use crate::cli::exit_code::Failure;
use crate::cli::output::to_json;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// A file that can be written.
#[derive(Debug)]
pub struct ReportFile {
    path: PathBuf,
    // Where the report is written first, so that nobody ever sees half of one. What is no
    // regular file, /dev/stderr for example, is written in place.
    beside: Option<PathBuf>,
}

impl ReportFile {
    /// Checks that a report can be written to `path`, by creating a file beside it.
    pub fn prepare(path: &Path) -> Result<Self, Failure> {
        let failed = |error| access_failure(path, &error);
        let file = Self::at(path).map_err(failed)?;
        match &file.beside {
            Some(beside) => {
                create(beside).map_err(failed)?;
                fs::remove_file(beside).map_err(failed)?;
            }
            None => {
                OpenOptions::new().write(true).open(path).map_err(failed)?;
            }
        }
        Ok(file)
    }

    fn at(path: &Path) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            // The file that a link leads to is replaced, not the link.
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_path_buf(),
            Err(error) => return Err(error),
        };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => {
                return Ok(Self { path, beside: None });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}", process::id()));
        let beside = Some(path.with_file_name(beside));
        Ok(Self { path, beside })
    }

    /// Writes the report.
    pub fn write(&self, report: &Report<'_>) -> Result<(), Failure> {
        let text = to_json(report)?;
        self.write_text(&text)
            .map_err(|error| access_failure(&self.path, &error))
    }

    fn write_text(&self, text: &str) -> io::Result<()> {
        let Some(beside) = &self.beside else {
            let mut file = OpenOptions::new().write(true).open(&self.path)?;
            return file.write_all(text.as_bytes());
        };
        let result = create(beside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(beside, &self.path));
        if result.is_err() {
            // It may not even be there.
            let _ = fs::remove_file(beside);
        }
        result
    }
}

fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn access_failure(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::configuration(match error.kind() {
        ErrorKind::NotFound => {
            format!("the report {path} cannot be written: its directory does not exist")
        }
        ErrorKind::IsADirectory => {
            format!("the report {path} cannot be written: that is a directory; name a file in it")
        }
        _ => format!("the report {path} cannot be written: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_the_one_before_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "before").unwrap();
        let file = ReportFile::prepare(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        file.write_text("after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_file_behind_a_link_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        fs::write(&path, "before").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        ReportFile::prepare(&link)
            .unwrap()
            .write_text("after")
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_device_is_written_and_not_replaced() {
        let path = Path::new("/dev/null");
        ReportFile::prepare(path).unwrap().write_text("{}").unwrap();
        assert!(!fs::metadata(path).unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_is_told_before() {
        let message = |path: &Path| ReportFile::prepare(path).unwrap_err().message;
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        assert_eq!(
            message(&directory.join("none/report.json")),
            format!(
                "the report {}/none/report.json cannot be written: its directory does not exist",
                directory.display()
            )
        );
        assert_eq!(
            message(directory),
            format!(
                "the report {} cannot be written: that is a directory; name a file in it",
                directory.display()
            )
        );
    }
}
