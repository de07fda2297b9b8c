//! `paravane vm console`.

use crate::cli::client::connection::Common;
use crate::cli::client::human::clean;
use crate::cli::client::stream::{self, Reader};
use crate::cli::exit_code::{Failure, Status, notice};
use clap::Args;
use paravane::console::escape::{EscapeKeys, Typed};
use paravane::console::stdin::Source;
use paravane::console::terminal::RawTerminal;
use paravane_client::{ConsoleMessage, ConsoleMode, ConsoleReader, ConsoleWriter};
use std::future::pending;
use std::io::{self, Read};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// What the escape keys do here.
const HELP: &str = "Ctrl-A x leaves the console, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h shows this";
/// How many pieces of input may wait to be sent.
const PIECES: usize = 8;
/// After the end of the input, the console ends when nothing has come for this long: what the
/// guest answers is still shown.
const QUIET: Duration = Duration::from_millis(300);
/// And when so much time has gone by, whatever comes.
const LAST: Duration = Duration::from_secs(5);

/// Which console, and how.
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// The VM, by its name or id
    vm: String,
    /// Only read what the guest writes
    #[arg(long, conflicts_with = "steal")]
    read_only: bool,
    /// Type in place of whoever does
    #[arg(long)]
    steal: bool,
    /// Do not say how to leave the console
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    common: Common,
}

/// Connects stdin and stdout to a console.
pub async fn console(args: &ConsoleArgs) -> Result<ExitCode, Failure> {
    let source = match args.read_only {
        true => Source::Nothing,
        false => Source::of_process(),
    };
    let mode = match (args.read_only, args.steal) {
        (true, _) => ConsoleMode::Read,
        (false, true) => ConsoleMode::Steal,
        (false, false) => ConsoleMode::Write,
    };
    let console = args.common.client()?.console(&args.vm, mode).await?;
    let (reader, writer) = console.split();
    let is_terminal = source == Source::Terminal;
    if is_terminal && !args.quiet {
        notice(HELP);
    }
    let raw = is_terminal.then(|| RawTerminal::enter(io::stdin()));
    // Until the end of this function.
    let _raw = raw.transpose().map_err(terminal_failure)?;
    let (keys, from_keys) = mpsc::channel(PIECES);
    let (typed, sender) = match source {
        Source::Terminal => (Some(read_stdin()?), send_all(writer, from_keys)),
        Source::Stream => (None, send_all(writer, read_stdin()?)),
        // There are no keys, and no end of them.
        Source::Nothing => (None, send_all(writer, from_keys)),
    };
    let sender = tokio::spawn(sender);
    let typed = typed.map(|typed| Keys::new(typed, keys.clone()));
    follow(reader, sender, typed).await
}

fn terminal_failure(error: io::Error) -> Failure {
    Failure::internal(format!("cannot set up the terminal: {error}"))
}

/// A thread that reads stdin, which may wait for ever; it ends with the program.
fn read_stdin() -> Result<mpsc::Receiver<Vec<u8>>, Failure> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let read = move || {
        let mut bytes = [0; 4096];
        // At an error there is nothing more, as at the end.
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut bytes) {
            let piece = bytes.get(..count).unwrap_or_default().to_vec();
            if sender.blocking_send(piece).is_err() {
                break;
            }
        }
    };
    let thread = thread::Builder::new().name("stdin".to_string()).spawn(read);
    thread.map_err(|error| Failure::internal(format!("cannot start a thread: {error}")))?;
    Ok(receiver)
}

/// Sends what comes, to its end. Output is read beside it: a guest that does not read while it
/// writes would otherwise hold up both.
async fn send_all(mut writer: ConsoleWriter, mut pieces: mpsc::Receiver<Vec<u8>>) {
    while let Some(piece) = pieces.recv().await {
        if writer.send(piece).await.is_err() {
            // A connection that was lost is told of by its reader.
            break;
        }
    }
}

/// Writes to stdout what comes, until the end of the input, of the console, or the escape key.
async fn follow(
    mut reader: ConsoleReader,
    mut sender: JoinHandle<()>,
    mut keys: Option<Keys>,
) -> Result<ExitCode, Failure> {
    let signal_failure =
        |error: io::Error| Failure::internal(format!("cannot wait for signals: {error}"));
    let mut terminated = signal(SignalKind::terminate()).map_err(signal_failure)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(signal_failure)?;
    let mut end: Option<End> = None;
    loop {
        tokio::select! {
            message = reader.next() => match message {
                Ok(Some(ConsoleMessage::Output(bytes))) => {
                    end.iter_mut().for_each(End::put_off);
                    if stream::write(&bytes)? == Reader::Gone {
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                Ok(Some(ConsoleMessage::Lost(bytes))) => {
                    notice(&format!("{bytes} bytes were lost, as they were not read in time"));
                }
                Ok(Some(ConsoleMessage::Closed(why))) => {
                    notice(&clean(&why));
                    return Ok(ExitCode::SUCCESS);
                }
                Ok(None) => return Ok(ExitCode::SUCCESS),
                Err(error) => return Err(error.into()),
            },
            left = Keys::handle(&mut keys) => match left {
                true => return Ok(ExitCode::SUCCESS),
                false => {
                    keys = None;
                    end = Some(End::soon());
                }
            },
            _ = &mut sender, if end.is_none() => end = Some(End::soon()),
            () = End::reached(end) => return Ok(ExitCode::SUCCESS),
            _ = terminated.recv() => return Ok(Status::Terminated.into()),
            _ = hung_up.recv() => return Ok(Status::HungUp.into()),
        }
    }
}

/// When the console ends, after the end of the input.
#[derive(Clone, Copy)]
struct End {
    quiet: Instant,
    last: Instant,
}

impl End {
    fn soon() -> Self {
        let now = Instant::now();
        Self {
            quiet: now + QUIET,
            last: now + LAST,
        }
    }

    /// Something has come.
    fn put_off(&mut self) {
        self.quiet = Instant::now() + QUIET;
    }

    /// Waits for it; for ever before the end of the input.
    async fn reached(end: Option<Self>) {
        match end {
            Some(end) => sleep_until(end.quiet.min(end.last)).await,
            None => pending().await,
        }
    }
}

/// The keys of a terminal.
struct Keys {
    typed: mpsc::Receiver<Vec<u8>>,
    to_guest: mpsc::Sender<Vec<u8>>,
    escape: EscapeKeys,
}

impl Keys {
    fn new(typed: mpsc::Receiver<Vec<u8>>, to_guest: mpsc::Sender<Vec<u8>>) -> Self {
        Self {
            typed,
            to_guest,
            escape: EscapeKeys::default(),
        }
    }

    /// Handles keys until the one to leave, and then is true; or until the end of the terminal.
    /// Without a terminal, for ever.
    async fn handle(keys: &mut Option<Self>) -> bool {
        let Some(keys) = keys else {
            return pending().await;
        };
        while let Some(piece) = keys.typed.recv().await {
            if keys.take(&piece) {
                return true;
            }
        }
        false
    }

    /// Sends what is for the guest; whether the key to leave was among it.
    fn take(&mut self, piece: &[u8]) -> bool {
        let mut bytes = Vec::with_capacity(piece.len());
        let mut leaves = false;
        for &byte in piece {
            match self.escape.take(byte) {
                Typed::Guest(byte) => bytes.push(byte),
                Typed::Nothing => {}
                Typed::Help => notice(HELP),
                Typed::End => {
                    leaves = true;
                    break;
                }
            }
        }
        if !bytes.is_empty() {
            // Where the guest does not read, keys are lost: the one to leave has to get through.
            let _ = self.to_guest.try_send(bytes);
        }
        leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_key_to_leave_works_though_nobody_reads() {
        let (typing, typed) = mpsc::channel(PIECES);
        let (to_guest, mut from_keys) = mpsc::channel(1);
        let mut keys = Some(Keys::new(typed, to_guest));
        for piece in [&b"ab"[..], b"lost", b"c\x01", b"x"] {
            typing.send(piece.to_vec()).await.unwrap();
        }
        assert!(Keys::handle(&mut keys).await);
        assert_eq!(from_keys.recv().await.unwrap(), b"ab");
        keys = None;
        drop(keys);
        assert_eq!(from_keys.recv().await, None);
    }

    #[tokio::test]
    async fn a_terminal_that_is_gone_is_an_end() {
        let (typing, typed) = mpsc::channel(PIECES);
        let (to_guest, _from_keys) = mpsc::channel(1);
        drop(typing);
        assert!(!Keys::handle(&mut Some(Keys::new(typed, to_guest))).await);
    }
}
