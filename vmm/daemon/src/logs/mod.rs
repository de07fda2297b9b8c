//! Logs of VMs, which their processes write: read, and followed.

mod files;
mod follow;
mod lines;
mod watch;

pub use follow::{Wanted, follow};
pub use watch::Watches;
