//! All connections of a guest: packets in, packets out, Unix sockets on the other side.
//!
//! It knows nothing of queues and guest memory. Whoever has a packet of the guest calls
//! [`Muxer::receive`]; whoever has room for one to the guest calls [`Muxer::transmit`];
//! [`Muxer::output`] does what the sockets allow meanwhile.
//!
//! All bounds are here: so many connections, each with the buffer that its credit allows, and
//! so many refusals that wait for the guest to take them.

use super::arrivals::Arrivals;
use super::connection::{Connection, End, Ports};
use super::outgoing::Lingering;
use super::packet::{HOST_CID, Header, Op, TYPE_STREAM};
use crate::device::stats::DeviceStats;
use crate::device::unix_socket::connect_now;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, Sleep};

/// The most connections, those included that are being made or are on their way out. More host
/// programs wait in the socket's backlog; more requests of the guest are refused.
pub const MAX_CONNECTIONS: usize = 512;

/// The most refusals that may wait for the guest; then it is not listened to.
const MAX_RESETS: usize = 64;

/// Ports of host programs that connect to the guest: from here, up to twice this.
const FIRST_HOST_PORT: u32 = 1 << 30;

/// The connections of one guest.
#[derive(Debug)]
pub struct Muxer {
    cid: u32,
    path: PathBuf,
    stats: Arc<DeviceStats>,
    arrivals: Arrivals,
    connections: HashMap<Ports, Connection>,
    lingering: Vec<Lingering>,
    // Connections that may have a packet for the guest, each once, in the order of their turns.
    turns: VecDeque<Ports>,
    resets: VecDeque<Header>,
    next_port: u32,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Muxer {
    /// For the guest `cid`; host programs connect to `listener`, and listen on `path`_PORT.
    /// `stats` counts connections, refusals, and those that broke the rules.
    pub fn new(cid: u32, path: PathBuf, listener: UnixListener, stats: Arc<DeviceStats>) -> Self {
        Self {
            cid,
            path,
            stats,
            arrivals: Arrivals::new(listener),
            connections: HashMap::new(),
            lingering: Vec::new(),
            turns: VecDeque::new(),
            resets: VecDeque::new(),
            // A guest that went on from a snapshot may not have closed what it had, and would not take
            // new connections from the same ports.
            // Tests know which port comes first.
            next_port: if cfg!(test) { 0 } else { fastrand::u32(..) },
            alarm: None,
        }
    }

    /// Whether there is room for the answer to a packet; if not, [`Self::receive`] waits until
    /// the guest has taken some.
    pub fn can_receive(&self) -> bool {
        self.resets.len() < MAX_RESETS
    }

    /// Takes a packet of the guest. `payload` is what follows the header; nothing, when that is
    /// more than any connection has room for.
    pub fn receive(&mut self, header: &Header, payload: &[u8]) {
        if header.src_cid.get() != u64::from(self.cid) {
            // Nobody whom an answer would reach.
            return;
        }
        let ports = Ports {
            host: header.dst_port.get(),
            guest: header.src_port.get(),
        };
        let is_stream = header.kind.get() == TYPE_STREAM && header.dst_cid.get() == HOST_CID;
        let op = header.op();
        match (op, self.connections.get_mut(&ports)) {
            (Some(op), Some(connection)) if is_stream => {
                if let Err(end) = connection.receive(op, header, payload, Instant::now()) {
                    self.end(ports, end);
                } else {
                    self.take_turn(ports);
                }
            }
            (Some(Op::Request), None) if is_stream => self.connect(ports, header),
            // A refusal is not answered, or two ends would never stop.
            (Some(Op::Reset), _) => {}
            _ => self.refuse(header),
        }
    }

    /// Refuses a packet by its own addresses.
    fn refuse(&mut self, header: &Header) {
        self.stats.add("refused", 1);
        let reset = Header {
            src_cid: header.dst_cid,
            kind: header.kind,
            ..Header::to_guest(
                Op::Reset,
                self.cid,
                header.dst_port.get(),
                header.src_port.get(),
            )
        };
        self.resets.push_back(reset);
    }

    /// Connects the guest to the program that listens for its port.
    fn connect(&mut self, ports: Ports, header: &Header) {
        let mut path = self.path.clone().into_os_string();
        path.push(format!("_{}", ports.host));
        let is_full = self.len() >= MAX_CONNECTIONS;
        let stream = (!is_full).then(|| connect_now(path.as_ref()).and_then(UnixStream::from_std));
        match stream {
            Some(Ok(stream)) => {
                let connection = Connection::of_guest(ports, stream, header);
                self.stats.add("connections", 1);
                self.connections.insert(ports, connection);
                self.take_turn(ports);
            }
            _ => self.refuse(header),
        }
    }

    /// How many connections there are, those included that begin or end.
    pub fn len(&self) -> usize {
        self.arrivals.count() + self.connections.len() + self.lingering.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the guest that no host program has read yet.
    pub fn waiting(&self) -> usize {
        let open = self.connections.values().map(Connection::waiting);
        let over = self.lingering.iter().map(Lingering::waiting);
        open.chain(over).sum()
    }

    fn end(&mut self, ports: Ports, end: End) {
        self.turns.retain(|other| *other != ports);
        let Some(connection) = self.connections.remove(&ports) else {
            return;
        };
        if end == End::Broken {
            self.stats.add("broken", 1);
        }
        if end != End::ByGuest {
            let reset = Header::to_guest(Op::Reset, self.cid, ports.host, ports.guest);
            self.resets.push_back(reset);
        }
        let (stream, outgoing) = connection.into_remains();
        if end != End::Broken && !outgoing.is_empty() {
            let lingering = Lingering::new(stream, outgoing, Instant::now());
            self.lingering.push(lingering);
        }
    }

    /// Gives a connection a turn, if it has something to say.
    fn take_turn(&mut self, ports: Ports) {
        let Some(connection) = self.connections.get_mut(&ports) else {
            return;
        };
        if connection.has_packet() && !connection.has_turn {
            connection.has_turn = true;
            self.turns.push_back(ports);
        }
    }

    /// Whether there may be a packet for the guest.
    pub fn has_output(&self) -> bool {
        !self.resets.is_empty() || !self.turns.is_empty()
    }

    /// The next packet for the guest, if there is one. Its payload is put into `payload`, which
    /// has room for a byte at least.
    pub fn transmit(&mut self, payload: &mut [u8]) -> Option<Header> {
        if let Some(reset) = self.resets.pop_front() {
            return Some(reset);
        }
        while let Some(ports) = self.turns.pop_front() {
            let Some(connection) = self.connections.get_mut(&ports) else {
                continue;
            };
            connection.has_turn = false;
            let header = connection.transmit(self.cid, payload, Instant::now());
            if header.is_some() {
                self.take_turn(ports);
                return header;
            }
        }
        None
    }

    /// Does what the sockets allow, until there is a packet for the guest where there was none.
    ///
    /// It looks at every connection each time that one of them has something: there are few.
    pub async fn output(&mut self) {
        let had_output = self.has_output();
        poll_fn(|context| {
            self.poll(context);
            match self.has_output() && !had_output {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        let now = Instant::now();
        self.poll_connections(context, now);
        self.lingering.retain_mut(|one| one.poll(context, now));
        // Last, because the others may have made room.
        let others = self.connections.len() + self.lingering.len();
        let room = MAX_CONNECTIONS.saturating_sub(others);
        for (stream, port) in self.arrivals.poll(context, now, room) {
            self.request(stream, port, now);
        }
        self.poll_alarm(context);
    }

    /// Asks the guest for a connection to its port.
    fn request(&mut self, stream: UnixStream, guest: u32, now: Instant) {
        let ports = loop {
            let host = FIRST_HOST_PORT + self.next_port % FIRST_HOST_PORT;
            self.next_port = self.next_port.wrapping_add(1);
            let ports = Ports { host, guest };
            // There are fewer connections than ports, so this ends.
            if !self.connections.contains_key(&ports) {
                break ports;
            }
        };
        let connection = Connection::of_host(ports, stream, now);
        self.stats.add("connections", 1);
        self.connections.insert(ports, connection);
        self.take_turn(ports);
    }

    fn poll_connections(&mut self, context: &mut Context<'_>, now: Instant) {
        let mut ended = Vec::new();
        for (ports, connection) in &mut self.connections {
            match connection.poll(context, now) {
                Err(end) => ended.push((*ports, end)),
                Ok(()) if connection.has_packet() && !connection.has_turn => {
                    connection.has_turn = true;
                    self.turns.push_back(*ports);
                }
                Ok(()) => {}
            }
        }
        for (ports, end) in ended {
            self.end(ports, end);
        }
    }

    /// Has the context woken at the earliest deadline. Without one there is no timer.
    fn poll_alarm(&mut self, context: &mut Context<'_>) {
        let connections = self.connections.values().filter_map(|one| one.deadline);
        let lingering = self.lingering.iter().map(|one| one.deadline);
        let deadlines = connections.chain(lingering);
        let Some(deadline) = deadlines.chain(self.arrivals.deadline()).min() else {
            self.alarm = None;
            return;
        };
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        if alarm.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}
