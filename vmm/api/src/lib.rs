//! The types of the Paravane daemon's HTTP API, version 1: what clients send and what they get.
//!
//! The service itself is `paravane-daemon`, a client `paravane-client`. Sizes are in bytes, rates
//! per second, durations in milliseconds where the name says nothing else, times are RFC 3339 in
//! UTC. A type that clients send denies fields that it does not know, so that a misspelt one is
//! an error and not a default.

pub mod check;
pub mod device;
pub mod event;
pub mod image;
pub mod info;
pub mod log;
pub mod page;
pub mod problem;
pub mod snapshot;
pub mod spec;
pub mod stats;
pub mod vm;

pub use problem::Problem;
pub use spec::VmSpec;
pub use vm::{Vm, VmState};

/// What paths begin with.
pub const VERSION_PREFIX: &str = "/v1";

/// The request header by which a client that repeats a request says that it is the same one.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
