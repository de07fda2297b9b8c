//! A terminal as a guest's console: every key goes to the guest.

use rustix::process::getpgrp;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcsetattr,
};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A terminal in raw mode, until it is dropped.
pub struct RawTerminal {
    terminal: OwnedFd,
    before: Termios,
}

impl RawTerminal {
    /// Puts the terminal into raw mode: no echo, no line editing, no signals from keys.
    ///
    /// Output is still processed (OPOST): a guest ends its lines with LF, to which the
    /// terminal adds the CR.
    pub fn enter(terminal: impl AsFd) -> io::Result<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.input_modes -= InputModes::BRKINT
            | InputModes::ICRNL
            | InputModes::IGNBRK
            | InputModes::IGNCR
            | InputModes::INLCR
            | InputModes::INPCK
            | InputModes::ISTRIP
            | InputModes::IXON
            | InputModes::PARMRK;
        raw.local_modes -= LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::IEXTEN
            | LocalModes::ISIG;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // In the background, the terminal is another program's, and its shell has set it up.
        if !in_background(&self.terminal) {
            // A terminal that is gone needs no mode.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        }
    }
}

impl fmt::Debug for RawTerminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawTerminal")
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// Whether this process runs in the background of its terminal, where reading it or setting
/// its mode would stop the process.
pub fn in_background(terminal: impl AsFd) -> bool {
    tcgetpgrp(terminal).is_ok_and(|foreground| foreground != getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::OutputModes;

    #[test]
    fn a_raw_terminal_passes_every_key_and_is_restored() {
        let manager = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&manager).unwrap();
        unlockpt(&manager).unwrap();
        let terminal =
            ioctl_tiocgptpeer(&manager, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let before = tcgetattr(&terminal).unwrap();
        assert!(before.local_modes.contains(LocalModes::ICANON));

        let raw = RawTerminal::enter(&terminal).unwrap();
        let during = tcgetattr(&terminal).unwrap();
        let off = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        assert!(!during.local_modes.intersects(off));
        assert!(!during.input_modes.contains(InputModes::ICRNL));
        let on = OutputModes::OPOST | OutputModes::ONLCR;
        assert!(during.output_modes.contains(on));

        drop(raw);
        let after = tcgetattr(&terminal).unwrap();
        assert_eq!(after.local_modes, before.local_modes);
        assert_eq!(after.input_modes, before.input_modes);
    }

    #[test]
    fn what_is_no_terminal_has_no_raw_mode() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(RawTerminal::enter(&reader).is_err());
        assert!(!in_background(&reader));
    }
}
