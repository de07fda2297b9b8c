//! A terminal's second screen, which is left as it was found: at the end, and by a panic too.

use paravane::console::stdin::Source;
use paravane::console::terminal::RawTerminal;
use rustix::termios::tcgetwinsize;
use std::io::{self, Read, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::mpsc;

// Control sequences of xterm (DEC private modes 1049 and 25, ED, EL, CUP).
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const ERASE_LINE_END: &str = "\x1b[K";
const ERASE_SCREEN_END: &str = "\x1b[J";

/// Ctrl-C, which is a key like others in raw mode.
const INTERRUPT: u8 = 0x03;
/// How many keys may wait.
const KEYS: usize = 64;
/// The size of a terminal that does not tell.
const DEFAULT_SIZE: (usize, usize) = (80, 24);

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Ctrl-C.
    Interrupt,
    /// Another.
    Typed(u8),
}

/// The screen. When it is dropped, the terminal is as before.
#[derive(Debug)]
pub struct Screen {
    left: Arc<AtomicBool>,
    /// Where nobody types; without it, that would be the end of the keys.
    _no_keys: Option<mpsc::Sender<Key>>,
    // Dropped after the screen was left.
    _raw: Option<RawTerminal>,
}

impl Screen {
    /// Takes the terminal, and gives the keys that are typed.
    pub fn enter() -> io::Result<(Self, mpsc::Receiver<Key>)> {
        let is_terminal = Source::of_process() == Source::Terminal;
        let raw = is_terminal.then(|| RawTerminal::enter(io::stdin()));
        let (sender, keys) = mpsc::channel(KEYS);
        let mut screen = Self {
            left: Arc::new(AtomicBool::new(false)),
            _no_keys: None,
            _raw: raw.transpose()?,
        };
        let left = Arc::clone(&screen.left);
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // What it prints would go with the second screen.
            leave(&left);
            print(info);
        }));
        write(ENTER)?;
        match is_terminal {
            true => read_keys(sender)?,
            false => screen._no_keys = Some(sender),
        }
        Ok((screen, keys))
    }

    /// Shows a text: as much of it as the screen has room for.
    pub fn draw(&self, text: &str) -> io::Result<()> {
        write(&frame(text, size()))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave(&self.left);
    }
}

fn leave(left: &AtomicBool) {
    if !left.swap(true, Ordering::SeqCst) {
        // A terminal that is gone needs nothing.
        let _ = write(LEAVE);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A thread that reads keys; it ends with the program.
fn read_keys(sender: mpsc::Sender<Key>) -> io::Result<()> {
    let read = move || {
        let mut bytes = [0; 64];
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut bytes) {
            for &byte in bytes.get(..count).unwrap_or_default() {
                let key = match byte {
                    INTERRUPT => Key::Interrupt,
                    byte => Key::Typed(byte),
                };
                if sender.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    };
    thread::Builder::new()
        .name("stdin".to_string())
        .spawn(read)?;
    Ok(())
}

/// The terminal's columns and rows.
fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => DEFAULT_SIZE,
    }
}

/// What draws a text over what was drawn before, without a flicker.
fn frame(text: &str, (columns, rows): (usize, usize)) -> String {
    let mut frame = HOME.to_string();
    for (number, line) in text.lines().take(rows).enumerate() {
        if number > 0 {
            frame.push_str("\r\n");
        }
        // A character in the last column would be erased by what follows it.
        frame.extend(line.chars().take(columns.saturating_sub(1)));
        frame.push_str(ERASE_LINE_END);
    }
    frame.push_str(ERASE_SCREEN_END);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_room_on_the_screen() {
        let text = "abcdef\nb\nc\nd\n";
        let expected = "\x1b[Habc\x1b[K\r\nb\x1b[K\r\nc\x1b[K\x1b[J";
        assert_eq!(frame(text, (4, 3)), expected);
        assert_eq!(frame("", (4, 3)), "\x1b[H\x1b[J");
    }
}
