//! Pausing the VM and letting it go on.
//!
//! Either waits for vCPUs and devices, which takes milliseconds as a rule and seconds at worst. So
//! it is done on a thread that lives no longer than that, and the control thread serves others.

use super::connection::starts;
use super::state::Process;
use crate::vm::VmControl;
use paravane_control::message::{Answer, Phase, Refusal, Reply};
use std::sync::Arc;
use std::thread::Builder;
use tokio::sync::oneshot;

/// Of a thread that waits, or saves.
const STACK_SIZE: usize = 512 << 10;

/// Pauses the VM.
pub(super) async fn pause(process: &Process) -> Reply {
    let Some(live) = process.live() else {
        return Err(starts());
    };
    if process.phase() == Phase::Stopping {
        return Err(stops());
    }
    let paused = on_a_thread(&live.control, VmControl::pause).await?;
    paused.map_err(|error| Refusal::Failed(error.to_string()))?;
    if process.change_phase(Phase::Running, Phase::Paused) {
        process.log.say("the guest is paused");
    } else if process.phase() == Phase::Stopping {
        // The order came meanwhile, and takes a guest that runs.
        on_a_thread(&live.control, VmControl::resume).await?;
        return Err(stops());
    }
    Ok(Answer::Done)
}

/// Lets the VM go on.
pub(super) async fn resume(process: &Process) -> Reply {
    let Some(live) = process.live() else {
        return Err(starts());
    };
    on_a_thread(&live.control, VmControl::resume).await?;
    if process.change_phase(Phase::Paused, Phase::Running) {
        process.log.say("the guest goes on");
    }
    Ok(Answer::Done)
}

/// Has a thread do what takes a while.
pub(super) async fn on_a_thread<T: Send + 'static>(
    control: &Arc<VmControl>,
    work: impl FnOnce(&VmControl) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let control = Arc::clone(control);
    let (sender, result) = oneshot::channel();
    let run = move || {
        // Whoever asked may be gone.
        let _ = sender.send(work(&control));
    };
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::Failed(format!("the VM could not be told: {error}"))
    };
    let builder = Builder::new().name("control-work".to_string());
    let spawned = builder.stack_size(STACK_SIZE).spawn(run);
    spawned.map_err(|error| failed(&error))?;
    result.await.map_err(|error| failed(&error))
}

fn stops() -> Refusal {
    Refusal::State("the VM is being stopped".to_string())
}
