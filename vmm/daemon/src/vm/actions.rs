//! What clients ask of a VM.

use super::actor::{Actor, Outcome};
use super::connection::RequestError;
use super::life::{ANSWER_LIMIT, END_LIMIT};
use super::timers::Timer;
use super::{Answer, Command, Update};
use crate::idempotency::Turn;
use crate::problem::{Error, Kind, Result};
use crate::store::{Change, Pending};
use paravane_api::event::EventKind;
use paravane_api::vm::VmState;
use paravane_control::message::{self, Refusal, Request};
use std::sync::Arc;
use std::time::Duration;

impl Actor {
    pub(super) async fn command(&mut self, command: Command) {
        // Who gave up waiting does not want the answer.
        match command {
            Command::Start { turn, answer } => {
                let accepted = self.start(&turn).await;
                let launch = matches!(accepted, Ok((_, true)));
                let _ = answer.send(accepted.map(|(start, _)| start));
                if launch {
                    self.launch().await;
                }
            }
            Command::Stop {
                force,
                grace_ms,
                answer,
            } => {
                let result = self.stop(force, grace_ms).await;
                let _ = answer.send(result);
            }
            Command::Pause(answer) => self.pause(answer).await,
            Command::Resume(answer) => self.change_phase(VmState::Running, answer),
            Command::Rest { stay, answer } => self.rest(stay, answer).await,
            Command::GoOn(answer) if self.record.goes_on => {
                self.change_phase(VmState::Running, answer);
            }
            Command::GoOn(answer) => {
                let _ = answer.send(Ok(()));
            }
            Command::Reset { turn, answer } => {
                let result = self.reset(&turn).await;
                let _ = answer.send(result);
            }
            Command::Update(update, answer) => {
                let result = self.update(*update).await;
                let _ = answer.send(result);
            }
            Command::Snapshotted(name) => {
                self.tell(EventKind::Snapshotted, Some(format!("the snapshot {name}")));
            }
            Command::Delete { force, answer } => {
                let result = self.delete(force).await;
                let _ = answer.send(result);
            }
        }
    }

    /// The number of the start, and whether it is a new one.
    async fn start(&mut self, turn: &Turn) -> Result<(u64, bool)> {
        match self.record.state {
            VmState::Starting | VmState::Running if self.record.pending.is_none() => {
                Ok((self.record.starts, false))
            }
            VmState::Stopped | VmState::Failed | VmState::Lost | VmState::Restarting => {
                let next = self.record.starts + 1;
                self.accept_start(turn.claim(&[next.to_string()])?).await?;
                Ok((self.record.starts, true))
            }
            _ => Err(self.wrong_state("started", "stopped, failed, lost or restarting")),
        }
    }

    async fn stop(&mut self, force: bool, grace_ms: Option<u32>) -> Result<()> {
        let grace_ms = match grace_ms {
            _ if force => 0,
            Some(grace) => grace,
            None => self.record.spec.grace_ms.0,
        };
        match self.record.state {
            VmState::Stopped | VmState::Failed | VmState::Lost => Ok(()),
            VmState::Restarting => {
                let mut next = self.record.clone();
                next.state = VmState::Stopped;
                next.restart_ms = None;
                next.failures = 0;
                self.save(next).await?;
                self.timers.clear_all();
                self.publish();
                self.tell(EventKind::Ended, Some("a client stopped it".to_string()));
                Ok(())
            }
            _ => self.end_by(Pending::Stop { grace_ms }, None).await,
        }
    }

    async fn reset(&mut self, turn: &Turn) -> Result<u64> {
        match self.record.state {
            VmState::Running | VmState::Paused if self.record.pending.is_none() => {
                let next = self.record.starts + 1;
                let claim = turn.claim(&[next.to_string()])?;
                self.end_by(Pending::Reset, claim).await?;
                Ok(next)
            }
            _ => Err(self.wrong_state("reset", "running or paused")),
        }
    }

    async fn delete(&mut self, force: bool) -> Result<()> {
        if !self.record.state.has_process() {
            let mut next = self.record.clone();
            next.pending = Some(Pending::Delete);
            self.save(next).await?;
            self.remove().await;
            return Ok(());
        }
        if !force {
            let detail = format!(
                "the VM {} is {}: stop it first, or delete it with force=true",
                self.record.name,
                self.record.state.name()
            );
            return Err(Error::new(Kind::WrongState, detail));
        }
        self.end_by(Pending::Delete, None).await
    }

    /// Has the process end for a reason that is in the store when this returns, together with
    /// what belongs to it.
    async fn end_by(&mut self, pending: Pending, with: Option<Change>) -> Result<()> {
        let mut next = self.record.clone();
        next.pending = Some(match (self.record.pending, pending) {
            // A VM that is being deleted stays so.
            (Some(Pending::Delete), _) => Pending::Delete,
            (_, pending) => pending,
        });
        next.state = VmState::Stopping;
        let told = self.record.state == VmState::Stopping;
        self.save_with(next, with).await?;
        self.publish();
        if !told {
            self.tell(EventKind::Stopping, None);
        }
        self.carry_on(pending);
        Ok(())
    }

    /// Asks the process to end, and sees to it that it does.
    pub(super) fn carry_on(&mut self, pending: Pending) {
        let grace_ms = match pending {
            Pending::Stop { grace_ms } => grace_ms,
            Pending::Reset | Pending::Delete => 0,
        };
        self.timers.clear(Timer::Start);
        let grace = Duration::from_millis(u64::from(grace_ms));
        self.timers.set(Timer::Stop, grace + END_LIMIT);
        self.ask(Request::Stop { grace_ms }, ANSWER_LIMIT, Outcome::Stop);
    }

    /// Pauses it for a client: it does not go on by itself, also if it is paused for a snapshot.
    async fn pause(&mut self, answer: Answer<()>) {
        match self.keep_going_on(false).await {
            Ok(()) => self.change_phase(VmState::Paused, answer),
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }

    /// Pauses it for a snapshot. That it goes on after it is in the store before: the daemon may
    /// end meanwhile.
    async fn rest(&mut self, stay: bool, answer: Answer<()>) {
        let goes_on = self.record.state == VmState::Running && !stay;
        let kept = match goes_on {
            true => self.keep_going_on(true).await,
            false => Ok(()),
        };
        match kept {
            Ok(()) => self.change_phase(VmState::Paused, answer),
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        }
    }

    async fn keep_going_on(&mut self, goes_on: bool) -> Result<()> {
        if self.record.goes_on != goes_on {
            let mut next = self.record.clone();
            next.goes_on = goes_on;
            self.save(next).await?;
        }
        Ok(())
    }

    fn change_phase(&mut self, to: VmState, answer: Answer<()>) {
        let (from, request, done) = match to {
            VmState::Paused => (VmState::Running, Request::Pause, "paused"),
            _ => (VmState::Paused, Request::Resume, "resumed"),
        };
        let state = self.record.state;
        if state == from && self.record.pending.is_none() {
            self.ask(request, ANSWER_LIMIT, move |result| Outcome::Phase {
                to,
                result,
                answer,
            });
        } else if state == to {
            let _ = answer.send(Ok(()));
        } else {
            let _ = answer.send(Err(self.wrong_state(done, from.name())));
        }
    }

    pub(super) fn phase_done(
        &mut self,
        to: VmState,
        result: Result<message::Answer, RequestError>,
        answer: Answer<()>,
    ) {
        let result = match result {
            Ok(_) => {
                if self.record.pending.is_none() && self.live.is_some() {
                    self.enter(to);
                }
                Ok(())
            }
            Err(error) => Err(of_request(&error)),
        };
        let _ = answer.send(result);
    }

    async fn update(&mut self, update: Update) -> Result<()> {
        let mut next = self.record.clone();
        if let Some(spec) = update.spec {
            let old = std::mem::replace(&mut next.spec, spec);
            if next.state.has_process() && next.started_spec.is_none() {
                next.started_spec = Some(Arc::new(old));
            }
        }
        if let Some(labels) = update.labels {
            next.spec.labels = labels;
        }
        if let Some(restart) = update.restart {
            next.spec.restart = restart;
        }
        if let Some(name) = update.name {
            next.name = name;
        }
        self.save(next).await?;
        self.publish();
        self.tell(EventKind::Updated, None);
        Ok(())
    }

    fn wrong_state(&self, done: &str, right: &str) -> Error {
        let detail = format!(
            "the VM {} is {} and cannot be {done}; it would have to be {right}",
            self.record.name,
            self.record.state.name()
        );
        Error::new(Kind::WrongState, detail)
    }
}

/// The problem of a request that the process did not carry out.
pub fn of_request(error: &RequestError) -> Error {
    let kind = match error {
        RequestError::Refused(Refusal::State(_)) => Kind::WrongState,
        RequestError::Refused(Refusal::Busy(_)) => Kind::InUse,
        RequestError::Refused(_) => Kind::OperationFailed,
        RequestError::TimedOut(_) | RequestError::Unexpected => Kind::NotResponding,
        RequestError::Closed => Kind::WrongState,
        RequestError::Busy => Kind::Unavailable,
    };
    Error::new(kind, error.to_string())
}
