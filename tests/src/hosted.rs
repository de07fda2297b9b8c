//! A VM in this process, for what a program that embeds the VMM does with one that runs.

use crate::guests;
use crate::modes::Mode;
use paravane::carrier::{Carrier, Privilege};
use paravane::console::Console;
use paravane::console::input::InputBuffer;
use paravane::console::output::{Observer, Output};
use paravane::device::spec::{DeviceOptions, DeviceSpec};
use paravane::grant::Seat;
use paravane::image::Image;
use paravane::snapshot::SnapshotFiles;
use paravane::vcpu::Ending;
use paravane::vm::restore::RestoreConfig;
use paravane::vm::stages::Stages;
use paravane::vm::{Vm, VmConfig, VmControl, VmError, host};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a test waits for what a guest prints. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a test that waits looks whether the VM has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How a VM is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How its guest runs.
    pub mode: Mode,
    /// Its image.
    pub image: PathBuf,
    /// That one's command line.
    pub command_line: String,
    /// Its number of vCPUs.
    pub vcpus: u32,
    /// Its devices.
    pub devices: Vec<Arc<dyn DeviceOptions>>,
}

impl Plan {
    /// One vCPU and no devices.
    pub fn new(mode: Mode, command_line: &str) -> Self {
        Self {
            mode,
            image: guests::kernel(),
            command_line: command_line.into(),
            vcpus: 1,
            devices: Vec::new(),
        }
    }

    /// With another image than the bundled kernel's.
    pub fn image(self, image: PathBuf) -> Self {
        Self { image, ..self }
    }

    /// With so many vCPUs.
    pub fn vcpus(self, vcpus: u32) -> Self {
        Self { vcpus, ..self }
    }

    /// With one device more.
    pub fn device(mut self, options: impl DeviceOptions + 'static) -> Self {
        self.devices.push(Arc::new(options));
        self
    }

    /// What it gets anew when it goes on from a snapshot.
    pub fn restored(&self) -> RestoreConfig {
        RestoreConfig {
            seat: Seat::alone(),
            devices: DeviceSpec::name(self.devices.clone()),
        }
    }

    /// The configuration that it is.
    pub fn config(&self) -> VmConfig {
        VmConfig {
            memory: 64 << 20,
            vcpus: self.vcpus,
            privilege: Some(match self.mode.privilege {
                "ring0" => Privilege::Ring0,
                _ => Privilege::Ring3,
            }),
            carrier: Some(match self.mode.carrier {
                "vmcall" => Carrier::Vmcall,
                "vmmcall" => Carrier::Vmmcall,
                _ => Carrier::Pio,
            }),
            command_line: self.command_line.clone(),
            initrd: None,
            seat: Seat::alone(),
            devices: DeviceSpec::name(self.devices.clone()),
        }
    }
}

/// Where a VM prints to, and what it reads.
#[derive(Debug)]
pub struct Terminal {
    output: Receiver<Vec<u8>>,
    /// How the VM ended, once it has.
    ended: Arc<OnceLock<String>>,
    printed: Vec<u8>,
    last: String,
    /// What it reads.
    pub input: Arc<InputBuffer>,
}

impl Terminal {
    /// A terminal, and the console at its other end.
    pub fn new() -> (Self, Console) {
        let (sender, output): (Sender<Vec<u8>>, _) = channel();
        let sender = Mutex::new(sender);
        let observer = Observer::new(move |bytes| {
            let sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever does not look any more needs nothing.
            let _ = sender.send(bytes.to_vec());
        });
        let input = Arc::<InputBuffer>::default();
        let console = Console::with_input(Output::Observed(observer), Arc::clone(&input));
        let terminal = Self {
            output,
            ended: Arc::default(),
            printed: Vec::new(),
            last: String::new(),
            input,
        };
        (terminal, console)
    }

    /// The next line that the guest prints, without its end.
    ///
    /// # Panics
    ///
    /// When none comes, or the VM ended before.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = self.printed.iter().position(|&byte| byte == b'\n') {
                let rest = self.printed.split_off(end + 1);
                let line = std::mem::replace(&mut self.printed, rest);
                self.last = String::from_utf8_lossy(&line).trim_end().to_string();
                return self.last.clone();
            }
            // Looked at first: what was printed is there when the VM has ended.
            let ended = self.ended.get();
            match (self.output.recv_timeout(LOOK_AGAIN), ended) {
                (Ok(bytes), _) => self.printed.extend(bytes),
                (Err(_), Some(ending)) => {
                    panic!("no line follows {:?}: the VM ended: {ending}", self.last);
                }
                (Err(error), None) => assert!(
                    Instant::now() < deadline,
                    "no line follows {:?}: {error}",
                    self.last
                ),
            }
        }
    }

    /// Waits for a line that begins so; what follows in it.
    ///
    /// # Panics
    ///
    /// When none comes.
    #[track_caller]
    pub fn line_after(&mut self, beginning: &str) -> String {
        loop {
            if let Some(rest) = self.line().strip_prefix(beginning) {
                return rest.to_string();
            }
        }
    }

    /// What was printed, and nobody has looked at.
    pub fn rest(&mut self) -> Vec<u8> {
        self.has_output();
        std::mem::take(&mut self.printed)
    }

    /// What was printed before what comes now.
    pub fn go_on_after(&mut self, rest: Vec<u8>) {
        self.printed.splice(0..0, rest);
    }

    /// Whether something was printed that nobody has looked at.
    pub fn has_output(&mut self) -> bool {
        self.printed.extend(self.output.try_iter().flatten());
        !self.printed.is_empty()
    }
}

/// A VM on a thread of its own.
#[derive(Debug)]
pub struct Hosted {
    /// What other threads do with it.
    pub control: Arc<VmControl>,
    /// Its console.
    pub terminal: Terminal,
    thread: JoinHandle<Result<Ending, VmError>>,
}

impl Hosted {
    /// Starts one of the bundled kernel.
    ///
    /// # Panics
    ///
    /// When it cannot be built.
    pub fn start(plan: &Plan) -> Self {
        Self::start_after(plan, |_| ())
    }

    /// Starts one, after something was done with it.
    ///
    /// # Panics
    ///
    /// When it cannot be built.
    pub fn start_after(plan: &Plan, before: impl FnOnce(&VmControl) + Send + 'static) -> Self {
        let config = plan.config();
        let image = plan.image.clone();
        Self::start_built(before, move |kvm, console| {
            let image = Image::read(&image)?;
            Vm::new(kvm, &image, &config, console, &mut Stages::start())
        })
    }

    /// Starts one that goes on from the snapshot in a folder.
    ///
    /// # Panics
    ///
    /// When it cannot.
    pub fn restore(plan: &Plan, folder: &Path) -> Self {
        Self::restore_after(plan, folder, b"")
    }

    /// As [`restore`](Self::restore), after something was typed.
    ///
    /// # Panics
    ///
    /// As there.
    pub fn restore_after(plan: &Plan, folder: &Path, typed: &'static [u8]) -> Self {
        let config = plan.restored();
        let folder = folder.to_path_buf();
        Self::start_built(
            |_| (),
            move |kvm, console| {
                assert!(console.input().push(typed));
                let files = SnapshotFiles::open(&folder)?;
                Vm::restore(kvm, &files, &config, console, &mut Stages::start())
            },
        )
    }

    /// Starts the VM that `build` makes on its thread.
    ///
    /// # Panics
    ///
    /// When it makes none.
    pub fn start_built(
        before: impl FnOnce(&VmControl) + Send + 'static,
        build: impl FnOnce(&paravane::vm::Kvm, Console) -> Result<Vm, VmError> + Send + 'static,
    ) -> Self {
        let (terminal, console) = Terminal::new();
        let ended = Arc::clone(&terminal.ended);
        let (built, control) = channel();
        let thread = thread::spawn(move || {
            let kvm = host::open(Path::new(host::DEVICE))?;
            let mut vm = build(&kvm, console)?;
            before(&vm.control());
            let _ = built.send(vm.control());
            let ending = vm.run();
            let _ = ended.set(format!("{ending:?}"));
            ending
        });
        match control.recv() {
            Ok(control) => Self {
                control,
                terminal,
                thread,
            },
            Err(_) => panic!("the VM cannot be built: {:?}", thread.join()),
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When a vCPU fails.
    pub fn end(self) -> Ending {
        let ended = self.thread.join().expect("the VMM does not panic");
        ended.expect("the VM runs")
    }

    /// Kills a VM that was saved, before it goes on; what it printed that nobody has looked at.
    pub fn abandon(mut self) -> Vec<u8> {
        let rest = self.terminal.rest();
        while !self.thread.is_finished() {
            self.control.stop();
            thread::sleep(Duration::from_millis(1));
        }
        rest
    }

    /// Stops it.
    ///
    /// # Panics
    ///
    /// When it does not end as one that was stopped.
    pub fn stop(self) {
        while !self.thread.is_finished() {
            self.control.stop();
            thread::sleep(Duration::from_millis(1));
        }
        let ending = self.end();
        assert!(matches!(ending, Ending::Stopped), "{ending:?}");
    }
}
