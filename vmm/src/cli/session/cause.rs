//! What ends guests from outside.

use super::conclusion::Kind;
use crate::cli::exit_code::Status;

/// What ended guests from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// --timeout.
    Timeout,
    /// The escape key.
    EscapeKey,
    /// SIGHUP.
    Hangup,
    /// SIGINT.
    Interrupt,
    /// SIGQUIT.
    Quit,
    /// SIGTERM.
    Terminate,
    /// Another guest could not be run.
    Abandoned,
}

impl StopCause {
    /// What that is for the shell.
    pub fn status(self) -> Status {
        match self {
            Self::Timeout => Status::TimedOut,
            Self::EscapeKey | Self::Interrupt => Status::Interrupted,
            Self::Hangup => Status::HungUp,
            Self::Quit => Status::Quit,
            Self::Terminate => Status::Terminated,
            Self::Abandoned => Status::Internal,
        }
    }

    /// What that is for the report.
    pub fn kind(self) -> Kind {
        match self {
            Self::Timeout => Kind::Timeout,
            Self::EscapeKey => Kind::EscapeKey,
            Self::Hangup | Self::Interrupt | Self::Quit | Self::Terminate => Kind::Signal,
            Self::Abandoned => Kind::Abandoned,
        }
    }

    /// What is said about it.
    pub fn message(self) -> &'static str {
        match self {
            Self::Timeout => "the guest did not end before its --timeout",
            Self::EscapeKey => "ended by the escape key",
            Self::Hangup => "ended by SIGHUP",
            Self::Interrupt => "ended by SIGINT",
            Self::Quit => "ended by SIGQUIT",
            Self::Terminate => "ended by SIGTERM",
            Self::Abandoned => "ended because another guest could not be run",
        }
    }
}
