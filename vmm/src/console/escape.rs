//! The escape key of a terminal: the way to the VMM past a guest that gets every key.

/// The key that begins a command to the VMM: Ctrl-A.
const ESCAPE: u8 = 0x01;

/// What the escape keys do, for people.
pub const HELP: &str = "Ctrl-A x ends the VM, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h shows this";

/// What a typed byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A byte for the guest.
    Guest(u8),
    /// The first half of a command.
    Nothing,
    /// The command to end the VM.
    End,
    /// The command to show [`HELP`], or one that does not exist.
    Help,
}

/// Tells the commands to the VMM from what the guest gets.
#[derive(Debug, Default)]
pub struct EscapeKeys {
    escaped: bool,
}

impl EscapeKeys {
    /// Takes a typed byte.
    pub fn take(&mut self, byte: u8) -> Typed {
        if !std::mem::take(&mut self.escaped) {
            self.escaped = byte == ESCAPE;
            return if self.escaped {
                Typed::Nothing
            } else {
                Typed::Guest(byte)
            };
        }
        match byte {
            ESCAPE => Typed::Guest(ESCAPE),
            b'x' | b'X' => Typed::End,
            _ => Typed::Help,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Vec<Typed> {
        let mut keys = EscapeKeys::default();
        bytes.iter().map(|&byte| keys.take(byte)).collect()
    }

    #[test]
    fn ordinary_bytes_are_the_guests() {
        let expected = [
            Typed::Guest(b'x'),
            Typed::Guest(0x03),
            Typed::Guest(0),
            Typed::Guest(0xff),
        ];
        assert_eq!(typed(b"x\x03\0\xff"), expected);
    }

    #[test]
    fn the_escape_key_and_x_end_the_vm() {
        assert_eq!(typed(b"\x01x"), [Typed::Nothing, Typed::End]);
    }

    #[test]
    fn the_escape_key_twice_is_one_for_the_guest() {
        let expected = [Typed::Nothing, Typed::Guest(ESCAPE), Typed::Guest(b'x')];
        assert_eq!(typed(b"\x01\x01x"), expected);
    }

    #[test]
    fn any_other_command_shows_the_help_once() {
        let expected = [Typed::Nothing, Typed::Help, Typed::Guest(b'h')];
        assert_eq!(typed(b"\x01hh"), expected);
        assert_eq!(typed(b"\x01?"), [Typed::Nothing, Typed::Help]);
    }
}
