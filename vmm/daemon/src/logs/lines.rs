//! The lines of a file.

use super::follow::Wanted;
use paravane_api::log::{LogLine, LogSource};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read at a time.
const BLOCK: usize = 64 << 10;

/// The longest line in bytes, as a VM's process writes it. What is longer is left out.
const MAX_LINE: usize = 64 << 10;

/// Reads a file's lines, from a place on.
#[derive(Debug)]
pub struct Lines {
    file: File,
    /// What comes next is read from here.
    at: u64,
    /// The begin of a line whose end has not come.
    rest: Vec<u8>,
    /// The line is too long: the rest of it is left out.
    skipping: bool,
}

impl Lines {
    /// The lines of `file` from byte `at`.
    pub fn new(file: File, at: u64) -> Self {
        Self {
            file,
            at,
            rest: Vec::new(),
            skipping: false,
        }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives `take` each whole line that comes next, with its end and with the place where it
    /// begins. False at the end of the file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn next(&mut self, mut take: impl FnMut(u64, &[u8])) -> io::Result<bool> {
        let mut block = vec![0; BLOCK];
        let read = self.file.read_at(&mut block, self.at)?;
        let Some(block) = block.get(..read).filter(|block| !block.is_empty()) else {
            return Ok(false);
        };
        let mut begin = self.at - self.rest.len() as u64;
        self.at += read as u64;
        for part in block.split_inclusive(|&byte| byte == b'\n') {
            let ends = part.ends_with(b"\n");
            if !self.skipping {
                self.rest.extend_from_slice(part);
            }
            if self.rest.len() > MAX_LINE {
                self.rest.clear();
                self.skipping = true;
            }
            if ends {
                if !self.skipping {
                    take(begin, &self.rest);
                }
                begin += self.rest.len() as u64;
                self.rest.clear();
                self.skipping = false;
            }
        }
        Ok(true)
    }
}

/// Whether a line is one of the log's, and of the source that is wanted.
pub fn fits(line: &[u8], source: Option<LogSource>) -> bool {
    let parsed = serde_json::from_slice::<LogLine>(line);
    parsed.is_ok_and(|line| source.is_none_or(|source| line.source == source))
}

/// Where the last lines begin that are wanted: the number of the file, and the place in it.
///
/// # Errors
///
/// A file cannot be read.
pub fn last(files: &[File], wanted: &Wanted) -> io::Result<(usize, u64)> {
    let Some(tail) = wanted.tail else {
        return Ok((0, 0));
    };
    let newest = files.len().saturating_sub(1);
    // From the newest file to older ones, until there are enough.
    let mut missing = tail;
    for (number, file) in files.iter().enumerate().rev() {
        let mut begins = Vec::new();
        let mut lines = Lines::new(file.try_clone()?, 0);
        while lines.next(|at, line| {
            if fits(line, wanted.source) {
                begins.push(at);
            }
        })? {}
        if missing == 0 {
            return Ok((newest, lines.at - lines.rest.len() as u64));
        }
        if begins.len() >= missing {
            let first = begins.len() - missing;
            return Ok((number, begins.get(first).copied().unwrap_or(0)));
        }
        missing -= begins.len();
    }
    Ok((0, 0))
}
