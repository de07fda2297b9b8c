//! What a process does before there is a VM for it.

use crate::cli::exit_code::Failure;
use crate::cli::image_source::ImageSource;
use paravane::console::Console;
use paravane::console::output::Output;
use paravane::grant::Seat;
use paravane::vm::stages::Stages;
use paravane::vm::{Vm, VmConfig, host};
use std::path::Path;

/// Memory of the VM that is not run: enough for the built-in guest.
const MEMORY: u64 = 8 << 20;

/// Builds a VM of the built-in guest and does not run it. Then the code that a start takes, and the
/// image, are in this process's page tables, and what works on this host is known.
pub fn rehearse() {
    // Whatever is wrong here, a start meets too, and tells.
    if let Err(failure) = try_rehearse() {
        tracing::debug!("no VM can be built: {}", failure.message);
    }
}

fn try_rehearse() -> Result<(), Failure> {
    let image = ImageSource::BuiltIn.load()?;
    let kvm = host::open(Path::new(host::DEVICE)).map_err(paravane::vm::VmError::from)?;
    let config = VmConfig {
        memory: MEMORY,
        vcpus: 1,
        privilege: None,
        carrier: None,
        command_line: String::new(),
        initrd: None,
        seat: Seat::alone(),
        devices: Vec::new(),
    };
    let console = Console::new(Output::memory(0));
    Vm::new(&kvm, &image, &config, console, &mut Stages::start())?;
    Ok(())
}
