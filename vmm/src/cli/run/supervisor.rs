//! Waiting for the end of a VM, and for whatever ends it before: signals, the time-out, the
//! escape key.

use super::session::{Events, Session};
use crate::cli::exit_code::{Failure, Status, notice};
use paravane::console::escape;
use paravane::console::stdin::{Command, Source, StdinReader};
use paravane::console::terminal::RawTerminal;
use std::fs;
use std::future::pending;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep, sleep_until};

/// What ended a VM from outside.
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
        }
    }
}

/// How long a VM may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When the time-out ends it.
    pub deadline: Option<Instant>,
    /// How long it may take to shut down when it was asked to.
    pub grace: Duration,
}

/// Waits until the VM has ended, or stops it when something says so: what that was, if it was.
///
/// The VM's input comes from `stdin`, this process's. From `on_ready` on, signals are handled.
pub fn supervise(
    session: &Session,
    events: Events,
    stdin: Source,
    limits: Limits,
    on_ready: impl FnOnce(),
) -> Result<Option<StopCause>, Failure> {
    let waited = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot_wait(&error))
        .and_then(|runtime| runtime.block_on(wait(session, events, stdin, limits, on_ready)));
    if waited != Ok(None) {
        session.stop()?;
    }
    waited
}

fn cannot_wait(error: &io::Error) -> Failure {
    Failure::internal(format!("cannot wait for signals: {error}"))
}

async fn wait(
    session: &Session,
    events: Events,
    stdin: Source,
    limits: Limits,
    on_ready: impl FnOnce(),
) -> Result<Option<StopCause>, Failure> {
    let escape_key = Arc::new(Notify::new());
    // Before the terminal is in raw mode, so that no signal can leave it so.
    let mut causes = Causes {
        signals: Signals::new().map_err(|error| cannot_wait(&error))?,
        escape_key: Arc::clone(&escape_key),
        timeout: limits
            .deadline
            .map(|deadline| Box::pin(sleep_until(deadline.into()))),
    };
    on_ready();
    tokio::select! {
        // There is nothing to wait for if the VM could not be built.
        built = events.built => if built.is_err() { return Ok(None) },
        cause = causes.next() => return Ok(Some(cause)),
    }
    let _keyboard = Keyboard::attach(session, stdin, escape_key)?;
    let mut ended = events.ended;
    let cause = tokio::select! {
        _ = &mut ended => return Ok(None),
        cause = causes.next() => cause,
    };
    if cause != StopCause::Terminate || !session.request_shutdown() {
        return Ok(Some(cause));
    }
    tokio::select! {
        _ = &mut ended => Ok(None),
        // Also another SIGTERM, of somebody who will not wait.
        cause = causes.next() => Ok(Some(cause)),
        () = sleep(limits.grace) => Ok(Some(cause)),
    }
}

/// What may end a VM from outside.
struct Causes {
    signals: Signals,
    escape_key: Arc<Notify>,
    timeout: Option<Pin<Box<Sleep>>>,
}

impl Causes {
    async fn next(&mut self) -> StopCause {
        let timeout = async {
            match &mut self.timeout {
                Some(timeout) => timeout.await,
                None => pending().await,
            }
        };
        tokio::select! {
            cause = self.signals.next() => cause,
            () = self.escape_key.notified() => StopCause::EscapeKey,
            () = timeout => StopCause::Timeout,
        }
    }
}

/// The way of what is typed to the VM, until it is dropped.
struct Keyboard {
    // The thread ends before the terminal leaves raw mode.
    _reader: StdinReader,
    _terminal: Option<RawTerminal>,
}

impl Keyboard {
    fn attach(session: &Session, stdin: Source, escape_key: Arc<Notify>) -> Result<Self, Failure> {
        let failed =
            |error: io::Error| Failure::internal(format!("cannot use the standard input: {error}"));
        let file = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let terminal = match stdin {
            Source::Terminal => Some(RawTerminal::enter(&file).map_err(failed)?),
            Source::Stream | Source::Nothing => None,
        };
        let on_command = move |command| match command {
            Command::End => escape_key.notify_one(),
            Command::Help => notice(escape::HELP),
        };
        let reader =
            StdinReader::start(file, stdin, session.input(), on_command).map_err(failed)?;
        Ok(Self {
            _reader: reader,
            _terminal: terminal,
        })
    }
}

/// The signals that end a VM: those that this process was not started to ignore, as nohup
/// does it.
struct Signals {
    hangup: Option<Signal>,
    interrupt: Option<Signal>,
    quit: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let ignored = ignored_signals();
        let unless_ignored = |kind: SignalKind| {
            let bit = 1u64 << (kind.as_raw_value() - 1);
            (ignored & bit == 0).then(|| signal(kind)).transpose()
        };
        Ok(Self {
            hangup: unless_ignored(SignalKind::hangup())?,
            interrupt: unless_ignored(SignalKind::interrupt())?,
            quit: unless_ignored(SignalKind::quit())?,
            terminate: unless_ignored(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> StopCause {
        tokio::select! {
            () = received(&mut self.hangup) => StopCause::Hangup,
            () = received(&mut self.interrupt) => StopCause::Interrupt,
            () = received(&mut self.quit) => StopCause::Quit,
            () = received(&mut self.terminate) => StopCause::Terminate,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}

/// The signals that this process ignores, signal 1 as bit 0 (proc(5), SigIgn). None where
/// /proc does not say.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_known() {
        // A Rust program ignores SIGPIPE, and nothing else of its own accord.
        let bit = |signal: i32| 1u64 << (signal - 1);
        assert_ne!(ignored_signals() & bit(libc::SIGPIPE), 0);
        assert_eq!(ignored_signals() & bit(libc::SIGSEGV), 0);
    }
}
