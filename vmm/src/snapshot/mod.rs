//! Snapshots: a VM that was paused and saved, and VMs that go on from it.
//!
//! A snapshot is two files. `memory` has RAM and, behind it, the VMM's private pages, sparse where
//! they are zero, and a last page that says which snapshot it is of; a VM that is restored maps it
//! copy-on-write, so that it takes what it touches. `state` has everything else ([`state`]), behind
//! a header with its size and checksum ([`file`]).
//!
//! What is read of a snapshot is checked as an image is: every value before it is used, so that a
//! damaged file, or one that somebody made up, is an error. What the pages hold is not checked. It
//! is code and tables of the VM, and can do to the host what a guest kernel at CPL 0 can: nothing.
//! docs/decisions/0015-snapshots.md has the reasons.

mod error;
pub mod few;
pub mod file;
pub mod files;
pub mod host;
mod memory;
mod save;
pub mod state;

pub use error::{Inconsistent, RestoreError, SaveError};
pub use files::SnapshotFiles;
pub(crate) use memory::check as check_memory;
pub use save::{save, save_into, save_to};
