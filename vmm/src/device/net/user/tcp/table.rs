//! All TCP connections.

use super::connection::{Connecting, Connection, Host, Stage};
use super::step::refuse;
use crate::device::net::user::address::{GATEWAY, GUEST};
use crate::device::net::user::classify::Ends;
use crate::device::net::user::frame::Frame;
use crate::device::net::user::ready::{ReadyList, Token};
use crate::device::net::user::stack::Stack;
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::Duration;
use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::task::Waker;
use tokio::net::TcpStream;

/// How many connections there are at most. One more is refused.
pub const MAX_CONNECTIONS: usize = 512;

/// How many of them may come from outside; more of them wait in the host's backlog.
pub const MAX_FORWARDED: usize = MAX_CONNECTIONS / 2;

/// So many connections get large buffers.
const LARGE: usize = 32;

/// The size of each direction's buffer, in bytes: large ones hold a dozen of the largest
/// segments. Together all buffers take at most 272 MiB, and pages only as they are used.
const LARGE_BUFFER: usize = 1 << 20;
const SMALL_BUFFER: usize = 256 << 10;

/// How long a guest may take to accept a forwarded connection.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(20);

/// The first of the ports from which forwarded connections come (RFC 6335).
const FIRST_PORT: u16 = 49152;

/// The table of connections.
#[derive(Debug)]
pub struct TcpConnections {
    connections: HashMap<u64, Connection>,
    by_ends: HashMap<Ends, u64>,
    next_number: u64,
    next_port: u16,
    forwarded: usize,
}

impl Default for TcpConnections {
    fn default() -> Self {
        Self {
            connections: HashMap::new(),
            by_ends: HashMap::new(),
            next_number: 0,
            // A guest that went on from a snapshot has connections that are not here any more, and
            // would not take new ones from the same ports.
            next_port: fastrand::u16(..),
            forwarded: 0,
        }
    }
}

impl TcpConnections {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether one more may come by a forwarded port.
    pub fn has_room_for_forwarded(&self) -> bool {
        self.forwarded < MAX_FORWARDED && self.len() < MAX_CONNECTIONS
    }

    /// The guest asks for a connection by the frame `syn`. The frame comes back when it belongs
    /// to a connection that is there.
    pub fn ask(
        &mut self,
        ready: &ReadyList,
        stack: &mut Stack,
        ends: Ends,
        syn: Frame,
        on_host: impl FnOnce() -> Option<SocketAddr>,
    ) -> Option<Frame> {
        if let Some(connection) = self.by_ends.get(&ends) {
            let connection = self.connections.get(connection)?;
            if matches!(connection.stage, Stage::Asked { .. }) {
                // It is impatient.
                stack.link.give_back(syn);
                return None;
            }
            return Some(syn);
        }
        let room = self.len() < MAX_CONNECTIONS;
        let Some(address) = on_host().filter(|_| room) else {
            refuse(stack, syn);
            return None;
        };
        let connecting: Connecting = Box::pin(TcpStream::connect(address));
        let waker = self.insert(ready, ends, Stage::Asked { connecting, syn }, false);
        waker.wake();
        None
    }

    /// Has a connection that came by a forwarded port go on to the guest's `port`.
    pub fn forward(&mut self, ready: &ReadyList, stack: &mut Stack, host: TcpStream, port: u16) {
        let guest = SocketAddrV4::new(GUEST, port);
        let Some(ends) = self.free_ends(guest) else {
            return Host::new(host).reset();
        };
        let mut socket = self.new_socket();
        socket.set_timeout(Some(ACCEPT_TIMEOUT));
        let context = stack.interface.context();
        if socket.connect(context, ends.guest, ends.remote).is_err() {
            return Host::new(host).reset();
        }
        let socket = stack.sockets.add(socket);
        let host = Host::new(host);
        let waker = self.insert(ready, ends, Stage::Open { host, socket }, true);
        waker.wake();
    }

    /// Ends from the gateway that no connection has.
    fn free_ends(&mut self, guest: SocketAddrV4) -> Option<Ends> {
        // There are more ports than connections.
        (0..=MAX_CONNECTIONS).find_map(|_| {
            let port = FIRST_PORT | self.next_port;
            self.next_port = self.next_port.wrapping_add(1);
            let remote = SocketAddrV4::new(GATEWAY, port);
            let ends = Ends { guest, remote };
            (!self.by_ends.contains_key(&ends)).then_some(ends)
        })
    }

    fn insert(&mut self, ready: &ReadyList, ends: Ends, stage: Stage, is_forwarded: bool) -> Waker {
        let number = self.next_number;
        self.next_number += 1;
        let waker = ready.waker(Token::Tcp(number));
        let connection = Connection {
            ends,
            stage,
            waker: waker.clone(),
            is_forwarded,
        };
        self.connections.insert(number, connection);
        self.by_ends.insert(ends, number);
        self.forwarded += usize::from(is_forwarded);
        waker
    }

    fn new_socket(&self) -> Socket<'static> {
        let is_large = self.len() <= LARGE;
        let size = if is_large { LARGE_BUFFER } else { SMALL_BUFFER };
        let buffer = || SocketBuffer::new(vec![0; size]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket
    }

    /// Does what there is to do for a connection. Whether it is over.
    pub fn serve(&mut self, number: u64, stack: &mut Stack) -> bool {
        let Some(connection) = self.connections.remove(&number) else {
            return false;
        };
        let (ends, is_forwarded) = (connection.ends, connection.is_forwarded);
        let next = connection.step(stack, || self.new_socket());
        // The guest may use its port again as soon as the stack has forgotten the connection.
        let keeps_ends = next.as_ref().is_some_and(|next| !next.is_draining());
        if !keeps_ends && self.by_ends.get(&ends) == Some(&number) {
            self.by_ends.remove(&ends);
        }
        match next {
            Some(connection) => {
                self.connections.insert(number, connection);
                false
            }
            None => {
                self.forwarded -= usize::from(is_forwarded);
                true
            }
        }
    }
}
