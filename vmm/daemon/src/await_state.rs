//! Waiting for what a VM becomes.

use crate::problem::{Error, Kind, Result};
use crate::vm::{Handle, View};
use paravane_api::vm::{EndKind, Vm, VmState};
use std::sync::Arc;

/// Waits until start number `start` of a VM has led somewhere.
///
/// # Errors
///
/// Nowhere: the guest never ran.
pub async fn started(handle: &Handle, start: u64) -> Result<Arc<Vm>> {
    // A process that cannot run its guest is about to end, as one is whose guest has run.
    let is_coming = |vm: &Vm| match vm.state {
        VmState::Starting => true,
        VmState::Stopping => vm.running.is_none(),
        _ => false,
    };
    let vm = until(handle, |vm| vm.starts != start || !is_coming(vm)).await?;
    if vm.starts != start || vm.running.is_some() || vm.ended.is_none() {
        return Ok(vm);
    }
    let ended = match &vm.ended {
        Some(ended) if !vm.state.has_process() => ended,
        _ => return Ok(vm),
    };
    match ended.kind {
        // It ran, if only for a moment.
        EndKind::Shutdown | EndKind::Reboot | EndKind::Crash => Ok(vm),
        EndKind::Stopped => {
            let detail = format!("the VM {} was stopped meanwhile", vm.name);
            Err(Error::new(Kind::WrongState, detail))
        }
        EndKind::Error | EndKind::Killed | EndKind::Lost => {
            let why = ended.message.as_deref();
            let why = why.unwrap_or("its process ended without saying why");
            Err(Error::new(Kind::StartFailed, why))
        }
    }
}

/// Waits until start number `start` of a VM has come.
///
/// # Errors
///
/// It does not come: the VM has ended before it, or was deleted.
pub async fn reached(handle: &Handle, start: u64) -> Result<()> {
    let rests = |vm: &Vm| !vm.state.has_process() && vm.state != VmState::Restarting;
    let vm = until(handle, |vm| vm.starts >= start || rests(vm)).await?;
    if vm.starts >= start {
        return Ok(());
    }
    let detail = format!("the VM {} is {}", vm.name, vm.state.name());
    Err(Error::new(Kind::WrongState, detail))
}

/// Waits until a VM has no process and none is to come.
///
/// # Errors
///
/// It was deleted.
pub async fn stopped(handle: &Handle) -> Result<Arc<Vm>> {
    until(handle, |vm| {
        !vm.state.has_process() && vm.state != VmState::Restarting
    })
    .await
}

/// Waits until a VM is in one of these states.
///
/// # Errors
///
/// It was deleted.
pub async fn in_one_of(handle: &Handle, states: &[VmState]) -> Result<Arc<Vm>> {
    until(handle, |vm| states.contains(&vm.state)).await
}

/// Waits until a VM is deleted.
pub async fn gone(handle: &Handle) {
    let mut view = handle.view.clone();
    while view.changed().await.is_ok() {}
}

async fn until(handle: &Handle, fits: impl Fn(&Vm) -> bool) -> Result<Arc<Vm>> {
    let mut view = handle.view.clone();
    let found = view.wait_for(|view: &View| fits(&view.vm)).await;
    match found {
        Ok(view) => Ok(Arc::clone(&view.vm)),
        Err(_) => {
            let detail = format!("the VM {} was deleted", handle.id);
            Err(Error::new(Kind::NotFound, detail))
        }
    }
}

/// States, separated by commas.
///
/// # Errors
///
/// One of them is none.
pub fn parse_states(text: &str) -> Result<Vec<VmState>> {
    let parse = |name: &str| {
        let found = VmState::ALL.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| {
            let all = VmState::ALL.map(VmState::name).join(", ");
            Error::parameter("state", format!("{name:?} is no state; there are {all}"))
        })
    };
    text.split(',').map(parse).collect()
}
