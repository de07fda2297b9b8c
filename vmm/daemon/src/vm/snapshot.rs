//! A VM's process writes a snapshot.

use super::actions::of_request;
use super::connection::Connection;
use crate::problem::{Error, Kind, Result};
use paravane_control::folder::Folder;
use paravane_control::message::Request;
use std::time::Duration;

/// How long a process may take to write a snapshot.
const LIMIT: Duration = Duration::from_secs(600);

/// Has the process of a paused VM write a snapshot into its folder. It has a connection of its
/// own for that: on the VM's, other requests would wait for it.
///
/// # Errors
///
/// It cannot, or what was there before cannot be removed.
pub async fn take(folder: &Folder) -> Result<()> {
    let left = tokio::fs::remove_dir_all(folder.snapshot()).await;
    if let Err(error) = left
        && error.kind() != std::io::ErrorKind::NotFound
    {
        let detail = format!("an unfinished snapshot cannot be removed: {error}");
        return Err(Error::new(Kind::Internal, detail));
    }
    let opened = Connection::open(&folder.control()).await;
    let (connection, _notices) = opened.map_err(|error| {
        let detail = format!("the VM's process cannot be connected to: {error}");
        Error::new(Kind::NotResponding, detail)
    })?;
    let done = connection.request(&Request::Snapshot, LIMIT).await;
    done.map(|_| ()).map_err(|error| of_request(&error))
}
