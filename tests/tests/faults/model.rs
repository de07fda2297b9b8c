//! What a client knows of a VM, and what has to have become of it.

use paravane_api::spec::{Restart, RestartPolicy};
use paravane_api::{Vm, VmSpec, VmState};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// The processes that were killed.
#[derive(Debug, Default)]
pub struct Kills(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    processes: HashSet<u32>,
    of_vm: HashMap<String, u64>,
}

impl Kills {
    /// A process is about to be killed.
    pub fn note(&self, process: u32, vm: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.processes.insert(process);
        *known.of_vm.entry(vm.to_string()).or_default() += 1;
    }

    fn has(&self, process: u32) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.processes.contains(&process)
    }

    /// How many processes of a VM were killed.
    pub fn of(&self, vm: &str) -> u64 {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.of_vm.get(vm).copied().unwrap_or(0)
    }
}

/// What a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Nothing, for ever.
    Idle,
    /// Writes to its console, for ever.
    Flood,
    /// Calls for a moment, and ends with code 0.
    Calls,
}

impl Guest {
    /// Its command line.
    pub fn command_line(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Flood => "flood",
            Self::Calls => "noop=2000",
        }
    }

    /// Whether it ends by itself.
    fn ends(self) -> bool {
        self == Self::Calls
    }
}

/// What the last acknowledged request wants of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be left in this state, without a process.
    Rest(VmState),
    /// To run.
    Run,
    /// To be paused.
    Pause,
    /// A request failed, and may have been carried out in part.
    Unknown,
}

/// A VM of a client.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its id, if its creation was answered.
    pub id: Option<String>,
    /// What its guest does.
    pub guest: Guest,
    /// Its restart policy.
    pub policy: RestartPolicy,
    /// What is wanted of it.
    pub wish: Wish,
    /// The process of the last answer. With none, the process is known to have ended.
    pub process: Option<u32>,
    /// The number of the start of the last answer.
    pub starts: u64,
    /// How many of its processes had been killed when that was asked for.
    pub kills: u64,
}

/// How a VM has to be found.
#[derive(Debug)]
pub struct Expected {
    /// It comes into one of these states, and stays.
    pub states: Vec<VmState>,
    /// Its process is this one.
    pub process: Option<u32>,
    /// It was started so many times, from and to.
    pub starts: (u64, u64),
}

impl Known {
    /// A VM that was not asked for yet.
    pub fn new(name: String, guest: Guest, policy: RestartPolicy) -> Self {
        Self {
            name,
            id: None,
            guest,
            policy,
            wish: Wish::Rest(VmState::Stopped),
            process: None,
            starts: 0,
            kills: 0,
        }
    }

    /// What it is created with.
    pub fn spec(&self) -> VmSpec {
        let mut spec = VmSpec {
            name: Some(self.name.clone()),
            command_line: self.guest.command_line().to_string(),
            restart: Restart {
                policy: self.policy,
                backoff_ms: 200,
                backoff_max_ms: 1000,
                max_failures: None,
            },
            ..VmSpec::default()
        };
        spec.resources.memory = 8 << 20;
        spec.grace_ms.0 = 200;
        spec
    }

    /// Its name for requests: its id, if that is known.
    pub fn reference(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }

    /// An answer shows it, to a request that was made after so many kills.
    pub fn seen(&mut self, vm: &Vm, wish: Wish, kills: u64) {
        self.id = Some(vm.id.clone());
        self.wish = wish;
        self.process = vm.pid;
        self.starts = vm.starts;
        self.kills = kills;
    }

    /// Whether its restart policy starts it again for ever.
    pub fn is_restless(&self) -> bool {
        self.guest.ends() && self.policy == RestartPolicy::Always
    }

    /// How it has to be now.
    pub fn expected(&self, kills: &Kills) -> Expected {
        use VmState::{Failed, Paused, Restarting, Running, Starting, Stopped};
        let was_killed = self.process.is_none_or(|process| kills.has(process));
        let since = kills.of(self.reference()).saturating_sub(self.kills);
        let once = (self.starts, self.starts);
        // Each start after the first needs a process that has failed.
        let again = (self.starts, self.starts + since);
        let any = (self.starts, u64::MAX);
        let restarted = match self.policy {
            RestartPolicy::Never => once,
            _ => again,
        };
        let (states, starts) = match (self.wish, self.policy, was_killed) {
            (Wish::Rest(state), _, _) => (vec![state], once),
            (Wish::Pause, _, false) => (vec![Paused], once),
            (Wish::Unknown, _, _) if self.is_restless() => {
                let all = vec![Running, Starting, Restarting, Paused, Stopped, Failed];
                (all, any)
            }
            (Wish::Unknown, _, _) => (vec![Running, Paused, Stopped, Failed], any),
            (_, RestartPolicy::Always, _) if self.guest.ends() => {
                (vec![Running, Starting, Restarting], any)
            }
            (_, RestartPolicy::Never, true) if self.guest.ends() => (vec![Failed, Stopped], once),
            (_, RestartPolicy::Never, true) => (vec![Failed], once),
            _ if self.guest.ends() => (vec![Stopped], restarted),
            (_, _, false) => (vec![Running], once),
            (_, _, true) => (vec![Running], restarted),
        };
        let goes_on = !was_killed && starts == once && !matches!(self.wish, Wish::Rest(_));
        let process = self.process.filter(|_| goes_on && states != [Stopped]);
        Expected {
            states,
            process,
            starts,
        }
    }
}
