//! A file that is put aside when it is large, and begun anew.

use paravane_control::folder::Folder;
use paravane_control::plan::LogLimits;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;

/// The log's file, and what became of it.
#[derive(Debug)]
pub(super) struct RotatingFile {
    folder: Folder,
    limits: LogLimits,
    // Until it can be opened, and again after it could not be.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

impl RotatingFile {
    pub(super) fn new(folder: Folder, limits: LogLimits) -> Self {
        Self {
            folder,
            limits,
            open: None,
        }
    }

    /// Opens the file, if it is not open.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(Open::new(&self.folder)?);
        }
        Ok(())
    }

    /// Appends a line, whole or not at all.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open::new(&self.folder)?,
        };
        let size = open.size.saturating_add(line.len() as u64);
        // A line that is longer than a file may be has one of its own.
        if open.size > 0 && size > self.limits.size {
            drop(open);
            self.rotate()?;
            open = Open::new(&self.folder)?;
        }
        let result = open.append(line);
        self.open = Some(open);
        result
    }

    /// Gives each file the name of the next older one; the oldest is gone.
    fn rotate(&self) -> io::Result<()> {
        let files = self.limits.files;
        if files == 0 {
            return fs::remove_file(self.folder.log());
        }
        for number in (1..files).rev() {
            let (from, to) = (
                self.folder.old_log(number),
                self.folder.old_log(number.saturating_add(1)),
            );
            match fs::rename(from, to) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(self.folder.log(), self.folder.old_log(1))
    }
}

impl Open {
    fn new(folder: &Folder) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(folder.log())?;
        let size = file.metadata()?.len();
        let mut open = Self { file, size };
        let mut last = [b'\n'];
        if let Some(at) = size.checked_sub(1) {
            open.file.read_exact_at(&mut last, at)?;
        }
        // The process before was killed while it wrote.
        if last != [b'\n'] {
            open.append(b"\n")?;
        }
        Ok(open)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let result = self.file.write_all(bytes);
        match result {
            Ok(()) => self.size = self.size.saturating_add(bytes.len() as u64),
            // What of it was written would be half a line.
            Err(_) => {
                let _ = self.file.set_len(self.size);
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(size: u64, files: u32) -> LogLimits {
        LogLimits {
            size,
            files,
            ..LogLimits::default()
        }
    }

    #[test]
    fn a_large_file_is_put_aside_and_the_oldest_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let mut file = RotatingFile::new(folder.clone(), limits(10, 2));
        for number in 0..8 {
            file.append(format!("{number:03}\n").as_bytes()).unwrap();
        }
        let read = |path| fs::read_to_string(path).unwrap();
        assert_eq!(read(folder.log()), "006\n007\n");
        assert_eq!(read(folder.old_log(1)), "004\n005\n");
        assert_eq!(read(folder.old_log(2)), "002\n003\n");
        assert!(!folder.old_log(3).exists());
        file.append(b"longer than a file\n").unwrap();
        file.append(b"x\n").unwrap();
        assert_eq!(read(folder.old_log(1)), "longer than a file\n");
        assert_eq!(read(folder.log()), "x\n");
    }

    #[test]
    fn without_older_files_it_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let mut file = RotatingFile::new(folder.clone(), limits(4, 0));
        for line in [b"one\n", b"two\n"] {
            file.append(line).unwrap();
        }
        assert_eq!(fs::read_to_string(folder.log()).unwrap(), "two\n");
        assert!(!folder.old_log(1).exists());
    }

    #[test]
    fn a_line_that_was_cut_off_stays_alone() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        fs::write(folder.log(), "whole\nhal").unwrap();
        let mut file = RotatingFile::new(folder.clone(), limits(1000, 1));
        file.append(b"next\n").unwrap();
        let text = fs::read_to_string(folder.log()).unwrap();
        assert_eq!(text, "whole\nhal\nnext\n");
    }

    #[test]
    fn a_folder_that_takes_no_file_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().join("later"));
        let mut file = RotatingFile::new(folder.clone(), limits(1000, 1));
        file.append(b"lost\n").unwrap_err();
        fs::create_dir(folder.path()).unwrap();
        file.append(b"kept\n").unwrap();
        assert_eq!(fs::read_to_string(folder.log()).unwrap(), "kept\n");
    }
}
