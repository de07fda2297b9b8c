//! The thread that moves what is typed on the host to the guest's console.

use super::escape::{EscapeKeys, Typed};
use super::input::InputBuffer;
use super::terminal::in_background;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, read, write};
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// What a process's standard input is to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A terminal in raw mode: each key as it is typed, with escape keys.
    Terminal,
    /// A pipe, a file or a terminal in line mode: bytes, read when the guest wants some and
    /// not before, so that what the guest does not read is left to whoever reads next.
    Stream,
    /// Nothing: this process is in the background of the terminal, which another reads.
    Nothing,
}

impl Source {
    /// What this process's standard input is. It is a terminal in raw mode only when a person
    /// sees there what the guest prints: with the output elsewhere, lines and Ctrl-C do as in
    /// any other program.
    pub fn of_process() -> Self {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            Self::Stream
        } else if in_background(&stdin) {
            Self::Nothing
        } else if io::stdout().is_terminal() {
            Self::Terminal
        } else {
            Self::Stream
        }
    }
}

/// A command that was typed with the escape key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// End the VM.
    End,
    /// Show the help.
    Help,
}

/// The thread. When this is dropped, the input is stopped and the thread has ended.
#[derive(Debug)]
pub struct StdinReader {
    input: Arc<InputBuffer>,
    wake: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl StdinReader {
    /// Starts to move bytes from `file` to `input`, until the file or the VM ends.
    pub fn start(
        file: OwnedFd,
        source: Source,
        input: Arc<InputBuffer>,
        on_command: impl Fn(Command) + Send + 'static,
    ) -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let reader = Reader {
            file,
            wake: wake.try_clone()?,
            input: Arc::clone(&input),
        };
        let thread = Builder::new()
            .name("stdin".to_string())
            .spawn(move || match source {
                Source::Terminal => reader.run_terminal(on_command),
                Source::Stream => reader.run_stream(),
                Source::Nothing => reader.input.close(),
            })?;
        Ok(Self {
            input,
            wake,
            thread: Some(thread),
        })
    }
}

impl Drop for StdinReader {
    fn drop(&mut self) {
        self.input.stop();
        // An eventfd that is full wakes too.
        let _ = write(&self.wake, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed; it harms no one else.
            let _ = thread.join();
        }
    }
}

struct Reader {
    file: OwnedFd,
    wake: OwnedFd,
    input: Arc<InputBuffer>,
}

impl Reader {
    fn run_stream(self) {
        let mut bytes = [0; 4096];
        while self.input.wait_until_wanted() {
            match self.read(&mut bytes) {
                Some(typed) if !typed.is_empty() => {
                    self.input.push(typed);
                }
                Some(_) => return self.input.close(),
                None => return,
            }
        }
    }

    /// Here bytes are taken whether the guest wants them or not, as the escape key has to
    /// work; those that the guest never reads are lost when there are too many.
    fn run_terminal(self, on_command: impl Fn(Command)) {
        let mut keys = EscapeKeys::default();
        let mut bytes = [0; 256];
        loop {
            let typed = match self.read(&mut bytes) {
                Some(typed) if !typed.is_empty() => typed,
                Some(_) => return self.input.close(),
                None => return,
            };
            for &byte in typed {
                match keys.take(byte) {
                    Typed::Nothing => {}
                    Typed::Help => on_command(Command::Help),
                    Typed::End => return on_command(Command::End),
                    Typed::Guest(byte) => {
                        if self.input.try_push(byte).is_none() {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Reads what there is, at least one byte, and waits for that; none at the end. `None`:
    /// the VM has ended.
    fn read<'bytes>(&self, bytes: &'bytes mut [u8]) -> Option<&'bytes [u8]> {
        loop {
            let mut events = [
                PollFd::new(&self.file, PollFlags::IN),
                PollFd::new(&self.wake, PollFlags::IN),
            ];
            match poll(&mut events, None) {
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                // What cannot be waited for has ended.
                Err(_) => return Some(&[]),
            }
            let [file, wake] = events;
            if !wake.revents().is_empty() {
                return None;
            }
            if file.revents().is_empty() {
                continue;
            }
            match read(&self.file, &mut *bytes) {
                Ok(count) => return Some(bytes.get(..count).unwrap_or_default()),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return Some(&[]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ConsoleError;
    use std::io::{Read, Write};
    use std::sync::mpsc;
    use std::time::Duration;

    fn start(source: Source) -> (StdinReader, io::PipeWriter, io::PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        let file = OwnedFd::from(reader.try_clone().unwrap());
        let thread = StdinReader::start(file, source, Arc::default(), |_| {}).unwrap();
        (thread, writer, reader)
    }

    fn read_all(input: &InputBuffer) -> Vec<u8> {
        let mut all = Vec::new();
        let mut bytes = [0; 100];
        loop {
            match input.read(&mut bytes, Some(Duration::from_secs(10))) {
                Ok(count) => all.extend_from_slice(&bytes[..count]),
                Err(ConsoleError::Closed) => return all,
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    #[test]
    fn a_stream_gets_to_the_guest_with_its_end() {
        let (thread, mut writer, _reader) = start(Source::Stream);
        writer.write_all(&[b'x'; 10_000]).unwrap();
        drop(writer);
        assert_eq!(read_all(&thread.input), [b'x'; 10_000]);
    }

    #[test]
    fn a_stream_that_the_guest_does_not_read_is_left_alone() {
        let (thread, mut writer, mut reader) = start(Source::Stream);
        writer.write_all(b"for the next").unwrap();
        drop(writer);
        drop(thread);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "for the next");
    }

    #[test]
    fn no_input_is_an_end_at_once() {
        let (thread, _writer, _reader) = start(Source::Nothing);
        assert_eq!(read_all(&thread.input), b"");
    }

    #[test]
    fn a_reader_that_waits_for_a_key_ends_with_the_vm() {
        let (thread, _writer, _reader) = start(Source::Terminal);
        drop(thread);
    }

    #[test]
    fn the_escape_key_works_though_the_guest_reads_nothing() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (sender, receiver) = mpsc::channel();
        let _thread = StdinReader::start(
            OwnedFd::from(reader),
            Source::Terminal,
            Arc::default(),
            move |command| sender.send(command).unwrap(),
        )
        .unwrap();
        writer.write_all(&[b'x'; 100_000]).unwrap();
        writer.write_all(b"\x01h\x01x").unwrap();
        let patience = Duration::from_secs(10);
        assert_eq!(receiver.recv_timeout(patience), Ok(Command::Help));
        assert_eq!(receiver.recv_timeout(patience), Ok(Command::End));
    }
}
