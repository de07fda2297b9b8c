//! The device's side: packets in and out, and which connection they are of.

use super::connection::{Connection, Phase};
use super::packet::{Credit, Ends, HEADER_SIZE, Header, NO_RECEIVE, NO_SEND, Operation};
use crate::virtio::packets::{Receiver, Shape, Transmitter};
use crate::virtio::{Broken, Device, Error, Found, feature};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::Waker;

/// The queue of packets that have come.
pub(super) const RECEIVE: u16 = 0;
/// The queue of packets to send.
pub(super) const TRANSMIT: u16 = 1;
/// The queue of events.
pub(super) const EVENT: u16 = 2;

/// Size of a packet's buffer.
const PACKET: usize = 32 << 10;
/// Packets in each direction.
const PACKETS: u32 = 32;
/// Packets without data that wait for a buffer, at most. One more is lost, and its connection is
/// ended by the peer's time-out.
const WAITING: usize = 1024;
/// Connections that nobody has any more and that the peer has not ended, at most.
const CLOSING: usize = 128;
/// Where ports for connections that begin here are from.
const FIRST_PORT: u32 = 1 << 16;

/// The device with its connections.
#[derive(Debug)]
pub(super) struct Socket {
    device: Arc<Device>,
    cid: u64,
    receiver: Receiver,
    transmitter: Transmitter,
    events: Receiver,
    pub connections: BTreeMap<Ends, Connection>,
    pub listeners: BTreeMap<u32, Listener>,
    /// Packets without data that wait for a buffer.
    waiting: VecDeque<Header>,
    /// Who waits for a buffer.
    pub writers: Vec<Waker>,
    /// Connections that nobody has any more, the oldest first.
    closing: VecDeque<Ends>,
    next_port: u32,
    broken: bool,
}

/// A port on which connections are taken.
#[derive(Debug, Default)]
pub(super) struct Listener {
    pub backlog: usize,
    pub come: VecDeque<Ends>,
    pub waker: Option<Waker>,
}

impl Socket {
    pub fn open(found: Found) -> Result<Self, Error> {
        let device = Device::take(found, feature::RING_EVENT_IDX)?;
        let cid = device.config::<u64>(0)?;
        let shape = Shape {
            size: PACKET,
            count: PACKETS,
        };
        let event_shape = Shape { size: 64, count: 8 };
        let receiver = Receiver::new(&device, RECEIVE, shape)?;
        let transmitter = Transmitter::new(&device, TRANSMIT, shape)?;
        let events = Receiver::new(&device, EVENT, event_shape)?;
        device.start()?;
        let mut socket = Self {
            device,
            cid,
            receiver,
            transmitter,
            events,
            connections: BTreeMap::new(),
            listeners: BTreeMap::new(),
            waiting: VecDeque::new(),
            writers: Vec::new(),
            closing: VecDeque::new(),
            next_port: FIRST_PORT,
            broken: false,
        };
        socket.tell();
        Ok(socket)
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    pub fn cid(&self) -> u64 {
        self.cid
    }

    fn tell(&mut self) {
        self.receiver.notify();
        self.events.notify();
        self.transmitter.notify();
    }

    /// Takes what has come, sends what waits, and tells the device once: whether there is more to
    /// do at once. The device is asked for events otherwise. `stopped` says that it does nothing any
    /// more.
    pub fn work(&mut self, stopped: bool) -> bool {
        if stopped && !self.broken {
            self.stop();
        }
        if self.broken {
            return false;
        }
        self.receiver.disarm();
        self.transmitter.disarm();
        self.events.disarm();
        match self.take_all().and_then(|()| self.send_waiting()) {
            Ok(full) => {
                self.tell();
                let sent = full && self.transmitter.arm();
                self.receiver.arm() || self.events.arm() || sent
            }
            Err(Broken) => {
                self.stop();
                false
            }
        }
    }

    fn take_all(&mut self) -> Result<(), Broken> {
        let cid = self.cid;
        // As many as the queue has: then it is the others' turn.
        let mut count = 0;
        while count < PACKETS && self.receiver.has_come() {
            // First: this packet may be of a connection that came after the old ones had gone.
            self.take_events()?;
            let Some(packet) = self.receiver.take_if(|_| true)? else {
                break;
            };
            count += 1;
            if let Some((header, data)) = Header::parse(&packet, cid) {
                let answer = route(&mut self.connections, &mut self.listeners, header, data);
                drop(packet);
                if let Some(answer) = answer {
                    self.send(answer);
                }
                self.forget_if_over(header.ends);
            }
        }
        self.take_events()
    }

    fn take_events(&mut self) -> Result<(), Broken> {
        let mut reset = false;
        while let Some(packet) = self.events.take_if(|_| true)? {
            drop(packet);
            reset = true;
        }
        if reset {
            // The only event there is: the transport was reset, all connections are gone.
            self.end_all();
            self.cid = self.device.config::<u64>(0).unwrap_or(self.cid);
        }
        Ok(())
    }

    /// The device does nothing any more: all connections end.
    fn stop(&mut self) {
        self.broken = true;
        self.end_all();
    }

    fn end_all(&mut self) {
        self.connections.values_mut().for_each(Connection::end);
        self.connections
            .retain(|_, connection| !connection.abandoned);
        self.closing.clear();
        self.writers.drain(..).for_each(Waker::wake);
    }

    /// Sends packets that wait for a buffer, and lets writers have theirs: whether somebody still
    /// waits.
    fn send_waiting(&mut self) -> Result<bool, Broken> {
        while !self.waiting.is_empty() && self.transmitter.make_room()? {
            if let Some(header) = self.waiting.pop_front() {
                self.put(header, &[]);
            }
        }
        if !self.writers.is_empty() && self.transmitter.make_room()? {
            self.writers.drain(..).for_each(Waker::wake);
        }
        Ok(!self.waiting.is_empty() || !self.writers.is_empty())
    }

    fn put(&mut self, header: Header, data: &[u8]) {
        let size = HEADER_SIZE + data.len();
        if let Some(buffer) = self.transmitter.next(size) {
            let (head, body) = buffer.split_at_mut(HEADER_SIZE);
            head.copy_from_slice(&header.to_bytes(self.cid));
            body.copy_from_slice(data);
            self.transmitter.send(size);
        }
    }

    /// Sends a packet without data, now or when there is a buffer. The device is told by
    /// [`Socket::work`].
    pub fn send(&mut self, header: Header) {
        let room = self.waiting.is_empty() && self.transmitter.make_room() == Ok(true);
        if room {
            self.put(header, &[]);
        } else if self.waiting.len() < WAITING {
            self.waiting.push_back(header);
        }
    }

    /// Sends data of a connection, as much as can be now; 0 when there is no buffer or no room at
    /// the peer's, and then `waker` is woken when that has changed.
    pub fn write(&mut self, ends: Ends, data: &[u8], waker: &Waker) -> Option<usize> {
        let connection = self.connections.get_mut(&ends)?;
        if !connection.can_send() {
            return None;
        }
        let size = data.len().min(PACKET - HEADER_SIZE);
        let size = size.min(connection.allowed() as usize);
        if size == 0 {
            connection.writer = Some(waker.clone());
            if let Some(question) = connection.ask() {
                self.send(question);
            }
            return Some(0);
        }
        if !self.waiting.is_empty() || self.transmitter.make_room() != Ok(true) {
            self.writers.push(waker.clone());
            return Some(0);
        }
        let header = connection.data_header(size as u32);
        self.put(header, &data[..size]);
        Some(size)
    }

    /// Begins a connection.
    pub fn connect(&mut self, cid: u64, port: u32) -> Ends {
        let ends = loop {
            let local = self.next_port;
            self.next_port = local.checked_add(1).unwrap_or(FIRST_PORT);
            let ends = Ends { local, cid, port };
            let taken = self.listeners.contains_key(&local) || self.connections.contains_key(&ends);
            if !taken {
                break ends;
            }
        };
        let mut connection = Connection::new(ends, Phase::Connecting);
        if self.broken {
            connection.end();
            self.connections.insert(ends, connection);
            return ends;
        }
        let request = connection.header(Operation::Request, 0, 0);
        self.connections.insert(ends, connection);
        self.send(request);
        ends
    }

    /// Ends the direction from here.
    pub fn shut_down(&mut self, ends: Ends) {
        if let Some(connection) = self.connections.get_mut(&ends)
            && connection.phase == Phase::Open
            && !core::mem::replace(&mut connection.shut_down, true)
        {
            let header = connection.header(Operation::Shutdown, NO_SEND, 0);
            self.send(header);
        }
    }

    /// Nobody has the connection any more: it is ended.
    pub fn abandon(&mut self, ends: Ends) {
        let Some(connection) = self.connections.get_mut(&ends) else {
            return;
        };
        connection.abandoned = true;
        let farewell = match connection.phase {
            Phase::Over => None,
            Phase::Connecting => Some(connection.header(Operation::Reset, 0, 0)),
            Phase::Open => {
                connection.shut_down = true;
                Some(connection.header(Operation::Shutdown, NO_SEND | NO_RECEIVE, 0))
            }
        };
        if connection.phase == Phase::Connecting {
            connection.phase = Phase::Over;
        }
        if let Some(farewell) = farewell {
            self.send(farewell);
        }
        self.forget_if_over(ends);
        if self.connections.contains_key(&ends) {
            self.closing.push_back(ends);
        }
        if self.closing.len() > CLOSING
            && let Some(oldest) = self.closing.pop_front()
            && let Some(mut connection) = self.connections.remove(&oldest)
        {
            let reset = connection.header(Operation::Reset, 0, 0);
            self.send(reset);
        }
    }

    fn forget_if_over(&mut self, ends: Ends) {
        let over = self
            .connections
            .get(&ends)
            .is_some_and(|connection| connection.abandoned && connection.phase == Phase::Over);
        if over {
            self.connections.remove(&ends);
            self.closing.retain(|other| *other != ends);
        }
    }
}

/// Has a packet's connection or listener take it: the answer.
fn route(
    connections: &mut BTreeMap<Ends, Connection>,
    listeners: &mut BTreeMap<u32, Listener>,
    header: Header,
    data: &[u8],
) -> Option<Header> {
    let ends = header.ends;
    let reset = Header {
        ends,
        operation: Operation::Reset,
        flags: 0,
        size: 0,
        credit: Credit::default(),
    };
    if header.operation == Operation::Request {
        let listener = listeners.get_mut(&ends.local);
        let listener = listener.filter(|listener| listener.come.len() < listener.backlog);
        let Some(listener) = listener else {
            return Some(reset);
        };
        if connections.contains_key(&ends) {
            return Some(reset);
        }
        let mut connection = Connection::new(ends, Phase::Open);
        connection.note_credit(header.credit);
        let response = connection.header(Operation::Response, 0, 0);
        connections.insert(ends, connection);
        listener.come.push_back(ends);
        if let Some(waker) = listener.waker.take() {
            waker.wake();
        }
        return Some(response);
    }
    let Some(connection) = connections.get_mut(&ends) else {
        return (header.operation != Operation::Reset).then_some(reset);
    };
    connection.note_credit(header.credit);
    match header.operation {
        Operation::Request => None,
        Operation::Response => {
            if connection.phase == Phase::Connecting {
                connection.phase = Phase::Open;
                connection.wake_all();
            }
            None
        }
        Operation::Reset => {
            connection.end();
            None
        }
        Operation::Shutdown => connection.peer_shuts_down(header.flags).then_some(reset),
        Operation::Data => {
            if connection.phase == Phase::Open && connection.receive(data) {
                return None;
            }
            connection.end();
            Some(reset)
        }
        Operation::CreditUpdate => None,
        Operation::CreditRequest => Some(connection.header(Operation::CreditUpdate, 0, 0)),
    }
}
