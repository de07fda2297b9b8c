//! The thread of a VM: it builds the VM and runs it, again after each reboot where that is wanted.
//!
//! The thread that ran a vCPU first should go on to: KVM notices when another one does, which
//! took an RCU grace period before Linux 6.12. So the VM is built here too, whose probe runs
//! the vCPU.

pub mod cause;
pub mod conclusion;
mod crash;
pub mod initrd;
mod restore;

use crate::cli::built_in;
use crate::cli::exit_code::Failure;
use crate::cli::image_source::ImageSource;
use initrd::Initrd;
use paravane::console::Console;
use paravane::console::input::InputBuffer;
use paravane::console::labelled::{LabelledOutput, SharedOutput};
use paravane::console::output::Output;
use paravane::console::ring::Ring;
use paravane::image::Image;
use paravane::snapshot::SnapshotFiles;
use paravane::vcpu::Ending;
use paravane::vm::stages::Stages;
use paravane::vm::{self, Vm, VmConfig, VmControl, host};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// How long a VM may take to stop. Only a kernel that does not come back from KVM_RUN, or an
/// emulated processor, takes more than milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a VM is told to stop, until it has: see [`VmControl::stop`].
pub const STOP_INTERVAL: Duration = Duration::from_millis(10);

/// What is to be run.
#[derive(Debug)]
pub struct Plan {
    /// Where the guest begins.
    pub origin: Origin,
    /// Where its image comes from, for messages.
    pub source: ImageSource,
    /// How the VM is built.
    pub config: VmConfig,
    /// The file that becomes the initrd.
    pub initrd: Option<Initrd>,
    /// The KVM device.
    pub kvm: PathBuf,
    /// Where output goes, asked at each boot.
    pub output: OutputSource,
    /// The clock of the first boot.
    pub stages: Stages,
    /// Whether a guest that reboots is started again here; otherwise that is its end, as it is of
    /// one that began in a snapshot.
    pub reboots: bool,
    /// Whether what is in the program's file is let go of as soon as it is not needed. Where other
    /// processes run the program too they share it, and it costs a start more than it saves.
    pub is_alone: bool,
}

/// Where a guest begins.
#[derive(Debug)]
pub enum Origin {
    /// At the entry of its image.
    Image(Arc<Image>),
    /// Where another one was saved. The plan's configuration is that one's.
    Snapshot(SnapshotFiles),
}

/// Where a VM's output goes.
#[derive(Debug)]
pub enum OutputSource {
    /// To the process's standard output.
    Stdout,
    /// To an output that it shares with other guests.
    Shared(Arc<SharedOutput>),
    /// To those who read it from memory.
    Ring(Arc<Ring>),
    /// Nowhere: so many bytes of it are looked at, and no more.
    Memory(usize),
}

impl OutputSource {
    fn open(&self, guest: u32) -> io::Result<Output> {
        match self {
            Self::Stdout => Output::stdout(),
            Self::Shared(shared) => Ok(Output::Labelled(LabelledOutput::new(
                Arc::clone(shared),
                guest,
            ))),
            Self::Ring(ring) => Ok(Output::Ring(Arc::clone(ring))),
            Self::Memory(limit) => Ok(Output::memory(*limit)),
        }
    }
}

/// A VM's thread.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    thread: JoinHandle<Result<Finished, Failure>>,
}

/// What a session tells while it runs: a guest's number, and what is the matter with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The VM is built, and starts to run.
    Built(u32),
    /// The thread ends; what comes last, in every case.
    Ended(u32),
}

/// Says that the thread ends, when it is dropped.
struct EndOfThread {
    guest: u32,
    events: UnboundedSender<Event>,
}

impl Drop for EndOfThread {
    fn drop(&mut self) {
        // If nobody waits for it, that is none of our business.
        let _ = self.events.send(Event::Ended(self.guest));
    }
}

/// A VM that was run to its end.
#[derive(Debug)]
pub struct Run {
    /// Its image.
    pub image: Arc<Image>,
    /// What its thread left.
    pub finished: Finished,
}

/// What a session leaves behind.
#[derive(Debug)]
pub struct Finished {
    /// The VM, as it was when it ended: the last one, if it rebooted.
    pub vm: Vm,
    /// How it ended.
    pub ending: Result<Ending, Failure>,
    /// When the first boot did what.
    pub stages: Stages,
    /// How often the VM was started.
    pub boots: u64,
    /// How many bytes all boots wrote to the console.
    pub console_written: u64,
}

/// What a session's thread shares with the one that stops it.
#[derive(Debug, Default)]
struct Shared {
    input: Arc<InputBuffer>,
    stopping: AtomicBool,
    control: Mutex<Option<Arc<VmControl>>>,
}

impl Shared {
    fn set_control(&self, control: Arc<VmControl>) {
        *self.control() = Some(control);
    }

    fn control(&self) -> MutexGuard<'_, Option<Arc<VmControl>>> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(control) = self.control().as_ref() {
            control.stop();
        }
    }
}

impl Session {
    /// Starts the thread, which calls `on_built` when the VM is about to run first, and does not
    /// run it if that fails.
    pub fn start(
        plan: Plan,
        events: UnboundedSender<Event>,
        on_built: impl FnOnce(&Vm) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let guest = plan.config.seat.guest;
        let thread = Builder::new()
            .name("vcpu0".to_string())
            .spawn(move || {
                // Dropped when this thread ends, in whatever way.
                let end = EndOfThread { guest, events };
                boot(plan, &for_thread, |vm| {
                    on_built(vm)?;
                    let _ = end.events.send(Event::Built(guest));
                    Ok(())
                })
            })
            .map_err(|error| {
                Failure::internal(format!("cannot start a thread for the vCPU: {error}"))
            })?;
        Ok(Self { shared, thread })
    }

    /// The input of the VM's console, whichever boot it is.
    pub fn input(&self) -> Arc<InputBuffer> {
        Arc::clone(&self.shared.input)
    }

    /// Asks the guest to shut down; whether it has said that it wants to be asked.
    pub fn request_shutdown(&self) -> bool {
        let control = self.shared.control();
        control.as_ref().is_some_and(|one| one.request_shutdown())
    }

    /// Waits until the VM has ended, for at most this long; whether it has.
    pub fn wait(&self, time: Duration) -> bool {
        let start = Instant::now();
        while !self.thread.is_finished() {
            if start.elapsed() >= time {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Asks the VM to stop. It takes [`Session::stop`] to be sure that it does.
    pub fn request_stop(&self) {
        self.shared.stop();
    }

    /// Stops the VM and waits until it has ended.
    pub fn stop(&self) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            self.shared.stop();
            if self.wait(STOP_INTERVAL) {
                return Ok(());
            }
            if start.elapsed() >= PATIENCE {
                return Err(Self::cannot_stop());
            }
        }
    }

    /// A VM was told to stop for [`PATIENCE`], and did not.
    pub fn cannot_stop() -> Failure {
        Failure::internal(format!(
            "the vCPU did not leave the guest for {} s after it was told to; look into the host's \
             kernel log",
            PATIENCE.as_secs()
        ))
    }

    /// Waits for the end of the thread.
    pub fn join(self) -> Result<Finished, Failure> {
        self.thread.join().unwrap_or_else(|_| {
            Err(Failure::internal(
                "the vCPU's thread panicked (a defect of the VMM)",
            ))
        })
    }
}

/// Builds the VM and runs it until it ends otherwise than by a reboot.
fn boot(
    mut plan: Plan,
    shared: &Shared,
    on_built: impl FnOnce(&Vm) -> Result<(), Failure>,
) -> Result<Finished, Failure> {
    let failure = |error: vm::VmError| plan.source.failure(error);
    let kvm = match host::open(&plan.kvm) {
        Ok(kvm) => kvm,
        // What is wrong with the request is wrong on every host, so that is told first.
        Err(error) => {
            let first = match &plan.origin {
                Origin::Image(image) => vm::check(image, &plan.config).err(),
                Origin::Snapshot(_) => None,
            };
            return Err(failure(first.unwrap_or(error.into())));
        }
    };
    plan.stages.done("kvm");

    let guest = plan.config.seat.guest;
    let mut on_built = Some(on_built);
    let mut boots = 0;
    let mut console_written = 0;
    loop {
        let output = plan.output.open(guest).map_err(|error| {
            Failure::internal(format!("cannot use the standard output: {error}"))
        })?;
        let console = Console::with_input(output, shared.input.clone());
        // Later boots have a clock that nobody looks at.
        let mut later = Stages::start();
        let stages = if boots == 0 {
            &mut plan.stages
        } else {
            &mut later
        };
        let mut vm = match &plan.origin {
            Origin::Image(image) => {
                // Only for as long as it is copied: the guest's memory has it then.
                plan.config.initrd = plan.initrd.as_ref().map(Initrd::read).transpose()?;
                let vm = Vm::new(&kvm, image, &plan.config, console, stages).map_err(failure)?;
                plan.config.initrd = None;
                vm
            }
            Origin::Snapshot(files) => {
                restore::restore(&kvm, files, &plan.config, console, stages)?
            }
        };
        if plan.is_alone {
            plan.source.let_go();
            built_in::let_go_of_code();
        }
        boots += 1;
        let control = vm.control();
        shared.set_control(Arc::clone(&control));
        if let Some(on_built) = on_built.take() {
            on_built(&vm)?;
        }
        let ending = if shared.stopping.load(Ordering::SeqCst) {
            Ok(Ending::Stopped)
        } else {
            vm.run()
        };
        // Its neighbours need not wait for what is done about its end.
        control.services.grants.leave();
        let console = &control.services.console;
        // A reader that is gone needs nothing more.
        let _ = console.flush();
        console_written += console.written();
        if boots == 1
            && let Some(at) = console.first_byte()
        {
            plan.stages.done_at("first_console_byte", at);
        }
        let may_reboot = plan.reboots && matches!(plan.origin, Origin::Image(_));
        let reboots = may_reboot && matches!(ending, Ok(Ending::Reboot));
        if reboots && !shared.stopping.load(Ordering::SeqCst) {
            continue;
        }
        plan.stages.done("end");
        return Ok(Finished {
            vm,
            ending: ending.map_err(failure),
            stages: plan.stages,
            boots,
            console_written,
        });
    }
}
