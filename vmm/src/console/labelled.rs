//! One output for several guests: each line with the number of the guest that wrote it.
//!
//! A line is passed on when it is complete, so that those of two guests do not mix, or when it
//! is long, or when its guest waits for input or ends: what a prompt needs.

use crate::sync::lock;
use std::fs::File;
use std::sync::{Arc, Mutex};

/// How many bytes of an incomplete line wait for the rest of it.
const LINE_MAX: usize = 1024;

/// Where the lines of all guests go.
#[derive(Debug)]
pub struct SharedOutput {
    destination: Mutex<Destination>,
}

#[derive(Debug)]
struct Destination {
    file: File,
    // Whose line the cursor is in, if it is not at the beginning of one.
    open: Option<u32>,
}

impl SharedOutput {
    /// An output that ends up in `file`.
    pub fn new(file: File) -> Self {
        Self {
            destination: Mutex::new(Destination { file, open: None }),
        }
    }
}

/// The output of one of several guests.
#[derive(Debug)]
pub struct LabelledOutput {
    shared: Arc<SharedOutput>,
    guest: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What has been written and not passed on.
    waiting: Vec<u8>,
    /// The same with labels; kept so that it is allocated once.
    labelled: Vec<u8>,
}

impl LabelledOutput {
    /// The output of `guest`.
    pub fn new(shared: Arc<SharedOutput>, guest: u32) -> Self {
        Self {
            shared,
            guest,
            state: Mutex::default(),
        }
    }

    /// Takes what the guest writes and passes complete lines on by `write`.
    pub(super) fn write<E>(
        &self,
        bytes: &[u8],
        write: impl FnOnce(&File, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = lock(&self.state);
        state.waiting.extend_from_slice(bytes);
        let complete = match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(last) => state.waiting.len() - bytes.len() + last + 1,
            None => 0,
        };
        let incomplete = state.waiting.len() - complete;
        let ready = if incomplete > LINE_MAX {
            state.waiting.len()
        } else {
            complete
        };
        self.pass_on(&mut state, ready, write)
    }

    /// Passes everything on by `write`.
    pub(super) fn flush<E>(
        &self,
        write: impl FnOnce(&File, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = lock(&self.state);
        let ready = state.waiting.len();
        self.pass_on(&mut state, ready, write)
    }

    fn pass_on<E>(
        &self,
        state: &mut State,
        ready: usize,
        write: impl FnOnce(&File, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if ready == 0 {
            return Ok(());
        }
        let State { waiting, labelled } = state;
        let mut destination = lock(&self.shared.destination);
        labelled.clear();
        if destination.open.is_some_and(|guest| guest != self.guest) {
            labelled.push(b'\n');
            destination.open = None;
        }
        for line in waiting
            .drain(..ready)
            .as_slice()
            .split_inclusive(|&byte| byte == b'\n')
        {
            if destination.open.is_none() {
                labelled.extend_from_slice(format!("[{}] ", self.guest).as_bytes());
            }
            labelled.extend_from_slice(line);
            destination.open = (line.last() != Some(&b'\n')).then_some(self.guest);
        }
        write(&destination.file, labelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;
    use std::io::{self, Read, Write};
    use std::os::fd::OwnedFd;

    fn append(mut file: &File, bytes: &[u8]) -> Result<(), Infallible> {
        file.write_all(bytes).unwrap();
        Ok(())
    }

    /// What comes out of the writes of some guests; an empty write is a flush.
    fn written(writes: &[(u32, &str)]) -> String {
        let (mut reader, writer) = io::pipe().unwrap();
        let shared = Arc::new(SharedOutput::new(File::from(OwnedFd::from(writer))));
        let outputs: Vec<_> = (0..3)
            .map(|guest| LabelledOutput::new(Arc::clone(&shared), guest))
            .collect();
        drop(shared);
        for &(guest, text) in writes {
            let output = &outputs[guest as usize];
            if text.is_empty() {
                output.flush(append).unwrap();
            } else {
                output.write(text.as_bytes(), append).unwrap();
            }
        }
        drop(outputs);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_line_has_the_number_of_its_guest() {
        let text = written(&[(0, "one\ntwo\n"), (2, "three\n")]);
        assert_eq!(text, "[0] one\n[0] two\n[2] three\n");
    }

    #[test]
    fn the_lines_of_two_guests_do_not_mix() {
        let text = written(&[(0, "hel"), (1, "good "), (0, "lo\n"), (1, "bye\n")]);
        assert_eq!(text, "[0] hello\n[1] good bye\n");
    }

    #[test]
    fn a_prompt_is_shown_and_its_line_goes_on_or_ends() {
        let text = written(&[(0, "> "), (0, ""), (0, "ls\n")]);
        assert_eq!(text, "[0] > ls\n");
        let text = written(&[(0, "> "), (0, ""), (1, "hello\n"), (0, "ls\n")]);
        assert_eq!(text, "[0] > \n[1] hello\n[0] ls\n");
    }

    #[test]
    fn a_line_without_an_end_does_not_wait_for_ever() {
        let long = "x".repeat(LINE_MAX + 1);
        assert_eq!(written(&[(1, &long), (1, "y")]), format!("[1] {long}"));
    }

    proptest! {
        #[test]
        fn every_guests_text_arrives_in_order(
            writes in proptest::collection::vec((0..3u32, "[ab\n]{1,9}"), 0..40),
        ) {
            let mut all: Vec<_> = writes.iter().map(|(guest, text)| (*guest, &**text)).collect();
            all.extend((0..3).map(|guest| (guest, "\n")));
            let text = written(&all);
            for guest in 0..3 {
                let label = format!("[{guest}] ");
                let arrived: Vec<_> =
                    text.lines().filter_map(|line| line.strip_prefix(&label)).collect();
                let sent: String =
                    all.iter().filter(|(by, _)| *by == guest).map(|(_, text)| *text).collect();
                prop_assert_eq!(arrived, sent.lines().collect::<Vec<_>>());
            }
        }
    }
}
