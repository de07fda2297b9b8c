//! Lines from the console, for a host that sends them whole and for one that sends each key.

use crate::console;
use pv_abi::Errno;

const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;
const END_OF_TRANSMISSION: u8 = 0x04;

/// Reads lines from the console.
///
/// A line ends with CR, LF or both. Backspace takes the last character back.
#[derive(Debug)]
pub struct LineReader {
    echo: bool,
    input: [u8; 128],
    next: usize,
    end: usize,
    after_carriage_return: bool,
}

impl LineReader {
    /// A reader that shows what is typed, for a host that does not (one whose terminal is in
    /// raw mode), or that does not show it.
    pub const fn new(echo: bool) -> Self {
        Self {
            echo,
            input: [0; 128],
            next: 0,
            end: 0,
            after_carriage_return: false,
        }
    }

    /// Reads a line, without its end; `None` at the end of the input. What does not fit is cut.
    ///
    /// # Errors
    ///
    /// Those of [`console::read`].
    pub fn read_line<'a>(&mut self, line: &'a mut [u8]) -> Result<Option<&'a [u8]>, Errno> {
        let mut size = 0;
        loop {
            let Some(byte) = self.read_byte()? else {
                return Ok((size > 0).then_some(&line[..size]));
            };
            let after_carriage_return =
                core::mem::replace(&mut self.after_carriage_return, byte == b'\r');
            match byte {
                b'\n' if after_carriage_return => {}
                b'\n' | b'\r' => {
                    self.show(b"\r\n");
                    return Ok(Some(&line[..size]));
                }
                BACKSPACE | DELETE if size > 0 => {
                    size = start_of_last_character(&line[..size]);
                    self.show(b"\x08 \x08");
                }
                BACKSPACE | DELETE => {}
                END_OF_TRANSMISSION if size == 0 => return Ok(None),
                _ if size < line.len() => {
                    line[size] = byte;
                    size += 1;
                    self.show(&[byte]);
                }
                _ => {}
            }
        }
    }

    fn read_byte(&mut self) -> Result<Option<u8>, Errno> {
        if self.next == self.end {
            self.next = 0;
            self.end = console::read(&mut self.input)?;
            if self.end == 0 {
                return Ok(None);
            }
        }
        let byte = self.input[self.next];
        self.next += 1;
        Ok(Some(byte))
    }

    fn show(&self, bytes: &[u8]) {
        if self.echo {
            // Whoever no longer looks at the console misses nothing.
            let _ = console::write(bytes);
        }
    }
}

/// Where the last character of UTF-8 text begins.
fn start_of_last_character(text: &[u8]) -> usize {
    text.iter()
        .rposition(|byte| byte & 0b1100_0000 != 0b1000_0000)
        .unwrap_or(0)
}
