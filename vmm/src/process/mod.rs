//! What runs in the process of one VM that a daemon manages: the parts that are no command line.
//!
//! [`server`] answers the connections of the control protocol (crate `paravane-control`), from what
//! [`state`] says of the VM; [`log`] is the VM's log; [`config`] makes of a spec what a VM is built
//! with. All of it runs on one thread, beside those of the VM, and only when there is something to
//! do. The guest waits for none of it.

pub mod config;
mod connection;
mod console;
mod devices;
pub mod exit;
pub mod log;
mod pause;
pub mod server;
mod snapshot;
pub mod state;
pub mod stats;
mod typing;

use std::time::SystemTime;

/// The present time as the API writes it: RFC 3339, in UTC.
pub fn timestamp() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
