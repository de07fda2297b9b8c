//! TCP: each connection of the guest ends in the VMM's stack, and goes on from there by a host
//! socket, and the other way round for forwarded ports.

mod connection;
mod pump;
mod step;
mod table;

pub use table::TcpConnections;
