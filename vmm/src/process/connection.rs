//! One connection: requests and their replies, until it becomes a console.

use super::console;
use super::pause;
use super::snapshot;
use super::state::{Order, Process};
use super::stats;
use super::typing::Grant;
use paravane_api::log::{LogLevel, LogSource};
use paravane_control::line::{self, LineError};
use paravane_control::message::{Answer, Message, Notice, Refusal, Reply, Request};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// How many replies wait for a client that does not read before its requests do.
const REPLIES: usize = 16;

/// What a connection is read for from now on.
enum Next {
    /// Nothing.
    End,
    /// The console, and with a grant also what is typed.
    Console(Option<Grant>),
}

/// Serves a connection until it or the VM ends. What it does wrong ends it, and nothing else.
pub(super) async fn serve(stream: UnixStream, process: Arc<Process>) {
    let (from, to) = stream.into_split();
    let mut from = BufReader::new(from);
    let (replies, waiting) = mpsc::channel(REPLIES);
    let writing = write(to, waiting, &process);
    tokio::pin!(writing);
    let next = tokio::select! {
        // It ends before the requests do only when the client is gone.
        _ = &mut writing => return,
        () = process.output.ended() => Next::End,
        next = answer_all(&mut from, &replies, &process) => next,
    };
    // What was answered still goes out.
    drop(replies);
    let to = writing.await;
    if let (Next::Console(grant), Some(to)) = (next, to) {
        console::serve(from, to, &process, grant).await;
    }
}

/// Writes replies and notices until there will be no more of either. `None`: the client is gone.
async fn write(
    mut to: OwnedWriteHalf,
    mut replies: mpsc::Receiver<Reply>,
    process: &Process,
) -> Option<OwnedWriteHalf> {
    let mut status = process.status.subscribe();
    loop {
        let message = tokio::select! {
            biased;
            Ok(()) = status.changed() => {
                let status = status.borrow_and_update().clone();
                Message::Notice(Notice::Status(status))
            }
            reply = replies.recv() => match reply {
                Some(reply) => Message::Reply(reply),
                None => return Some(to),
            },
        };
        line::write(&mut to, &message).await.ok()?;
    }
}

/// Answers requests until there are no more, or one is for the console.
async fn answer_all(
    from: &mut BufReader<OwnedReadHalf>,
    replies: &mpsc::Sender<Reply>,
    process: &Process,
) -> Next {
    loop {
        let request = match line::read::<Request>(from).await {
            Ok(Some(request)) => request,
            Ok(None) | Err(LineError::Io(_)) => return Next::End,
            Err(error @ (LineError::NoEnd | LineError::Malformed(_))) => {
                let _ = replies
                    .send(Err(Refusal::Unsupported(error.to_string())))
                    .await;
                return Next::End;
            }
        };
        let (reply, next) = match request {
            Request::Console { write, steal } => begin_console(write, steal, process),
            request => (answer(request, process).await, None),
        };
        if replies.send(reply).await.is_err() {
            return Next::End;
        }
        if let Some(next) = next {
            return next;
        }
    }
}

fn begin_console(write: bool, steal: bool, process: &Process) -> (Reply, Option<Next>) {
    let grant = write.then(|| process.typing.take(steal));
    match grant {
        Some(None) => {
            let message = "another connection types; steal takes that right from it";
            (Err(Refusal::Busy(message.to_string())), None)
        }
        grant => (Ok(Answer::Done), Some(Next::Console(grant.flatten()))),
    }
}

async fn answer(request: Request, process: &Process) -> Reply {
    match request {
        Request::Status => Ok(Answer::Status(process.status.borrow().clone())),
        Request::Stop { grace_ms } => {
            let grace = Duration::from_millis(grace_ms.into());
            // A supervisor that is gone has ended the VM.
            let _ = process.orders.send(Order::Stop { grace }).await;
            Ok(Answer::Done)
        }
        Request::Stats => match process.live() {
            Some(live) => Ok(Answer::Stats(Box::new(stats::sample(live)))),
            None => Err(starts()),
        },
        Request::Pause => pause::pause(process).await,
        Request::Resume => pause::resume(process).await,
        Request::Snapshot => snapshot::take(process).await,
        Request::Log { message } => {
            let (source, level) = (LogSource::Daemon, LogLevel::Info);
            process.log.write(source, level, &message);
            Ok(Answer::Done)
        }
        // Not one of those that are answered alone.
        Request::Console { .. } => Err(Refusal::Failed("a console is no request".to_string())),
    }
}

/// There is no VM yet.
pub(super) fn starts() -> Refusal {
    Refusal::State("the VM is still being built; wait until the guest runs".to_string())
}
