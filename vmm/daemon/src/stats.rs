//! Figures of VMs, which their processes have.

use crate::problem::{Error, Kind, Result};
use crate::vm::Handle;
use crate::vm::connection::Connection;
use futures_util::future::join_all;
use paravane_api::stats::{VmStats, VmStatsEntry};
use paravane_control::message::{Answer, Request};
use std::sync::Arc;
use std::time::Duration;

/// How long each of many VMs may take to say what it does.
const EACH: Duration = Duration::from_secs(1);

/// The figures of a VM.
///
/// # Errors
///
/// Its process does not give them within `limit`.
pub async fn ask(connection: &Connection, limit: Duration) -> Result<Box<VmStats>> {
    match connection.request(&Request::Stats, limit).await {
        Ok(Answer::Stats(stats)) => Ok(stats),
        Ok(_) => {
            let detail = "the VM's process answered something else than asked";
            Err(Error::new(Kind::NotResponding, detail))
        }
        Err(error) => Err(crate::vm::of_request(&error)),
    }
}

/// The figures of many VMs, which are asked all at once.
pub async fn of_all(handles: Vec<Arc<Handle>>) -> Vec<VmStatsEntry> {
    join_all(handles.into_iter().map(|handle| async move {
        let view = handle.now();
        let stats = match &view.connection {
            Some(connection) => ask(connection, EACH).await.ok(),
            None => None,
        };
        VmStatsEntry {
            id: view.vm.id.clone(),
            name: view.vm.name.clone(),
            state: view.vm.state,
            stats: stats.map(|stats| *stats),
        }
    }))
    .await
}
