//! Waiting for the end of all guests, and for whatever ends them before: signals, the time-out,
//! the escape key.

use super::group::Group;
use crate::cli::exit_code::{Failure, notice};
use crate::cli::session::Event;
use crate::cli::session::cause::StopCause;
use crate::cli::session::conclusion::Kind;
use paravane::console::escape;
use paravane::console::input::InputBuffer;
use paravane::console::stdin::{Command, Source, StdinReader};
use paravane::console::terminal::RawTerminal;
use paravane::sandbox::ThreadKind;
use paravane::sandbox::thread::narrow;
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
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Sleep, sleep, sleep_until};

/// How long guests may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When the time-out ends them.
    pub deadline: Option<Instant>,
    /// How long they may take to shut down when they were asked to.
    pub grace: Duration,
}

/// Waits until all guests have ended, or stops them when something says so, and concludes about
/// each.
///
/// The first guest's input comes from `stdin`, this process's.
pub fn supervise(
    group: &mut Group,
    events: UnboundedReceiver<Event>,
    stdin: Source,
    limits: Limits,
) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot_wait(&error))?;
    let Some(cause) = runtime.block_on(wait(group, events, stdin, limits))? else {
        return Ok(());
    };
    group.stop()?;
    let mut stopped = false;
    for guest in 0..group.len() as u32 {
        stopped |= group.conclude(guest, Some(cause)) == Some(cause.kind());
    }
    // Once for all of them. What made us abandon them has been told.
    if stopped && cause != StopCause::Abandoned {
        notice(cause.message());
    }
    Ok(())
}

fn cannot_wait(error: &io::Error) -> Failure {
    Failure::internal(format!("cannot wait for signals: {error}"))
}

/// Waits until all guests have ended, or until something is to end those that are left.
async fn wait(
    group: &mut Group,
    events: UnboundedReceiver<Event>,
    stdin: Source,
    limits: Limits,
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
    group.may_run();
    let mut watch = Watch {
        group,
        events,
        built: 0,
        stdin,
        escape_key,
        keyboard: None,
    };
    let cause = tokio::select! {
        cause = watch.until(Group::has_ended) => return cause,
        cause = causes.next() => cause,
    };
    if cause != StopCause::Terminate {
        return Ok(Some(cause));
    }
    let asked = watch.group.request_shutdown();
    let have_ended = |group: &Group| asked.iter().all(|&guest| !group.runs(guest));
    let ended = tokio::select! {
        ended = watch.until(have_ended) => ended?,
        // Also another SIGTERM, of somebody who will not wait.
        cause = causes.next() => Some(cause),
        () = sleep(limits.grace) => Some(cause),
    };
    // Those that could not be asked are stopped.
    let rest = (!watch.group.has_ended()).then_some(cause);
    Ok(ended.or(rest))
}

/// What is known of the guests, and the keyboard of the first one.
struct Watch<'group> {
    group: &'group mut Group,
    events: UnboundedReceiver<Event>,
    built: usize,
    stdin: Source,
    escape_key: Arc<Notify>,
    keyboard: Option<Keyboard>,
}

impl Watch<'_> {
    /// Concludes about each guest that ends, until `done` says so. `Some` when a guest could not
    /// be run, so that the others are not to go on.
    async fn until(&mut self, done: impl Fn(&Group) -> bool) -> Result<Option<StopCause>, Failure> {
        while !done(self.group) {
            match self.events.recv().await {
                Some(Event::Built(_)) => {
                    self.built += 1;
                    // There is nothing to type for if a VM cannot be built.
                    if self.built == self.group.len() {
                        // The keyboard's thread has the filters of this one.
                        narrow(ThreadKind::Control)
                            .map_err(|error| Failure::internal(error.to_string()))?;
                        self.attach_keyboard()?;
                    }
                }
                Some(Event::Ended(guest)) => {
                    if self.group.conclude(guest, None) == Some(Kind::Error) {
                        return Ok(Some(StopCause::Abandoned));
                    }
                }
                // Every thread says that it ends.
                None => break,
            }
        }
        Ok(None)
    }

    fn attach_keyboard(&mut self) -> Result<(), Failure> {
        let escape_key = Arc::clone(&self.escape_key);
        self.keyboard = Some(Keyboard::attach(
            self.group.input(),
            self.stdin,
            escape_key,
        )?);
        Ok(())
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
    fn attach(
        input: Arc<InputBuffer>,
        stdin: Source,
        escape_key: Arc<Notify>,
    ) -> Result<Self, Failure> {
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
        let reader = StdinReader::start(file, stdin, input, on_command).map_err(failed)?;
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
