//! Measuring an operation of the ABI: the bundled guest measures it itself, by its verb `bench`,
//! in a VM like any other.

mod transcript;

use super::chunk::Outcome;
use super::host::Host;
use super::rows::Operation;
use super::watch::Watch;
use crate::carrier::{Carrier, Privilege};
use crate::console::Console;
use crate::console::output::{Observer, Output};
use crate::device::entropy::EntropyOptions;
use crate::device::spec::DeviceSpec;
use crate::grant::Seat;
use crate::image::Image;
use crate::sync::lock;
use crate::vcpu::Ending;
use crate::vm::stages::Stages;
use crate::vm::{Vm, VmConfig};
use std::sync::{Arc, Mutex};
use transcript::Transcript;

/// The guest's memory.
const MEMORY: u64 = 64 << 20;

/// A guest that is to measure something.
#[derive(Debug)]
pub struct GuestRun<'a> {
    /// The host.
    pub host: &'a Host,
    /// The bundled guest.
    pub image: &'a Image,
    /// The guest kernel's privilege.
    pub privilege: Privilege,
    /// What carries its calls.
    pub carrier: Carrier,
    /// When to stop it.
    pub watch: &'a Watch,
}

impl GuestRun<'_> {
    /// How the VM is built that does what this command line says.
    pub fn config(&self, command_line: String, vcpus: u32) -> VmConfig {
        VmConfig {
            memory: MEMORY,
            vcpus,
            privilege: Some(self.privilege),
            carrier: Some(self.carrier),
            command_line,
            initrd: None,
            seat: Seat::alone(),
            devices: Vec::new(),
        }
    }

    /// Has the operation measured, so many samples.
    pub fn measure(&self, operation: &Operation, samples: u64) -> Result<Outcome, String> {
        let Operation { name, size, .. } = operation;
        let samples = samples.min(operation.most);
        let mut config = self.config(format!("bench={name},{samples},{size}"), operation.vcpus);
        if operation.device {
            config.devices = DeviceSpec::name(vec![Arc::new(EntropyOptions::default())]);
        }
        let transcript = Arc::new(Mutex::new(Transcript::new(samples)));
        let writer = Arc::clone(&transcript);
        let observer = Observer::new(move |bytes| lock(&writer).take(bytes));
        let console = Console::new(Output::Observed(observer));
        let mut vm = Vm::new(
            &self.host.kvm,
            self.image,
            &config,
            console,
            &mut Stages::start(),
        )
        .map_err(|error| error.to_string())?;
        lock(&transcript).counters = vm.exit_counters();
        let control = vm.control();
        if operation.vcpus > 1 {
            let control = Arc::clone(&control);
            let processors: Vec<_> = (0..operation.vcpus)
                .map(|vcpu| self.host.pins.of_vcpu(vcpu as usize))
                .collect();
            // By then each vCPU has a thread.
            lock(&transcript).on_begin = Some(Box::new(move || {
                for (vcpu, processor) in (0..).zip(&processors) {
                    if let Some(shared) = control.services.vcpus.get(vcpu) {
                        shared.run_on(processor);
                    }
                }
            }));
        }
        let ending = self.watch.during_with(|| control.stop(), || vm.run());
        match ending {
            Ok(Ending::Shutdown(0)) => lock(&transcript).outcome(),
            Ok(Ending::Stopped) if self.watch.stopped() => Ok(Outcome::Interrupted),
            Ok(Ending::Stopped) => Ok(Outcome::Absent(format!("{name} takes too long here"))),
            Ok(Ending::Shutdown(code)) => Err(format!(
                "the guest ended {name} with exit code {code}: {}",
                lock(&transcript).last_line()
            )),
            Ok(Ending::Crash(_)) => Err(format!(
                "the guest crashed in {name}: {}",
                lock(&transcript).last_line()
            )),
            Ok(Ending::Reboot) => Err(format!("the guest rebooted in {name}")),
            Err(error) => Err(error.to_string()),
        }
    }
}
