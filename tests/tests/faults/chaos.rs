//! What goes wrong: the daemon and processes of VMs are killed.

use crate::model::Kills;
use fastrand::Rng;
use paravane_tests::daemon::{Daemon, Place, VmProcess, signal};
use rustix::process::Signal;
use std::collections::HashSet;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The thread that kills, and starts daemons.
pub struct Chaos(JoinHandle<Daemon>);

/// How many of each.
#[derive(Debug, Default)]
struct Deeds {
    daemons: u32,
    beginning_daemons: u32,
    vms: u32,
}

impl Chaos {
    /// Starts a daemon, and begins to kill.
    pub fn begin(place: &Arc<Place>, kills: &Arc<Kills>, seed: u64, until: Instant) -> Self {
        let daemon = place.daemon();
        let (place, kills) = (Arc::clone(place), Arc::clone(kills));
        let rng = Rng::with_seed(seed);
        Self(thread::spawn(move || {
            run(&place, daemon, &kills, rng, until)
        }))
    }

    /// Waits for the end, after which there is a daemon.
    pub fn end(self) -> Daemon {
        self.0
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn run(place: &Place, mut daemon: Daemon, kills: &Kills, mut rng: Rng, until: Instant) -> Daemon {
    let mut deeds = Deeds::default();
    while Instant::now() < until {
        // Clients get something done in between.
        thread::sleep(Duration::from_millis(rng.u64(20..800)));
        let processes = place.vm_processes();
        no_vm_has_two(&processes);
        if rng.u8(..10) < 6 {
            if let Some(process) = rng.choice(processes) {
                kills.note(process.pid, &process.vm);
                // It may just have ended.
                let _ = signal(process.pid, Signal::KILL);
                deeds.vms += 1;
            }
            continue;
        }
        daemon.kill();
        deeds.daemons += 1;
        while rng.bool() {
            begin_and_die(place, Duration::from_micros(rng.u64(..60_000)));
            deeds.beginning_daemons += 1;
        }
        daemon = place.daemon();
    }
    eprintln!("killed: {deeds:?}");
    daemon
}

/// Starts a daemon that does not get far.
fn begin_and_die(place: &Place, after: Duration) {
    let mut command = place.command();
    let mut process = command
        .stderr(Stdio::null())
        .spawn()
        .expect("paravane starts");
    thread::sleep(after);
    process.kill().expect("it can be killed");
    process.wait().expect("it can be waited for");
}

/// No VM ever has two processes.
fn no_vm_has_two(processes: &[VmProcess]) {
    let mut seen = HashSet::new();
    for process in processes {
        let is_first = seen.insert(&process.vm);
        assert!(
            is_first,
            "{} has several processes: {processes:?}",
            process.vm
        );
    }
}
