//! The verbs that speak to a daemon: `paravane vm`, `paravane snapshot` and those of
//! `paravane image` that are about its store. A file each.

mod archive;
mod connection;
mod devices;
mod each;
mod human;
mod image;
mod labels;
mod lazy;
mod place;
mod snapshot;
mod stream;
mod table;
mod vm;

use super::exit_code::Failure;
pub use human::clean;
pub use image::{AddArgs, ListArgs, RemoveArgs, add, list, remove};
pub use lazy::Lazy;
pub use snapshot::{SnapshotCommand, snapshot};
use std::future::Future;
use std::process::ExitCode;
use tokio::runtime;
pub use vm::{VmCommand, vm};

/// Runs a verb to its end.
pub fn block_on(
    verb: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::internal(format!("cannot wait for anything: {error}")))?;
    let result = runtime.block_on(verb);
    // What still reads a file or a terminal is not waited for.
    runtime.shutdown_background();
    result
}
