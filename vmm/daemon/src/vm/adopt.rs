//! A VM that a daemon before this one knew is taken up again.

use super::actor::{Actor, Live, Outcome};
use super::connection::Connection;
use super::exit;
use super::life::ANSWER_LIMIT;
use super::process::Process;
use super::timers::Timer;
use crate::store::Pending;
use crate::time;
use paravane_api::event::EventKind;
use paravane_api::vm::{EndKind, VmState};
use paravane_control::folder::Folder;
use paravane_control::message::{Answer, Phase, Request, Status};
use paravane_control::plan::ProcessPlan;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What became of the process of a VM.
enum Found {
    /// It lives.
    Alive(Box<Live>, Status),
    /// There is none.
    None,
    /// It lives and cannot be talked to.
    Mute(String),
}

impl Actor {
    /// Finds out what the VM does now.
    pub(super) async fn take_up(&mut self, host_was_down: bool) {
        if self.record.state.has_process()
            && let Some(group) = group_of(&self.context.folder(self.record.id))
        {
            self.context.groups.know(self.record.id, &group);
        }
        match self.record.state {
            state if !state.has_process() && self.record.pending == Some(Pending::Delete) => {
                return self.remove().await;
            }
            VmState::Restarting => {
                let due = self.record.restart_ms.unwrap_or(0);
                let pause = Duration::from_millis(due.saturating_sub(time::now_ms()));
                self.timers.set(Timer::Restart, pause);
            }
            state if state.has_process() && host_was_down => self.lost().await,
            state if state.has_process() => match self.find().await {
                Found::Alive(live, status) => self.adopt(*live, status).await,
                Found::None => self.was_not_there().await,
                Found::Mute(why) => self.replace_mute(why).await,
            },
            _ => {}
        }
        self.remove_unfinished_snapshot().await;
    }

    /// What a daemon wanted that has ended before it had it.
    async fn remove_unfinished_snapshot(&self) {
        let folder = self.context.folder(self.record.id).snapshot();
        if let Err(error) = tokio::fs::remove_dir_all(folder).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            let id = self.record.id;
            tracing::warn!(vm = %id, "an unfinished snapshot is not removed: {error}");
        }
    }

    async fn adopt(&mut self, live: Live, mut status: Status) {
        if self.record.goes_on && status.phase == Phase::Paused {
            // The daemon that took a snapshot of it is gone.
            match live
                .connection
                .request(&Request::Resume, ANSWER_LIMIT)
                .await
            {
                Ok(_) => status.phase = Phase::Running,
                Err(error) => {
                    tracing::warn!(vm = %self.record.id, "it does not go on: {error}");
                }
            }
        }
        self.live = Some(live);
        self.tell(EventKind::Adopted, None);
        if self.record.state == VmState::Starting {
            self.timers
                .set(Timer::Start, self.context.runtime.start_limit);
        }
        self.apply(&status);
        self.record.goes_on &= self.record.state == VmState::Paused;
        self.publish();
        // What has changed since the status was asked for.
        self.ask(Request::Status, ANSWER_LIMIT, Outcome::Status);
        if let Some(pending) = self.record.pending {
            self.carry_on(pending);
        }
    }

    /// The host went down.
    async fn lost(&mut self) {
        // A start that came to nothing was accepted all the same.
        if self.record.state == VmState::Starting && self.record.pending.is_none() {
            return self.launch().await;
        }
        let ended = exit::end(EndKind::Lost, exit::INTERNAL, "the host went down");
        self.ended(ended).await;
    }

    /// The process ended while there was no daemon, or was never started.
    async fn was_not_there(&mut self) {
        let folder = self.context.folder(self.record.id);
        match exit::left(&folder, self.record.starts) {
            Some(ended) => self.ended(ended).await,
            None if self.record.state == VmState::Starting && self.record.pending.is_none() => {
                self.launch().await;
            }
            None => self.ended(exit::killed(None)).await,
        }
    }

    async fn replace_mute(&mut self, why: String) {
        let folder = self.context.folder(self.record.id);
        if let Some(mut process) = find_process(&folder) {
            process.kill();
            process.ended().await;
        }
        self.ended(exit::failed(why)).await;
    }

    /// Looks for the process.
    async fn find(&self) -> Found {
        let folder = self.context.folder(self.record.id);
        let (connection, notices) = match Connection::open(&folder.control()).await {
            Ok(opened) => opened,
            Err(_) => return Found::None,
        };
        let status = match ask_status(&connection).await {
            Ok(status) => status,
            // It ended just now.
            Err(_) if find_process(&folder).is_none() => return Found::None,
            Err(why) => return Found::Mute(why),
        };
        let Ok(process) = Process::of_pid(status.pid) else {
            return Found::None;
        };
        // It answers still, so the descriptor is of it and not of one that got its number.
        match ask_status(&connection).await {
            Ok(again) if again.pid == status.pid => {}
            _ => return Found::None,
        }
        let live = Live {
            process,
            connection: Arc::new(connection),
            notices: Some(notices),
            starting: None,
            killed_for: None,
        };
        Found::Alive(Box::new(live), status)
    }
}

/// The control group that the last start of a VM had.
fn group_of(folder: &Folder) -> Option<PathBuf> {
    let text = fs::read(folder.plan()).ok()?;
    let plan: ProcessPlan = serde_json::from_slice(&text).ok()?;
    plan.confinement.cgroup.map(PathBuf::from)
}

async fn ask_status(connection: &Connection) -> Result<Status, String> {
    match connection.request(&Request::Status, ANSWER_LIMIT).await {
        Ok(Answer::Status(status)) => Ok(status),
        Ok(_) => Err("its process answered something else than asked".to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// The process that was started for a folder, by its command line.
fn find_process(folder: &Folder) -> Option<Process> {
    let mut wanted = b"\0--dir\0".to_vec();
    wanted.extend_from_slice(folder.path().as_os_str().as_bytes());
    wanted.push(0);
    let has = |line: &[u8]| line.windows(wanted.len()).any(|part| part == wanted);
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let line = entry.path().join("cmdline");
        if !fs::read(&line).is_ok_and(|line| has(&line)) {
            continue;
        }
        let process = Process::of_pid(pid).ok();
        // The number may have become another process's in between.
        if process.is_some() && fs::read(&line).is_ok_and(|line| has(&line)) {
            return process;
        }
    }
    None
}
