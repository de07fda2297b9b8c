//! The Paravane daemon: one service for many VMs.
//!
//! A request comes in by [`serve`], is routed by [`routes`], and ends at a VM's task ([`vm`]),
//! which owns the VM and the connection to its process. What must not be forgotten goes into the
//! [`store`] before a request is answered. Everything that is read often is in memory.
//!
//! The daemon knows nothing of KVM: VMs run in processes of their own, which it starts, watches
//! and talks to by the protocol of the crate `paravane-control`. What it needs of the VMM's
//! library comes in by [`Host`].

pub mod cgroup;
pub mod config;
pub mod openapi;

mod app;
mod auth;
mod await_state;
mod events;
mod host;
mod idempotency;
mod images;
mod listen;
mod logs;
mod metrics;
mod problem;
mod registry;
mod routes;
mod serve;
mod service;
mod snapshots;
mod state_dir;
mod stats;
mod store;
mod time;
mod timed;
mod tls;
mod vm;

pub use config::Config;
pub use host::{Host, SnapshotFacts};
pub use service::{ServiceError, check, run};
