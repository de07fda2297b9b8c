//! A VM that goes on from a snapshot.

use crate::cli::exit_code::Failure;
use paravane::console::Console;
use paravane::snapshot::SnapshotFiles;
use paravane::vm::restore::RestoreConfig;
use paravane::vm::stages::Stages;
use paravane::vm::{Kvm, Vm, VmConfig};

/// Builds the VM, which is to be as large as was asked for.
pub fn restore(
    kvm: &Kvm,
    files: &SnapshotFiles,
    config: &VmConfig,
    console: Console,
    stages: &mut Stages,
) -> Result<Vm, Failure> {
    let anew = RestoreConfig {
        seat: config.seat.clone(),
        devices: config.devices.clone(),
    };
    let vm = Vm::restore(kvm, files, &anew, console, stages)?;
    let services = &vm.control().services;
    let (memory, vcpus) = (services.ram.size(), services.vcpus.count());
    if (memory, vcpus) != (config.memory, config.vcpus) {
        return Err(Failure::configuration(format!(
            "the snapshot is of a VM with {memory} bytes of RAM and {vcpus} vCPUs, and this one is \
             to have {} and {}",
            config.memory, config.vcpus
        )));
    }
    Ok(vm)
}
