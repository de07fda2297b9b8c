//! Why a vCPU left the guest for another reason than a hypercall: counted by reason, and what
//! an exit was that ends the VM.

use serde::Serialize;
use std::fmt;

macro_rules! exit_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)*) => {
        /// Why a vCPU left the guest, if not for a hypercall.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ExitReason { $($(#[doc = $doc])+ $name,)* }

        impl ExitReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

exit_reasons! {
    /// The monitor reported a trap that it cannot deliver.
    Trap = "trap",
    /// Port I/O that is no hypercall.
    Io = "io",
    /// An access outside of guest memory.
    Mmio = "mmio",
    /// HLT.
    Halt = "halt",
    /// A triple fault.
    Shutdown = "shutdown",
    /// KVM could not go on.
    InternalError = "internal_error",
    /// A signal.
    Signal = "signal",
    /// Any other.
    Other = "other",
}

/// How often a vCPU left the guest for each reason.
#[derive(Clone, Debug, Default)]
pub struct ExitCounts([u64; ExitReason::ALL.len()]);

impl ExitCounts {
    /// Adds exits for a reason.
    pub fn add_many(&mut self, reason: ExitReason, count: u64) {
        self.0[reason as usize] += count;
    }

    /// Adds the counts of another vCPU.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own += other;
        }
    }

    /// How many exits there were in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, with how often.
    pub fn nonzero(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        ExitReason::ALL
            .iter()
            .map(|&reason| (reason.name(), self.0[reason as usize]))
            .filter(|&(_, count)| count > 0)
    }
}

/// An exit that ends the VM, with what KVM said about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FatalExit {
    /// A trap for which the guest has registered no handler.
    UnhandledTrap,
    /// A trap before the handler of the one before had saved its state.
    DoubleTrap,
    /// #DF.
    DoubleFault,
    /// A triple fault.
    TripleFault,
    /// IN or OUT on a port that nobody answers.
    Io {
        /// The port.
        port: u16,
        /// Whether it was OUT.
        write: bool,
    },
    /// An access to guest-physical memory that does not exist or that may not be written.
    Mmio {
        /// The guest-physical address.
        gpa: u64,
        /// Whether it was a write.
        write: bool,
    },
    /// HLT.
    Halt,
    /// KVM_EXIT_INTERNAL_ERROR: for example an instruction that KVM had to emulate and could not.
    InternalError {
        /// KVM_INTERNAL_ERROR_*.
        suberror: u32,
    },
    /// KVM_EXIT_FAIL_ENTRY.
    FailEntry {
        /// The hardware's reason.
        reason: u64,
    },
    /// An exit reason that this VMM does not expect.
    Other {
        /// KVM_EXIT_*.
        reason: u32,
    },
}

impl FatalExit {
    /// The reason that it is counted under.
    pub fn reason(&self) -> ExitReason {
        match self {
            Self::UnhandledTrap | Self::DoubleTrap | Self::DoubleFault => ExitReason::Trap,
            Self::TripleFault => ExitReason::Shutdown,
            Self::Io { .. } => ExitReason::Io,
            Self::Mmio { .. } => ExitReason::Mmio,
            Self::Halt => ExitReason::Halt,
            Self::InternalError { .. } => ExitReason::InternalError,
            Self::FailEntry { .. } | Self::Other { .. } => ExitReason::Other,
        }
    }
}

impl fmt::Display for FatalExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = |write: &bool| if *write { "wrote to" } else { "read from" };
        match self {
            Self::UnhandledTrap => write!(f, "a trap that the guest has no handler for"),
            Self::DoubleTrap => {
                write!(
                    f,
                    "double trap: a trap before the handler of another had saved its state"
                )
            }
            Self::DoubleFault => write!(f, "#DF: the CPU could not deliver a trap"),
            Self::TripleFault => write!(f, "triple fault"),
            Self::Io { port, write } => {
                write!(
                    f,
                    "the guest {} port {port:#x}, which nobody answers",
                    verb(write)
                )
            }
            Self::Mmio { gpa, write } => write!(
                f,
                "the guest {} guest-physical address {gpa:#x}, which it may not",
                verb(write)
            ),
            Self::Halt => write!(f, "the guest executed HLT; it ends by sched_shutdown"),
            Self::InternalError { suberror } => {
                write!(
                    f,
                    "KVM could not go on (KVM_EXIT_INTERNAL_ERROR, suberror {suberror})"
                )
            }
            Self::FailEntry { reason } => {
                write!(
                    f,
                    "KVM could not enter the guest (KVM_EXIT_FAIL_ENTRY, {reason:#x})"
                )
            }
            Self::Other { reason } => write!(f, "unexpected exit reason {reason}"),
        }
    }
}
