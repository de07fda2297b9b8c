//! Snapshots.

use crate::operation::{
    DELETE_SNAPSHOT, LIST_SNAPSHOTS, RESTORE_SNAPSHOT, SHOW_SNAPSHOT, TAKE_SNAPSHOT,
};
use crate::{Client, ClientError};
use paravane_api::Vm;
use paravane_api::page::Page;
use paravane_api::snapshot::{RestoreSnapshot, Snapshot, TakeSnapshot};

impl Client {
    /// Takes a snapshot of a VM.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn take_snapshot(
        &self,
        vm: &str,
        request: &TakeSnapshot,
    ) -> Result<Snapshot, ClientError> {
        let call = self.call(TAKE_SNAPSHOT, &[vm]).json(request)?;
        call.answer().await
    }

    /// All snapshots.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn all_snapshots(&self) -> Result<Vec<Snapshot>, ClientError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let call = self.call(LIST_SNAPSHOTS, &[]);
            let call = call.query_if("cursor", cursor.as_deref());
            let page: Page<Snapshot> = call.answer().await?;
            all.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// A snapshot, by its id or name.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn show_snapshot(&self, snapshot: &str) -> Result<Snapshot, ClientError> {
        self.call(SHOW_SNAPSHOT, &[snapshot]).answer().await
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn delete_snapshot(&self, snapshot: &str) -> Result<(), ClientError> {
        self.call(DELETE_SNAPSHOT, &[snapshot]).delete().await
    }

    /// Makes VMs of a snapshot, which run.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn restore_snapshot(
        &self,
        snapshot: &str,
        request: &RestoreSnapshot,
    ) -> Result<Vec<Vm>, ClientError> {
        let call = self.call(RESTORE_SNAPSHOT, &[snapshot]).json(request)?;
        let page: Page<Vm> = call.answer().await?;
        Ok(page.items)
    }
}
