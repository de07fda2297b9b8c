//! The command line: one word that says what the kernel does.
//!
//! [`VERBS`] has every one of them; what an unknown word is told is made of it.

use crate::devices::{disk, list, ports, share};
use crate::{
    balloon, bench, crash, demo, hostile, idle, neighbour, restored, selftest, service, shell,
};
use alloc::string::String;
use core::fmt;

/// Something that the kernel can do.
pub struct Verb {
    /// The word that asks for it.
    pub name: &'static str,
    /// What may follow the word, as in a usage line.
    argument: &'static str,
    /// What it does.
    help: &'static str,
    /// Does it, with what followed `=`, and gives the exit code.
    pub run: fn(Option<&str>) -> Result<i32, Misuse>,
}

/// Why a verb cannot be carried out: its argument, and what would be right.
#[derive(Debug)]
pub struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Misuse {
    /// For a verb that takes no argument.
    pub fn unless_none(argument: Option<&str>) -> Result<(), Self> {
        match argument {
            None => Ok(()),
            Some(argument) => Err(Self(alloc::format!(
                "it takes no argument, but was given \"{argument}\""
            ))),
        }
    }
}

/// Every verb. The first one is what an empty command line asks for.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "selftest",
        argument: "[=GROUP,...|=list]",
        help: "run the self-tests, all or of some groups, or list them; exit code 0 or 1",
        run: selftest::run,
    },
    Verb {
        name: "help",
        argument: "",
        help: "print these lines",
        run: demo::help,
    },
    Verb {
        name: "hello",
        argument: "",
        help: "print one line",
        run: demo::hello,
    },
    Verb {
        name: "exit",
        argument: "=N",
        help: "end at once with exit code N, 0 to 119",
        run: demo::exit,
    },
    Verb {
        name: "shell",
        argument: "[=echo]",
        help: "a small shell; with =echo it shows what is typed, for a terminal in raw mode",
        run: shell::run,
    },
    Verb {
        name: "panic",
        argument: "",
        help: "panic",
        run: demo::panic,
    },
    Verb {
        name: "crash",
        argument: crash::ARGUMENT,
        help: "crash in one of these ways, with no handler",
        run: crash::run,
    },
    Verb {
        name: "loop",
        argument: "",
        help: "loop for ever",
        run: demo::endless_loop,
    },
    Verb {
        name: "flood",
        argument: "",
        help: "write to the console for ever",
        run: demo::flood,
    },
    Verb {
        name: "echo",
        argument: "",
        help: "copy the console's input to its output until the input ends",
        run: demo::echo,
    },
    Verb {
        name: "service",
        argument: "[=stubborn]",
        help: "copy the console's input as echo does, until asked to shut down, by SIGTERM say",
        run: service::run,
    },
    Verb {
        name: "idle",
        argument: "[=devices]",
        help: "have nothing to do on any vCPU, or for any driver, until the input ends",
        run: idle::run,
    },
    Verb {
        name: "reboot",
        argument: "",
        help: "reboot, and so for ever, as the command line stays the same",
        run: demo::reboot,
    },
    Verb {
        name: "noop",
        argument: "=N",
        help: "make N no-op hypercalls",
        run: demo::noop,
    },
    Verb {
        name: "restored",
        argument: "",
        help: "say each time that the VM goes on from a snapshot, with fresh random bytes",
        run: restored::run,
    },
    Verb {
        name: "balloon",
        argument: "=MIB",
        help: "touch, release, read and populate so much memory, a step for each byte of input",
        run: balloon::run,
    },
    Verb {
        name: "neighbour",
        argument: "[=crash]",
        help: "share memory with a second guest that does the same; with =crash guest 0 crashes",
        run: neighbour::run,
    },
    Verb {
        name: "bench",
        argument: "=NAME[+NAME...],SAMPLES[,SIZE]|=list",
        help: "measure operations of the ABI and print raw samples (paravane bench reads them)",
        run: bench::run,
    },
    Verb {
        name: "devices",
        argument: "",
        help: "list the devices, one a line",
        run: list::run,
    },
    Verb {
        name: "disk",
        argument: disk::ARGUMENT,
        help: "write a pattern to a disk and say what is flushed, verify it, or measure the disk",
        run: disk::run,
    },
    Verb {
        name: "ports",
        argument: ports::ARGUMENT,
        help: "echo what comes from these ports of the console device until the input ends",
        run: ports::run,
    },
    Verb {
        name: "share",
        argument: share::ARGUMENT,
        help: "list a folder that the host shares, or print a file in it, once or as it grows",
        run: share::run,
    },
    Verb {
        name: "hostile",
        argument: "[=race]",
        help: "make calls that no guest should, and print each one's name and result; =race: two vCPUs",
        run: hostile::run,
    },
];

/// A command line that this kernel does not understand.
#[derive(Debug)]
pub enum Error<'a> {
    /// A word that is no verb.
    Unknown(&'a str),
    /// A word behind the first one.
    Extra(&'a str),
}

/// All verbs, one a line.
pub struct Usage;

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verb in VERBS {
            write!(f, "\n  {}{}: {}", verb.name, verb.argument, verb.help)?;
        }
        Ok(())
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => {
                write!(f, "unknown word \"{word}\" on the command line")?;
            }
            Self::Extra(word) => {
                write!(f, "the command line takes one word, but \"{word}\" follows")?;
            }
        }
        write!(f, "; use one of{Usage}")
    }
}

/// The verb that a command line asks for, and its argument.
pub fn parse(command_line: &str) -> Result<(&'static Verb, Option<&str>), Error<'_>> {
    let mut words = command_line.split_ascii_whitespace();
    let Some(word) = words.next() else {
        return Ok((&VERBS[0], None));
    };
    let (name, argument) = match word.split_once('=') {
        Some((name, argument)) => (name, Some(argument)),
        None => (word, None),
    };
    let verb = VERBS
        .iter()
        .find(|verb| verb.name == name)
        .ok_or(Error::Unknown(word))?;
    match words.next() {
        None => Ok((verb, argument)),
        Some(extra) => Err(Error::Extra(extra)),
    }
}
