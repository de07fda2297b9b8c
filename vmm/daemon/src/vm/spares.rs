//! Processes that are started before there is a VM for them. What is the same for every VM is done
//! by then: the process is made, its program loaded, its command line read.

use super::groups::{Group, Groups};
use super::spawn;
use crate::cgroup::CgroupError;
use paravane_control::folder::{Folder, NO_VM};
use paravane_control::handover;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// For how long no VM may have started before more processes are made: they would take the
/// processors from a burst of starts.
const QUIET: Duration = Duration::from_millis(50);

/// After which time they are made even so, as starts that follow each other for long need them.
const LATEST: Duration = Duration::from_millis(150);

/// After which time it is tried again when none can be made.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The spare processes of a daemon, which end with it.
#[derive(Debug)]
pub struct Spares {
    shared: Arc<Shared>,
    maker: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    program: Vec<OsString>,
    /// What their command lines show in place of a VM's folder.
    folder: PathBuf,
    groups: Arc<Groups>,
    wanted: usize,
    state: Mutex<State>,
    /// Some have become fewer, or all are to end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: Vec<Spare>,
    /// Those that somebody has killed. The maker sees to what they leave, which can take a while.
    ended: Vec<Spare>,
    /// Since when there are fewer than there should be.
    short_since: Option<Instant>,
    /// When the next may be made.
    due: Option<Instant>,
    ending: bool,
}

/// A process that waits for a VM.
#[derive(Debug)]
pub struct Spare {
    child: Child,
    socket: OwnedFd,
    /// The control group that it is in, until a VM has it.
    group: Option<Group>,
}

impl Spares {
    /// None yet, of so many of this program. VMs' folders are in `folders`.
    pub fn new(program: &[OsString], folders: &Path, groups: &Arc<Groups>, wanted: u32) -> Self {
        Self {
            shared: Arc::new(Shared {
                program: program.to_vec(),
                folder: folders.join(NO_VM),
                groups: Arc::clone(groups),
                wanted: wanted as usize,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            maker: Mutex::default(),
        }
    }

    /// Begins to make them, and to make more whenever some were taken.
    pub fn begin(&self) {
        let mut maker = self.maker.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.wanted == 0 || self.shared.lock().ending || maker.is_some() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name("spares".to_string())
            .spawn(move || shared.make());
        match started {
            Ok(thread) => *maker = Some(thread),
            Err(error) => tracing::warn!("no processes are kept ready for VMs: {error}"),
        }
    }

    /// Takes one, if there is one.
    pub fn take(&self) -> Option<Spare> {
        let mut state = self.shared.lock();
        self.shared.sort_out(&mut state);
        let spare = state.ready.pop()?;
        self.shared.fewer(&mut state);
        Some(spare)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let mut state = self.shared.lock();
        self.shared.sort_out(&mut state);
        state.ready.len()
    }

    /// Ends them, and makes no more. It waits for what is under way.
    pub fn end(&self) {
        let mut state = self.shared.lock();
        state.ending = true;
        let mut spares = std::mem::take(&mut state.ready);
        spares.append(&mut state.ended);
        drop(state);
        self.shared.changed.notify_all();
        spares.into_iter().for_each(Spare::end);
        let maker = self.maker.lock();
        let maker = maker.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(maker) = maker {
            // A panic of its was reported.
            let _ = maker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of it is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds those that have ended.
    fn sort_out(&self, state: &mut State) {
        for mut spare in std::mem::take(&mut state.ready) {
            match spare.lives() {
                true => state.ready.push(spare),
                false => state.ended.push(spare),
            }
        }
        if !state.ended.is_empty() {
            self.fewer(state);
        }
    }

    /// Some were taken, or have ended.
    fn fewer(&self, state: &mut State) {
        let now = Instant::now();
        if state.short_since.is_none() {
            state.short_since = Some(now);
            // It looks by itself when more may be made.
            self.changed.notify_all();
        }
        let latest = state.short_since.map_or(now, |since| since + LATEST);
        let due = (now + QUIET).min(latest);
        // After a failure it stays with what was said then.
        state.due = state.due.filter(|set| *set > latest).or(Some(due));
    }

    /// Makes them until they are to end.
    fn make(&self) {
        let mut state = self.lock();
        while !state.ending {
            if let Some(spare) = state.ended.pop() {
                drop(state);
                spare.end();
                state = self.lock();
                continue;
            }
            if state.ready.len() >= self.wanted {
                state.short_since = None;
                state.due = None;
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Instant::now();
            if let Some(pause) = state.due.and_then(|due| due.checked_duration_since(now))
                && !pause.is_zero()
            {
                let waited = self.changed.wait_timeout(state, pause);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            drop(state);
            let made = Spare::start(&self.program, &self.folder, &self.groups);
            state = self.lock();
            match made {
                Ok(spare) if state.ending => spare.end(),
                Ok(spare) => state.ready.push(spare),
                Err(error) => {
                    tracing::warn!("no process can be kept ready for a VM: {error}");
                    state.due = Some(Instant::now() + AFTER_FAILURE);
                }
            }
        }
    }
}

impl Spare {
    /// Starts one, in a control group of its own. It makes a session of its own itself: what has
    /// nothing to do between fork and exec is started without a copy of the daemon's page tables, for
    /// which all of the daemon's threads would wait. Into its group it is put here, which waits for an
    /// RCU grace period, as the one who wants a VM need not.
    fn start(program: &[OsString], folder: &Path, groups: &Groups) -> io::Result<Self> {
        let (socket, theirs) = handover::pair()?;
        let child = spawn::command(program, folder)?
            .stdin(Stdio::from(theirs))
            .spawn()?;
        let mut spare = Self {
            child,
            socket,
            group: None,
        };
        match spare.enter_group(groups) {
            Ok(()) => Ok(spare),
            Err(error) => {
                spare.end();
                Err(io::Error::other(error))
            }
        }
    }

    fn enter_group(&mut self, groups: &Groups) -> Result<(), CgroupError> {
        self.group = groups.make_ahead()?;
        match &self.group {
            // It is our child and was not waited for, so its number means no other process.
            Some(group) => group.add(self.child.id()),
            None => Ok(()),
        }
    }

    /// The group that it is in, which becomes a VM's.
    pub fn take_group(&mut self) -> Option<Group> {
        self.group.take()
    }

    /// Has it run the VM of this folder. The listener is the caller's to close.
    ///
    /// # Errors
    ///
    /// It has ended; then it is no more.
    pub fn hand_over(self, folder: &Folder, listener: &UnixListener) -> io::Result<Child> {
        match handover::give(&self.socket, folder, listener) {
            Ok(()) => Ok(self.child),
            Err(error) => {
                self.end();
                Err(error)
            }
        }
    }

    fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it, and its group with it.
    pub fn end(mut self) {
        // It may have ended. One that is stopped would not see that its socket is closed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(group) = self.group.take() {
            group.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// Waits until there are so many.
    fn wait_for(spares: &Spares, count: usize) {
        let begun = Instant::now();
        while spares.count() != count {
            assert!(begun.elapsed() < Duration::from_secs(30), "{spares:?}");
            thread::yield_now();
        }
    }

    fn no_groups() -> Arc<Groups> {
        Arc::new(Groups::new(false))
    }

    /// A program that does not end before it is told to, as it reads what nobody sends.
    fn waiting() -> Vec<OsString> {
        vec!["/bin/sh".into(), "-c".into(), "read line".into()]
    }

    #[test]
    fn those_that_were_taken_or_have_ended_are_made_anew() {
        let spares = Spares::new(&waiting(), Path::new("/vms"), &no_groups(), 2);
        assert!(spares.take().is_none());
        spares.begin();
        wait_for(&spares, 2);
        spares.take().unwrap().end();
        wait_for(&spares, 2);
        for spare in &mut spares.shared.lock().ready {
            spare.child.kill().unwrap();
            spare.child.wait().unwrap();
        }
        assert_eq!(spares.count(), 0);
        wait_for(&spares, 2);
        spares.end();
        assert_eq!(spares.count(), 0);
        // There are no more after it.
        spares.begin();
        assert!(spares.take().is_none());
    }

    #[test]
    fn one_that_has_ended_takes_no_vm_and_leaves_the_listener() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::new(directory.path());
        let listener = UnixListener::bind(folder.control()).unwrap();
        let mut spare = Spare::start(&waiting(), Path::new("/vms"), &no_groups()).unwrap();
        spare.child.kill().unwrap();
        spare.child.wait().unwrap();
        spare.hand_over(&folder, &listener).unwrap_err();
        UnixStream::connect(folder.control()).unwrap();
    }

    #[test]
    fn a_program_that_cannot_be_started_is_no_end() {
        let spares = Spares::new(&["/no/program".into()], Path::new("/vms"), &no_groups(), 1);
        spares.begin();
        assert_eq!(spares.count(), 0);
        spares.end();
    }
}
