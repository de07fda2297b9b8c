//! VMs.

use crate::operation::{
    CREATE_VM, DELETE_VM, LIST_VMS, PAUSE_VM, RESET_VM, RESUME_VM, SHOW_VM, START_VM, STATS,
    STOP_VM, UPDATE_VM, VM_STATS, WAIT_VM,
};
use crate::{Client, ClientError};
use paravane_api::page::{MAX_LIMIT, Page};
use paravane_api::stats::{VmStats, VmStatsEntry};
use paravane_api::vm::{CreateVm, StopVm, UpdateVm};
use paravane_api::{Vm, VmState};
use std::time::Duration;

/// Which VMs are to be listed: those to which all applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmFilter {
    /// Its name.
    pub name: Option<String>,
    /// What it does.
    pub state: Option<VmState>,
    /// Its labels: `KEY=VALUE`, or `KEY` for any value.
    pub labels: Vec<String>,
}

impl Client {
    /// Creates a VM.
    ///
    /// # Errors
    ///
    /// See [`ClientError`], as of every operation.
    pub async fn create_vm(&self, request: &CreateVm) -> Result<Vm, ClientError> {
        self.call(CREATE_VM, &[]).json(request)?.answer().await
    }

    /// A page of the list of VMs: at most `limit`, after those of the page that gave `cursor`.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn list_vms(
        &self,
        filter: &VmFilter,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Page<Vm>, ClientError> {
        let mut call = self
            .call(LIST_VMS, &[])
            .query_if("name", filter.name.as_deref())
            .query_if("state", filter.state.map(VmState::name))
            .query_if("limit", limit)
            .query_if("cursor", cursor);
        for label in &filter.labels {
            call = call.query("label", label);
        }
        call.answer().await
    }

    /// The list of VMs, all pages of it.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn all_vms(&self, filter: &VmFilter) -> Result<Vec<Vm>, ClientError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let page = self
                .list_vms(filter, Some(MAX_LIMIT), cursor.as_deref())
                .await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// A VM, by its id or name.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn show_vm(&self, vm: &str) -> Result<Vm, ClientError> {
        self.call(SHOW_VM, &[vm]).answer().await
    }

    /// Changes a VM.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn update_vm(&self, vm: &str, request: &UpdateVm) -> Result<Vm, ClientError> {
        self.call(UPDATE_VM, &[vm]).json(request)?.answer().await
    }

    /// Deletes a VM; with `force` also one that runs.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn delete_vm(&self, vm: &str, force: bool) -> Result<(), ClientError> {
        let call = self.call(DELETE_VM, &[vm]);
        call.query_if("force", force.then_some(true)).delete().await
    }

    /// Starts a VM, and waits until its guest runs.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn start_vm(&self, vm: &str) -> Result<Vm, ClientError> {
        self.call(START_VM, &[vm]).answer().await
    }

    /// Stops a VM, and waits until it has ended.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn stop_vm(&self, vm: &str, request: &StopVm) -> Result<Vm, ClientError> {
        self.call(STOP_VM, &[vm]).json(request)?.answer().await
    }

    /// Pauses a VM.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn pause_vm(&self, vm: &str) -> Result<Vm, ClientError> {
        self.call(PAUSE_VM, &[vm]).answer().await
    }

    /// Has a paused VM go on.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn resume_vm(&self, vm: &str) -> Result<Vm, ClientError> {
        self.call(RESUME_VM, &[vm]).answer().await
    }

    /// Starts a VM anew, without asking its guest.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn reset_vm(&self, vm: &str) -> Result<Vm, ClientError> {
        self.call(RESET_VM, &[vm]).answer().await
    }

    /// Waits until a VM is in one of these states, at most as long as `timeout` or what the
    /// daemon thinks long enough; `None`: it was in none of them.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn wait_vm(
        &self,
        vm: &str,
        states: &[VmState],
        timeout: Option<Duration>,
    ) -> Result<Option<Vm>, ClientError> {
        const TIMED_OUT: u16 = 408;
        let states: Vec<_> = states.iter().map(|state| state.name()).collect();
        let call = self
            .call(WAIT_VM, &[vm])
            .query("state", states.join(","))
            .query_if("timeout_ms", timeout.map(|timeout| timeout.as_millis()));
        match call.answer().await {
            Err(error) if error.status() == Some(TIMED_OUT) => Ok(None),
            result => result.map(Some),
        }
    }

    /// What a VM does and uses.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn vm_stats(&self, vm: &str) -> Result<VmStats, ClientError> {
        self.call(VM_STATS, &[vm]).answer().await
    }

    /// What all VMs do and use.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn stats(&self) -> Result<Vec<VmStatsEntry>, ClientError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let call = self.call(STATS, &[]).query_if("cursor", cursor.as_deref());
            let page: Page<VmStatsEntry> = call.answer().await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }
}
