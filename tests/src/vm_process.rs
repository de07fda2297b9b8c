//! The process of a VM, as the daemon starts it and talks to it.
#![allow(unsafe_code)]

use crate::program;
use paravane_api::VmSpec;
use paravane_api::log::LogLine;
use paravane_api::vm::Ended;
use paravane_control::console::Frame;
use paravane_control::folder::Folder;
use paravane_control::line;
use paravane_control::message::{Answer, Message, Phase, Reply, Request, Status};
use paravane_control::plan::{Confinement, Exit, LogLimits, ProcessPlan};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

/// How long anything may take, on an emulated processor. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// The process of a VM. It is killed when this is dropped.
pub struct VmProcess {
    child: Child,
    start: u64,
    /// The VM's folder.
    pub folder: Folder,
    _directory: TempDir,
}

/// A spec of the bundled guest kernel with this command line.
pub fn spec(command_line: &str) -> VmSpec {
    VmSpec {
        command_line: command_line.to_string(),
        ..VmSpec::default()
    }
}

/// A plan for a spec, confined as far as the kernel can.
pub fn plan(spec: VmSpec) -> ProcessPlan {
    ProcessPlan {
        id: "0197-test".to_string(),
        name: "test".to_string(),
        start: 3,
        spec,
        kvm: "/dev/kvm".into(),
        restore: None,
        nice: 0,
        confinement: Confinement {
            enabled: true,
            ..Confinement::default()
        },
        log: LogLimits::default(),
    }
}

impl VmProcess {
    /// Starts the bundled guest kernel with this command line.
    pub fn guest(command_line: &str) -> Self {
        Self::start(&plan(spec(command_line)))
    }

    /// Starts the process with this plan.
    pub fn start(plan: &ProcessPlan) -> Self {
        let text = serde_json::to_vec(plan).expect("a plan is JSON");
        Self::start_with(plan.start, &text, |_| {})
    }

    /// Starts the process with this text as its plan, in a folder that is prepared before.
    ///
    /// # Panics
    ///
    /// When the process cannot be started.
    pub fn start_with(start: u64, plan: &[u8], prepare: impl FnOnce(&Folder)) -> Self {
        let directory = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(directory.path());
        fs::write(folder.plan(), plan).expect("the plan can be written");
        prepare(&folder);
        let socket = UnixListener::bind(folder.control()).expect("a socket");
        let number = socket.as_raw_fd().to_string();
        let mut command = program::paravane(["vm-process", "--control-fd", &number, "--dir"]);
        command.arg(folder.path()).stdout(Stdio::null());
        // What a process may not do ends it with a word about it.
        command.env("PARAVANE_SANDBOX", "trap");
        // SAFETY: between fork and exec it only makes a system call.
        unsafe {
            command.pre_exec(move || fcntl_setfd(&socket, FdFlags::empty()).map_err(Into::into));
        }
        let child = command.spawn().expect("paravane starts");
        Self {
            child,
            start,
            folder,
            _directory: directory,
        }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When the host refuses.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it can be told");
    }

    /// Connects to it.
    ///
    /// # Panics
    ///
    /// When it takes no connection.
    pub fn connect(&self) -> Connection {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let stream = block_on(&runtime, UnixStream::connect(self.folder.control()));
        let (from, to) = stream.expect("it listens").into_split();
        Connection {
            runtime,
            from: BufReader::new(from),
            to,
            notices: Vec::new(),
        }
    }

    /// Connects to it, and waits until the guest runs.
    ///
    /// # Panics
    ///
    /// When the guest ends before.
    pub fn connect_running(&self) -> Connection {
        let mut connection = self.connect();
        let mut status = connection.status();
        while status.phase == Phase::Starting {
            status = connection.notice().expect("the guest runs");
        }
        connection
    }

    /// Connects to its console.
    ///
    /// # Panics
    ///
    /// When it gets none.
    pub fn console(&self, write: bool) -> Console {
        let console = self.connect().into_console(write, false);
        console.unwrap_or_else(|reply| panic!("{reply:?}"))
    }

    /// Waits for its end: what it says about that, which fits its exit code.
    ///
    /// # Panics
    ///
    /// When it says nothing, or something else than its exit code.
    pub fn ended(&mut self) -> Ended {
        let status = self.child.wait().expect("it ends");
        let text = fs::read(self.folder.exit()).expect("it says how it ended");
        let exit: Exit = serde_json::from_slice(&text).expect("an exit is JSON");
        assert_eq!(exit.start, self.start);
        assert_eq!(status.code(), Some(exit.ended.exit_code.into()), "{exit:?}");
        exit.ended
    }

    /// Kills it: whether it has said how it ended.
    ///
    /// # Panics
    ///
    /// When it cannot be killed.
    pub fn kill(&mut self) -> bool {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        self.folder.exit().exists()
    }

    /// The present file of its log.
    ///
    /// # Panics
    ///
    /// When that has other lines than those of a log.
    pub fn log(&self) -> Vec<LogLine> {
        let text = fs::read_to_string(self.folder.log()).expect("there is a log");
        let parse = |line| serde_json::from_str(line).expect("a line of a log");
        text.lines().map(parse).collect()
    }
}

impl Drop for VmProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn block_on<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    let result = runtime.block_on(async { timeout(PATIENCE, future).await });
    result.expect("it answers in time")
}

/// A connection for requests.
pub struct Connection {
    runtime: Runtime,
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    notices: Vec<Status>,
}

impl Connection {
    fn message(&mut self) -> Option<Message> {
        block_on(&self.runtime, line::read(&mut self.from)).unwrap_or(None)
    }

    /// Sends bytes as they are. A process that is gone does not get them.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = block_on(&self.runtime, self.to.write_all(bytes));
    }

    /// The next reply; `None` when the connection ends.
    #[track_caller]
    pub fn reply(&mut self) -> Option<Reply> {
        loop {
            match self.message()? {
                Message::Reply(reply) => return Some(reply),
                Message::Notice(paravane_control::message::Notice::Status(status)) => {
                    self.notices.push(status);
                }
            }
        }
    }

    /// Asks for something; `None` when the connection ends.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Option<Reply> {
        let mut bytes = serde_json::to_vec(request).expect("a request is JSON");
        bytes.push(b'\n');
        self.send(&bytes);
        self.reply()
    }

    /// How it is.
    ///
    /// # Panics
    ///
    /// When it does not say.
    #[track_caller]
    pub fn status(&mut self) -> Status {
        match self.ask(&Request::Status) {
            Some(Ok(Answer::Status(status))) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Has it stop.
    ///
    /// # Panics
    ///
    /// When it refuses.
    #[track_caller]
    pub fn stop(&mut self, grace_ms: u32) {
        let reply = self.ask(&Request::Stop { grace_ms });
        assert_eq!(reply, Some(Ok(Answer::Done)));
    }

    /// The next change of its phase; `None` when the connection ends.
    ///
    /// # Panics
    ///
    /// When something else comes.
    #[track_caller]
    pub fn notice(&mut self) -> Option<Status> {
        if !self.notices.is_empty() {
            return Some(self.notices.remove(0));
        }
        match self.message()? {
            Message::Notice(paravane_control::message::Notice::Status(status)) => Some(status),
            Message::Reply(reply) => panic!("{reply:?}"),
        }
    }

    /// Makes it a console.
    ///
    /// # Errors
    ///
    /// The reply, if it does not become one.
    #[track_caller]
    pub fn into_console(mut self, write: bool, steal: bool) -> Result<Console, Option<Reply>> {
        match self.ask(&Request::Console { write, steal }) {
            Some(Ok(Answer::Done)) => Ok(Console {
                connection: self,
                seen: Vec::new(),
                lost: 0,
            }),
            other => Err(other),
        }
    }
}

/// A connection that is a console.
pub struct Console {
    connection: Connection,
    /// What came and was not waited for.
    pub seen: Vec<u8>,
    /// How many bytes were lost.
    pub lost: u64,
}

impl Console {
    /// Takes the next frame; whether there was one.
    #[track_caller]
    pub fn read_frame(&mut self) -> bool {
        let connection = &mut self.connection;
        let frame = block_on(&connection.runtime, Frame::read(&mut connection.from));
        match frame {
            Ok(Some(Frame::Data(bytes))) => self.seen.extend_from_slice(&bytes),
            Ok(Some(Frame::Lost(count))) => self.lost += count,
            Ok(None) | Err(_) => return false,
        }
        true
    }

    /// Waits until this text comes, and takes it with all that came before.
    ///
    /// # Panics
    ///
    /// When it does not come.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        loop {
            let mut windows = self.seen.windows(text.len());
            if let Some(at) = windows.position(|part| part == text.as_bytes()) {
                self.seen.drain(..at + text.len());
                return;
            }
            let is_more = self.read_frame();
            let seen = &self.seen;
            assert!(
                is_more,
                "no {text:?} in {:?}",
                String::from_utf8_lossy(seen)
            );
        }
    }

    /// Reads to the end: all that was not taken.
    #[track_caller]
    pub fn end(mut self) -> String {
        while self.read_frame() {}
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Types.
    ///
    /// # Panics
    ///
    /// When nobody takes it.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        let connection = &mut self.connection;
        let frame = Frame::Data(bytes.to_vec());
        let written = block_on(&connection.runtime, frame.write(&mut connection.to));
        written.expect("it can be typed");
    }
}
