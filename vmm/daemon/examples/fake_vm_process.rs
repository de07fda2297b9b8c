//! A process that says it runs a VM, for the tests of the daemon.
//!
//! The VM's command line tells it what to do: words such as `slow-start=500`, in any order.

use paravane_api::stats::VmStats;
use paravane_api::vm::{EndKind, Ended, Running, SandboxReport};
use paravane_control::console::Frame;
use paravane_control::folder::Folder;
use paravane_control::line;
use paravane_control::message::{Answer, Message, Notice, Phase, Refusal, Request, Status};
use paravane_control::plan::{Exit, ProcessPlan};
use std::fs;
use std::os::fd::{FromRawFd, RawFd};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// What it does.
struct Fake {
    plan: ProcessPlan,
    folder: Folder,
    phase: watch::Sender<Phase>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        arguments[at.expect("it is there") + 1].clone()
    };
    let folder = Folder::new(after("--dir"));
    let fd: RawFd = after("--control-fd").parse().expect("a descriptor");
    // SAFETY: whoever started this process opened the descriptor for it alone.
    #[allow(unsafe_code)]
    let listener = unsafe { std::os::unix::net::UnixListener::from_raw_fd(fd) };
    listener.set_nonblocking(true).expect("a socket");
    let listener = UnixListener::from_std(listener).expect("a socket");
    let plan = fs::read(folder.plan()).expect("a plan");
    let plan: ProcessPlan = serde_json::from_slice(&plan).expect("a plan");
    let fake: &'static Fake = Box::leak(Box::new(Fake {
        plan,
        folder,
        phase: watch::Sender::new(Phase::Starting),
    }));
    tokio::spawn(fake.live());
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(fake.talk(stream));
    }
}

impl Fake {
    /// The value of a word of the command line, such as `word=5`; 0 for `word` alone.
    fn word(&self, word: &str) -> Option<u64> {
        self.plan.spec.command_line.split(' ').find_map(|text| {
            let (name, value) = text.split_once('=').unwrap_or((text, "0"));
            (name == word).then(|| value.parse().expect("a number"))
        })
    }

    async fn live(&self) {
        if let Some(ms) = self.word("slow-start") {
            sleep(Duration::from_millis(ms)).await;
        }
        if self.word("die-at-start").is_some() {
            std::process::abort();
        }
        if let Some(ms) = self.word("fail-at-start") {
            // It takes a moment to end.
            self.phase.send_replace(Phase::Stopping);
            sleep(Duration::from_millis(ms)).await;
            self.end(EndKind::Error, 121, Some("there is no KVM here"));
        }
        if self.word("hang-at-start").is_some() {
            return;
        }
        let log = r#"{"time":"2026-01-01T00:00:00Z","source":"console","level":"info","message":"hello"}"#;
        fs::write(self.folder.log(), format!("{log}\n")).expect("a log");
        self.phase.send_replace(Phase::Running);
        for (word, kind) in [
            ("exit", EndKind::Shutdown),
            ("crash", EndKind::Crash),
            ("reboot", EndKind::Reboot),
        ] {
            if let Some(code) = self.word(word) {
                let after = self.word("after").unwrap_or(0);
                sleep(Duration::from_millis(after)).await;
                self.end(kind, code as u8, None);
            }
        }
        if self.word("die").is_some() {
            std::process::abort();
        }
    }

    fn end(&self, kind: EndKind, exit_code: u8, message: Option<&str>) -> ! {
        let exit = Exit {
            start: self.plan.start,
            ended: Ended {
                at: "2026-01-01T00:00:00Z".to_string(),
                kind,
                exit_code,
                message: message.map(str::to_string),
                crash: None,
            },
        };
        let new = self.folder.path().join("exit.new");
        fs::write(&new, serde_json::to_vec(&exit).expect("JSON")).expect("a file");
        fs::rename(&new, self.folder.exit()).expect("a name");
        std::process::exit(0)
    }

    fn status(&self) -> Status {
        let phase = *self.phase.borrow();
        let has_run = phase != Phase::Starting && self.word("fail-at-start").is_none();
        Status {
            pid: std::process::id(),
            start: self.plan.start,
            phase,
            running: has_run.then(|| Running {
                privilege: "ring3".to_string(),
                carrier: "pio".to_string(),
                start_us: 1000,
                sandbox: SandboxReport::default(),
            }),
        }
    }

    async fn talk(&self, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let mut phase = self.phase.subscribe();
        let (requests, mut received) = tokio::sync::mpsc::channel(1);
        let reader = tokio::spawn(async move {
            while let Ok(Some(request)) = line::read::<Request>(&mut read).await {
                let console = matches!(request, Request::Console { .. });
                if requests.send(request).await.is_err() || console {
                    break;
                }
            }
            read
        });
        loop {
            let message = tokio::select! {
                changed = phase.changed() => {
                    changed.expect("it lives");
                    Message::Notice(Notice::Status(self.status()))
                }
                request = received.recv() => match request {
                    None => return,
                    Some(Request::Console { write: types, .. }) => {
                        let done = Message::Reply(Ok(Answer::Done));
                        line::write(&mut write, &done).await.expect("a reader");
                        let read = reader.await.expect("it does not panic");
                        return console(read, write, types).await;
                    }
                    Some(request) => match self.answer(request).await {
                        Some(reply) => Message::Reply(reply),
                        None => continue,
                    },
                },
            };
            if self.word("garbage").is_some() {
                write.write_all(b"what?\n").await.expect("a reader");
            }
            if line::write(&mut write, &message).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, request: Request) -> Option<Result<Answer, Refusal>> {
        Some(Ok(match request {
            Request::Status => Answer::Status(self.status()),
            Request::Stats => {
                if self.word("mute-stats").is_some() {
                    return None;
                }
                Answer::Stats(Box::new(VmStats {
                    uptime_ns: 1,
                    ..VmStats::default()
                }))
            }
            Request::Stop { grace_ms } => {
                if self.word("mute-stop").is_some() {
                    return None;
                }
                if self.word("ignore-stop").is_some() {
                    return Some(Ok(Answer::Done));
                }
                let asked = grace_ms > 0 && self.word("ignore-shutdown").is_none();
                let kind = if asked {
                    EndKind::Shutdown
                } else {
                    EndKind::Stopped
                };
                self.end(kind, 0, None)
            }
            Request::Pause | Request::Resume if self.word("refuse").is_some() => {
                return Some(Err(Refusal::Failed("it will not".to_string())));
            }
            Request::Pause => {
                self.phase.send_replace(Phase::Paused);
                Answer::Done
            }
            Request::Resume => {
                self.phase.send_replace(Phase::Running);
                Answer::Done
            }
            Request::Snapshot => {
                let folder = self.folder.snapshot();
                fs::create_dir_all(&folder).expect("a folder");
                fs::write(folder.join("memory"), b"memory").expect("a file");
                fs::write(folder.join("state"), b"state").expect("a file");
                Answer::Done
            }
            Request::Log { .. } | Request::Console { .. } => Answer::Done,
        }))
    }
}

/// Says hello, and gives back what is typed.
async fn console(
    mut read: impl AsyncReadExt + Unpin,
    mut write: impl AsyncWriteExt + Unpin,
    types: bool,
) {
    let hello = Frame::Data(b"hello".to_vec());
    hello.write(&mut write).await.expect("a reader");
    while let Ok(Some(frame)) = Frame::read(&mut read).await {
        if types && frame.write(&mut write).await.is_err() {
            return;
        }
    }
}
