//! A VM that goes on from a snapshot.

use super::load::start_info_page;
use super::machine::Machine;
use super::{FEATURES, Parts, Vm, VmControl, VmError, features};
use crate::carrier::Privilege;
use crate::console::Console;
use crate::device::list::DeviceList;
use crate::device::spec::DeviceSpec;
use crate::event::port::Source;
use crate::grant::Seat;
use crate::snapshot::host::{Misfit, SavedHost};
use crate::snapshot::state::State;
use crate::snapshot::{Inconsistent, RestoreError, SnapshotFiles, file};
use crate::time::clock::Clock;
use crate::time::tsc;
use crate::vm::stages::Stages;
use pv_abi::Features;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::vcpu_page::{Clock as ClockPage, VcpuPage};
use std::fs::File;
use std::mem::offset_of;

/// What a VM that goes on from a snapshot gets anew.
#[derive(Clone, Debug)]
pub struct RestoreConfig {
    /// Which guest of the process it is.
    pub seat: Seat,
    /// Its devices, in the order and with the names of those that it had. Their host's ends may
    /// be others.
    pub devices: Vec<DeviceSpec>,
}

impl Vm {
    /// Builds a VM that goes on where another one was saved, once it is [run](Vm::run). It is told
    /// by [`Source::Restored`].
    ///
    /// # Errors
    ///
    /// The files are no snapshot, or one that cannot go on on this host or with these devices.
    pub fn restore(
        kvm: &kvm_ioctls::Kvm,
        files: &SnapshotFiles,
        config: &RestoreConfig,
        console: Console,
        stages: &mut Stages,
    ) -> Result<Self, VmError> {
        let state = file::read(&files.state)?;
        check(&state, config)?;
        stages.done("state");
        let devices = config.devices.iter().map(DeviceSpec::open);
        let devices = DeviceList::new(devices.collect::<Result<_, _>>()?)?;

        let sizes = state.sizes;
        check_memory(&state, files)?;
        let machine = Machine::restore(kvm, &files.memory, sizes, &state.places)?;
        let machine = machine.map_err(RestoreError::from)?;
        stages.done("machine");
        let host = SavedHost::this(machine.hardware, machine.hypercall_exits);
        let fits = state.host.check(&host, kvm, state.mode)?;
        fits.map_err(RestoreError::from)?;
        if state.monitor != crate::monitor::code::checksum(state.mode) {
            return Err(RestoreError::from(Misfit::Monitor).into());
        }
        stages.done("host");

        let mode = state.mode;
        let may_ring =
            mode.privilege == Privilege::Ring0 || super::machine::has_io_permission_bitmap();
        if state.places.doorbells > 0 {
            let connected = may_ring
                && devices
                    .doorbells()
                    .all(|one| one.connect(&machine.vm).is_ok());
            if !connected {
                return Err(RestoreError::from(Misfit::Doorbells).into());
            }
        }
        let offset = tsc::align(&machine.vcpus, machine.hardware);
        let clock = Clock::go_on(machine.tsc_frequency, offset, state.clock.now);
        let missing = Features(state.features).missing_from(features(&clock));
        if !missing.is_empty() {
            return Err(RestoreError::Features { missing }.into());
        }
        let restored = state.restored.wrapping_add(1);
        tell(&machine, &clock, restored)?;

        let parts = Parts {
            machine,
            console,
            features: Features(state.features),
            mode,
            seat: config.seat.clone(),
            devices,
            clock,
            places: state.places.clone(),
            restored,
        };
        let mut vm = parts.assemble()?;
        let control = vm.control();
        restore_services(&control, &state)?;
        for (vcpu, saved) in vm.vcpus.iter_mut().zip(&state.vcpus) {
            vcpu.restore(saved, &control.services)?
                .map_err(RestoreError::from)?;
        }
        let services = &control.services;
        services.events.tell_again(&services.vcpus);
        services.begin_to_listen();
        services
            .events
            .raise_source(&services.vcpus, Source::Restored);
        stages.done("vcpu");
        Ok(vm)
    }
}

/// Checks that files are a snapshot, as far as it can be known without restoring it.
///
/// # Errors
///
/// They are none, or of another version, or damaged.
pub fn check_snapshot(files: &SnapshotFiles) -> Result<(), RestoreError> {
    let state = file::read(&files.state)?;
    check_sizes(&state)?;
    check_memory(&state, files)
}

/// How large a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotSizes {
    /// Its VM's vCPUs.
    pub vcpus: u32,
    /// Its RAM in bytes.
    pub ram: u64,
    /// The size of the file with its memory, in bytes.
    pub memory: u64,
}

/// Reads from the state how large the rest of a snapshot is.
///
/// # Errors
///
/// It is no state, or of another version, or damaged.
pub fn read_sizes(state: &File) -> Result<SnapshotSizes, RestoreError> {
    let state = file::read(state)?;
    check_sizes(&state)?;
    let sizes = state.sizes;
    Ok(SnapshotSizes {
        vcpus: sizes.vcpus,
        ram: sizes.ram_size,
        // Behind it is the page that says which snapshot it is of.
        memory: memory_size(&state)?.saturating_add(PAGE_SIZE),
    })
}

fn check_sizes(state: &State) -> Result<(), RestoreError> {
    let sizes = state.sizes;
    if sizes.ram_size == 0 || !sizes.ram_size.is_multiple_of(PAGE_SIZE) {
        return Err(Inconsistent("RAM has no size in pages".into()).into());
    }
    if sizes.ram_size > super::machine::most_memory() || state.vcpus.len() != sizes.vcpus as usize {
        return Err(Inconsistent("its size does not go with this host or its vCPUs".into()).into());
    }
    Ok(())
}

/// Whether the memory is that of the state, whose sizes are right.
fn check_memory(state: &State, files: &SnapshotFiles) -> Result<(), RestoreError> {
    crate::snapshot::check_memory(&files.memory, &state.id, memory_size(state)?)
}

/// The bytes of RAM and private memory.
fn memory_size(state: &State) -> Result<u64, RestoreError> {
    let sizes = state.sizes;
    let private = super::machine::all_private_pages(sizes.ram_size, sizes.vcpus);
    private
        .checked_mul(PAGE_SIZE)
        .and_then(|size| size.checked_add(crate::memory::PrivateMemory::SPARE_SIZE))
        .and_then(|size| size.checked_add(sizes.ram_size))
        .ok_or(RestoreError::Damaged {
            what: "the memory is larger than any",
        })
}

/// Checks what can be known before anything is built.
fn check(state: &State, config: &RestoreConfig) -> Result<(), RestoreError> {
    check_sizes(state)?;
    let missing = Features(state.features).missing_from(FEATURES);
    if !missing.is_empty() {
        return Err(RestoreError::Features { missing });
    }
    let (saved, count) = state.seat;
    if (saved, count) != (config.seat.guest, config.seat.domains.count()) {
        return Err(RestoreError::Seat { saved, count });
    }
    Ok(())
}

/// Writes into the VM's pages what is another now.
fn tell(machine: &Machine, clock: &Clock, restored: u32) -> Result<(), VmError> {
    for monitor in &machine.monitors {
        monitor.write_page(offset_of!(VcpuPage, restored), &restored)?;
        if let Some(page) = clock.page() {
            let offset = offset_of!(VcpuPage, clock);
            let before: ClockPage = monitor.read_page(offset)?;
            // The guest may have been reading it: it reads again when the version has changed.
            let version = (before.version | 1).wrapping_add(1);
            let version = if version == before.version {
                version.wrapping_add(2)
            } else {
                version
            };
            monitor.write_page(offset, &ClockPage { version, ..page })?;
        }
    }
    start_info_page(machine, |info| info.tsc_frequency = machine.tsc_frequency)?;
    Ok(())
}

fn restore_services(control: &VmControl, state: &State) -> Result<(), RestoreError> {
    let services = &control.services;
    services.devices.fit(&state.devices)?;
    services.ram.seal_again(&state.sealed)?;
    services.spaces.restore(&state.spaces)?;
    services
        .events
        .restore(&state.ports, &services.timers, |source| {
            services.devices.has_source(source)
        })?;
    services.timers.restore(&services.events, &state.timers)?;
    services.devices.restore(&state.devices)?;
    Ok(())
}
