//! A client of the Paravane daemon's HTTP API.
//!
//! [`Client`] has a method for each operation of the API; the types of what is sent and answered
//! are those of [`paravane_api`], which is re-exported as [`api`].
//!
//! ```no_run
//! # async fn example() -> Result<(), paravane_client::ClientError> {
//! use paravane_client::{Client, api::vm::CreateVm};
//!
//! let client = Client::unix("/run/paravane.sock");
//! let vm = client.create_vm(&CreateVm { start: true, ..CreateVm::default() }).await?;
//! println!("{} is {}", vm.name, vm.state.name());
//! # Ok(())
//! # }
//! ```
//!
//! # Repetition
//!
//! When a connection fails before the answer has come, nobody knows whether the request was
//! carried out. The client repeats it for a while ([`Client::with_patience`]), so that it outlives
//! a restart of the daemon. That is harmless: what changes something by POST carries an
//! idempotency key, by which the daemon knows it again. Only what is streamed to the daemon, an
//! image, is not repeated.

mod answer;
mod archives;
mod client;
mod connector;
mod console;
mod endpoint;
mod error;
mod events;
mod images;
mod lines;
mod logs;
pub mod operation;
mod repetition;
mod request;
mod service;
mod snapshots;
#[cfg(feature = "tls")]
mod tls;
mod vms;

pub use client::Client;
pub use console::{Console, ConsoleMessage, ConsoleMode, ConsoleReader, ConsoleWriter};
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use events::Events;
pub use logs::{LogQuery, Logs};
pub use paravane_api as api;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use vms::VmFilter;
