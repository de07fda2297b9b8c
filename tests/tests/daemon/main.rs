//! The daemon as its own process: how it is started and told what to be, who is let in, and what
//! it answers when its host, a guest or a VM's process is not as it should be. What needs no
//! process of its own is tested by the crate `paravane-daemon`.

mod activation;
mod archives;
mod authority;
mod configuration;
mod flood;
mod full_disk;
mod hang;
mod spares;
mod tls;
mod vms;
