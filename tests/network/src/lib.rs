//! Networks of a test's own: a network namespace, and the interfaces in it.
//!
//! What a test does to a network of its own touches nobody else's, needs no cleaning up, and where
//! the host has user namespaces it needs no root either.

mod interface;
mod namespace;

pub use interface::Interface;
pub use namespace::{enter, own_network, without_rights};
