//! A VM: built from an image and run to its end.

pub mod host;
pub mod load;
pub mod machine;
pub mod pause;
pub mod probe;
pub mod restore;
pub mod stages;
pub mod stats;

use crate::carrier::{Carrier, Mode, Privilege};
use crate::console::Console;
use crate::console::input::InputListener;
use crate::device::list::{DeviceList, ListError};
use crate::device::spec::{DeviceSpec, OpenError};
use crate::event::port::Source;
use crate::grant::Seat;
use crate::grant::slots::KvmSlots;
use crate::hypercall::page::HypercallPage;
use crate::hypercall::stats::CallStats;
use crate::hypercall::{GuestReport, Services, ServicesConfig};
use crate::image::{Image, ImageError};
use crate::memory::PrivateMemory;
use crate::sandbox::thread::{narrow, narrow_boot_vcpu};
use crate::sandbox::{SandboxError, ThreadKind};
use crate::snapshot::RestoreError;
use crate::space::shootdown::KvmShootdown;
use crate::sync::lock;
use crate::time::clock::Clock;
use crate::time::tsc;
use crate::vcpu::kvm_stats::ExitCounter;
use crate::vcpu::shared::StartAt;
use crate::vcpu::{Ending, Vcpu, VcpuError, registers};
pub use kvm_ioctls::Kvm;
use load::{Contents, LoadError};
use machine::{Machine, MachineError, Places};
use probe::{HostModes, ModeError};
use pv_abi::Features;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::vcpu_page::VcpuPage;
use stages::Stages;
use std::fs::File;
use std::io;
use std::mem::offset_of;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, Builder};
use thiserror::Error;

/// The features that this VMM offers.
pub const FEATURES: Features = Features::BATCH
    .union(Features::ENTROPY)
    .union(Features::TRAP_TABLE)
    .union(Features::SYSCALL_ENTRY)
    .union(Features::TLS)
    .union(Features::DIRECT_RETURN)
    .union(Features::CONSOLE)
    .union(Features::CRASH_REPORT)
    .union(Features::BLOCKING)
    .union(Features::VCPUS)
    .union(Features::TASKS)
    .union(Features::DEBUG_REGISTERS)
    .union(Features::DEFERRED)
    .union(Features::ADDRESS_SPACES)
    .union(Features::EVENTS)
    .union(Features::CLOCK)
    .union(Features::TIMERS)
    .union(Features::BALLOON)
    .union(Features::GRANTS)
    .union(Features::DEVICES)
    .union(Features::RESTORED);

/// How a VM is to be built.
#[derive(Clone, Debug)]
pub struct VmConfig {
    /// RAM in bytes, a multiple of the page size.
    pub memory: u64,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// The privilege; `None` takes what works best here.
    pub privilege: Option<Privilege>,
    /// The carrier; `None` likewise.
    pub carrier: Option<Carrier>,
    /// The command line.
    pub command_line: String,
    /// The initrd.
    pub initrd: Option<Arc<[u8]>>,
    /// Which guest of the process it runs.
    pub seat: Seat,
    /// Its devices.
    pub devices: Vec<DeviceSpec>,
}

/// Why a VM could not be built or run.
#[derive(Debug, Error)]
pub enum VmError {
    /// There is no KVM that could be used.
    #[error(transparent)]
    Host(#[from] host::HostError),
    /// The image does not fit the configuration.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The machine could not be built.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The mode does not work here.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// The contents could not be put into memory.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A device could not be had.
    #[error(transparent)]
    Device(#[from] OpenError),
    /// The devices do not go together.
    #[error(transparent)]
    Devices(#[from] ListError),
    /// A snapshot could not be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A vCPU failed.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// A vCPU's thread could not be started.
    #[error("cannot start a thread for vCPU {number}: {source}")]
    Thread {
        /// Number of the vCPU.
        number: u32,
        /// What the host said.
        source: io::Error,
    },
    /// A vCPU's thread could not be confined.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The monitor could not be reached.
    #[error(transparent)]
    Memory(#[from] crate::memory::MemoryError),
}

/// A VM that is ready to run.
#[derive(Debug)]
pub struct Vm {
    /// How the guest runs and calls.
    pub mode: Mode,
    /// Frequency of the TSC in Hz; 0 when KVM does not say.
    pub tsc_frequency: u64,
    vcpus: Vec<Vcpu>,
    control: Arc<VmControl>,
    private: Arc<PrivateMemory>,
    // What a running vCPU relies on is dropped last.
    _vm: Arc<kvm_ioctls::VmFd>,
}

/// What other threads do with a running VM.
#[derive(Debug)]
pub struct VmControl {
    /// What the vCPUs share.
    pub services: Services,
    /// Whether the VM is paused; held while that changes.
    paused: Mutex<bool>,
    /// How often it went on after a pause.
    resumes: AtomicU64,
    pub(crate) tsc_frequency: u64,
    /// How often it went on from a snapshot.
    pub(crate) restored: u32,
    /// What a snapshot says about its machine.
    pub(crate) machine: MachineFacts,
}

/// What a snapshot says about a machine.
#[derive(Debug)]
pub(crate) struct MachineFacts {
    /// Its private pages.
    pub private: Arc<PrivateMemory>,
    /// Where things are in them.
    pub places: Places,
    /// As of [`Machine`].
    pub hardware: bool,
    /// As of [`Machine`].
    pub hypercall_exits: bool,
    /// This process's /proc/self/pagemap, which cannot be opened any more by a process that has
    /// become another user; nothing where it could not be opened at all.
    pub pagemap: Option<File>,
}

impl VmControl {
    /// Asks the VM to stop. A thread of it that waits for its console may just have looked
    /// whether it should: call this again, at intervals, until the VM has ended.
    pub fn stop(&self) {
        self.services.console.stop();
        self.services.vcpus.stop_all();
    }

    /// Asks the guest to shut down; whether it has said that it wants to be asked.
    pub fn request_shutdown(&self) -> bool {
        let services = &self.services;
        services
            .events
            .raise_source(&services.vcpus, Source::Shutdown)
    }
}

impl InputListener for VmControl {
    fn is_listening(&self) -> bool {
        self.services.is_listening()
    }

    fn input_came(&self) {
        self.services.input_came();
    }
}

/// Checks all that can be known before there is a machine: that this image and this
/// configuration go together, and that there can be so much memory.
pub fn check(image: &Image, config: &VmConfig) -> Result<(), VmError> {
    machine::check_memory(config.memory)?;
    image.check_host(config.memory, config.vcpus, FEATURES)?;
    load::check_command_line(&config.command_line)?;
    Ok(())
}

/// The features that can be offered on this host with this clock.
fn features(clock: &Clock) -> Features {
    let features = clock.features(FEATURES);
    if machine::has_debug_registers() {
        features
    } else {
        features.missing_from(Features::DEBUG_REGISTERS)
    }
}

/// What a VM is made of, with everything in its memory.
struct Parts {
    machine: Machine,
    console: Console,
    features: Features,
    mode: Mode,
    seat: Seat,
    devices: DeviceList,
    clock: Clock,
    places: Places,
    restored: u32,
}

impl Parts {
    /// The VM, with no vCPU started.
    fn assemble(self) -> Result<Vm, VmError> {
        let Self { machine, mode, .. } = self;
        let Machine {
            vcpus,
            vm,
            ram,
            private,
            monitors,
            root,
            event_page,
            grant_window,
            hardware,
            table_pool,
            tsc_frequency,
            hypercall_exits,
            ..
        } = machine;
        let ram = Arc::new(ram);
        let shootdown = KvmShootdown::new(Arc::clone(&vm), Arc::clone(&ram), Arc::clone(&private));
        let services = Services::new(ServicesConfig {
            ram,
            private: Arc::clone(&private),
            monitors: &monitors,
            root,
            event_page,
            table_pool,
            shootdown: Box::new(shootdown),
            console: self.console,
            features: self.features,
            mode,
            seat: self.seat,
            devices: self.devices,
            grant_window,
            grant_slots: Box::new(KvmSlots::new(Arc::clone(&vm))),
            clock: self.clock,
        });
        let sequence = HypercallPage::new(mode).sequence();
        let mut running = Vec::with_capacity(vcpus.len());
        for (fd, monitor) in vcpus.into_iter().zip(monitors) {
            registers::set_syscall(&fd, monitor.syscall_entry(mode.carrier))?;
            running.push(Vcpu::new(fd, mode, monitor, sequence, root, hardware));
        }
        let control = Arc::new(VmControl {
            services,
            paused: Mutex::new(false),
            resumes: AtomicU64::new(0),
            tsc_frequency,
            restored: self.restored,
            machine: MachineFacts {
                private: Arc::clone(&private),
                places: self.places,
                hardware,
                hypercall_exits,
                pagemap: File::open("/proc/self/pagemap").ok(),
            },
        });
        let listener: Weak<VmControl> = Arc::downgrade(&control);
        control.services.console.input().set_listener(listener);
        Ok(Vm {
            mode,
            tsc_frequency,
            vcpus: running,
            control,
            private,
            _vm: vm,
        })
    }
}

impl Vm {
    /// Builds a VM and puts `image` into it.
    pub fn new(
        kvm: &kvm_ioctls::Kvm,
        image: &Image,
        config: &VmConfig,
        console: Console,
        stages: &mut Stages,
    ) -> Result<Self, VmError> {
        check(image, config)?;
        // Before there is a VM: a guest never sees a half of what it is to have.
        let devices = config.devices.iter().map(DeviceSpec::open);
        let devices = DeviceList::new(devices.collect::<Result<_, _>>()?)?;
        let mut machine = Machine::new(kvm, config.memory, config.vcpus)?;
        stages.done("machine");
        let modes = HostModes::of_host(&mut machine)?;
        let mode = modes.choose(config.privilege, config.carrier)?;
        stages.done("probe");

        // A KVM without ioeventfd leaves the guest a call, as does a processor that denies the ports.
        let may_ring = mode.privilege == Privilege::Ring0 || machine::has_io_permission_bitmap();
        let connected = may_ring
            && devices
                .doorbells()
                .all(|one| one.connect(&machine.vm).is_ok());
        let infos = devices.infos();
        let contents = Contents {
            image,
            command_line: &config.command_line,
            initrd: config.initrd.as_deref(),
            guest: config.seat.guest,
            guests: config.seat.domains.count(),
            devices: &infos,
            doorbells: if connected {
                devices.doorbells().count() as u32
            } else {
                0
            },
        };
        let tsc_offset = tsc::align(&machine.vcpus, machine.hardware);
        let clock = Clock::start(machine.tsc_frequency, tsc_offset);
        // Only now is known whether there is a clock to offer.
        let features = features(&clock);
        image.check_host(config.memory, config.vcpus, features)?;
        let start = load::load(&machine, &contents, mode, features)?;
        // The probe has run vCPU 0; the others are as they were made.
        machine.reset_system(0)?;
        if let Some(page) = clock.page() {
            for monitor in &machine.monitors {
                monitor.write_page(offset_of!(VcpuPage, clock), &page)?;
            }
        }
        stages.done("load");

        let places = machine.places(contents.doorbells);
        let parts = Parts {
            machine,
            console,
            features,
            mode,
            seat: config.seat.clone(),
            devices,
            clock,
            places,
            restored: 0,
        };
        let vm = parts.assemble()?;
        vm.control.services.vcpus.start(
            0,
            StartAt {
                entry: start.entry,
                stack: start.stack_top,
                argument: start.start_info,
            },
        );
        stages.done("vcpu");
        Ok(vm)
    }

    /// What other threads need to talk to the VM.
    pub fn control(&self) -> Arc<VmControl> {
        Arc::clone(&self.control)
    }

    /// Runs the VM until it ends: vCPU 0 on this thread, each of the others on one of its own.
    pub fn run(&mut self) -> Result<Ending, VmError> {
        let control = &self.control;
        control.begin_devices();
        // The first ending is the VM's; the others stop because of it.
        let first = Mutex::new(None);
        let live = |vcpu: &mut Vcpu, confined: Result<(), SandboxError>| {
            let left = match confined {
                Ok(()) => vcpu.live(&control.services).map_err(VmError::from),
                Err(error) => Err(error.into()),
            };
            let ending = match left {
                Ok(None) => return,
                Ok(Some(ending)) => Ok(ending),
                Err(error) => Err(error),
            };
            lock(&first).get_or_insert(ending);
            control.stop();
        };
        let mut vcpus = self.vcpus.iter_mut();
        let Some(boot) = vcpus.next() else {
            return Err(MachineError::NoVcpu.into());
        };
        thread::scope(|scope| {
            for (number, vcpu) in (1..).zip(vcpus) {
                let spawned = Builder::new()
                    .name(format!("vcpu{number}"))
                    .spawn_scoped(scope, || live(vcpu, narrow(ThreadKind::Vcpu)));
                if let Err(source) = spawned {
                    lock(&first).get_or_insert(Err(VmError::Thread { number, source }));
                    control.stop();
                    return;
                }
            }
            // From here on it starts no thread itself.
            live(boot, narrow_boot_vcpu());
        });
        // What they have of the host is free for others from here on.
        control.services.devices.shut_down();
        first
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .unwrap_or(Ok(Ending::Stopped))
    }

    /// Where KVM counts the exits of each vCPU; nothing where it does not.
    pub fn exit_counters(&self) -> Vec<ExitCounter> {
        self.vcpus.iter().filter_map(Vcpu::exit_counter).collect()
    }

    /// The counters of calls, of all vCPUs together.
    pub fn stats(&self) -> CallStats {
        self.control.stats().calls()
    }

    /// How often the guest was left for each reason, for those that occurred.
    pub fn exits(&self) -> Vec<(&'static str, u64)> {
        self.stats().exits_by_reason()
    }

    /// Reads eight bytes of the guest's memory by virtual address, as a vCPU with this CR3 does.
    pub fn read_virtual(&self, cr3: u64, address: u64) -> Option<u64> {
        let services = &self.control.services;
        let root = cr3 & !(PAGE_SIZE - 1);
        let mut bytes = [0; 8];
        for (offset, byte) in bytes.iter_mut().enumerate() {
            let address = address.checked_add(offset as u64)?;
            *byte = services.read_virtual_byte(&self.private, root, address)?;
        }
        Some(u64::from_le_bytes(bytes))
    }

    /// What the guest said last about a crash.
    pub fn crash_report(&self) -> Option<GuestReport> {
        lock(&self.control.services.crash_report).clone()
    }
}
