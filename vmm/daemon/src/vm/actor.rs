//! The task of a VM: it waits for commands, for its process and for the clock, and is the only
//! one that changes what is known of the VM.

use super::connection::{Connection, RequestError};
use super::process::Process;
use super::starts::Starting;
use super::timers::{Timer, Timers};
use super::{COMMANDS, Command, Context, Handle, View};
use crate::problem::Result;
use crate::store::{Change, StoreError, VmRecord};
use paravane_api::event::EventKind;
use paravane_api::vm::{Running, VmState};
use paravane_control::message::{self, Notice, Status};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How a process is taken up again that a daemon before this one started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The VM is new, or known to have no process.
    New,
    /// A daemon before this one knew it.
    Known {
        /// The host went down since.
        host_was_down: bool,
    },
}

/// What a VM's task has.
pub(super) struct Actor {
    pub(super) context: Arc<Context>,
    pub(super) record: VmRecord,
    pub(super) running: Option<Running>,
    pub(super) live: Option<Live>,
    pub(super) timers: Timers,
    pub(super) work: JoinSet<Outcome>,
    view: watch::Sender<View>,
    /// Set when the VM is deleted, which ends the task.
    pub(super) gone: bool,
}

/// A VM's process.
pub(super) struct Live {
    pub(super) process: Process,
    pub(super) connection: Arc<Connection>,
    /// None once the process has closed the connection.
    pub(super) notices: Option<mpsc::Receiver<Notice>>,
    /// While it is its turn to start.
    pub(super) starting: Option<Starting>,
    /// Why it is being killed.
    pub(super) killed_for: Option<String>,
}

/// What a request to the process came to.
pub(super) enum Outcome {
    /// The first one, and each after a new connection.
    Status(Result<message::Answer, RequestError>),
    /// The process was asked to end.
    Stop(Result<message::Answer, RequestError>),
    /// The guest was asked to pause or resume.
    Phase {
        to: VmState,
        result: Result<message::Answer, RequestError>,
        answer: super::Answer<()>,
    },
}

/// Starts the task of a VM.
pub fn start(context: Arc<Context>, record: VmRecord, origin: Origin) -> Arc<Handle> {
    let id = record.id;
    let (commands, received) = mpsc::channel(COMMANDS);
    let first = View {
        vm: Arc::new(record.view(None, None)),
        started_spec: record.started_spec.clone(),
        connection: None,
    };
    let (sender, view) = watch::channel(first);
    let actor = Actor {
        context,
        record,
        running: None,
        live: None,
        timers: Timers::default(),
        work: JoinSet::new(),
        view: sender,
        gone: false,
    };
    let (known, taken_up) = watch::channel(false);
    tokio::spawn(actor.run(received, origin, known));
    Arc::new(Handle {
        id,
        commands,
        view,
        snapshot: tokio::sync::Mutex::default(),
        taken_up,
    })
}

enum Wake {
    Command(Option<Command>),
    Notice(Option<Notice>),
    Ended(Option<i32>),
    Done(Outcome),
    Due(Timer),
}

impl Actor {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        origin: Origin,
        known: watch::Sender<bool>,
    ) {
        let _counted = self.context.tasks.upgrade();
        let mut tasks_end = self.context.tasks_end.clone();
        match origin {
            Origin::Known { host_was_down } => self.take_up(host_was_down).await,
            Origin::New if self.record.state == VmState::Starting => {
                self.tell(EventKind::Starting, None);
                self.launch().await;
            }
            Origin::New => {}
        }
        // Nobody may be waiting.
        let _ = known.send(true);
        drop(known);
        while !self.gone {
            let wake = tokio::select! {
                biased;
                // The process goes on.
                _ = tasks_end.wait_for(|end| *end) => return,
                wake = of_process(&mut self.live) => wake,
                Some(done) = self.work.join_next() => match done {
                    Ok(outcome) => Wake::Done(outcome),
                    // The runtime ends.
                    Err(_) => continue,
                },
                command = commands.recv() => Wake::Command(command),
                timer = self.timers.due() => Wake::Due(timer),
            };
            match wake {
                Wake::Command(Some(command)) => self.command(command).await,
                Wake::Command(None) => return,
                Wake::Notice(Some(Notice::Status(status))) => self.apply(&status),
                Wake::Notice(None) => self.connection_closed(),
                Wake::Ended(signal) => self.process_ended(signal).await,
                Wake::Done(outcome) => self.done(outcome),
                Wake::Due(timer) => self.due(timer).await,
            }
        }
    }

    fn done(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Status(Ok(message::Answer::Status(status))) => self.apply(&status),
            Outcome::Status(Ok(_)) => self.kill("its process answered something else than asked"),
            // A process that ends closes its connection; that it ended is told apart.
            Outcome::Status(Err(RequestError::Closed)) => {}
            Outcome::Status(Err(error)) => self.kill(&error.to_string()),
            Outcome::Stop(Ok(_)) => {}
            Outcome::Stop(Err(RequestError::Closed)) => {
                self.timers.set(Timer::Stop, super::life::END_LIMIT);
            }
            Outcome::Stop(Err(error)) => self.kill(&error.to_string()),
            Outcome::Phase { to, result, answer } => self.phase_done(to, result, answer),
        }
    }

    async fn due(&mut self, timer: Timer) {
        match timer {
            Timer::Restart => self.restart().await,
            Timer::Start => self.kill("the guest did not begin to run in time"),
            Timer::Stop => self.kill("its process did not end in time"),
            Timer::Reconnect => self.reconnect().await,
        }
    }

    /// What the process says of itself.
    pub(super) fn apply(&mut self, status: &Status) {
        // It may have been on its way when the process ended.
        if self.live.is_none() {
            return;
        }
        if status.start != self.record.starts {
            tracing::warn!(vm = %self.record.id, "a status is of start {}", status.start);
            return;
        }
        if status.running.is_some() {
            self.running.clone_from(&status.running);
        }
        // What a client asked for ends it; what it did before is of no interest.
        let to = match status.phase {
            _ if self.record.pending.is_some() => return,
            message::Phase::Starting => return,
            message::Phase::Running => VmState::Running,
            message::Phase::Paused => VmState::Paused,
            message::Phase::Stopping => VmState::Stopping,
        };
        self.enter(to);
    }

    /// The process is in another state.
    pub(super) fn enter(&mut self, to: VmState) {
        let from = self.record.state;
        if from == to {
            self.publish();
            return;
        }
        self.timers.clear(Timer::Start);
        if let Some(live) = &mut self.live {
            live.starting = None;
        }
        self.record.state = to;
        self.record.goes_on &= to == VmState::Paused;
        self.save_later();
        self.publish();
        let kind = match (from, to) {
            (_, VmState::Paused) => EventKind::Paused,
            (_, VmState::Stopping) => EventKind::Stopping,
            (VmState::Paused, _) => EventKind::Resumed,
            _ => EventKind::Started,
        };
        self.tell(kind, None);
    }

    /// Shows others what is known now.
    pub(super) fn publish(&self) {
        let pid = self.live.as_ref().map(|live| live.process.pid());
        let connection = self.live.as_ref().map(|live| Arc::clone(&live.connection));
        self.view.send_replace(View {
            vm: Arc::new(self.record.view(pid, self.running.clone())),
            started_spec: self.record.started_spec.clone(),
            connection,
        });
    }

    pub(super) fn tell(&self, kind: EventKind, message: Option<String>) {
        let record = &self.record;
        self.context
            .events
            .tell(kind, record.id, &record.name, record.state, message);
    }

    /// Puts a record into the store and makes it this VM's.
    pub(super) async fn save(&mut self, record: VmRecord) -> Result<(), StoreError> {
        self.save_with(record, None).await
    }

    /// As [`Actor::save`], together with what belongs to it.
    pub(super) async fn save_with(
        &mut self,
        record: VmRecord,
        with: Option<Change>,
    ) -> Result<(), StoreError> {
        let mut changes = vec![Change::vm(&record)?];
        changes.extend(with);
        self.context.store.commit(changes).await?;
        self.record = record;
        Ok(())
    }

    /// Puts the record into the store soon. What it says is found out again if that is lost.
    pub(super) fn save_later(&self) {
        if let Ok(change) = Change::vm(&self.record) {
            self.context.store.commit_later(vec![change]);
        }
    }

    /// Asks the process for something; what that comes to is an outcome.
    pub(super) fn ask(
        &mut self,
        request: message::Request,
        limit: Duration,
        outcome: impl FnOnce(Result<message::Answer, RequestError>) -> Outcome + Send + 'static,
    ) {
        let Some(live) = &self.live else {
            return;
        };
        let connection = Arc::clone(&live.connection);
        self.work
            .spawn(async move { outcome(connection.request(&request, limit).await) });
    }

    /// Kills the process.
    pub(super) fn kill(&mut self, why: &str) {
        if let Some(live) = &mut self.live {
            tracing::warn!(vm = %self.record.id, "the process is killed: {why}");
            live.killed_for.get_or_insert_with(|| why.to_string());
            live.process.kill();
        }
    }
}

/// What comes from the process. Its end comes after what it said before.
async fn of_process(live: &mut Option<Live>) -> Wake {
    let Some(live) = live else {
        return std::future::pending().await;
    };
    let notice = async {
        match &mut live.notices {
            Some(notices) => notices.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        notice = notice => Wake::Notice(notice),
        signal = live.process.ended() => Wake::Ended(signal),
    }
}
