//! Lanes: running a program on the stock KVMs that this machine's processor does not offer.
//!
//! A lane boots Debian's own kernel inside an emulator that implements a virtualization
//! extension, loads Debian's own KVM modules there, runs one program, and hands back what the
//! program wrote and how it ended:
//!
//! | lane | KVM | inside |
//! |---|---|---|
//! | [`Lane::Svm`] | `kvm_amd`, nested paging, two processors | QEMU TCG |
//! | [`Lane::SvmIcount`] | the same on one processor, in virtual time that counts instructions | QEMU TCG |
//! | [`Lane::Vmx`] | `kvm_intel`, EPT | Bochs |
//! | [`Lane::VmxEpt0`] | `kvm_intel`, shadow paging | Bochs |
//!
//! ```no_run
//! # use paravane_tests::lanes::{Job, Lane};
//! # use std::time::Duration;
//! let lane = Lane::Vmx.available()?;
//! let mut job = Job::new("target/release/paravane", Duration::from_secs(300));
//! job.args = vec!["doctor".into()];
//! let outcome = lane.run(&job, &mut |line| println!("{line}"))?;
//! assert_eq!(outcome.exit_code, 0, "{}", outcome.output);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each run has a directory, a serial line and a process group of its own, so lanes may run side
//! by side; each keeps one core busy. On an idle machine a run takes 3 s in [`Lane::Svm`], 7 s in
//! [`Lane::SvmIcount`] and 13 s in the Bochs lanes, plus what the program takes; allow several
//! times that on a busy one. The kernel and the emulators should be of one Debian release: under
//! Debian 12's QEMU 7.2, Debian 13's kernel crashes in one boot of ten.

mod commands;
mod initramfs;
mod kernel;
mod libraries;
mod modules;
mod process;
mod svm;
mod verdict;
mod vmx;

use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use initramfs::ImageTools;
use kernel::Kernel;
use modules::KvmModule;
use process::ProcessGroup;
use verdict::{Phase, Transcript};

/// How often the serial line is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long a panicking kernel gets to print the rest of its report.
const PANIC_GRACE: Duration = Duration::from_secs(2);

/// How many of the last lines of the serial output an error quotes.
const TAIL_LINES: usize = 40;

/// One of the stock KVMs that a program can be run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Debian's `kvm_amd` with nested paging, two processors.
    Svm,
    /// Debian's `kvm_amd` with nested paging, one processor, in virtual time that advances one
    /// nanosecond with each instruction: for costs that can be compared between runs.
    SvmIcount,
    /// Debian's `kvm_intel` with EPT and unrestricted guest, one processor.
    Vmx,
    /// Debian's `kvm_intel` with shadow paging (`ept=0`), one processor.
    VmxEpt0,
}

/// A program to run in a lane.
#[derive(Clone, Debug)]
pub struct Job {
    /// The program, on this machine. Its shared libraries come along, and so do those of `files`.
    pub program: PathBuf,
    /// Its arguments, without the program's own name.
    pub args: Vec<String>,
    /// Further files: where they are on this machine, and their absolute path inside the lane.
    pub files: Vec<(PathBuf, String)>,
    /// Environment variables, on top of `PATH` and `HOME`.
    pub env: Vec<(String, String)>,
    /// How long the emulator may run, boot included.
    pub timeout: Duration,
    /// Whether the program goes in without its debug data. Its symbols stay, so a backtrace still
    /// names functions, but no longer lines. It saves Bochs about 1 s for each 5 MB of debug data.
    /// Other files go in as they are.
    pub strip_debug_data: bool,
}

impl Job {
    /// A run of `program` with no arguments, files or variables, and without its debug data.
    pub fn new(program: impl Into<PathBuf>, timeout: Duration) -> Job {
        Job {
            program: program.into(),
            args: Vec::new(),
            files: Vec::new(),
            env: Vec::new(),
            timeout,
            strip_debug_data: true,
        }
    }
}

/// How a program ended that ran in a lane to its end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The program's exit status; 128 plus the signal's number if a signal ended it.
    pub exit_code: i32,
    /// What the program wrote to standard output and standard error, as one stream, with carriage
    /// returns removed. None of it is lost however much it is; 250 KiB take 1.5 s in Bochs and
    /// half a second in QEMU.
    pub output: String,
    /// What the kernel logged while the program ran (its last lines, should they be many).
    pub kernel_messages: String,
    /// The whole run, including the time to build the image.
    pub duration: Duration,
    /// The part of it from the emulator's start to the program's.
    pub boot_duration: Duration,
    /// The part of it in which the program ran, in this machine's time.
    pub program_duration: Duration,
}

/// Why a program did not run to its end in a lane.
#[derive(Clone, Debug)]
pub enum LaneError {
    /// Something failed on this machine before the emulator started.
    Preparation(String),
    /// The lane booted, but is not what it should be: a module did not load, say.
    NotReady {
        /// What is wrong with it.
        reason: String,
        /// The last lines of the serial output.
        serial_tail: String,
    },
    /// The lane's kernel panicked.
    KernelPanic {
        /// The line that says so.
        message: String,
        /// The last lines of the serial output.
        serial_tail: String,
    },
    /// The emulator ended and no exit status had been seen.
    NoVerdict {
        /// The last lines that the emulator itself wrote.
        emulator_tail: String,
        /// The last lines of the serial output.
        serial_tail: String,
    },
    /// The job's time was up.
    TimedOut {
        /// The time it had.
        timeout: Duration,
        /// What was going on when it was up.
        during: &'static str,
        /// The last lines of the serial output.
        serial_tail: String,
    },
}

impl fmt::Display for LaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial_tail = match self {
            LaneError::Preparation(reason) => return f.write_str(reason),
            LaneError::NotReady {
                reason,
                serial_tail,
            } => {
                write!(f, "the lane booted but is not ready: {reason}")?;
                serial_tail
            }
            LaneError::KernelPanic {
                message,
                serial_tail,
            } => {
                write!(f, "the lane's kernel panicked: {message}")?;
                serial_tail
            }
            LaneError::NoVerdict {
                emulator_tail,
                serial_tail,
            } => {
                write!(
                    f,
                    "the emulator ended before the program did; it said:\n{emulator_tail}"
                )?;
                serial_tail
            }
            LaneError::TimedOut {
                timeout,
                during,
                serial_tail,
            } => {
                write!(f, "time was up after {} s, {during}", timeout.as_secs_f32())?;
                serial_tail
            }
        };
        write!(f, "\nthe serial line's last lines:\n{serial_tail}")
    }
}

impl std::error::Error for LaneError {}

impl Lane {
    /// All lanes, in the order of the table above.
    pub const ALL: [Lane; 4] = [Lane::Svm, Lane::SvmIcount, Lane::Vmx, Lane::VmxEpt0];

    /// The lane's name, as it is shown in the names of tests.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Svm => "svm",
            Lane::SvmIcount => "svm-icount",
            Lane::Vmx => "vmx",
            Lane::VmxEpt0 => "vmx-ept0",
        }
    }

    /// Finds what the lane needs on this machine. The error names what is missing, in one
    /// sentence, and the command that mends it.
    pub fn available(self) -> Result<ReadyLane, String> {
        let emulator: Box<dyn Emulator> = match self {
            Lane::Svm => Box::new(svm::Qemu::find(svm::Time::Real)?),
            Lane::SvmIcount => Box::new(svm::Qemu::find(svm::Time::Instructions)?),
            Lane::Vmx | Lane::VmxEpt0 => Box::new(vmx::Bochs::find()?),
        };
        let kvm_module = match self {
            Lane::Svm | Lane::SvmIcount => KvmModule::AMD,
            Lane::Vmx => KvmModule::INTEL,
            Lane::VmxEpt0 => KvmModule::INTEL_EPT0,
        };
        Ok(ReadyLane {
            lane: self,
            emulator,
            tools: ImageTools::find()?,
            kernel: Kernel::find(&kvm_module)?,
            kvm_module,
        })
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a lane that is not available is a failure (`PARAVANE_LANES=required`, which CI sets)
/// rather than something to skip.
pub fn required() -> bool {
    std::env::var_os("PARAVANE_LANES").is_some_and(|value| value == "required")
}

/// What boots a kernel and an initramfs.
trait Emulator: Send + Sync {
    /// A name to show.
    fn name(&self) -> &'static str;

    /// Makes whatever the emulator boots from in `boot.directory`, and returns the command that
    /// boots it with that directory as its working directory. The guest's first serial line is
    /// written to [`Boot::SERIAL`] there.
    fn command(&self, boot: &Boot<'_>) -> Result<Command, String>;
}

/// What an emulator is to boot.
struct Boot<'a> {
    /// A directory of this run's own.
    directory: &'a Path,
    /// The kernel's image.
    kernel: &'a Path,
}

impl Boot<'_> {
    /// The name of the initramfs in the run's directory.
    const INITRAMFS: &'static str = "initramfs";
    /// The name of the file in the run's directory that gets the serial output.
    const SERIAL: &'static str = "serial";
    /// The name of the file in the run's directory that gets what the emulator says.
    const EMULATOR_OUTPUT: &'static str = "emulator-output";
}

/// A lane with everything that it needs, found on this machine.
pub struct ReadyLane {
    lane: Lane,
    emulator: Box<dyn Emulator>,
    tools: ImageTools,
    kernel: Kernel,
    kvm_module: KvmModule,
}

impl ReadyLane {
    /// Which lane it is.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The release of the kernel that it boots, such as `6.1.0-56-cloud-amd64`.
    pub fn kernel_release(&self) -> &str {
        &self.kernel.release
    }

    /// Runs `job`, and returns once it has ended or cannot any more; the emulator is gone by then.
    /// Each line that the program writes goes to `progress` as it comes, after a line that says
    /// what is being booted.
    pub fn run(&self, job: &Job, progress: &mut dyn FnMut(&str)) -> Result<Outcome, LaneError> {
        let start = Instant::now();
        let run_directory = tempfile::Builder::new()
            .prefix("paravane-lane-")
            .tempdir()
            .map_err(|error| LaneError::Preparation(format!("no directory to run in: {error}")))?;
        let directory = run_directory.path();
        let mut serial = self
            .prepare(job, directory)
            .map_err(LaneError::Preparation)?;
        let boot = Boot {
            directory,
            kernel: &self.kernel.image,
        };
        let mut command = self
            .emulator
            .command(&boot)
            .map_err(LaneError::Preparation)?;

        progress(&format!(
            "booting Linux {} in {}",
            self.kernel.release,
            self.emulator.name()
        ));
        let emulator_start = Instant::now();
        let emulator = ProcessGroup::spawn(&mut command, &directory.join(Boot::EMULATOR_OUTPUT))
            .map_err(LaneError::Preparation)?;
        let mut transcript = Transcript::default();
        let mut program_start = emulator_start;
        let mut panic_seen = None;
        loop {
            // In this order, so that nothing can be written after the last look at the file.
            let ended = emulator.has_ended().map_err(LaneError::Preparation)?;
            let phase_before = transcript.phase();
            serial
                .read_into(&mut transcript, progress)
                .map_err(LaneError::Preparation)?;
            let phase = transcript.phase();
            if phase_before == Phase::Boot && phase != Phase::Boot {
                program_start = Instant::now();
            }

            let serial_tail = || transcript.tail(TAIL_LINES);
            match phase {
                Phase::Exited(exit_code) => {
                    return Ok(Outcome {
                        exit_code,
                        output: transcript.output(),
                        kernel_messages: transcript.kernel_messages(),
                        duration: start.elapsed(),
                        boot_duration: program_start - emulator_start,
                        program_duration: program_start.elapsed(),
                    });
                }
                Phase::Failed => {
                    let reason = transcript.failure().to_owned();
                    return Err(LaneError::NotReady {
                        reason,
                        serial_tail: serial_tail(),
                    });
                }
                Phase::Panicking => {
                    let since: &mut Instant = panic_seen.get_or_insert_with(Instant::now);
                    if ended || since.elapsed() > PANIC_GRACE {
                        let message = transcript.failure().to_owned();
                        return Err(LaneError::KernelPanic {
                            message,
                            serial_tail: serial_tail(),
                        });
                    }
                }
                _ if ended => {
                    return Err(LaneError::NoVerdict {
                        emulator_tail: emulator.output_tail(TAIL_LINES),
                        serial_tail: serial_tail(),
                    });
                }
                _ => {}
            }
            if emulator_start.elapsed() > job.timeout {
                return Err(LaneError::TimedOut {
                    timeout: job.timeout,
                    during: phase.description(),
                    serial_tail: serial_tail(),
                });
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// Builds the initramfs and the empty serial file in `directory`.
    fn prepare(&self, job: &Job, directory: &Path) -> Result<SerialFile, String> {
        initramfs::build(
            &self.tools,
            &self.kernel,
            &self.kvm_module,
            job,
            directory,
            &directory.join(Boot::INITRAMFS),
        )?;
        SerialFile::create(directory.join(Boot::SERIAL))
    }
}

/// The file that an emulator writes its guest's serial output to.
struct SerialFile {
    path: PathBuf,
    file: File,
    read: u64,
}

impl SerialFile {
    fn create(path: PathBuf) -> Result<SerialFile, String> {
        fs::write(&path, b"")
            .and_then(|()| File::open(&path))
            .map(|file| SerialFile {
                file,
                read: 0,
                path: path.clone(),
            })
            .map_err(|error| format!("cannot create {}: {error}", path.display()))
    }

    /// Appends what is new in the file to `transcript`.
    fn read_into(
        &mut self,
        transcript: &mut Transcript,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), String> {
        let mut new = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.read))
            .and_then(|_| self.file.read_to_end(&mut new))
            .map_err(|error| format!("cannot read {}: {error}", self.path.display()))?;
        self.read += new.len() as u64;
        transcript.push(&new, progress);
        Ok(())
    }
}

/// The workspace's build directory, for what is worth keeping between runs.
fn target_directory() -> PathBuf {
    let tests_crate = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests_crate.parent().unwrap_or(tests_crate).join("target")
}
