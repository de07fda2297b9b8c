//! What the bench measures: each operation, the instruction that does it on a machine of one's
//! own, and what Paravane has in its place. [`ALL`] is the whole list.

mod control;
mod descriptors;
mod devices;
mod identify;
mod interrupts;
mod io;
mod lifecycle;
mod memory;
mod msr;
mod processor;
mod time;
mod traps;

use super::emulate::VirtualCpu;
use super::lifecycle::Lifecycle;
use super::raw::code::{Fragment, Timed};
use super::raw::vm::Config;

/// An operation.
#[derive(Debug)]
pub struct Row {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its title, for people.
    pub title: &'static str,
    /// The call or the shared page that replaces it, or why nothing needs to.
    pub replaced_by: &'static str,
    /// What it is at CPL 0.
    pub(super) native: Native,
    /// What it is at CPL 3, where it traps.
    pub(super) trap: Trap,
    /// The hypercall in its place.
    pub(super) hypercall: Option<Operation>,
    /// The form without an exit.
    pub(super) exitless: Option<Operation>,
    /// The call that does many of them, in one exit.
    pub(super) batch: Option<&'static str>,
}

/// The bare operation.
#[derive(Debug)]
pub(super) enum Native {
    /// Instructions in a loop.
    Code(Instruction),
    /// Something that happens to a whole VM, with the samples that are enough.
    Lifecycle(Lifecycle, u64),
    /// The smallest exit itself.
    Floor,
    /// It cannot be shown, on any host: why.
    Absent(&'static str),
}

/// Trap and emulate.
#[derive(Debug)]
pub(super) enum Trap {
    /// The same instructions as at CPL 0, with so many exits to KVM on VMX and on SVM.
    Same(Exits),
    /// The same instructions, of which some do not trap; what shows that the answer is wrong.
    Silent(Silent),
    /// It cannot be shown, on any host: why.
    Absent(&'static str),
}

/// Instructions in a loop.
#[derive(Debug)]
pub(super) struct Instruction {
    /// The code.
    pub timed: Timed,
    /// What it needs.
    pub config: Config,
    /// A handler of its own for a vector.
    pub handler: Option<(u8, Fragment)>,
    /// What a second vCPU does meanwhile.
    pub other: Option<Other>,
    /// Nanoseconds that are waited for within the time, and are no part of the cost.
    pub waits: u64,
    /// How often it should leave the guest.
    pub exits: Exits,
    /// Samples that are enough, where each one takes long.
    pub most: u64,
}

/// What a second vCPU does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Other {
    /// It executes this at CPL 0, for ever.
    Runs(Fragment),
    /// It waits for INIT and SIPI, which lead to this code in real mode.
    WaitsForSipi(Fragment),
}

/// How often one operation should leave the guest for KVM, where KVM runs on hardware. `None`:
/// as often as the host's model and settings have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exits {
    /// With VMX.
    pub vmx: Option<f64>,
    /// With SVM.
    pub svm: Option<f64>,
}

/// An instruction that does not trap and answers wrongly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Silent {
    /// Executes it once, and leaves eight bytes of its answer at `DATA_ANSWER`.
    pub probe: Fragment,
    /// Whether that answer, or what the virtual CPU has become, is wrong.
    pub wrong: fn(&VirtualCpu, u64) -> bool,
}

/// An operation of the bundled guest's verb `bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// Its name there.
    pub name: &'static str,
    /// Elements or bytes, where it has some.
    pub size: u32,
    /// vCPUs that the guest needs.
    pub vcpus: u32,
    /// Samples that are enough, where each one takes long.
    pub most: u64,
    /// Whether the guest needs a device.
    pub device: bool,
}

/// As many samples as are asked for.
pub(super) const PLENTY: u64 = u64::MAX;

impl Exits {
    /// The same number with both.
    pub const fn both(number: f64) -> Self {
        Self {
            vmx: Some(number),
            svm: Some(number),
        }
    }

    /// With each of them.
    pub const fn of(vmx: f64, svm: f64) -> Self {
        Self {
            vmx: Some(vmx),
            svm: Some(svm),
        }
    }

    /// It depends.
    pub const UNKNOWN: Self = Self {
        vmx: None,
        svm: None,
    };
}

impl Instruction {
    /// One that is alone, at CPL 0.
    pub const fn new(body: Fragment, exits: Exits) -> Self {
        Self::timed(Timed::new(body), exits)
    }

    /// Several, at CPL 0.
    pub const fn timed(timed: Timed, exits: Exits) -> Self {
        Self {
            timed,
            config: Config::new(0),
            handler: None,
            other: None,
            waits: 0,
            exits,
            most: PLENTY,
        }
    }

    /// With registers set within the time.
    pub const fn with(setup: Fragment, body: Fragment, exits: Exits) -> Self {
        Self::timed(
            Timed {
                setup,
                ..Timed::new(body)
            },
            exits,
        )
    }
}

impl Operation {
    /// One without elements, in a guest with one vCPU.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            size: 1,
            vcpus: 1,
            most: PLENTY,
            device: false,
        }
    }

    /// One of a guest that has a source of random bytes.
    pub const fn with_device(name: &'static str) -> Self {
        Self {
            device: true,
            ..Self::new(name)
        }
    }

    /// One with elements.
    pub const fn sized(name: &'static str, size: u32) -> Self {
        Self {
            size,
            ..Self::new(name)
        }
    }

    /// One that takes two vCPUs, or long.
    pub const fn slow(name: &'static str, vcpus: u32, most: u64) -> Self {
        Self {
            vcpus,
            most,
            ..Self::new(name)
        }
    }
}

impl Row {
    /// A row with nothing but a bare operation.
    const fn new(
        name: &'static str,
        title: &'static str,
        native: Native,
        replaced_by: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            replaced_by,
            native,
            trap: Trap::Same(Exits::both(1.0)),
            hypercall: None,
            exitless: None,
            batch: None,
        }
    }
}

/// What a kernel does to a machine that Paravane's guests do not have.
const NEVER: &str = "nothing: set up before the entry, and never changed";

/// Rows that are listed together.
#[derive(Debug)]
pub struct Group {
    /// Its title.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [Row],
}

/// Every row.
pub const ALL: &[Group] = &[
    identify::GROUP,
    control::GROUP,
    descriptors::GROUP,
    msr::GROUP,
    memory::GROUP,
    processor::GROUP,
    time::GROUP,
    io::GROUP,
    devices::GROUP,
    traps::GROUP,
    interrupts::GROUP,
    lifecycle::GROUP,
];

/// Batch sizes of a curve.
pub(super) const BATCH_SIZES: [u32; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// Every row with its group, in order.
pub fn all() -> impl Iterator<Item = (&'static Group, &'static Row)> {
    ALL.iter()
        .flat_map(|group| group.rows.iter().map(move |row| (group, row)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_row_has_a_name_of_its_own() {
        let mut names = HashSet::new();
        for (_, row) in all() {
            assert!(names.insert(row.name), "{}", row.name);
            let name = row.name.chars();
            assert!(
                name.clone()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{}",
                row.name
            );
            assert!(!row.replaced_by.is_empty(), "{}", row.name);
        }
        assert!(names.len() > 60, "{}", names.len());
    }

    #[test]
    fn each_row_is_measured_in_some_way_or_says_why_not() {
        for (_, row) in all() {
            let measured = !matches!(row.native, Native::Absent(_))
                || row.hypercall.is_some()
                || row.exitless.is_some();
            assert!(measured, "{}", row.name);
        }
    }
}
