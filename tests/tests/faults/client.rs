//! A client, which has VMs of its own and remembers what was acknowledged.

use crate::model::{Guest, Kills, Known, Wish};
use fastrand::Rng;
use paravane_api::snapshot::{RestoreSnapshot, Snapshot, TakeSnapshot};
use paravane_api::spec::RestartPolicy;
use paravane_api::vm::{CreateVm, StopVm};
use paravane_api::{Vm, VmState};
use paravane_client::{Client, ClientError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many VMs a client has at most.
const VMS: usize = 5;

/// How many snapshots.
const SNAPSHOTS: usize = 2;

/// How long a daemon may be away, which is less than the client's own patience with one that it
/// has reached.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client.
pub struct Worker {
    number: u64,
    rng: Rng,
    client: Client,
    kills: Arc<Kills>,
    vms: Vec<Known>,
    snapshots: Vec<(Snapshot, Known)>,
    /// How many names were used.
    names: u64,
}

/// What came of a request.
enum Answer<T> {
    Done(T),
    /// The VM's state does not allow it.
    WrongState,
    /// Its process was not up to it.
    Failed,
}

/// Sorts an answer. What is neither done nor a consequence of a kill is a defect: that something
/// is not there or has a name twice, an error of the daemon's own, a daemon that does not come.
fn sort<T>(what: &str, result: Result<T, ClientError>) -> Answer<T> {
    match result {
        Ok(done) => Answer::Done(done),
        Err(ClientError::Problem(problem)) => match problem.kind.as_str() {
            "urn:paravane:problem:wrong-state" => Answer::WrongState,
            "urn:paravane:problem:start-failed"
            | "urn:paravane:problem:operation-failed"
            | "urn:paravane:problem:not-responding" => Answer::Failed,
            _ => panic!("{what}: {problem:?}"),
        },
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Makes a request when there is a daemon. Only then is it the client's business what becomes of it.
async fn once_there<T, F: Future<Output = Result<T, ClientError>>>(
    request: impl Fn() -> F,
) -> Result<T, ClientError> {
    loop {
        let began = Instant::now();
        match request().await {
            Err(ClientError::NoDaemon { .. }) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            result => return result,
        }
    }
}

impl Worker {
    /// A client that makes its requests by a seed.
    pub fn new(number: u64, seed: u64, client: Client, kills: &Arc<Kills>) -> Self {
        Self {
            number,
            rng: Rng::with_seed(seed),
            client,
            kills: Arc::clone(kills),
            vms: Vec::new(),
            snapshots: Vec::new(),
            names: 0,
        }
    }

    /// Makes requests, one after the other. Gives what there has to be then.
    pub async fn work(mut self, until: Instant) -> (Vec<Known>, Vec<Snapshot>) {
        let mut requests = 0;
        while Instant::now() < until {
            self.request().await;
            requests += 1;
        }
        eprintln!("client {}: {requests} requests", self.number);
        let snapshots = self.snapshots.into_iter().map(|(snapshot, _)| snapshot);
        (self.vms, snapshots.collect())
    }

    async fn request(&mut self) {
        if self.vms.len() < VMS && (self.vms.is_empty() || self.rng.u8(..3) == 0) {
            return match self.rng.choice(0..self.snapshots.len()) {
                Some(snapshot) if self.rng.bool() => self.restore(snapshot).await,
                _ => self.create().await,
            };
        }
        let mut vm = self.vms.swap_remove(self.rng.usize(..self.vms.len()));
        match self.rng.u8(..20) {
            0..=1 => return self.delete(vm).await,
            2..=6 => self.start(&mut vm).await,
            7..=9 => self.stop(&mut vm).await,
            10..=12 => self.pause(&mut vm).await,
            13..=15 => self.resume(&mut vm).await,
            16..=17 => self.reset(&mut vm).await,
            _ if self.snapshots.len() < SNAPSHOTS => self.snapshot(&mut vm).await,
            _ => self.delete_snapshot().await,
        }
        self.vms.push(vm);
    }

    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}-{}-{}", self.number, self.names)
    }

    async fn create(&mut self) {
        let guest = match self.rng.u8(..8) {
            0 => Guest::Flood,
            1..=3 => Guest::Calls,
            _ => Guest::Idle,
        };
        let policy = match self.rng.u8(..3) {
            0 => RestartPolicy::Never,
            1 => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        };
        let mut vm = Known::new(self.name("vm"), guest, policy);
        let start = self.rng.u8(..4) > 0;
        let spec = vm.spec();
        let request = CreateVm { spec, start };
        let result = once_there(|| self.client.create_vm(&request)).await;
        match (sort(&vm.name, result), start) {
            (Answer::Done(made), true) => vm.seen(&made, Wish::Run, 0),
            (Answer::Done(made), false) => vm.seen(&made, Wish::Rest(VmState::Stopped), 0),
            (_, true) => vm.wish = Wish::Unknown,
            (_, false) => panic!("{}: it is not created", vm.name),
        }
        self.vms.push(vm);
    }

    async fn restore(&mut self, number: usize) {
        let name = self.name("restored");
        let (snapshot, of) = &self.snapshots[number];
        let mut vm = Known::new(name, of.guest, of.policy);
        let request = RestoreSnapshot {
            name: Some(vm.name.clone()),
            ..RestoreSnapshot::default()
        };
        let result = once_there(|| self.client.restore_snapshot(&snapshot.id, &request)).await;
        match sort(&vm.name, result) {
            Answer::Done(made) => vm.seen(&made[0], Wish::Run, 0),
            Answer::WrongState | Answer::Failed => vm.wish = Wish::Unknown,
        }
        self.vms.push(vm);
    }

    async fn delete(&mut self, vm: Known) {
        let deleted = once_there(|| self.client.delete_vm(vm.reference(), true)).await;
        match sort(&vm.name, deleted) {
            Answer::Done(()) => {}
            Answer::WrongState | Answer::Failed => panic!("{}: it is not deleted", vm.name),
        }
    }

    /// What came of a request after which a VM is to be as wished.
    fn take(&self, vm: &mut Known, wish: Wish, kills: u64, result: Result<Vm, ClientError>) {
        match sort(&vm.name, result) {
            Answer::Done(seen) => vm.seen(&seen, wish, kills),
            Answer::WrongState if wish != Wish::Unknown => {}
            Answer::WrongState | Answer::Failed => vm.wish = Wish::Unknown,
        }
    }

    async fn start(&mut self, vm: &mut Known) {
        let kills = self.kills.of(vm.reference());
        let result = once_there(|| self.client.start_vm(vm.reference())).await;
        self.take(vm, Wish::Run, kills, result);
    }

    async fn stop(&mut self, vm: &mut Known) {
        let kills = self.kills.of(vm.reference());
        let force = self.rng.bool();
        let request = StopVm {
            force,
            grace_ms: None,
        };
        let result = once_there(|| self.client.stop_vm(vm.reference(), &request)).await;
        let state = match &result {
            Ok(stopped) => stopped.state,
            Err(error) => panic!("{}: it is not stopped: {error}", vm.name),
        };
        assert!(
            matches!(state, VmState::Stopped | VmState::Failed),
            "{}: it is {state:?}",
            vm.name
        );
        self.take(vm, Wish::Rest(state), kills, result);
    }

    async fn pause(&mut self, vm: &mut Known) {
        let kills = self.kills.of(vm.reference());
        let result = once_there(|| self.client.pause_vm(vm.reference())).await;
        self.take(vm, Wish::Pause, kills, result);
    }

    async fn resume(&mut self, vm: &mut Known) {
        let kills = self.kills.of(vm.reference());
        let result = once_there(|| self.client.resume_vm(vm.reference())).await;
        self.take(vm, Wish::Run, kills, result);
    }

    async fn reset(&mut self, vm: &mut Known) {
        let kills = self.kills.of(vm.reference());
        let result = once_there(|| self.client.reset_vm(vm.reference())).await;
        if let Err(ClientError::Problem(problem)) = &result
            && problem.detail.contains("cannot be reset")
        {
            return;
        }
        match sort(&vm.name, result) {
            Answer::Done(seen) => vm.seen(&seen, Wish::Run, kills),
            // It was accepted, and what was started then was killed.
            Answer::WrongState | Answer::Failed => vm.wish = Wish::Unknown,
        }
    }

    /// A snapshot changes nothing of what the VM does.
    async fn snapshot(&mut self, vm: &mut Known) {
        let request = TakeSnapshot {
            name: Some(self.name("snapshot")),
            ..TakeSnapshot::default()
        };
        let result = once_there(|| self.client.take_snapshot(vm.reference(), &request)).await;
        if let Answer::Done(snapshot) = sort(&vm.name, result) {
            self.snapshots.push((snapshot, vm.clone()));
        }
    }

    async fn delete_snapshot(&mut self) {
        let number = self.rng.usize(..self.snapshots.len());
        let (snapshot, _) = self.snapshots.swap_remove(number);
        let deleted = once_there(|| self.client.delete_snapshot(&snapshot.id)).await;
        deleted.unwrap_or_else(|error| panic!("{}: {error}", snapshot.name));
    }
}
