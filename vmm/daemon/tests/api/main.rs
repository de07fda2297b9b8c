//! The daemon through its API, with processes that only say they run a VM.

mod archives;
mod events;
mod faults;
mod idempotency;
mod images;
mod listening;
mod lists;
mod openapi;
mod place;
mod policies;
mod problems;
mod restart;
mod slow;
mod snapshots;
mod store;
mod streams;
mod vms;
