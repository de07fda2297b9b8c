//! An interface, as ip(8) would set it up.

use rtnetlink::{Error, Handle, LinkUnspec, new_connection};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use std::net::Ipv4Addr;
use tokio::runtime::{Builder, Runtime};

/// An interface of the calling thread's network.
///
/// All functions panic when the kernel refuses, and say what.
#[derive(Debug)]
pub struct Interface {
    name: String,
    index: u32,
    handle: Handle,
    runtime: Runtime,
}

impl Interface {
    /// The interface of that name.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn find(name: &str) -> Self {
        let any = socket(AddressFamily::INET, SocketType::DGRAM, None).expect("a socket");
        let index = name_to_index(any, name);
        let index = index.unwrap_or_else(|error| panic!("the interface {name}: {error}"));
        let runtime = Builder::new_current_thread().enable_io().build();
        let runtime = runtime.expect("a runtime");
        let (connection, handle, _) = runtime
            .block_on(async { new_connection() })
            .expect("a netlink socket");
        runtime.spawn(connection);
        Self {
            name: name.to_owned(),
            index,
            handle,
            runtime,
        }
    }

    /// Gives it an address, with a network of that many bits.
    #[track_caller]
    pub fn add_address(&self, address: Ipv4Addr, prefix: u8) {
        let addresses = self.handle.address();
        let request = addresses.add(self.index, address.into(), prefix);
        self.done("an address", self.runtime.block_on(request.execute()));
    }

    /// Sets the largest packet, in bytes.
    #[track_caller]
    pub fn set_mtu(&self, mtu: u32) {
        let message = LinkUnspec::new_with_index(self.index).mtu(mtu).build();
        let request = self.handle.link().set(message);
        self.done("an MTU", self.runtime.block_on(request.execute()));
    }

    /// Has it carry packets.
    #[track_caller]
    pub fn set_up(&self) {
        let message = LinkUnspec::new_with_index(self.index).up().build();
        let request = self.handle.link().set(message);
        self.done("up", self.runtime.block_on(request.execute()));
    }

    /// Takes it away, from whoever uses it too.
    #[track_caller]
    pub fn remove(self) {
        let request = self.handle.link().del(self.index);
        self.done("its end", self.runtime.block_on(request.execute()));
    }

    #[track_caller]
    fn done(&self, what: &str, result: Result<(), Error>) {
        if let Err(error) = result {
            panic!("the interface {}: {what}: {error}", self.name);
        }
    }
}
