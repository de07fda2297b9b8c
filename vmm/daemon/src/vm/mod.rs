//! A VM: one task ([`actor`]) that owns what is known of it and the connection to its process.
//!
//! Everyone else sees a [`Handle`]: where to send commands, and the newest [`View`].

mod actions;
mod actor;
mod adopt;
pub mod connection;
mod console;
mod exit;
mod groups;
mod life;
mod plan;
pub mod policy;
mod private;
mod process;
mod snapshot;
mod spares;
mod spawn;
mod starts;
mod timers;

use crate::config::Runtime;
use crate::events::Events;
use crate::idempotency::Turn;
use crate::images::Images;
use crate::problem::Result;
use crate::registry::Registry;
use crate::snapshots::Snapshots;
use crate::store::{Store, VmRecord};
use connection::Connection;
use paravane_api::vm::Vm;
use paravane_control::folder::Folder;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

pub use actions::of_request;
pub use actor::{Origin, start};
pub use console::open_console;
pub use groups::{Groups, LEFT};
pub use private::Private;
pub use snapshot::take as take_snapshot;
pub use spares::Spares;
pub use starts::Starts;

/// How many commands may wait for a VM's task.
const COMMANDS: usize = 64;

/// What the tasks of all VMs use.
#[derive(Debug)]
pub struct Context {
    /// Where records go.
    pub store: Store,
    /// Where events go.
    pub events: Events,
    /// The images.
    pub images: Images,
    /// The snapshots.
    pub snapshots: Snapshots,
    /// Control groups of VMs.
    pub groups: Arc<Groups>,
    /// How VMs are run.
    pub runtime: Runtime,
    /// What VMs' processes have no copies of.
    pub private: Private,
    /// Processes that wait for VMs.
    pub spares: Spares,
    /// Whose turn it is to start.
    pub starts: Starts,
    /// The folder of the VMs' folders.
    pub folders: PathBuf,
    /// Where a VM that is deleted takes itself out.
    pub registry: Weak<Registry>,
    /// True once the daemon ends: the tasks end, and the processes go on.
    pub tasks_end: watch::Receiver<bool>,
    /// Each task has a copy, so that their end can be waited for.
    pub tasks: mpsc::WeakSender<()>,
}

impl Context {
    /// The folder of a VM.
    pub fn folder(&self, id: Uuid) -> Folder {
        Folder::new(self.folders.join(id.to_string()))
    }
}

/// What others know of a VM at a time.
#[derive(Clone, Debug)]
pub struct View {
    /// The VM.
    pub vm: Arc<Vm>,
    /// What its process was started with, where that is not the VM's spec any more.
    pub started_spec: Option<Arc<paravane_api::VmSpec>>,
    /// The connection to its process, if there is one.
    pub connection: Option<Arc<Connection>>,
}

/// A VM, for others.
#[derive(Debug)]
pub struct Handle {
    /// Its id.
    pub id: Uuid,
    /// Where its task takes commands.
    pub commands: mpsc::Sender<Command>,
    /// The newest view of it. The sender is gone when the VM is.
    pub view: watch::Receiver<View>,
    /// Held by who takes a snapshot of it.
    pub snapshot: tokio::sync::Mutex<()>,
    /// True once it is known what the VM does since the daemon started.
    pub taken_up: watch::Receiver<bool>,
}

impl Handle {
    /// What is known of it now.
    pub fn now(&self) -> View {
        self.view.borrow().clone()
    }
}

/// Who waits for the answer to a command.
pub type Answer<T> = oneshot::Sender<Result<T>>;

/// What a VM's task is asked for. What clients asked for is in the store when it is answered.
#[derive(Debug)]
pub enum Command {
    /// Start it. Answered by the number of the start, once that is accepted.
    Start {
        /// The request, whose key then belongs to the start.
        turn: Arc<Turn>,
        /// Who waits.
        answer: Answer<u64>,
    },
    /// Stop it; answered when that is accepted.
    Stop {
        /// Do not ask the guest first.
        force: bool,
        /// How long the guest may take, in place of what its spec says.
        grace_ms: Option<u32>,
        /// Who waits.
        answer: Answer<()>,
    },
    /// Pause it; answered when the guest does not run.
    Pause(Answer<()>),
    /// Resume it; answered when the guest runs.
    Resume(Answer<()>),
    /// Pause it for a snapshot; answered when the guest does not run.
    Rest {
        /// It stays paused after the snapshot.
        stay: bool,
        /// Who waits.
        answer: Answer<()>,
    },
    /// The snapshot is over: resume it, unless a client has asked for something else since.
    GoOn(Answer<()>),
    /// Start it anew; answered by the number of the start that will be.
    Reset {
        /// The request, whose key then belongs to the start.
        turn: Arc<Turn>,
        /// Who waits.
        answer: Answer<u64>,
    },
    /// Change it.
    Update(Box<Update>, Answer<()>),
    /// A snapshot of this name was taken of it.
    Snapshotted(String),
    /// Delete it; answered when that is accepted. It is done when the view's sender is gone.
    Delete {
        /// Also if it has a process.
        force: bool,
        /// Who waits.
        answer: Answer<()>,
    },
}

/// A change of a VM. The caller has checked it, and has reserved the name.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// All labels.
    pub labels: Option<std::collections::BTreeMap<String, String>>,
    /// What happens when it has ended.
    pub restart: Option<paravane_api::spec::Restart>,
    /// The spec, for the next start.
    pub spec: Option<paravane_api::VmSpec>,
    /// The name.
    pub name: Option<String>,
}

/// The record of a VM that was just asked for.
pub fn new_record(id: Uuid, slot: u32, name: String, spec: paravane_api::VmSpec) -> VmRecord {
    VmRecord {
        id,
        slot,
        name,
        spec,
        state: paravane_api::VmState::Stopped,
        created_ms: crate::time::now_ms(),
        starts: 0,
        started_ms: None,
        ended: None,
        failures: 0,
        restart_ms: None,
        from_snapshot: None,
        pending: None,
        started_spec: None,
        goes_on: false,
    }
}
