//! Why a sandbox could not be entered.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a sandbox could not be entered. The process may be partly in it: it is to end.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// A path that is needed cannot be looked up.
    #[error("the sandbox cannot be given {}: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A step failed.
    #[error("cannot enter the sandbox: {step}: {source}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Landlock's rules were refused.
    #[error("cannot enter the sandbox: Landlock refuses its rules: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// A seccomp filter was refused, or could not be built.
    #[error("cannot enter the sandbox: seccomp: {0}")]
    Seccomp(#[from] seccompiler::Error),
    /// A thread does not answer.
    #[error("cannot enter the sandbox: thread {thread} did not do its part within {seconds} s")]
    Thread {
        /// Its number.
        thread: i32,
        /// How long was waited.
        seconds: u64,
    },
    /// A process has one sandbox.
    #[error("this process is in a sandbox already")]
    Twice,
    /// The kernel lacks something, and everything was asked for.
    #[error("the sandbox is not whole: {}", .0.join("; "))]
    Incomplete(Vec<String>),
}

impl SandboxError {
    /// The last error of the system, in this step.
    pub(super) fn last(step: &'static str) -> Self {
        Self::Step {
            step,
            source: io::Error::last_os_error(),
        }
    }

    /// For `map_err`: what the system says, in this step.
    pub(super) fn step<E: Into<io::Error>>(step: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::Step {
            step,
            source: source.into(),
        }
    }
}
