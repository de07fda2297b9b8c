//! The user network: takes the guest's frames, gives frames for the guest, and talks with the
//! world by the host's sockets. It has no task and no thread: whoever owns it calls
//! [`Engine::work`] when something has come, and waits by [`Engine::wait`].

use super::address;
use super::classify::{Kind, classify};
use super::forward::{Acceptor, ForwardListener};
use super::frame::Frame;
use super::link::{Checks, FROM_GUEST, Link};
use super::ready::{ReadyList, Token};
use super::stack::Stack;
use super::tcp::TcpConnections;
use super::udp::UdpFlows;
use super::{arp, dhcp};
use smoltcp::wire::{EthernetAddress, EthernetFrame};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How often sockets are served before the guest gets what there is.
const ROUNDS: usize = 8;

/// The shortest time between looks at a stack that wants to do something it cannot do.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// When accepting fails, for example because there are no file descriptors left, it is tried
/// again after so long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// The gateway's Ethernet address: locally administered, as in QEMU's user network.
const GATEWAY_MAC: EthernetAddress = EthernetAddress([0x52, 0x55, 10, 0, 2, 2]);

/// What a network is made with.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The largest IP packet, in bytes.
    pub mtu: u16,
    /// Who computes and checks checksums.
    pub checks: Checks,
    /// The guest's Ethernet address, until it sends from another.
    pub mac: [u8; 6],
    /// Where the guest's name server is. `None`: the host's own, by /etc/resolv.conf.
    pub dns: Option<SocketAddr>,
}

/// A network of its own for one guest.
#[derive(Debug)]
pub struct Engine {
    stack: Stack,
    ready: ReadyList,
    tcp: TcpConnections,
    udp: UdpFlows,
    acceptors: Vec<Acceptor>,
    dns: Option<SocketAddr>,
    accept_again: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Engine {
    /// A network with nothing in it but its forwarded ports. It needs tokio's reactor.
    pub fn new(settings: &Settings, forwards: &[ForwardListener]) -> io::Result<Self> {
        let guest = EthernetAddress(settings.mac);
        let link = Link::new(settings.mtu, settings.checks, GATEWAY_MAC, guest);
        let ready = ReadyList::default();
        let acceptors = forwards
            .iter()
            .enumerate()
            .map(|(index, forward)| forward.start(&ready, index))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            stack: Stack::new(link),
            ready,
            tcp: TcpConnections::default(),
            udp: UdpFlows::default(),
            acceptors,
            dns: settings.dns,
            accept_again: None,
            timer: None,
        })
    }

    /// Whether another frame of the guest is taken before the next [`Self::work`].
    pub fn takes(&self) -> bool {
        self.stack.link.from_guest.len() < FROM_GUEST
    }

    /// A frame of `length` bytes to be filled. One longer than
    /// [`FRAME_CAPACITY`](super::frame::FRAME_CAPACITY) is cut.
    pub fn buffer(&mut self, length: usize) -> Frame {
        self.stack.link.buffer(length)
    }

    /// Takes a frame's buffer back.
    pub fn give_back(&mut self, frame: Frame) {
        self.stack.link.give_back(frame);
    }

    /// The next frame for the guest.
    pub fn next_frame(&mut self) -> Option<Frame> {
        self.stack.link.next()
    }

    /// The guest could not take the frame that [`Self::next_frame`] gave.
    pub fn put_back(&mut self, frame: Frame) {
        self.stack.link.put_back(frame);
    }

    /// How many frames wait for the guest.
    pub fn waiting(&self) -> usize {
        self.stack.link.waiting()
    }

    /// Takes a frame of the guest.
    pub fn receive(&mut self, frame: Frame) {
        let kind = classify(&frame);
        if kind != Kind::Other {
            let header = EthernetFrame::new_unchecked(&*frame);
            self.stack.link.learn_guest(header.src_addr());
        }
        let answer = match kind {
            Kind::Arp(request) => arp::answer(&mut self.stack.link, &request),
            Kind::Dhcp(message) => {
                let message = frame.get(message).unwrap_or_default();
                dhcp::answer(&mut self.stack.link, message)
            }
            Kind::Udp { ends, payload } => {
                let payload = frame.get(payload).unwrap_or_default();
                let on_host = || on_host(self.dns, *ends.remote.ip(), ends.remote.port());
                self.udp.send(&self.ready, ends, payload, on_host);
                None
            }
            Kind::Tcp { ends, opens: true } => {
                let on_host = || on_host(self.dns, *ends.remote.ip(), ends.remote.port());
                let (ready, stack) = (&self.ready, &mut self.stack);
                if let Some(frame) = self.tcp.ask(ready, stack, ends, frame, on_host) {
                    self.stack.link.from_guest.push_back(frame);
                }
                return;
            }
            Kind::Tcp { .. } | Kind::Icmp => {
                self.stack.link.from_guest.push_back(frame);
                return;
            }
            Kind::Other => None,
        };
        self.stack.link.give_back(frame);
        if let Some(answer) = answer {
            self.stack.link.send(answer);
        }
    }

    /// Does what there is to do, without waiting. `true`: there is more.
    pub fn work(&mut self) -> bool {
        self.look_at_the_time();
        for _ in 0..ROUNDS {
            if self.stack.link.has_room() {
                self.udp.room();
            }
            self.stack.poll();
            let ready = self.ready.len();
            if ready == 0 {
                return false;
            }
            for _ in 0..ready {
                if let Some(token) = self.ready.take() {
                    self.serve(token);
                }
            }
        }
        true
    }

    fn serve(&mut self, token: Token) {
        match token {
            Token::Tcp(number) => {
                if self.tcp.serve(number, &mut self.stack) && !self.acceptors.is_empty() {
                    self.acceptors.iter().for_each(Acceptor::wake);
                }
            }
            Token::Udp(number) => self.udp.serve(number, &mut self.stack.link),
            Token::Listener(index) => self.accept(index),
        }
    }

    fn accept(&mut self, index: usize) {
        let Some(acceptor) = self.acceptors.get(index) else {
            return;
        };
        while self.tcp.has_room_for_forwarded() {
            match acceptor.accept() {
                Poll::Pending => return,
                Poll::Ready(Ok(host)) => {
                    let port = acceptor.guest_port;
                    self.tcp.forward(&self.ready, &mut self.stack, host, port);
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a forwarded connection is not accepted");
                    self.accept_again = Some(Instant::now() + ACCEPT_AGAIN);
                    return;
                }
            }
        }
    }

    fn look_at_the_time(&mut self) {
        let now = Instant::now();
        self.udp.expire(now);
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
            self.acceptors.iter().for_each(Acceptor::wake);
        }
    }

    /// Waits until there is something to do for [`Self::work`] beside what the guest sends. It
    /// may be dropped at any time.
    pub async fn wait(&mut self) {
        poll_fn(|context| self.poll_wait(context)).await;
    }

    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.ready.poll(context).is_ready() {
            return Poll::Ready(());
        }
        // A stack that has no room waits for room, not for time.
        let stack = if self.stack.link.has_room() {
            let soonest = Instant::now() + SHORTEST_WAIT;
            self.stack.deadline().map(|deadline| deadline.max(soonest))
        } else {
            None
        };
        let deadlines = [stack, self.udp.deadline(), self.accept_again];
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }

    /// How many TCP connections and UDP flows there are.
    pub fn flows(&self) -> (usize, usize) {
        (self.tcp.len(), self.udp.len())
    }
}

fn on_host(dns: Option<SocketAddr>, address: std::net::Ipv4Addr, port: u16) -> Option<SocketAddr> {
    let name_server = || Some(dns.unwrap_or_else(address::name_server));
    address::on_host(address, port, name_server)
}
