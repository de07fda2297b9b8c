//! A guest for tests: a TCP/IP stack at the other end of the engine's cable.

use crate::device::net::user::address::{GATEWAY, GUEST};
use crate::device::net::user::{Checks, Engine, ForwardListener, Settings};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium};
use smoltcp::phy::{RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, Ipv4Cidr};
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const MTU: u16 = 65520;

/// How long anything may take before a test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether something has happened that is not on the cable.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The guest's end of the cable.
#[derive(Debug)]
pub struct Port {
    pub received: VecDeque<Vec<u8>>,
    pub sent: VecDeque<Vec<u8>>,
    mtu: u16,
    sums: bool,
}

pub struct Rx(Vec<u8>);
pub struct Tx<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Port {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _now: StackInstant) -> Option<(Rx, Tx<'_>)> {
        let frame = self.received.pop_front()?;
        Some((Rx(frame), Tx(&mut self.sent)))
    }

    fn transmit(&mut self, _now: StackInstant) -> Option<Tx<'_>> {
        (self.sent.len() < 256).then_some(Tx(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = usize::from(self.mtu) + 14;
        let mut sums = ChecksumCapabilities::default();
        if !self.sums {
            sums.tcp = Checksum::None;
            sums.udp = Checksum::None;
        }
        capabilities.checksum = sums;
        capabilities
    }
}

/// A guest and its network.
pub struct World {
    pub engine: Engine,
    pub port: Port,
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
    started: Instant,
}

impl World {
    /// A guest whose network card computes no sums, and neither does the network.
    pub fn new() -> Self {
        Self::with(MTU, false, None, &[])
    }

    pub fn with(
        mtu: u16,
        sums: bool,
        dns: Option<std::net::SocketAddr>,
        forwards: &[ForwardListener],
    ) -> Self {
        let settings = Settings {
            mtu,
            checks: Checks {
                from_guest: sums,
                to_guest: sums,
            },
            mac: MAC,
            dns,
        };
        let mut port = Port {
            received: VecDeque::new(),
            sent: VecDeque::new(),
            mtu,
            sums,
        };
        let mac = HardwareAddress::Ethernet(EthernetAddress(MAC));
        let mut interface = Interface::new(Config::new(mac), &mut port, StackInstant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(Ipv4Cidr::new(GUEST, 24).into())
                .expect("there is room");
        });
        interface
            .routes_mut()
            .add_default_ipv4_route(GATEWAY)
            .expect("there is room");
        Self {
            engine: Engine::new(&settings, forwards).expect("there are file descriptors"),
            port,
            interface,
            sockets: SocketSet::new(Vec::new()),
            started: Instant::now(),
        }
    }

    pub fn now(&self) -> StackInstant {
        StackInstant::from_micros(self.started.elapsed().as_micros() as i64)
    }

    /// Has all that is on its way arrive. Whether there was anything.
    pub fn exchange(&mut self) -> bool {
        let now = self.now();
        self.interface.poll(now, &mut self.port, &mut self.sockets);
        let mut moved = false;
        while self.engine.takes()
            && let Some(sent) = self.port.sent.pop_front()
        {
            let mut frame = self.engine.buffer(sent.len());
            frame.copy_from_slice(&sent);
            self.engine.receive(frame);
            moved = true;
        }
        let more = self.engine.work();
        while let Some(frame) = self.engine.next_frame() {
            self.port.received.push_back(frame.to_vec());
            self.engine.give_back(frame);
            moved = true;
        }
        moved || more
    }

    /// Runs both until `done` says so.
    pub async fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while self.exchange() {
                tokio::task::yield_now().await;
            }
            if done(self) {
                return;
            }
            assert!(Instant::now() < deadline, "it takes too long");
            // What `done` did may have to be sent.
            if self.exchange() {
                continue;
            }
            let now = self.now();
            let delay = self.interface.poll_delay(now, &self.sockets);
            let delay = delay.map_or(LOOK_AGAIN, |delay| LOOK_AGAIN.min(delay.into()));
            tokio::select! {
                () = self.engine.wait() => {}
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// A TCP socket of the guest.
    pub fn tcp(&mut self) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; 1 << 20]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_ack_delay(None);
        self.sockets.add(socket)
    }

    /// A TCP socket of the guest that connects to `remote` from `port`.
    pub fn connect(&mut self, remote: SocketAddrV4, port: u16) -> SocketHandle {
        let handle = self.tcp();
        let socket = self.sockets.get_mut::<Socket<'_>>(handle);
        socket
            .connect(self.interface.context(), remote, port)
            .expect("the socket is new");
        handle
    }

    pub fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut::<Socket<'static>>(handle)
    }

    /// Sends all of `bytes`, and takes what comes until the other side has ended.
    pub async fn talk(&mut self, handle: SocketHandle, bytes: &[u8]) -> Vec<u8> {
        let mut sent = 0;
        let mut came = Vec::new();
        self.until(|world| {
            let socket = world.socket(handle);
            if sent < bytes.len() && socket.can_send() {
                sent += socket.send_slice(&bytes[sent..]).expect("it is open");
                if sent == bytes.len() {
                    socket.close();
                }
            }
            while socket.can_recv() {
                socket
                    .recv(|part| {
                        came.extend_from_slice(part);
                        (part.len(), ())
                    })
                    .expect("there is something");
            }
            sent == bytes.len() && !socket.may_recv()
        })
        .await;
        came
    }
}
