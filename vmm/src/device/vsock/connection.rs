//! One connection: a Unix socket on the host's side, a port in the guest.

use super::closing::Closing;
use super::credit::Credit;
use super::outgoing::Outgoing;
use super::packet::{Header, Op};
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use std::io;
use std::task::Context;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::Instant;

/// How long the guest may take to answer a request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one end may take to close when the other has.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The two ports by which a connection is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// The host's.
    pub host: u32,
    /// The guest's.
    pub guest: u32,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The guest has broken the rules, or took too long: it is told, and what it sent is dropped.
    Broken,
    /// Both ends are done: the guest is told, and what it sent still reaches the host program.
    Done,
    /// The guest has ended it.
    ByGuest,
}

/// Packets that the guest is to get, each at most once at a time.
#[derive(Debug, Default)]
struct Owed {
    request: bool,
    response: bool,
    credit_request: bool,
    credit: bool,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    ports: Ports,
    stream: UnixStream,
    credit: Credit,
    outgoing: Outgoing,
    owed: Owed,
    // The guest has not answered the request.
    is_requested: bool,
    // The socket may have bytes, or its end.
    is_readable: bool,
    closing: Closing,
    // The guest was asked for credit and has given none since.
    has_asked_credit: bool,
    /// When it ends, if nothing happens.
    pub deadline: Option<Instant>,
    /// It waits for its turn to send a packet.
    pub has_turn: bool,
}

impl Connection {
    fn new(ports: Ports, stream: UnixStream, peer_size: u32) -> Self {
        Self {
            ports,
            stream,
            credit: Credit::new(peer_size),
            outgoing: Outgoing::default(),
            owed: Owed::default(),
            is_requested: false,
            is_readable: false,
            closing: Closing::default(),
            has_asked_credit: false,
            deadline: None,
            has_turn: false,
        }
    }

    /// The guest's request, `header`, was accepted by the program behind `stream`.
    pub fn of_guest(ports: Ports, stream: UnixStream, header: &Header) -> Self {
        let mut connection = Self::new(ports, stream, header.buf_alloc.get());
        connection.owed.response = true;
        connection
    }

    /// The program behind `stream` asks for a port of the guest.
    pub fn of_host(ports: Ports, stream: UnixStream, now: Instant) -> Self {
        let mut connection = Self::new(ports, stream, 0);
        connection.owed.request = true;
        connection.is_requested = true;
        connection.deadline = Some(now + REQUEST_TIMEOUT);
        connection
    }

    /// Takes a packet of the guest.
    ///
    /// # Errors
    ///
    /// The connection ends.
    pub fn receive(
        &mut self,
        op: Op,
        header: &Header,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), End> {
        if op == Op::Reset {
            return Err(End::ByGuest);
        }
        let (size, forwarded) = (header.buf_alloc.get(), header.fwd_cnt.get());
        self.credit.peer(size, forwarded).map_err(|_| End::Broken)?;
        if self.credit.to_send() > 0 {
            self.has_asked_credit = false;
        }
        match op {
            Op::Response if self.is_requested && !self.owed.request => self.open()?,
            // Nothing else is said before the answer.
            _ if self.is_requested => return Err(End::Broken),
            Op::ReadWrite => self.take(header, payload)?,
            Op::Shutdown => self.close_guest(header.flags.get(), now),
            Op::CreditRequest => self.owed.credit = true,
            Op::CreditUpdate => {}
            Op::Request | Op::Response | Op::Reset => return Err(End::Broken),
        }
        self.flush()
    }

    fn open(&mut self) -> Result<(), End> {
        self.is_requested = false;
        self.deadline = None;
        let line = format!("OK {}\n", self.ports.host);
        // It is the first that is written, so there is room; else the program is gone.
        let written = self.stream.try_write(line.as_bytes());
        let is_written = written.is_ok_and(|count| count == line.len());
        is_written.then_some(()).ok_or(End::Done)
    }

    fn take(&mut self, header: &Header, payload: &[u8]) -> Result<(), End> {
        let is_whole = u32::try_from(payload.len()).is_ok_and(|len| len == header.len.get());
        if !is_whole || !self.closing.guest_sends() {
            return Err(End::Broken);
        }
        self.credit
            .receive(header.len.get())
            .map_err(|_| End::Broken)?;
        if !self.closing.host_reads() {
            // Nobody reads it; the guest has been told, or will be.
            self.forwarded(payload.len());
            return Ok(());
        }
        // What fails now fails again when the rest is flushed.
        let written = match self.outgoing.is_empty() {
            true => self.stream.try_write(payload).unwrap_or(0),
            false => 0,
        };
        self.forwarded(written);
        self.outgoing
            .push(payload.get(written..).unwrap_or_default());
        Ok(())
    }

    fn close_guest(&mut self, flags: u32, now: Instant) {
        if self.closing.guest_closes(flags) {
            self.is_readable = false;
            // The program's next write fails. It may be gone already.
            let _ = shutdown(&self.stream, Shutdown::Read);
        }
        if self.closing.guest_is_done() && self.deadline.is_none() {
            self.deadline = Some(now + CLOSE_TIMEOUT);
        }
    }

    /// Hands on what the guest has sent, as much as the socket takes.
    fn flush(&mut self) -> Result<(), End> {
        match self.outgoing.flush(&self.stream) {
            Ok(count) => self.forwarded(count),
            Err(_) => {
                // The program does not read any more. What it has written is still read.
                let count = self.outgoing.clear();
                self.forwarded(count);
                self.closing.host_reads_no_more();
            }
        }
        if self.outgoing.is_empty() && !self.closing.guest_sends() {
            let _ = shutdown(&self.stream, Shutdown::Write);
            if self.closing.guest_is_done() {
                return Err(End::Done);
            }
        }
        Ok(())
    }

    fn forwarded(&mut self, count: usize) {
        // The buffer is smaller than 4 GiB.
        self.credit.forward(count as u32);
        self.owed.credit |= self.credit.is_update_due();
    }

    /// Does what the socket allows.
    ///
    /// # Errors
    ///
    /// The connection ends.
    pub fn poll(&mut self, context: &mut Context<'_>, now: Instant) -> Result<(), End> {
        while !self.outgoing.is_empty() && self.stream.poll_write_ready(context).is_ready() {
            self.flush()?;
        }
        let reads = !self.is_requested && self.closing.host_sends();
        self.is_readable = reads && self.stream.poll_read_ready(context).is_ready();
        if self.is_readable && self.credit.to_send() == 0 {
            self.wait_for_credit();
        }
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            let is_done = self.closing.guest_is_done();
            return Err(if is_done { End::Done } else { End::Broken });
        }
        Ok(())
    }

    /// Asks the guest for credit, once. The end of the stream needs none.
    fn wait_for_credit(&mut self) {
        let mut byte = [0];
        let peeked = recv(&self.stream, &mut byte, RecvFlags::PEEK);
        if peeked.is_ok_and(|(count, _)| count == 0) {
            self.is_readable = false;
            self.closing.host_ends(&self.stream);
        } else if !self.has_asked_credit {
            self.has_asked_credit = true;
            self.owed.credit_request = true;
        }
    }

    /// Whether there may be a packet for the guest.
    pub fn has_packet(&self) -> bool {
        let owed = &self.owed;
        owed.request
            || owed.response
            || owed.credit_request
            || owed.credit
            || self.closing.has_news()
            || self.is_readable && self.credit.to_send() > 0
    }

    /// The next packet for the guest, if there is one; its payload goes into `payload`.
    pub fn transmit(&mut self, cid: u32, payload: &mut [u8], now: Instant) -> Option<Header> {
        let (op, len, flags) = self.next(payload, now)?;
        let mut header = Header::to_guest(op, cid, self.ports.host, self.ports.guest);
        let (buf_alloc, fwd_cnt) = self.credit.tell();
        self.owed.credit = false;
        header.len = len.into();
        header.flags = flags.into();
        header.buf_alloc = buf_alloc.into();
        header.fwd_cnt = fwd_cnt.into();
        Some(header)
    }

    /// Operation, length and flags of the next packet.
    fn next(&mut self, payload: &mut [u8], now: Instant) -> Option<(Op, u32, u32)> {
        let owed = &mut self.owed;
        let controls = [
            (&mut owed.request, Op::Request),
            (&mut owed.response, Op::Response),
            (&mut owed.credit_request, Op::CreditRequest),
        ];
        for (is_owed, op) in controls {
            if std::mem::take(is_owed) {
                return Some((op, 0, 0));
            }
        }
        let len = self.read(payload);
        if len > 0 {
            self.credit.sent(len);
            return Some((Op::ReadWrite, len, 0));
        }
        if let Some(flags) = self.closing.tell() {
            if self.closing.host_is_done() && self.deadline.is_none() {
                self.deadline = Some(now + CLOSE_TIMEOUT);
            }
            return Some((Op::Shutdown, 0, flags));
        }
        std::mem::take(&mut self.owed.credit).then_some((Op::CreditUpdate, 0, 0))
    }

    /// Reads from the socket what the guest has room for: how many bytes.
    fn read(&mut self, payload: &mut [u8]) -> u32 {
        let room = (self.credit.to_send() as usize).min(payload.len());
        let Some(payload) = payload
            .get_mut(..room)
            .filter(|payload| !payload.is_empty())
        else {
            return 0;
        };
        if !self.is_readable {
            return 0;
        }
        match self.stream.try_read(payload) {
            Ok(0) => self.closing.host_ends(&self.stream),
            // No more than the guest has room for, which is a u32.
            Ok(count) => return count as u32,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.closing.host_is_gone(),
        }
        self.is_readable = false;
        0
    }

    /// Bytes of the guest that the host program has not read.
    pub fn waiting(&self) -> usize {
        self.outgoing.len()
    }

    /// What is left to do when the connection has ended: write what the guest sent before.
    pub fn into_remains(self) -> (UnixStream, Outgoing) {
        (self.stream, self.outgoing)
    }
}
