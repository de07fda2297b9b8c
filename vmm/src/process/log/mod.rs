//! The log of a VM: lines of JSON ([`LogLine`]) in files of limited size and number.
//!
//! Whatever happens to the files, the VM goes on: lines that cannot be written are counted, and
//! that is told once lines can be written again.

pub mod console;
mod file;
pub mod layer;
mod lines;

use super::timestamp;
use crate::sync::lock;
use file::RotatingFile;
use paravane_api::log::{LogLevel, LogLine, LogSource};
use paravane_control::folder::Folder;
use paravane_control::plan::LogLimits;
use std::io;
use std::sync::Mutex;

/// The most bytes of a message; the rest of a longer one is left out.
pub const MESSAGE_MAX: usize = 64 << 10;

/// The log of a VM. Any thread may write to it.
#[derive(Debug)]
pub struct Log(Mutex<Writer>);

#[derive(Debug)]
struct Writer {
    file: RotatingFile,
    /// Lines that could not be written since the last one that could.
    lost: u64,
    reason: String,
}

impl Log {
    /// The log in this folder, which goes on where the process before ended.
    pub fn new(folder: &Folder, limits: LogLimits) -> Self {
        let mut writer = Writer {
            file: RotatingFile::new(folder.clone(), limits),
            lost: 0,
            reason: String::new(),
        };
        // Now, as another user may not open what the one before has made. That it fails is told by
        // the first line.
        let _ = writer.file.open();
        Self(Mutex::new(writer))
    }

    /// Writes a line.
    pub fn write(&self, source: LogSource, level: LogLevel, message: &str) {
        self.write_counted(source, level, message);
    }

    /// Writes a line: how many bytes of the file it took.
    pub(super) fn write_counted(&self, source: LogSource, level: LogLevel, message: &str) -> usize {
        let end = message.floor_char_boundary(MESSAGE_MAX);
        let message = message.get(..end).unwrap_or_default();
        let line = line(source, level, message);
        lock(&self.0).write(&line);
        line.len()
    }

    /// Writes a line of the VMM's about what happens.
    pub fn say(&self, message: &str) {
        self.write(LogSource::Vmm, LogLevel::Info, message);
    }
}

impl Writer {
    fn write(&mut self, bytes: &[u8]) {
        if self.lost > 0 {
            let message = format!(
                "{} lines of the log could not be written: {}",
                self.lost, self.reason
            );
            match self
                .file
                .append(&line(LogSource::Vmm, LogLevel::Error, &message))
            {
                Ok(()) => self.lost = 0,
                Err(error) => return self.lose(&error),
            }
        }
        if let Err(error) = self.file.append(bytes) {
            self.lose(&error);
        }
    }

    fn lose(&mut self, error: &io::Error) {
        self.lost = self.lost.saturating_add(1);
        self.reason = error.to_string();
    }
}

fn line(source: LogSource, level: LogLevel, message: &str) -> Vec<u8> {
    let line = LogLine {
        time: timestamp(),
        source,
        level,
        message: message.to_string(),
    };
    // Strings and names of variants: there is nothing that JSON could not have.
    let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    pub(super) fn read(folder: &Folder) -> Vec<LogLine> {
        let text = fs::read_to_string(folder.log()).unwrap();
        let parse = |line| serde_json::from_str(line).unwrap();
        text.lines().map(parse).collect()
    }

    #[test]
    fn what_could_not_be_written_is_told_later() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path().join("later"));
        let log = Log::new(&folder, LogLimits::default());
        for _ in 0..3 {
            log.say("lost");
        }
        fs::create_dir(folder.path()).unwrap();
        log.write(LogSource::Daemon, LogLevel::Warn, "kept");
        let lines = read(&folder);
        let messages: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        let expected = "3 lines of the log could not be written: \
                        No such file or directory (os error 2)";
        assert_eq!(messages, [expected, "kept"]);
        assert_eq!(lines[0].level, LogLevel::Error);
        assert_eq!(lines[1].source, LogSource::Daemon);
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let log = Log::new(&folder, LogLimits::default());
        log.say(&"\u{e4}".repeat(MESSAGE_MAX));
        log.say(&format!("a{}", "\u{e4}".repeat(MESSAGE_MAX)));
        let lengths: Vec<_> = read(&folder)
            .iter()
            .map(|line| line.message.len())
            .collect();
        assert_eq!(lengths, [MESSAGE_MAX, MESSAGE_MAX - 1]);
    }
}
