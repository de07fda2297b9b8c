//! Saving the VM for the daemon.

use super::connection::starts;
use super::pause::on_a_thread;
use super::state::Process;
use crate::snapshot::{SaveError, save_into};
use paravane_control::message::{Answer, Phase, Refusal, Reply};

/// Saves the VM, which is paused, into its folder. What the daemon does not fetch it removes.
pub(super) async fn take(process: &Process) -> Reply {
    let Some(live) = process.live() else {
        return Err(starts());
    };
    if process.phase() != Phase::Paused {
        let message = "the VM is not paused, and is saved only while it is";
        return Err(Refusal::State(message.to_string()));
    }
    let folder = process.folder.snapshot();
    let saved = on_a_thread(&live.control, move |control| save_into(control, &folder)).await?;
    saved.map_err(refusal)?;
    process.log.say("a snapshot was taken");
    Ok(Answer::Done)
}

fn refusal(error: SaveError) -> Refusal {
    let message = error.to_string();
    match error {
        SaveError::Grants | SaveError::Device { .. } => Refusal::Unsupported(message),
        SaveError::Pause(_) | SaveError::Disturbed => Refusal::State(message),
        SaveError::Vcpus(_) | SaveError::Write { .. } | SaveError::Folder { .. } => {
            Refusal::Failed(message)
        }
    }
}
