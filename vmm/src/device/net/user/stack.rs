//! The TCP/IP stack and its clock.

use super::address::{GATEWAY, NAME_SERVER, PREFIX};
use super::link::Link;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, Ipv4Cidr};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant as HostInstant;

/// smoltcp's interface, its sockets, and the link to the guest.
pub struct Stack {
    pub(super) interface: Interface,
    pub(super) sockets: SocketSet<'static>,
    pub(super) link: Link,
    started: HostInstant,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl Stack {
    /// A stack that has every address that the guest asks for.
    pub fn new(mut link: Link) -> Self {
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = fastrand::u64(..);
        let mut interface = Interface::new(config, &mut link, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for address in [GATEWAY, NAME_SERVER] {
                // There is room for two.
                let _no_room = addresses.push(Ipv4Cidr::new(address, PREFIX).into());
            }
        });
        interface.set_any_ip(true);
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            link,
            started: HostInstant::now(),
        }
    }

    fn now(&self) -> Instant {
        let micros = self.started.elapsed().as_micros();
        Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Has the stack take what the guest has sent, and send what its sockets have.
    pub fn poll(&mut self) {
        let now = self.now();
        self.interface.poll(now, &mut self.link, &mut self.sockets);
    }

    /// Has the stack take the first frame only.
    pub fn poll_first(&mut self) {
        let now = self.now();
        let _may_have_changed =
            self.interface
                .poll_ingress_single(now, &mut self.link, &mut self.sockets);
    }

    /// When the stack should be polled though nothing has come.
    pub fn deadline(&mut self) -> Option<HostInstant> {
        let at = self.interface.poll_at(self.now(), &self.sockets)?;
        let since = u64::try_from(at.total_micros()).unwrap_or(0);
        self.started.checked_add(Duration::from_micros(since))
    }
}
