//! A VM's process begins and ends.

use super::actor::{Actor, Live, Outcome};
use super::connection::Connection;
use super::exit;
use super::policy::{self, Step};
use super::spawn::spawn;
use super::timers::Timer;
use crate::problem::Result;
use crate::store::{Change, Pending, StoreError};
use crate::time;
use paravane_api::event::EventKind;
use paravane_api::vm::{EndKind, Ended, VmState};
use paravane_control::message::Request;
use std::sync::Arc;
use std::time::Duration;

/// How long a process may take to answer when it is asked to end, or how it is.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How long a process may take to end after the guest's time is over.
pub const END_LIMIT: Duration = Duration::from_secs(2);

/// How long a process may live without a connection before it is connected to again.
const RECONNECT: Duration = Duration::from_secs(1);

impl Actor {
    /// Accepts a start: when this returns it is in the store, together with what belongs to it.
    pub(super) async fn accept_start(&mut self, with: Option<Change>) -> Result<(), StoreError> {
        let mut next = self.record.clone();
        next.state = VmState::Starting;
        next.starts += 1;
        next.started_ms = Some(time::now_ms());
        next.restart_ms = None;
        next.pending = None;
        next.started_spec = None;
        next.goes_on = false;
        self.save_with(next, with).await?;
        self.timers.clear_all();
        self.publish();
        self.tell(EventKind::Starting, None);
        Ok(())
    }

    /// Starts the process of a start that was accepted.
    pub(super) async fn launch(&mut self) {
        match self.try_launch().await {
            Ok(live) => {
                self.live = Some(live);
                self.timers
                    .set(Timer::Start, self.context.runtime.start_limit);
                self.publish();
                let limit = self.context.runtime.start_limit;
                self.ask(Request::Status, limit, Outcome::Status);
            }
            Err(ended) => self.ended(ended).await,
        }
    }

    async fn try_launch(&self) -> Result<Live, Ended> {
        let starting = self.context.starts.begin().await;
        let context = Arc::clone(&self.context);
        let record = self.record.clone();
        let process = tokio::task::spawn_blocking(move || spawn(&context, &record))
            .await
            .unwrap_or_else(|error| Err(format!("the process was not started: {error}")));
        let mut process = process.map_err(exit::failed)?;
        let folder = self.context.folder(self.record.id);
        match Connection::open(&folder.control()).await {
            Ok((connection, notices)) => Ok(Live {
                process,
                connection: Arc::new(connection),
                notices: Some(notices),
                starting: Some(starting),
                killed_for: None,
            }),
            // It has ended already, or closed its socket.
            Err(_) => {
                process.kill();
                let signal = process.ended().await;
                Err(exit::left(&folder, self.record.starts).unwrap_or_else(|| exit::killed(signal)))
            }
        }
    }

    /// The process has ended.
    pub(super) async fn process_ended(&mut self, signal: Option<i32>) {
        let folder = self.context.folder(self.record.id);
        let why = self.live.take().and_then(|live| live.killed_for);
        let ended = exit::left(&folder, self.record.starts).unwrap_or_else(|| {
            let mut ended = exit::killed(signal);
            if let Some(why) = why {
                ended.message = Some(format!("its process was killed: {why}"));
            }
            ended
        });
        self.ended(ended).await;
    }

    /// There is no process any more, or none came to be.
    pub(super) async fn ended(&mut self, mut ended: Ended) {
        self.live = None;
        self.running = None;
        self.timers.clear_all();
        self.context.groups.remove(self.record.id);
        self.record.goes_on = false;
        let pending = self.record.pending.take();
        let message = ended.message.clone();
        match pending {
            Some(Pending::Delete) => return self.remove().await,
            Some(Pending::Stop { .. }) => {
                if ended.kind == EndKind::Killed {
                    ended.kind = EndKind::Stopped;
                }
                self.record.failures = 0;
                self.record.state = VmState::Stopped;
            }
            Some(Pending::Reset) => {
                self.record.ended = Some(ended);
                self.record.state = VmState::Restarting;
                self.tell(EventKind::Ended, message);
                return self.pause_before_restart(Duration::ZERO);
            }
            None => {
                let began = self.record.started_ms.unwrap_or(0);
                let ran = Duration::from_millis(time::now_ms().saturating_sub(began));
                let next =
                    policy::next(&self.record.spec.restart, &ended, self.record.failures, ran);
                self.record.failures = next.failures;
                match next.step {
                    Step::Stay(state) => self.record.state = state,
                    Step::Again(pause) => {
                        self.record.ended = Some(ended);
                        self.record.state = VmState::Restarting;
                        self.tell(EventKind::Ended, message);
                        return self.pause_before_restart(pause);
                    }
                }
            }
        }
        self.record.ended = Some(ended);
        self.save_later();
        self.publish();
        self.tell(EventKind::Ended, message);
    }

    /// It is started again after `pause`.
    pub(super) fn pause_before_restart(&mut self, pause: Duration) {
        self.record.state = VmState::Restarting;
        self.record.restart_ms = Some(time::now_ms() + pause.as_millis() as u64);
        self.timers.set(Timer::Restart, pause);
        self.save_later();
        self.publish();
        self.tell(EventKind::Restarting, None);
    }

    /// The pause is over.
    pub(super) async fn restart(&mut self) {
        match self.accept_start(None).await {
            Ok(()) => self.launch().await,
            Err(error) => {
                tracing::error!(vm = %self.record.id, "it is not started again yet: {error}");
                let pause = self.record.spec.restart.backoff_max_ms;
                self.pause_before_restart(Duration::from_millis(u64::from(pause)));
            }
        }
    }

    /// The VM is deleted, which is in the store: its folder and its record go, the latter last. A
    /// daemon that ends in between leaves nothing that the next one does not know of.
    pub(super) async fn remove(&mut self) {
        let id = self.record.id;
        let folder = self.context.folder(self.record.id);
        let removed = tokio::fs::remove_dir_all(folder.path()).await;
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(vm = %id, "its folder is not removed: {error}");
        }
        if let Err(error) = self.context.store.commit(vec![Change::no_vm(id)]).await {
            // It is carried out after a restart.
            tracing::error!(vm = %id, "it is not deleted yet: {error}");
        }
        if let Some(registry) = self.context.registry.upgrade() {
            registry.remove(id);
        }
        self.record.state = VmState::Stopped;
        self.tell(EventKind::Deleted, None);
        self.gone = true;
    }

    /// The process has closed the connection; usually because it ends.
    pub(super) fn connection_closed(&mut self) {
        let Some(live) = &mut self.live else {
            return;
        };
        live.notices = None;
        match live.connection.garbled().map(str::to_string) {
            Some(why) => self.kill(&why),
            None => self.timers.set(Timer::Reconnect, RECONNECT),
        }
    }

    /// The process has closed the connection and lives.
    pub(super) async fn reconnect(&mut self) {
        let path = self.context.folder(self.record.id).control();
        let opened = Connection::open(&path).await;
        let Some(live) = &mut self.live else {
            return;
        };
        match opened {
            Ok((connection, notices)) => {
                live.connection = Arc::new(connection);
                live.notices = Some(notices);
                self.publish();
                self.ask(Request::Status, ANSWER_LIMIT, Outcome::Status);
            }
            Err(error) => self.kill(&format!("its process cannot be connected to: {error}")),
        }
    }
}
