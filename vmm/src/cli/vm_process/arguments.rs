//! The process's arguments as others see them, in /proc/PID/cmdline and by ps(1).
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

/// Where the kernel reads an argument of this process from.
#[derive(Debug)]
pub struct Shown {
    address: usize,
    size: usize,
}

impl Shown {
    /// Where the first argument is that is `text`.
    ///
    /// # Errors
    ///
    /// The kernel does not say, or there is no such argument.
    pub fn find(text: &OsStr) -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let (start, end) = bounds(&stat)
            .ok_or_else(|| io::Error::other("/proc/self/stat says nothing of the arguments"))?;
        let line = fs::read("/proc/self/cmdline")?;
        let offset = offset(&line, text.as_bytes()).filter(|_| line.len() == end - start);
        let offset = offset.ok_or_else(|| {
            let text = text.display();
            io::Error::other(format!("{text} is not in /proc/self/cmdline"))
        })?;
        Ok(Self {
            address: start + offset,
            size: text.len(),
        })
    }

    /// Shows `text` in its place.
    ///
    /// # Errors
    ///
    /// It is not as long as what was there.
    ///
    /// # Safety
    ///
    /// No other thread looks at the arguments of this process meanwhile, and nobody has a reference
    /// into them; copies, such as those of [`std::env::args_os`], stay as they are.
    pub unsafe fn replace(&self, text: &OsStr) -> io::Result<()> {
        if text.len() != self.size {
            let (text, found, right) = (text.display(), text.len(), self.size);
            return Err(io::Error::other(format!(
                "{text} has {found} bytes; only {right} can be shown"
            )));
        }
        let to = ptr::with_exposed_provenance_mut::<u8>(self.address);
        // SAFETY: the kernel has put the argument there, in this process's stack, which can be
        // written as long as it lives; it is as long as the text, and no text is in it. By the
        // caller's promise nobody else looks.
        unsafe { ptr::copy_nonoverlapping(text.as_bytes().as_ptr(), to, self.size) };
        Ok(())
    }
}

/// The arguments' first address and that behind them, from /proc/PID/stat: its 48th and 49th
/// fields. The second, the program's name in parentheses, may have blanks.
fn bounds(stat: &str) -> Option<(usize, usize)> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split_ascii_whitespace().skip(48 - 3);
    let start = fields.next()?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    (start < end).then_some((start, end))
}

/// Where an argument begins in a command line, in which each ends with a NUL.
fn offset(line: &[u8], text: &[u8]) -> Option<usize> {
    let mut offset = 0;
    for argument in line.split(|&byte| byte == 0) {
        if argument == text {
            return Some(offset);
        }
        offset += argument.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_found_where_it_begins() {
        let line = b"program\0--dir\0/a\0/a/b\0\0";
        assert_eq!(offset(line, b"program"), Some(0));
        assert_eq!(offset(line, b"/a"), Some(14));
        assert_eq!(offset(line, b"/a/b"), Some(17));
        assert_eq!(offset(line, b"/b"), None);
    }

    #[test]
    fn the_arguments_bounds_come_after_any_name() {
        let fields: Vec<_> = (3..=52).map(|field: u32| field.to_string()).collect();
        let stat = format!("7 (a b) c) {}\n", fields.join(" "));
        assert_eq!(bounds(&stat), Some((48, 49)));
        assert_eq!(bounds("7 (a) R 1 2"), None);
    }

    #[test]
    fn only_what_is_as_long_can_be_shown() {
        let first = std::env::args_os().next().unwrap();
        let shown = Shown::find(&first).unwrap();
        let longer = [first.as_bytes(), b"r"].concat();
        // SAFETY: nothing is written.
        let error = unsafe { shown.replace(OsStr::from_bytes(&longer)) }.unwrap_err();
        assert!(error.to_string().contains("bytes; only"), "{error}");
        assert!(Shown::find(OsStr::new("no such argument")).is_err());
    }
}
