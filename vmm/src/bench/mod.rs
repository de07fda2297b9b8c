//! The bench: what a sensitive instruction costs when it traps, and what the same costs as a
//! hypercall.
//!
//! [`rows`] says what is measured, in up to four ways each; [`session`] measures it; [`result`] is
//! what comes out, and [`report`] shows that to people and machines.

mod chunk;
mod emulate;
mod guest;
pub mod host;
mod lifecycle;
mod pins;
pub mod provenance;
mod raw;
pub mod report;
pub mod result;
pub mod rows;
mod samples;
pub mod session;
pub mod watch;
