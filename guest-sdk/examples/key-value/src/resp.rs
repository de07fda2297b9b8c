//! The protocol of Redis (RESP 2), as far as a server needs it.

use crate::batch::VALUE_MAX;
use alloc::vec::Vec;
use core::fmt::Write;

/// Most arguments of a command.
const ARGUMENTS: usize = 1024;
/// Longest line.
const LINE: usize = 1024;

/// Bytes that are no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A command.
#[derive(Debug)]
pub struct Command<'a> {
    /// Its name and its arguments.
    pub words: Vec<&'a [u8]>,
    /// How many bytes it takes.
    pub size: usize,
}

/// The first command in what has come; `None` while it is not complete.
pub fn parse(bytes: &[u8]) -> Result<Option<Command<'_>>, Malformed> {
    let Some((line, mut at)) = line(bytes)? else {
        return Ok(None);
    };
    let Some(count) = line.strip_prefix(b"*") else {
        let words = line.split(u8::is_ascii_whitespace);
        return Ok(Some(Command {
            words: words.filter(|word| !word.is_empty()).collect(),
            size: at,
        }));
    };
    let count = number(count, ARGUMENTS)?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let Some((head, size)) = self::line(&bytes[at..])? else {
            return Ok(None);
        };
        let argument = number(head.strip_prefix(b"$").ok_or(Malformed)?, VALUE_MAX)?;
        at += size;
        let Some(rest) = bytes.get(at..at + argument + 2) else {
            return Ok(None);
        };
        let (argument, end) = rest.split_at(argument);
        if end != b"\r\n" {
            return Err(Malformed);
        }
        words.push(argument);
        at += rest.len();
    }
    Ok(Some(Command { words, size: at }))
}

/// The first line without its end, and its size.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    match bytes.iter().take(LINE).position(|&byte| byte == b'\n') {
        Some(end) => {
            let line = &bytes[..end];
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1)))
        }
        None if bytes.len() >= LINE => Err(Malformed),
        None => Ok(None),
    }
}

fn number(bytes: &[u8], most: usize) -> Result<usize, Malformed> {
    let text = str::from_utf8(bytes).map_err(|_| Malformed)?;
    let number = text.parse().map_err(|_| Malformed)?;
    if number > most {
        return Err(Malformed);
    }
    Ok(number)
}

/// Answers, one behind the other.
#[derive(Debug, Default)]
pub struct Answers(pub Vec<u8>);

impl Answers {
    pub fn simple(&mut self, text: &str) {
        self.line(format_args!("+{text}"));
    }

    pub fn error(&mut self, text: &str) {
        self.line(format_args!("-ERR {text}"));
    }

    pub fn integer(&mut self, number: usize) {
        self.line(format_args!(":{number}"));
    }

    pub fn bulk(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.line(format_args!("${}", bytes.len()));
                self.0.extend_from_slice(bytes);
                self.0.extend_from_slice(b"\r\n");
            }
            None => self.line(format_args!("$-1")),
        }
    }

    /// The beginning of so many answers that are one.
    pub fn array(&mut self, count: usize) {
        self.line(format_args!("*{count}"));
    }

    fn line(&mut self, text: core::fmt::Arguments<'_>) {
        struct Bytes<'a>(&'a mut Vec<u8>);
        impl Write for Bytes<'_> {
            fn write_str(&mut self, text: &str) -> core::fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        // It cannot fail.
        let _ = write!(Bytes(&mut self.0), "{text}\r\n");
    }
}
