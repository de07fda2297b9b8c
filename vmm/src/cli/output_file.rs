//! A file that a result is written to, which is checked before there is a result.

use super::exit_code::Failure;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// A file that can be written.
#[derive(Debug)]
pub struct OutputFile {
    /// What is written, as in "the report".
    what: &'static str,
    path: PathBuf,
    // Where it is written first, so that nobody ever sees half of one. What is no
    // regular file, /dev/stderr for example, is written in place.
    beside: Option<PathBuf>,
}

impl OutputFile {
    /// Checks that `what` can be written to `path`, by writing a file of `size` bytes beside it.
    pub fn prepare(what: &'static str, path: &Path, size: usize) -> Result<Self, Failure> {
        let failed = |error| access_failure(what, path, &error);
        let file = Self::at(what, path).map_err(failed)?;
        match &file.beside {
            Some(beside) => {
                let written = create(beside).and_then(|mut file| file.write_all(&vec![b' '; size]));
                // A full disk is no reason to leave it there.
                let removed = fs::remove_file(beside);
                written.and(removed).map_err(failed)?;
            }
            None => {
                OpenOptions::new().write(true).open(path).map_err(failed)?;
            }
        }
        Ok(file)
    }

    fn at(what: &'static str, path: &Path) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            // The file that a link leads to is replaced, not the link.
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => path.to_path_buf(),
            Err(error) => return Err(error),
        };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => {
                return Ok(Self {
                    what,
                    path,
                    beside: None,
                });
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
        Ok(Self { what, path, beside })
    }

    /// Writes it.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        self.write_text(text)
            .map_err(|error| access_failure(self.what, &self.path, &error))
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

fn access_failure(what: &str, path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::configuration(match error.kind() {
        ErrorKind::NotFound => {
            format!("{what} {path} cannot be written: its directory does not exist")
        }
        ErrorKind::IsADirectory => {
            format!("{what} {path} cannot be written: that is a directory; name a file in it")
        }
        _ => format!("{what} {path} cannot be written: {error}"),
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
        let file = OutputFile::prepare("the report", &path, 1).unwrap();
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
        OutputFile::prepare("the report", &link, 1)
            .unwrap()
            .write_text("after")
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert!(link.is_symlink());
    }

    #[test]
    fn a_device_is_written_and_not_replaced() {
        let path = Path::new("/dev/null");
        OutputFile::prepare("the report", path, 1)
            .unwrap()
            .write_text("{}")
            .unwrap();
        assert!(!fs::metadata(path).unwrap().is_file());
    }

    #[test]
    fn what_cannot_be_written_is_told_before() {
        let message = |path: &Path| {
            OutputFile::prepare("the report", path, 1)
                .unwrap_err()
                .message
        };
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
