//! The thread of a device that is being served.

use super::DeviceError;
use super::backend::{Active, Backend};
use super::doorbell::{Doorbell, Notifier};
use super::gate::{EndOfService, Gate};
use super::queue::{DeviceQueue, ReadyQueue};
use super::transport::Shared;
use crate::sandbox::ThreadKind;
use crate::sandbox::thread::{narrow, spawn};
use crate::sync::lock;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// What a thread is given.
#[derive(Debug)]
pub struct Job {
    /// What outlives it.
    pub shared: Arc<Shared>,
    /// The features that the driver uses.
    pub features: u64,
    /// The queues that were set up.
    pub queues: Vec<Option<ReadyQueue>>,
    /// The doorbell of each.
    pub doorbells: Arc<[Doorbell]>,
    /// Raises their events.
    pub notifier: Notifier,
}

/// A thread that serves a device.
#[derive(Debug)]
pub struct Worker {
    stop: oneshot::Sender<()>,
    gate: Arc<Gate>,
    thread: JoinHandle<()>,
    /// The back end, when the thread has ended.
    backend: Arc<Mutex<Option<Box<dyn Backend>>>>,
}

impl Worker {
    /// Starts a thread that serves `backend`.
    ///
    /// # Errors
    ///
    /// The back end again, if there could be no thread.
    pub fn start(
        backend: Box<dyn Backend>,
        job: Job,
    ) -> Result<Self, (Option<Box<dyn Backend>>, io::Error)> {
        let (stop, stopped) = oneshot::channel();
        let slot = Arc::new(Mutex::new(Some(backend)));
        let for_thread = Arc::clone(&slot);
        let gate = Arc::<Gate>::default();
        let its_gate = Arc::clone(&gate);
        let builder = Builder::new().name(format!("dev-{}", job.shared.id));
        let spawned = spawn(builder, move || {
            // While it is out of its slot, a panic loses it, and the device stays broken.
            let Some(mut backend) = lock(&for_thread).take() else {
                return;
            };
            let _end = EndOfService(&its_gate);
            let shared = Arc::clone(&job.shared);
            if let Err(error) = serve(&mut *backend, job, &its_gate, stopped) {
                shared.needs_reset(&error);
            }
            *lock(&for_thread) = Some(backend);
        });
        match spawned {
            Ok(thread) => Ok(Self {
                stop,
                gate,
                thread,
                backend: slot,
            }),
            Err(error) => Err((lock(&slot).take(), error)),
        }
    }

    /// Stops the thread; when this returns, it touches no guest memory any more. The back end,
    /// unless the thread has panicked.
    pub fn stop(self) -> Option<Box<dyn Backend>> {
        // It may have ended by itself.
        let _ = self.stop.send(());
        self.gate.end();
        let _ = self.thread.join();
        lock(&self.backend).take()
    }

    /// Where the thread is held while the VM is paused.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

/// Serves a device until it is told to stop, or needs a reset.
fn serve(
    backend: &mut dyn Backend,
    job: Job,
    gate: &Arc<Gate>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), DeviceError> {
    let confined = narrow(ThreadKind::Device).map_err(io::Error::other);
    confined.map_err(DeviceError::host("confining the device's thread"))?;
    let failed = DeviceError::host("starting the device's runtime");
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let tasks = LocalSet::new();
    let ended = tasks.block_on(&runtime, async {
        let active = activate(job, gate)?;
        let finishes_first = backend.finishes_first();
        let mut run = backend.run(active);
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => return Ok(()),
                // Nothing of the device has its turn until the gate is open.
                () = gate.closed(), if !finishes_first => gate.hold(),
                ended = &mut run => return ended,
            }
        }
    });
    // What was spawned uses guest memory too.
    drop(tasks);
    runtime.block_on(backend.stop());
    ended
}

fn activate(job: Job, gate: &Arc<Gate>) -> Result<Active, DeviceError> {
    let Job {
        shared,
        features,
        queues,
        doorbells,
        notifier,
    } = job;
    let queues = (0..)
        .zip(queues.into_iter().zip(doorbells.iter()))
        .map(|(index, (queue, doorbell))| {
            let queue = queue.map(|ready| {
                let (notifier, stats) = (notifier.clone(), Arc::clone(&shared.stats));
                DeviceQueue::new(index, ready, features, doorbell, notifier, stats)
            });
            queue.transpose()
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(DeviceError::host("listening to a doorbell"))?;
    Ok(Active {
        features,
        queues,
        config: Arc::clone(&shared.config),
        stats: Arc::clone(&shared.stats),
        gate: Arc::clone(gate),
    })
}
