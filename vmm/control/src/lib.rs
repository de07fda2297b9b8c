//! How the daemon and the process of a VM talk to each other.
//!
//! Each VM is a process, which the daemon starts with a [`plan::ProcessPlan`] in the VM's folder
//! ([`folder`]) and a listening Unix socket; one that was started ahead is given both by a
//! message ([`handover`]). On a connection each side sends lines of JSON
//! ([`line`]): the daemon [`message::Request`]s, the process a [`message::Reply`] to each, in the
//! order of the requests, and [`message::Notice`]s in between. After a request for the console
//! the connection carries [`console`] frames instead.
//!
//! The process does not need the daemon: it goes on when the connection ends, and answers the
//! next one. Both sides are of one version of this program or of two that follow each other, so
//! fields that are not known are skipped and new ones have defaults.

pub mod console;
pub mod folder;
pub mod handover;
pub mod line;
pub mod message;
pub mod plan;
