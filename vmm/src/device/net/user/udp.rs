//! UDP out of the guest: a host socket for each pair of ends, so that the host's kernel sees to
//! it that only the one who was asked can answer.

use super::classify::Ends;
use super::datagram;
use super::link::Link;
use super::ready::{ReadyList, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, send};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// How many flows there are at most. One more takes the place of the one idle longest.
pub const MAX_FLOWS: usize = 512;

/// How long a flow lives when nothing is sent, as RFC 4787 would have it at least.
pub const IDLE: Duration = Duration::from_secs(120);

/// How many datagrams of a flow are handled in one turn.
const TURN: usize = 64;

#[derive(Debug)]
struct Flow {
    ends: Ends,
    socket: UdpSocket,
    waker: Waker,
    used: Instant,
}

/// All flows.
#[derive(Debug, Default)]
pub struct UdpFlows {
    flows: HashMap<u64, Flow>,
    by_ends: HashMap<Ends, u64>,
    next_number: u64,
    // The earliest moment at which a flow may have been idle for long enough.
    look_at: Option<Instant>,
    // Flows that have datagrams for which there was no room.
    stalled: Vec<Waker>,
}

impl UdpFlows {
    /// Sends a datagram of the guest. One that the host does not take at once is lost, as
    /// anywhere with UDP.
    pub fn send(
        &mut self,
        ready: &ReadyList,
        ends: Ends,
        payload: &[u8],
        on_host: impl FnOnce() -> Option<SocketAddr>,
    ) {
        let number = match self.by_ends.get(&ends) {
            Some(number) => *number,
            None => match on_host().and_then(|address| self.open(ready, ends, address)) {
                Some(number) => number,
                None => return,
            },
        };
        if let Some(flow) = self.flows.get_mut(&number) {
            flow.used = Instant::now();
            // The error of an earlier datagram is told by a later one: then it is sent again.
            if let Err(Errno::CONNREFUSED) = send(&flow.socket, payload, SendFlags::DONTWAIT) {
                let _lost = send(&flow.socket, payload, SendFlags::DONTWAIT);
            }
        }
    }

    fn open(&mut self, ready: &ReadyList, ends: Ends, address: SocketAddr) -> Option<u64> {
        if self.flows.len() >= MAX_FLOWS {
            self.remove_idlest();
        }
        let socket = connect(address)
            .inspect_err(|error| tracing::debug!(%address, %error, "no UDP flow"))
            .ok()?;
        let number = self.next_number;
        self.next_number += 1;
        let waker = ready.waker(Token::Udp(number));
        // The first look has the socket tell of what comes.
        waker.wake_by_ref();
        let used = Instant::now();
        let flow = Flow {
            ends,
            socket,
            waker,
            used,
        };
        self.flows.insert(number, flow);
        self.by_ends.insert(ends, number);
        self.look_at.get_or_insert(used + IDLE);
        Some(number)
    }

    fn remove(&mut self, number: u64) {
        if let Some(flow) = self.flows.remove(&number) {
            self.by_ends.remove(&flow.ends);
        }
    }

    fn remove_idlest(&mut self) {
        let idlest = self.flows.iter().min_by_key(|(_, flow)| flow.used);
        if let Some(number) = idlest.map(|(number, _)| *number) {
            self.remove(number);
        }
    }

    /// Takes what has come for a flow, as long as there is room on the link.
    pub fn serve(&mut self, number: u64, link: &mut Link) {
        let Some(flow) = self.flows.get_mut(&number) else {
            return;
        };
        let mut context = Context::from_waker(&flow.waker);
        for _ in 0..TURN {
            match flow.socket.poll_recv_ready(&mut context) {
                Poll::Pending => return,
                Poll::Ready(_) if link.has_room() => {}
                Poll::Ready(_) => {
                    self.stalled.push(flow.waker.clone());
                    return;
                }
            }
            let longest = link.mtu().saturating_sub(datagram::HEADERS);
            let Some(mut frame) = datagram::begin(link, longest) else {
                return;
            };
            match receive(&flow.socket, &mut frame[datagram::PAYLOAD..]) {
                Ok(length) if length <= longest => {
                    flow.used = Instant::now();
                    frame.truncate(datagram::PAYLOAD + length);
                    datagram::finish(link, &mut frame, flow.ends.remote, flow.ends.guest);
                    link.send(frame);
                }
                // Too long for the guest, nothing there after all, or an error of the other
                // side, which UDP does not tell.
                _ => link.give_back(frame),
            }
        }
        flow.waker.wake_by_ref();
    }

    /// There is room on the link again.
    pub fn room(&mut self) {
        self.stalled.drain(..).for_each(Waker::wake);
    }

    /// When [`Self::expire`] should be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Forgets the flows that have been idle for long.
    pub fn expire(&mut self, now: Instant) {
        if self.look_at.is_none_or(|look_at| now < look_at) {
            return;
        }
        let is_idle = |flow: &Flow| now.duration_since(flow.used) >= IDLE;
        self.flows.retain(|_, flow| !is_idle(flow));
        self.by_ends
            .retain(|_, number| self.flows.contains_key(number));
        let oldest = self.flows.values().map(|flow| flow.used).min();
        self.look_at = oldest.map(|used| used + IDLE);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.flows.len()
    }
}

/// A socket that talks with `address` only.
fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    UdpSocket::from_std(socket)
}

/// Takes a datagram, and says how long it was, though more may have come than there is room for.
fn receive(socket: &UdpSocket, bytes: &mut [u8]) -> io::Result<usize> {
    socket.try_io(Interest::READABLE, || {
        let (_, length) = rustix::net::recv(socket, bytes, RecvFlags::TRUNC)?;
        Ok(length)
    })
}
