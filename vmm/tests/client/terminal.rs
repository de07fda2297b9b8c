//! The verbs that take a terminal, and give it back as it was.

use super::fake::Fake;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

/// A command at a terminal.
struct Terminal {
    master: Box<dyn MasterPty + Send>,
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: String,
    // The terminal lives as long as it is open here too.
    _slave: Box<dyn portable_pty::SlavePty + Send>,
}

impl Terminal {
    fn start(fake: &Fake, line: &str) -> Self {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_paravane"));
        command.args(line.split(' '));
        command.env("PARAVANE_SOCKET", fake.socket());
        Self {
            reader: pair.master.try_clone_reader().unwrap(),
            writer: pair.master.take_writer().unwrap(),
            child: pair.slave.spawn_command(command).unwrap(),
            master: pair.master,
            seen: String::new(),
            _slave: pair.slave,
        }
    }

    /// Reads until this is on the screen.
    fn until(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        while !self.seen.contains(text) {
            let count = self.reader.read(&mut bytes).unwrap();
            assert!(count > 0, "{text} does not come after {:?}", self.seen);
            self.seen
                .push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    fn type_in(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Whether keys are echoed and lines edited, as at first.
    fn is_as_before(&self) -> bool {
        let path = self.master.tty_name().unwrap();
        let terminal = File::options()
            .read(true)
            .custom_flags(libc::O_NOCTTY)
            .open(path)
            .unwrap();
        let modes = tcgetattr(terminal).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    fn wait(&mut self) -> u32 {
        self.child.wait().unwrap().exit_code()
    }
}

#[test]
fn a_console_gets_every_key_until_it_is_left() {
    let fake = Fake::start();
    let mut terminal = Terminal::start(&fake, "vm console a");
    terminal.until("Ctrl-A x leaves the console");
    terminal.until("replay");
    assert!(!terminal.is_as_before());
    terminal.type_in("\u{3}");
    terminal.until("<\u{3}>");
    terminal.type_in("\u{1}\u{1}");
    terminal.until("<\u{1}>");
    terminal.type_in("\u{1}x");
    assert_eq!(terminal.wait(), 0);
    assert!(terminal.is_as_before());
}

#[test]
fn top_leaves_the_screen_as_it_was() {
    let fake = Fake::start();
    fake.add("web", "running");
    for (key, code) in [("q", 0), ("\u{3}", 130)] {
        let mut terminal = Terminal::start(&fake, "vm top --interval 20ms");
        terminal.until("\u{1b}[?1049h");
        terminal.until("web");
        assert!(!terminal.is_as_before());
        terminal.type_in("n");
        terminal.until("by name");
        terminal.type_in(key);
        terminal.until("\u{1b}[?25h\u{1b}[?1049l");
        assert_eq!(terminal.wait(), code);
        assert!(terminal.is_as_before());
    }
}
