//! On a terminal: keys reach the guest one by one, and the escape key ends it.

use paravane_tests::program;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};

/// A guest on a terminal of its own.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    // Open as long as the terminal is needed.
    _master: Box<dyn MasterPty + Send>,
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
}

impl Terminal {
    fn run(command_line: &str) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize::default())
            .expect("a terminal");
        let mut command = CommandBuilder::new(program::path());
        command.args(["run", "--timeout", "60s", "--cmdline", command_line]);
        let child = pair.slave.spawn_command(command).expect("paravane starts");
        Self {
            child,
            reader: pair.master.try_clone_reader().expect("it can be read"),
            writer: pair.master.take_writer().expect("it can be written"),
            _master: pair.master,
        }
    }

    /// Reads what the terminal shows until it shows `text`.
    fn wait_for(&mut self, text: &str) -> String {
        let mut shown = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&shown).ends_with(text) {
            match self.reader.read(&mut byte) {
                Ok(1) => shown.push(byte[0]),
                other => panic!(
                    "{other:?} before {text:?} in {:?}",
                    String::from_utf8_lossy(&shown)
                ),
            }
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn press(&mut self, keys: &[u8]) {
        self.writer
            .write_all(keys)
            .expect("the terminal takes keys");
        self.writer.flush().expect("the terminal takes keys");
    }

    fn exit_code(mut self) -> u32 {
        self.child.wait().expect("paravane ends").exit_code()
    }
}

#[test]
fn keys_reach_the_guest_and_its_exit_code_comes_back() {
    if !program::has_local_kvm("keys_reach_the_guest_and_its_exit_code_comes_back") {
        return;
    }
    let mut terminal = Terminal::run("shell=echo");
    let start = terminal.wait_for("paravane> ");
    assert!(
        start.contains("Ctrl-A"),
        "the escape key is told: {start:?}"
    );
    terminal.press(b"exit 5");
    // In raw mode what is typed shows only because the guest echoes it.
    terminal.wait_for("exit 5");
    terminal.press(b"\r");
    assert_eq!(terminal.exit_code(), 5);
}

#[test]
fn the_escape_key_ends_a_guest_that_never_reads() {
    if !program::has_local_kvm("the_escape_key_ends_a_guest_that_never_reads") {
        return;
    }
    let mut terminal = Terminal::run("loop");
    terminal.wait_for("looping");
    terminal.press(b"\x01x");
    assert_eq!(terminal.exit_code(), 130);
}
