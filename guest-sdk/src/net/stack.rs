//! The TCP/IP stack of a device.

use super::config::{Addressing, Config, Lease};
use crate::time::Instant;
use crate::virtio::net::NetDevice;
use crate::{entropy, start_info};
use alloc::vec::Vec;
use core::task::Waker;
use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::{dhcpv4, dns, tcp};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{DnsQueryType, HardwareAddress, IpAddress, IpCidr};

/// Most frames that are taken before others get their turn.
const BUDGET: usize = 256;
/// More bytes than that are a stream, whose next part takes the host a while.
const BULK: usize = 16 << 10;
/// Ports for connections that begin here (RFC 6335).
const EPHEMERAL: core::ops::RangeInclusive<u16> = 49152..=65535;
/// Most connections that wait for a peer which has had its answer (TIME-WAIT).
const LINGERING: usize = 64;

/// Interface, sockets and device.
pub(super) struct Stack {
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
    pub device: NetDevice,
    pub lease: Option<Lease>,
    lease_wakers: Vec<Waker>,
    dhcp: Option<SocketHandle>,
    pub dns: SocketHandle,
    /// Connections that no stream has any more: they end by themselves.
    orphans: Vec<SocketHandle>,
    next_port: u16,
    /// The device does nothing any more.
    stopped: bool,
    /// Much has just been moved.
    bulk: bool,
}

/// When the stack has something to do again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Now, after others had their turn.
    Now,
    /// When something comes or is to be sent, or at that time.
    Wait(Option<Instant>),
}

impl Stack {
    pub fn new(mut device: NetDevice, config: &Config) -> Self {
        let seed = seed();
        let address = HardwareAddress::Ethernet(device.mac());
        let mut interface_config = smoltcp::iface::Config::new(address);
        interface_config.random_seed = seed;
        let interface = Interface::new(interface_config, &mut device, now());
        let mut sockets = SocketSet::new(Vec::new());
        let dns = sockets.add(dns::Socket::new(&[], Vec::new()));
        let mut stack = Self {
            interface,
            sockets,
            device,
            lease: None,
            lease_wakers: Vec::new(),
            dhcp: None,
            dns,
            orphans: Vec::new(),
            next_port: EPHEMERAL.start() + (seed % EPHEMERAL.len() as u64) as u16,
            stopped: false,
            bulk: false,
        };
        match &config.addressing {
            Addressing::Static(lease) => stack.set_lease(Some(lease.clone())),
            Addressing::Dhcp => stack.dhcp = Some(stack.sockets.add(dhcpv4::Socket::new())),
        }
        stack
    }

    /// Takes what has come, sends what is to be sent, and tells the device once.
    /// `stopped` says that the device does nothing any more.
    pub fn poll(&mut self, stopped: bool) -> Next {
        if stopped || self.device.is_broken() {
            return self.stop();
        }
        let now = now();
        self.device.disarm();
        let mut budget = BUDGET;
        while budget > 0 {
            let (device, sockets) = (&mut self.device, &mut self.sockets);
            match self.interface.poll_ingress_single(now, device, sockets) {
                PollIngressSingleResult::None => break,
                _ => budget -= 1,
            }
        }
        self.interface.poll_maintenance(now);
        loop {
            let (device, sockets) = (&mut self.device, &mut self.sockets);
            match self.interface.poll_egress(now, device, sockets) {
                PollResult::None => break,
                PollResult::SocketStateChanged => {}
            }
        }
        self.attend_dhcp();
        self.bury_orphans();
        self.bulk = self.device.flush() > BULK;
        self.next(budget == 0)
    }

    /// The device does nothing any more: all connections end.
    fn stop(&mut self) -> Next {
        self.stopped = true;
        for (_, socket) in self.sockets.iter_mut() {
            if let smoltcp::socket::Socket::Tcp(tcp) = socket {
                tcp.abort();
            }
        }
        self.bury_orphans();
        Next::Wait(None)
    }

    /// What to do after `poll`.
    fn next(&mut self, more: bool) -> Next {
        let deadline = self.interface.poll_at(now(), &self.sockets).map(from_stack);
        let due = deadline.is_some_and(|deadline| deadline <= Instant::now());
        // What is due and cannot be sent for want of a buffer waits for one.
        let room = self.device.can_transmit();
        match more || due && room {
            true => Next::Now,
            false => Next::Wait(deadline.filter(|_| !due)),
        }
    }

    /// Whether it may pay to look for the next frame: of questions and answers the next one comes
    /// soon, and a stream leaves the processor to the host.
    pub fn is_brisk(&self) -> bool {
        !self.bulk && !self.stopped
    }

    /// Whether a frame has come.
    pub fn has_come(&self) -> bool {
        !self.stopped && self.device.has_come()
    }

    /// Asks the device for events: whether there is something to do already.
    pub fn arm(&mut self) -> bool {
        let room = self.device.can_transmit();
        !self.stopped && self.device.arm(!room)
    }

    fn attend_dhcp(&mut self) {
        let Some(dhcp) = self.dhcp else {
            return;
        };
        let lease = match self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() {
            None => return,
            Some(dhcpv4::Event::Deconfigured) => None,
            Some(dhcpv4::Event::Configured(config)) => Some(Lease {
                address: config.address,
                gateway: config.router,
                dns: config.dns_servers.iter().copied().collect(),
            }),
        };
        self.set_lease(lease);
    }

    fn set_lease(&mut self, lease: Option<Lease>) {
        let address = lease.as_ref().map(|lease| IpCidr::Ipv4(lease.address));
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            addresses.extend(address);
        });
        let gateway = lease.as_ref().and_then(|lease| lease.gateway);
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = gateway {
            // There is room: it is the only one.
            let _ = routes.add_default_ipv4_route(gateway);
        }
        let server = lease.iter().flat_map(|lease| lease.dns.first().copied());
        let servers: Vec<IpAddress> = server.map(IpAddress::Ipv4).collect();
        let dns = self.sockets.get_mut::<dns::Socket<'_>>(self.dns);
        dns.update_servers(&servers);
        self.lease = lease;
        if self.lease.is_some() {
            self.lease_wakers.drain(..).for_each(Waker::wake);
        }
    }

    pub fn wait_for_lease(&mut self, waker: &Waker) {
        if !self.lease_wakers.iter().any(|other| other.will_wake(waker)) {
            self.lease_wakers.push(waker.clone());
        }
    }

    /// A connection's socket.
    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Begins a connection from a port of its own.
    pub fn connect(
        &mut self,
        handle: SocketHandle,
        peer: (IpAddress, u16),
        port: u16,
    ) -> Result<(), tcp::ConnectError> {
        if self.stopped {
            return Err(tcp::ConnectError::Unaddressable);
        }
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket.connect(self.interface.context(), peer, port)
    }

    /// Asks the name server.
    pub fn start_query(
        &mut self,
        name: &str,
        query: DnsQueryType,
    ) -> Result<dns::QueryHandle, dns::StartQueryError> {
        let socket = self.sockets.get_mut::<dns::Socket<'_>>(self.dns);
        socket.start_query(self.interface.context(), name, query)
    }

    /// A local port that no connection has.
    pub fn free_port(&mut self) -> Option<u16> {
        for _ in EPHEMERAL {
            let port = self.next_port;
            self.next_port = match port {
                u16::MAX => *EPHEMERAL.start(),
                port => port + 1,
            };
            let taken = self.sockets.iter().any(|(_, socket)| match socket {
                smoltcp::socket::Socket::Tcp(tcp) => {
                    tcp.local_endpoint().is_some_and(|local| local.port == port)
                }
                smoltcp::socket::Socket::Udp(udp) => udp.endpoint().port == port,
                _ => false,
            });
            if !taken {
                return Some(port);
            }
        }
        None
    }

    /// Leaves a connection to end by itself.
    pub fn orphan(&mut self, handle: SocketHandle) {
        self.orphans.push(handle);
    }

    /// Removes the connections without a stream that have ended, and those that wait in TIME-WAIT
    /// when there are many.
    fn bury_orphans(&mut self) {
        let many = self.orphans.len() > LINGERING;
        let sockets = &mut self.sockets;
        self.orphans.retain(|&handle| {
            let state = sockets.get::<tcp::Socket<'_>>(handle).state();
            let over = match state {
                tcp::State::Closed => true,
                tcp::State::TimeWait => many,
                _ => false,
            };
            if over {
                sockets.remove(handle);
            }
            !over
        });
    }
}

/// The time, for the stack.
pub(super) fn now() -> StackInstant {
    StackInstant::from_micros((Instant::now().as_nanos() / 1000) as i64)
}

/// A time of the stack's.
fn from_stack(time: StackInstant) -> Instant {
    let micros = u64::try_from(time.total_micros()).unwrap_or(0);
    Instant::from_nanos(micros.saturating_mul(1000))
}

/// A random number, for the first sequence numbers and ports.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    if entropy::fill(&mut bytes).is_err() {
        bytes.copy_from_slice(&start_info::get().entropy()[..8]);
    }
    u64::from_le_bytes(bytes)
}
