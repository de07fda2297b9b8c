//! Whether a guest really boots: the built-in guest kernel says hello.

use crate::cli::exit_code::{Failure, Status};
use crate::cli::image_source::ImageSource;
use crate::cli::session::{Origin, OutputSource, Plan, Session};
use paravane::grant::Seat;
use paravane::vcpu::Ending;
use paravane::vm::VmConfig;
use paravane::vm::stages::Stages;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long it may take, on an emulated processor.
const PATIENCE: Duration = Duration::from_secs(60);

/// A guest's boot.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Boot {
    /// Microseconds from before KVM was opened to the guest's first console byte.
    pub first_console_byte_us: u64,
}

/// Boots the guest.
pub fn boot(device: PathBuf) -> Result<Boot, Failure> {
    let source = ImageSource::BuiltIn;
    let image = Arc::new(source.load()?);
    let plan = Plan {
        origin: Origin::Image(image),
        source,
        config: VmConfig {
            memory: 128 << 20,
            vcpus: 1,
            privilege: None,
            carrier: None,
            command_line: "hello".to_string(),
            initrd: None,
            seat: Seat::alone(),
            devices: Vec::new(),
        },
        initrd: None,
        kvm: device,
        output: OutputSource::Memory(1 << 10),
        stages: Stages::start(),
        reboots: true,
        is_alone: true,
    };
    // Nobody listens: the session is waited for below.
    let (events, _) = mpsc::unbounded_channel();
    let session = Session::start(plan, events, |_| Ok(()))?;
    if !session.wait(PATIENCE) {
        session.stop()?;
    }
    let finished = session.join()?;
    let stages = finished.stages.summary();
    let first = stages
        .iter()
        .find(|stage| stage.name == "first_console_byte");
    match (finished.ending?, first) {
        (Ending::Shutdown(0), Some(stage)) => Ok(Boot {
            first_console_byte_us: stage.at_us,
        }),
        (Ending::Crash(_), _) => Err(failed("it crashed; paravane run -- hello says why")),
        (Ending::Stopped, _) => Err(failed("it did not end within a minute")),
        _ => Err(failed("it ended without a word")),
    }
}

fn failed(how: &str) -> Failure {
    let message = format!("the built-in guest kernel does not run here: {how}");
    Failure::new(Status::NoKvm, message)
}
