//! The modes that a guest can run in on the KVM at hand.

use crate::program::{exit_code, guest};
use std::fmt;

/// A privilege and a carrier, by the names that the command line has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// `ring0` or `ring3`.
    pub privilege: &'static str,
    /// `vmcall`, `vmmcall` or `pio`.
    pub carrier: &'static str,
}

impl Mode {
    /// Every mode there is on any KVM.
    pub const ALL: [Self; 6] = [
        Self {
            privilege: "ring0",
            carrier: "vmcall",
        },
        Self {
            privilege: "ring0",
            carrier: "vmmcall",
        },
        Self {
            privilege: "ring0",
            carrier: "pio",
        },
        Self {
            privilege: "ring3",
            carrier: "vmcall",
        },
        Self {
            privilege: "ring3",
            carrier: "vmmcall",
        },
        Self {
            privilege: "ring3",
            carrier: "pio",
        },
    ];

    /// The options that ask for this mode.
    pub fn options(self) -> [&'static str; 4] {
        ["--privilege", self.privilege, "--carrier", self.carrier]
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.privilege, self.carrier)
    }
}

/// The modes of this host: those in which a guest starts. The others are refused as
/// impossible, which is checked here too.
///
/// # Panics
///
/// When a mode is neither possible nor refused, or when the modes are not those that
/// `PARAVANE_EXPECT_MODES` lists (separated by commas), where it is set.
pub fn available() -> Vec<Mode> {
    let modes: Vec<_> = Mode::ALL
        .into_iter()
        .filter(|mode| {
            let ended = guest("exit=7", &mode.options());
            assert!(
                [7, exit_code::BAD_CONFIGURATION].contains(&ended.code),
                "{mode}: exit code {}\n{}",
                ended.code,
                ended.stderr
            );
            ended.code == 7
        })
        .collect();
    let names = modes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    if let Ok(expected) = std::env::var("PARAVANE_EXPECT_MODES") {
        assert_eq!(names, expected, "the modes of this KVM");
    }
    assert!(
        names.contains("ring3/pio"),
        "ring3/pio works everywhere, but here only {names}"
    );
    modes
}
