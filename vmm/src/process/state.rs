//! What is known of a process's VM, and what can be asked of it.

use super::log::Log;
use super::typing::Typing;
use crate::carrier::Mode;
use crate::console::input::InputBuffer;
use crate::console::ring::Ring;
use crate::vm::{Vm, VmControl};
use paravane_api::vm::Running;
use paravane_control::folder::Folder;
use paravane_control::message::{Phase, Status};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How many orders wait for the supervisor before those who give them do.
const ORDERS: usize = 8;

/// Something that the supervisor of the VM is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// End the VM.
    Stop {
        /// How long the guest may take to shut down by itself; zero does not ask it.
        grace: Duration,
    },
}

/// A VM that was built.
#[derive(Debug)]
pub struct Live {
    /// What is done with it from outside.
    pub control: Arc<VmControl>,
    /// How its guest runs.
    pub mode: Mode,
    /// When it was built.
    pub since: Instant,
}

impl Live {
    /// What others need of a VM that is about to run.
    pub fn of(vm: &Vm) -> Self {
        Self {
            control: vm.control(),
            mode: vm.mode,
            since: Instant::now(),
        }
    }
}

/// What goes into the VM and comes out of it.
#[derive(Debug)]
pub struct Channels {
    /// The VM's log.
    pub log: Arc<Log>,
    /// What the guest writes.
    pub output: Arc<Ring>,
    /// What is typed.
    pub input: Arc<InputBuffer>,
}

/// What the connections of a process share.
#[derive(Debug)]
pub struct Process {
    /// The VM's folder.
    pub(super) folder: Folder,
    /// The VM's log.
    pub log: Arc<Log>,
    /// What the guest writes. Its end is that of all connections.
    pub output: Arc<Ring>,
    /// What is typed.
    pub input: Arc<InputBuffer>,
    pub(super) typing: Arc<Typing>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) status: watch::Sender<Status>,
    live: OnceLock<Live>,
}

impl Process {
    /// A process that has started to build its VM for the `start`th time, and what it is ordered
    /// to do.
    pub fn new(
        start: u64,
        folder: Folder,
        channels: Channels,
    ) -> (Arc<Self>, mpsc::Receiver<Order>) {
        let (sender, orders) = mpsc::channel(ORDERS);
        let status = Status {
            pid: std::process::id(),
            start,
            phase: Phase::Starting,
            running: None,
        };
        let process = Arc::new(Self {
            folder,
            log: channels.log,
            output: channels.output,
            input: channels.input,
            typing: Arc::default(),
            orders: sender,
            status: watch::Sender::new(status),
            live: OnceLock::new(),
        });
        (process, orders)
    }

    /// The VM is built and runs from now on.
    pub fn runs(&self, live: Live, running: Running) {
        // There is one VM.
        let _ = self.live.set(live);
        self.status.send_modify(|status| {
            status.phase = Phase::Running;
            status.running = Some(running);
        });
    }

    /// The VM, once it is built.
    pub fn live(&self) -> Option<&Live> {
        self.live.get()
    }

    /// What the process does.
    pub fn phase(&self) -> Phase {
        self.status.borrow().phase
    }

    /// The process does something else, if it did `from` before: whether it did.
    pub(super) fn change_phase(&self, from: Phase, to: Phase) -> bool {
        self.status.send_if_modified(|status| {
            let changes = status.phase == from;
            if changes {
                status.phase = to;
            }
            changes
        })
    }

    /// The process does something else.
    pub fn set_phase(&self, phase: Phase) {
        self.status.send_if_modified(|status| {
            let is_new = status.phase != phase;
            status.phase = phase;
            is_new
        });
    }
}
