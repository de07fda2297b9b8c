//! The transport's side of a device: its status, its features, and its queues until it is served.

use super::backend::Backend;
use super::config::Config;
use super::doorbell::{Doorbell, Notifier};
use super::gate::Gate;
use super::list::ListedDevice;
use super::queue::ReadyQueue;
use super::saved::{FitError, NoteBytes, Notes, Progress, SavedDevice, SavedQueue, restore_queue};
use super::stats::DeviceStats;
use super::worker::{Job, Worker};
use super::{DeviceError, features};
use crate::event::port::Source;
use crate::memory::Ram;
use crate::snapshot::Inconsistent;
use crate::sync::lock;
use pv_abi::Errno;
use pv_abi::device::{
    DEVICE_ACKNOWLEDGE, DEVICE_DRIVER, DEVICE_DRIVER_OK, DEVICE_FAILED, DEVICE_FEATURES_OK,
    DEVICE_NEEDS_RESET, QueueSetup,
};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// How often it is told in the log that a device needs a reset: a guest could do it for ever.
const COMPLAINTS_MAX: u32 = 10;

const KNOWN_STATUS: u32 =
    DEVICE_ACKNOWLEDGE | DEVICE_DRIVER | DEVICE_DRIVER_OK | DEVICE_FEATURES_OK | DEVICE_FAILED;

/// What a device and its thread share.
#[derive(Debug)]
pub struct Shared {
    /// The device's name.
    pub id: String,
    /// Its configuration space.
    pub config: Arc<Config>,
    /// What is counted.
    pub stats: Arc<DeviceStats>,
    needs_reset: AtomicBool,
    complaints: AtomicU32,
    notifier: Notifier,
    source: Source,
}

impl Shared {
    /// The device has stopped: tells the guest.
    pub(crate) fn needs_reset(&self, error: &DeviceError) {
        if self.complaints.fetch_add(1, Ordering::Relaxed) < COMPLAINTS_MAX {
            tracing::warn!(device = self.id, "the device needs a reset: {error}");
        }
        self.stats.add("needs_reset", 1);
        self.needs_reset.store(true, Ordering::SeqCst);
        self.notifier.raise(self.source);
    }
}

/// A device.
#[derive(Debug)]
pub struct Transport {
    /// What kind of device it is.
    pub kind: &'static str,
    /// What outlives its thread.
    pub shared: Arc<Shared>,
    offered: u64,
    queue_sizes: Vec<u16>,
    doorbells: Arc<[Doorbell]>,
    ram: Arc<Ram>,
    notifier: Notifier,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    status: u32,
    features: u64,
    queues: Vec<Option<ReadyQueue>>,
    /// What each queue is in a snapshot, and how far it has come.
    known: Vec<Option<(SavedQueue, Arc<Progress>)>>,
    /// Here while it is not being served.
    backend: Option<Box<dyn Backend>>,
    worker: Option<Worker>,
    /// The back end's.
    notes: Arc<dyn Notes>,
}

impl Transport {
    pub(super) fn new(
        number: u8,
        listed: ListedDevice,
        ram: &Arc<Ram>,
        notifier: &Notifier,
    ) -> Self {
        let source = Source::Device(number);
        let config = listed.device.backend.config();
        let queues = listed.queue_sizes.len();
        Self {
            kind: listed.device.kind,
            shared: Arc::new(Shared {
                id: listed.device.id,
                config: Arc::new(Config::new(config, notifier.clone(), source)),
                stats: Arc::new(DeviceStats::new(queues)),
                needs_reset: AtomicBool::new(false),
                complaints: AtomicU32::new(0),
                notifier: notifier.clone(),
                source,
            }),
            offered: listed.info.features,
            queue_sizes: listed.queue_sizes,
            doorbells: listed.doorbells.into(),
            ram: Arc::clone(ram),
            notifier: notifier.clone(),
            state: Mutex::new(State {
                status: 0,
                features: 0,
                queues: (0..queues).map(|_| None).collect(),
                known: vec![None; queues],
                notes: listed.device.backend.notes(),
                backend: Some(listed.device.backend),
                worker: None,
            }),
        }
    }

    /// The features that it offers, and its number of queues.
    #[cfg(test)]
    pub fn offers(&self) -> (u64, usize) {
        (self.offered, self.queue_sizes.len())
    }

    fn needs_reset(&self) -> bool {
        self.shared.needs_reset.load(Ordering::SeqCst)
    }

    /// `io_device_status`.
    pub fn status(&self) -> u32 {
        self.status_in(&lock(&self.state))
    }

    fn status_in(&self, state: &State) -> u32 {
        if self.needs_reset() {
            state.status | DEVICE_NEEDS_RESET
        } else {
            state.status
        }
    }

    /// `io_device_set_status`.
    pub fn set_status(&self, status: u32) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        if status == 0 {
            return self.reset(&mut state);
        }
        let needs_reset = self.needs_reset();
        // The bit is the device's own; a driver may write it back as it has read it.
        let own = if needs_reset { DEVICE_NEEDS_RESET } else { 0 };
        let status = status & !own;
        if status & !KNOWN_STATUS != 0 || state.status & !status != 0 {
            return Err(Errno::EINVAL);
        }
        let comes_first = [
            (DEVICE_DRIVER, DEVICE_ACKNOWLEDGE),
            (DEVICE_FEATURES_OK, DEVICE_DRIVER),
            (DEVICE_DRIVER_OK, DEVICE_FEATURES_OK),
        ];
        if comes_first
            .iter()
            .any(|&(bit, before)| status & bit != 0 && status & before == 0)
        {
            return Err(Errno::EINVAL);
        }
        let added = status & !state.status;
        if added & DEVICE_FEATURES_OK != 0 && state.features & features::VERSION_1 == 0 {
            return Err(Errno::EINVAL);
        }
        if needs_reset && added & !DEVICE_FAILED != 0 {
            return Err(Errno::EIO);
        }
        if added & DEVICE_DRIVER_OK != 0 {
            self.start(&mut state)?;
        }
        state.status = status;
        Ok(())
    }

    fn start(&self, state: &mut State) -> Result<(), Errno> {
        let Some(backend) = state.backend.take() else {
            return Err(Errno::EIO);
        };
        let job = Job {
            shared: Arc::clone(&self.shared),
            features: state.features,
            queues: state.queues.iter_mut().map(Option::take).collect(),
            doorbells: Arc::clone(&self.doorbells),
            notifier: self.notifier.clone(),
        };
        match Worker::start(backend, job) {
            Ok(worker) => {
                state.worker = Some(worker);
                Ok(())
            }
            Err((backend, error)) => {
                state.backend = backend;
                self.shared
                    .needs_reset(&DeviceError::host("starting the device's thread")(error));
                Err(Errno::EIO)
            }
        }
    }

    fn reset(&self, state: &mut State) -> Result<(), Errno> {
        state.status = 0;
        state.features = 0;
        state.queues.iter_mut().for_each(|queue| *queue = None);
        state.known.iter_mut().for_each(|known| *known = None);
        if let Some(worker) = state.worker.take() {
            state.backend = worker.stop();
        }
        let Some(backend) = &mut state.backend else {
            // Its thread has panicked. Without a back end it can only stay as it is.
            self.shared.needs_reset.store(true, Ordering::SeqCst);
            return Err(Errno::EIO);
        };
        backend.forget();
        self.shared.needs_reset.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// `io_device_set_features`.
    pub fn set_features(&self, features: u64) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        if features & !self.offered != 0 || features & features::VERSION_1 == 0 {
            return Err(Errno::EINVAL);
        }
        if state.status & (DEVICE_DRIVER | DEVICE_FEATURES_OK) != DEVICE_DRIVER {
            return Err(Errno::EBUSY);
        }
        state.features = features;
        Ok(())
    }

    /// Checks that there is such a queue.
    pub fn check_queue(&self, queue: u32) -> Result<(), Errno> {
        self.size_max(queue).map(drop)
    }

    fn size_max(&self, queue: u32) -> Result<u16, Errno> {
        let sizes = &self.queue_sizes;
        sizes.get(queue as usize).copied().ok_or(Errno::ENOENT)
    }

    /// `io_queue_setup`.
    pub fn setup_queue(&self, queue: u32, setup: &QueueSetup) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        let size_max = self.size_max(queue)?;
        let may = state.status & (DEVICE_FEATURES_OK | DEVICE_DRIVER_OK) == DEVICE_FEATURES_OK;
        let slot = state.queues.get_mut(queue as usize).ok_or(Errno::ENOENT)?;
        if !may || slot.is_some() {
            return Err(Errno::EBUSY);
        }
        let ready = ReadyQueue::new(&self.ram, size_max, setup)?;
        let known = ready.describe();
        *slot = Some(ready);
        if let Some(slot) = state.known.get_mut(queue as usize) {
            *slot = Some(known);
        }
        Ok(())
    }

    /// A queue of a device that is being restored.
    pub(super) fn ready_queue(
        &self,
        queue: usize,
        setup: &QueueSetup,
    ) -> Result<ReadyQueue, Errno> {
        let size_max = self.size_max(queue as u32)?;
        ReadyQueue::new(&self.ram, size_max, setup)
    }

    /// What its driver has made of it, while its thread is held.
    ///
    /// # Errors
    ///
    /// Why it cannot be saved.
    pub fn save(&self) -> Result<SavedDevice, &'static str> {
        let state = lock(&self.state);
        let (config, config_generation) = self.shared.config.save();
        let queues = state.known.iter().map(|known| {
            let (saved, progress) = known.as_ref()?;
            let (next_avail, next_used) = progress.get();
            Some(SavedQueue {
                next_avail,
                next_used,
                ..*saved
            })
        });
        Ok(SavedDevice {
            id: self.shared.id.clone(),
            kind: self.kind.to_string(),
            offered: self.offered,
            queue_sizes: self.queue_sizes.clone(),
            status: state.status,
            needs_reset: self.needs_reset(),
            features: state.features,
            queues: queues.collect(),
            config,
            config_generation,
            notes: state.notes.bytes()?,
        })
    }

    /// Whether it can take the place of a device, as far as its driver knows that one without having
    /// used it.
    ///
    /// # Errors
    ///
    /// It is another device.
    pub fn fits(&self, saved: &SavedDevice) -> Result<(), FitError> {
        let why = if saved.id != self.shared.id || saved.kind != self.kind {
            format!("that has {} ({}) there", saved.id, saved.kind)
        } else if saved.queue_sizes != self.queue_sizes {
            "it has other queues".into()
        } else if saved.features & !self.offered != 0 {
            // What the driver was offered and did not take makes no difference.
            format!(
                "its driver uses the features {:#x}, which this host does not offer",
                saved.features & !self.offered
            )
        } else {
            return Ok(());
        };
        Err(self.other(why))
    }

    fn other(&self, why: String) -> FitError {
        FitError::Other {
            id: self.shared.id.clone(),
            why,
        }
    }

    /// Makes it what it was, in a VM that has not run. It is not served before it is to
    /// [go on](Self::go_on).
    ///
    /// # Errors
    ///
    /// It is another device, or cannot have been so.
    pub fn restore(&self, saved: &SavedDevice) -> Result<(), FitError> {
        self.fits(saved)?;
        let other = |why| self.other(why);
        let wrong = |what: &str| {
            let id = &self.shared.id;
            FitError::from(Inconsistent(format!("the device {id} {what}")))
        };
        let is_served = saved.status & DEVICE_DRIVER_OK != 0;
        let begun = DEVICE_FEATURES_OK | DEVICE_DRIVER | DEVICE_ACKNOWLEDGE;
        if saved.status & !KNOWN_STATUS != 0 || is_served && saved.status & begun != begun {
            return Err(wrong("has a status that there is not"));
        }
        if saved.queues.len() != self.queue_sizes.len() {
            return Err(wrong("has a queue too many or too few"));
        }
        let mut state = lock(&self.state);
        let Some(backend) = state.backend.as_mut() else {
            return Err(wrong("is in use"));
        };
        if saved.status != 0 {
            let config = backend.take_over(&saved.config).map_err(other)?;
            self.shared.config.restore(config, saved.config_generation);
        }
        // One that needs a reset forgets all.
        if is_served && !saved.needs_reset {
            backend.go_on_with(&saved.notes).map_err(other)?;
        }
        for (index, queue) in saved.queues.iter().enumerate() {
            let Some(queue) = queue else { continue };
            let ready = restore_queue(self, index, queue)?;
            if let Some(slot) = state.known.get_mut(index) {
                *slot = Some(ready.describe());
            }
            if let Some(slot) = state.queues.get_mut(index) {
                *slot = Some(ready);
            }
        }
        state.status = saved.status;
        state.features = saved.features;
        self.shared
            .needs_reset
            .store(saved.needs_reset, Ordering::SeqCst);
        // What it told the driver when it was saved may not have arrived.
        for doorbell in self.doorbells.iter() {
            self.notifier.raise(Source::Queue(doorbell.number));
        }
        if saved.config_generation > 0 || saved.needs_reset {
            self.notifier.raise(self.shared.source);
        }
        Ok(())
    }

    /// Begins to serve it, if it was served when it was saved.
    pub fn go_on(&self) {
        let mut state = lock(&self.state);
        let is_served = state.status & DEVICE_DRIVER_OK != 0 && !self.needs_reset();
        if is_served && state.worker.is_none() {
            // If it cannot be, its driver is told.
            let _ = self.start(&mut state);
        }
    }

    /// `io_queue_notify`.
    pub fn notify_queue(&self, queue: u32) -> Result<(), Errno> {
        let doorbell = self.doorbells.get(queue as usize).ok_or(Errno::ENOENT)?;
        doorbell.ring();
        Ok(())
    }

    /// Where its thread is held while the VM is paused; nothing while it has none.
    pub fn gate(&self) -> Option<Arc<Gate>> {
        let state = lock(&self.state);
        state
            .worker
            .as_ref()
            .map(|worker| Arc::clone(worker.gate()))
    }

    /// Ends the device for good, and lets go of what it has of the host.
    pub fn shut_down(&self) {
        let mut state = lock(&self.state);
        state.queues.clear();
        state.backend = state.worker.take().and_then(Worker::stop);
        state.backend = None;
        state.notes = Arc::new(NoteBytes::default());
        self.shared.needs_reset.store(true, Ordering::SeqCst);
    }

    /// What a driver has made of it, for tests.
    #[cfg(test)]
    pub(crate) fn describe(&self) -> String {
        let state = lock(&self.state);
        let queues: Vec<_> = state.queues.iter().map(Option::is_some).collect();
        format!(
            "{:#x} {:#x} {queues:?}",
            self.status_in(&state),
            state.features
        )
    }

    /// Whether it has a queue with this doorbell.
    pub fn has_doorbell(&self, number: u8) -> bool {
        self.doorbells.iter().any(|one| one.number == number)
    }
}
